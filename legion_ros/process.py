"""Running a node as a process: one line instead of a traceback, and word to the starter when it is ready."""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from legion_core.errors import LegionError
from legion_ros.deployment import CONFIGURATION_ERROR
from legion_ros.parameters import parameter
from legion_ros.ready import announce_ready
from legion_ros.realtime import PRIORITIES, prioritise

BUG = 70
"""Exit code after an error that is not the operator's; a restart may help."""


@dataclass(frozen=True)
class ControlPathSettings:
    """The parameter of every node between joint state and command."""

    realtime: bool = parameter(True, "Ask for real-time scheduling, where this process may have it")


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
        if node.has_parameter("realtime") and node.get_parameter("realtime").value:
            node.get_logger().info(f"scheduling: {prioritise(PRIORITIES[name])}")
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
    gc.unfreeze()  # libraries that look for what is left over at the end would take it for leaks
    sys.exit(code)
