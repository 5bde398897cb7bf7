"""Running a node as a process: one line instead of a traceback, and word to the starter when it is ready."""

from __future__ import annotations

import gc
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn, TypeVar

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from legion_core.errors import LegionError
from legion_ros.deployment import CONFIGURATION_ERROR
from legion_ros.parameters import parameter
from legion_ros.ready import announce_ready
from legion_ros.realtime import PRIORITIES, prioritise
from legion_ros.signals import ending_signals

N = TypeVar("N", bound=Node)

BUG = 70
"""Exit code after an error that is not the operator's; a restart may help."""
REST_S = 1.0
"""An arm needs a fraction of it to brake; shorter than the patience of whoever ends the processes."""


@dataclass(frozen=True)
class ControlPathSettings:
    """The parameter of every node between joint state and command."""

    realtime: bool = parameter(True, "Ask for real-time scheduling, where this process may have it")


def run(name: str, make: Callable[[], N], at_rest: Callable[[N], bool] | None = None) -> NoReturn:
    """Make the node and spin it until Ctrl-C or SIGTERM; one line and exit code 1 on a LegionError.

    A node with an arm to bring to rest is spun on until it is `at_rest`, for `REST_S` at most.
    """
    code, initialised = 0, False
    try:
        # rclpy's own handling of signals ends the topics at once
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO if at_rest else None)
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
        if at_rest is None:
            executor.spin()
        else:
            _spin_to_rest(executor, partial(at_rest, node))
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


def _spin_to_rest(executor: Executor, at_rest: Callable[[], bool]) -> None:
    caught: list[int] = []
    with ending_signals(lambda number, _: caught.append(number)):
        while not caught:
            executor.spin_once()
        end = time.monotonic() + REST_S
        while not at_rest() and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
