"""The ROS 2 nodes: each is thin (parameters, topics, one call into a plain object) and runs as its own process.

The arithmetic of one step is tiny, so threads in BLAS only cost: they are switched off before numpy loads.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
