"""Running a node as a process: one line instead of a traceback, and word to the starter when it is ready."""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from legion_core.errors import LegionError
from legion_ros.deployment import CONFIGURATION_ERROR
from legion_ros.ready import announce_ready

BUG = 70
"""Exit code after an error that is not the operator's; a restart may help."""


def run(name: str, make: Callable[[], Node]) -> NoReturn:
    """Make the node and spin it until Ctrl-C or SIGTERM; one line and exit code 1 on a LegionError."""
    code, initialised = 0, False
    try:
        rclpy.init()
        initialised = True
        node = make()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        # what exists now lives as long as the process: the collector need not look at it between two steps
        gc.collect()
        gc.freeze()
        announce_ready()
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except LegionError as error:
        print(f"{name}: {error}", file=sys.stderr)
        code = CONFIGURATION_ERROR
    except Exception as error:
        if not initialised:  # arguments or a parameter file that rcl refuses
            print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
            code = CONFIGURATION_ERROR
        elif rclpy.ok():
            traceback.print_exc()
            code = BUG
        # else a signal came during construction: a context that is shut down refuses everything
    finally:
        rclpy.try_shutdown()
    sys.exit(code)
