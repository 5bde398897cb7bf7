"""The legion command: what it prints when something is wrong, and never a traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from legion_core.errors import ConfigurationError
from legion_core.resources import resource
from legion_ros.cli import main as cli
from legion_ros.cli.doctor import ADVICE, PACKAGES, WRONG, _domain, _packages, _training


@pytest.fixture(autouse=True)
def ordinary_scheduling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor puts its own process at real-time priority; here that is the process of all tests."""
    monkeypatch.setattr("legion_ros.cli.doctor.prioritise", lambda priority: None)


def run(*arguments: str) -> int:
    try:
        return cli.main(arguments)
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert cli.COMMANDS[command][1:] in " ".join(capsys.readouterr().out.split())


def test_help_loads_neither_ros_nor_torch() -> None:
    code = (
        "import sys; from legion_ros.cli.main import main\ntry: main(['deploy', '--help'])\nexcept SystemExit: pass\n"
    )
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'rclpy', 'mujoco')))"
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("deploy", "--robot", "kuka"), "unknown robot 'kuka'; allowed: gazebo, iiwa14_lbr"),
        (("deploy", "--once"), "once = True; allowed: only with --instruction"),
        (("deploy", "--once", "--instruction", "x", "--robot", "gazebo"), "only with driver mujoco"),
        (("deploy", "--params-file", "/nowhere.yaml"), "cannot read /nowhere.yaml"),
        (("evaluate", "--loop", "ros", "--actuation", "mocap"), "allowed: servo, with --loop ros"),
        (("evaluate", "--arm", "both", "--actuation", "servo"), "allowed: mocap, with --arm both"),
        (("evaluate", "--policy", "/nowhere", "--arm", "both"), "/nowhere: no such folder"),
        (("evaluate", "--policy", "/nowhere"), "/nowhere: no such folder"),
        (("evaluate", "--robot", "iiwa14_mujoco"), "robot = 'iiwa14_mujoco'; allowed: only with --actuation servo"),
        (("evaluate", "--loop", "ros", "--robot", "kuka"), "unknown robot 'kuka'; allowed: gazebo"),
        (("evaluate", "--loop", "ros", "--ray", "auto"), "ray = 'auto'; allowed: only with --loop direct"),
        (("evaluate", "--ray", "somewhere"), "ray address = 'somewhere'; allowed: local, auto, HOST:PORT"),
        (("evaluate", "--gap"), "gap = ''; allowed: only with --actuation servo"),
        (("evaluate", "--loop", "ros", "--gap"), "gap = ''; allowed: only with --loop direct"),
        (("evaluate", "--arm", "both", "--gap"), "gap = ''; allowed: only with --actuation servo"),
        (("evaluate", "--actuation", "servo", "--gap", "/nowhere.yaml"), "cannot read /nowhere.yaml"),
        (("import", "somewhere"), "the published actor is missing: name its file with --actor"),
        (("import", "somewhere", "--folder", "/nowhere"), "/nowhere: no such folder"),
        (("train", "somewhere", "--config", "/nowhere.yaml"), "cannot read /nowhere.yaml"),
        (("train", "somewhere", "--config", "nonsense"), "presets: deployment, few_shot, fifty, lifelong"),
        (("train", "somewhere", "--set", "agent.batch"), "--set agent.batch: expected KEY=VALUE"),
        (("train", "somewhere", "--set", "seed.x=1", "--seed", "2"), "seed is not a group of settings"),
        (("train", "somewhere", "--set", "agent.batches=1"), "unknown key 'batches'"),
        (("train", "somewhere", "--tasks", "fly"), "unknown task 'fly'"),
        (("train", "somewhere", "--order", "sideways"), "unknown task or order 'sideways'"),
        (("train", "somewhere", "--checkpoint", "3"), "together with --resume"),
        (("train", "/nowhere", "--resume", "--seed", "3"), "--seed = 3; allowed: nothing, with --resume"),
        (("train", "/nowhere", "--resume"), "/nowhere"),
        (("bench", "speed"), "unknown benchmark 'speed'; allowed:"),
        (("say", "hello", "--timeout", "0.3"), "nobody listens on /legion/instruction"),
    ],
)
def test_errors_are_one_line(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 1
    printed = capsys.readouterr().err.strip()
    assert message in printed
    assert printed.startswith(f"legion {arguments[0]}: ")
    assert "\n" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("deploy", "--wbe"), "legion deploy: unrecognized arguments: --wbe; legion deploy --help lists"),
        (("mission", "list", "--fast", "-9"), "legion mission: unrecognized arguments: --fast -9; "),
        (("calibrate", "points"), "legion calibrate points: the following arguments are required: FILE.csv, -o"),
        (("deploi",), "legion: argument command: invalid choice: 'deploi'"),
        ((), "legion: the following arguments are required: command"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    printed = capsys.readouterr().err.strip()
    assert printed.startswith(message)
    assert "\n" not in printed


def test_ctrl_c_while_a_command_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("legion_ros.cli.main.importlib.import_module", interrupted)
    assert run("deploy") == 130


def test_missions_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("mission", "list") == 0
    listed = capsys.readouterr().out
    assert "clear_the_table: Clear the table: push, drawer-close, window-close (scene clear_the_table)" in listed
    assert "make_coffee" in listed


def test_an_unexpected_error_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def burst(options: object) -> int:
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr("legion_ros.cli.doctor.run", burst)
    assert run("doctor") == 1
    assert "unexpected ZeroDivisionError: by chance" in capsys.readouterr().err


def test_an_impossible_domain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "999")
    assert run("say", "hello") == 1
    assert "ROS_DOMAIN_ID = '999'; allowed: 0 to 232" in capsys.readouterr().err
    assert [finding.state for finding in _domain()] == [WRONG]


def test_doctor_names_a_broken_bundle_and_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--policy", str(tmp_path / "nowhere")) == 1
    printed = capsys.readouterr().out
    assert "no such folder" in printed
    assert "legion train" in printed


def test_doctor_is_content_with_a_good_bundle(bundle_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--policy", str(bundle_folder)) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_doctor_takes_missing_training_for_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legion_ros.cli.doctor.TRAINING", ("yaml", "no_such_package"))
    (finding,) = _training()
    assert finding.state == ADVICE
    assert "no_such_package" in finding.detail
    assert "legion_ros[train]" in finding.mend


def test_doctor_looks_for_all_that_the_package_requires() -> None:
    modules = {"pin": "pinocchio", "pyyaml": "yaml"}
    always = (each for each in metadata.requires("legion_ros") or () if "extra ==" not in each)
    required = {re.split(r"[^\w-]", each)[0] for each in always}
    assert {modules.get(name, name) for name in required} <= set(PACKAGES)


def test_doctor_names_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legion_ros.cli.doctor.PACKAGES", {"no_such_package": "sim"})
    (finding,) = _packages()
    assert finding.state == WRONG
    assert "no_such_package" in finding.detail
    assert "legion_ros[sim]" in finding.mend


def test_resources_are_found() -> None:
    for name in ("launch/deploy_iiwa.launch.py", "config/deploy.yaml", "config/legion.rviz"):
        assert resource(name).is_file()
    with pytest.raises(ConfigurationError, match="not found in any of"):
        resource("config/nothing.yaml")


def test_doctor_of_a_robot_that_is_not_there(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("legion_ros.cli.doctor.SURVEY_S", 0.1)
    assert run("doctor", "--policy", str(bundle_folder), "--robot", "mujoco", "--yes") == 1
    printed = capsys.readouterr().out
    assert "nothing on lbr/joint_states" in printed
    assert "from nobody" in printed
    assert "sim2real_node says nothing" in printed


def test_doctor_of_a_robot_without_profile(bundle_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--policy", str(bundle_folder), "--robot", "bender") == 1
    assert "unknown robot 'bender'; allowed:" in capsys.readouterr().out


def test_benchmarks_by_name_and_with_their_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def note(command: list[str], check: bool) -> subprocess.CompletedProcess[bytes]:
        ran.append([Path(command[1]).name, *command[2:]])
        return subprocess.CompletedProcess(command, int("soak.py" in ran[-1]))

    monkeypatch.setattr("legion_ros.cli.bench.subprocess.run", note)
    assert run("bench", "policy") == 0
    assert run("bench", "soak", "--", "--minutes", "10") == 1
    assert ran == [["bench_policy.py"], ["soak.py", "--minutes", "10"]]
    ran.clear()
    assert run("bench") == 0
    assert ["bench_load.py"] in ran
    assert not {"soak.py", "fault_matrix.py", "fuzz_bridge.py"} & {name for (name,) in ran}
