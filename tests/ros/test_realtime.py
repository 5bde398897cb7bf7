"""Real-time scheduling: what is granted is in force for every thread, who spins is ended, and operators can decline."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from legion_ros.deployment import DeploymentOptions, NodeSpec, deployment_graph
from legion_ros.process import ControlPathSettings
from legion_ros.realtime import NICE, PRIORITIES, Grant, obtainable
from legion_ros.starter import Starter

NEEDS_RIGHT = pytest.mark.skipif(obtainable() is not Grant.ROUND_ROBIN, reason="needs the right to real-time priority")

PROCESS = """
import os, threading
from pathlib import Path
from legion_ros import realtime

def threads():
    return [int(folder.name) for folder in Path("/proc/self/task").iterdir()]

end = threading.Event()
before = threading.Thread(target=end.wait)
before.start()
print(realtime.prioritise(22))
for each in threads():
    print(os.sched_getscheduler(each) & ~os.SCHED_RESET_ON_FORK, os.sched_getparam(each).sched_priority)
later = threading.Thread(target=end.wait)
later.start()
print(os.sched_getscheduler(later.native_id))
end.set()
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, start_new_session=True
    )


def test_says_what_was_granted() -> None:
    assert python(PROCESS).stdout.startswith(obtainable().value)


@NEEDS_RIGHT
def test_every_thread_there_is_and_none_that_comes_later() -> None:
    first, *threads, later = python(PROCESS).stdout.splitlines()
    assert "priority 22" in first
    assert threads == [f"{os.SCHED_RR} 22"] * 2
    assert later == str(os.SCHED_OTHER)


@NEEDS_RIGHT
def test_who_spins_is_ended_by_the_kernel() -> None:
    spin = "from legion_ros import realtime\nrealtime.SPIN_S = 0.2\nrealtime.prioritise(1)\nwhile True: pass"
    assert python(spin).returncode == -signal.SIGXCPU


def test_without_the_right_a_process_goes_on_and_says_so() -> None:
    refuse = """
import os
from legion_ros import realtime
def refused(*arguments): raise PermissionError(1, "not permitted")
os.sched_setscheduler = os.setpriority = refused
print(realtime.prioritise(22), "|", realtime.obtainable().name)
"""
    assert python(refuse).stdout == "ordinary scheduling; 'legion doctor' says how to get more | NONE\n"


@NEEDS_RIGHT
@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel has no autogroups")
def test_with_the_right_to_niceness_alone_it_counts_among_all_sessions() -> None:
    code = """
import os
from pathlib import Path
from legion_ros import realtime
def refused(*arguments): raise PermissionError(1, "not permitted")
os.sched_setscheduler = refused
print(realtime.prioritise(22))
print(os.getpriority(os.PRIO_PROCESS, 0))
print(Path("/proc/self/autogroup").read_text().split()[-1])
"""
    assert python(code).stdout.split("\n")[:3] == ["raised nice priority", str(NICE), str(NICE)]


def test_obtainable_leaves_this_process_as_it_was() -> None:
    before = os.sched_getscheduler(0)
    obtainable()
    assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize("name", PRIORITIES)
def test_every_node_of_the_control_path_has_the_parameter(name: str) -> None:
    module = importlib.import_module(f"legion_ros.nodes.{name}")
    settings = [
        each for each in vars(module).values() if isinstance(each, type) and issubclass(each, ControlPathSettings)
    ]
    assert set(settings) > {ControlPathSettings}


@pytest.mark.parametrize("options", [{"realtime": False}, {"lockstep": True}, {"real_time_factor": 2.0}])
def test_declined_by_the_operator_and_in_simulated_time(options: dict[str, object]) -> None:
    for spec in deployment_graph(DeploymentOptions(**options)):  # type: ignore[arg-type]
        assert spec.parameters.get("realtime", True) is (spec.name not in PRIORITIES)


def test_otherwise_the_choice_is_left_to_the_parameter_files() -> None:
    assert all("realtime" not in spec.parameters for spec in deployment_graph(DeploymentOptions()))


@NEEDS_RIGHT
@pytest.mark.parametrize("wanted", [True, False])
def test_the_process_of_a_node_has_what_its_parameter_says(wanted: bool, tmp_path: Path) -> None:
    with Starter((NodeSpec("real2sim_node", {"realtime": wanted}),), tmp_path) as starter:
        for _ in starter.wait_ready():
            pass
        pid = starter["real2sim_node"].pid
        assert pid is not None
        scheduler = os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK
    assert scheduler == (os.SCHED_RR if wanted else os.SCHED_OTHER)
    assert ("scheduling: real-time" in (tmp_path / "real2sim_node.log").read_text(encoding="utf-8")) is wanted
