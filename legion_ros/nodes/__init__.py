"""The ROS 2 nodes: each is thin (parameters, topics, one call into a plain object) and runs as its own process."""

import os
import signal
import sys
from pathlib import Path

# The arithmetic of one step is tiny, so threads in BLAS only cost: off, before numpy loads.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# Where a node is the program, Ctrl-C during its imports ends it without a traceback; rclpy takes over afterwards.
if Path(sys.argv[0]).name == "-m" or Path(sys.argv[0]).name.endswith("_node"):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
