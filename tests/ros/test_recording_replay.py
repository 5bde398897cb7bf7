"""Replay: bit-equal where nothing was changed, and the first difference where something was; without ROS, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("mcap", reason="the extra 'record' is not installed")

from recordings import BEGIN_NS, MS, PERIOD_NS, TASKS, write_recording

from legion_core.bundle import PolicyBundle
from legion_core.errors import RecordingError
from legion_core.resources import resource
from legion_ros import topics
from legion_ros.cli.main import main
from legion_ros.recording.recording import Recording
from legion_ros.recording.replay import Replay, losses, replay
from legion_ros.stamps import NS_PER_S, to_ns

STEPS = 130


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("recordings") / "run.mcap", steps=STEPS)


def step_of(message: Any) -> int:
    """Which step a stamped message belongs to."""
    return round((to_ns(message.header.stamp) - BEGIN_NS) / PERIOD_NS)


def replayed(path: Path, **how: Any) -> Replay:
    return replay(Recording.open(write_recording(path / "run.mcap", **how)))


def test_nothing_changed_is_bit_equal(recorded: Path) -> None:
    found = replay(Recording.open(recorded))
    assert found.equal
    for outcome in (found.observations, found.actions, found.latents):
        assert outcome.same == outcome.compared == STEPS
        assert not outcome.unchecked


@pytest.mark.parametrize("robot", ["mujoco", "gazebo"])
def test_other_robots(tmp_path: Path, robot: str) -> None:
    assert replayed(tmp_path, steps=20, robot=robot).equal


@pytest.mark.parametrize("base", ["mujoco", "mujoco_gap"])
def test_a_robot_that_speaks_of_its_hand_alone(tmp_path: Path, base: str) -> None:
    """Its joints are sought from those of the pose before, also where that one was lost to the recorder."""
    data = yaml.safe_load(resource(f"config/robots/{base}.yaml").read_text(encoding="utf-8"))
    data |= {"input": "cartesian", "command_interface": "cartesian"}
    (tmp_path / "arm.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")

    def every_second(topic: str, message: Any) -> Any:
        return None if topic == data["topics"]["hand_pose"] and step_of(message) % 2 else message

    found = replayed(tmp_path, steps=40, robot=str(tmp_path / "arm.yaml"), alter=every_second)
    assert found.observations.different == 0
    assert found.observations.same == 20
    (tmp_path / "run.mcap").unlink()
    found = replayed(tmp_path, steps=40, robot=str(tmp_path / "arm.yaml"))
    assert found.equal
    assert found.observations.same == 40


def test_a_changed_bit_is_found(tmp_path: Path) -> None:
    def alter(topic: str, message: Any) -> Any:
        if topic == topics.ACTION and step_of(message) in (70, 90):
            message.position[2] = float(np.nextafter(np.float32(message.position[2]), np.float32(2)))
        return message

    found = replayed(tmp_path, alter=alter)
    assert not found.equal
    assert (found.actions.same, found.actions.different) == (STEPS - 2, 2)
    first = found.actions.first
    assert first is not None
    assert (first.stamp_ns, first.field) == (BEGIN_NS + 70 * PERIOD_NS, "dz")
    assert 0 < first.recorded - first.replayed < 1e-6
    assert found.observations.different == found.latents.different == 0


def test_a_measurement_that_was_another_is_found_in_the_observation(tmp_path: Path) -> None:
    def alter(topic: str, message: Any) -> Any:
        if topic == "lbr/joint_states" and step_of(message) == 60:
            message.position[3] += 1e-4
        return message

    found = replayed(tmp_path, robot="mujoco", alter=alter)
    assert found.observations.different == 1
    first = found.observations.first
    assert first is not None
    assert first.field.startswith("hand_")
    assert first.stamp_ns == BEGIN_NS + 60 * PERIOD_NS


def test_what_was_lost_is_not_compared(tmp_path: Path) -> None:
    def alter(topic: str, message: Any) -> Any:
        if topic == "legion/gripper/state" and step_of(message) == 5:
            return None
        if topic == topics.OBSERVATION_ORIGIN and step_of(message) == 7:
            return None
        return None if topic == topics.OBSERVATION and step_of(message) == 9 else message

    found = replayed(tmp_path, steps=30, robot="mujoco", alter=alter)
    assert found.equal
    assert dict(found.observations.unchecked) == {
        "the gripper's state, which it was made of, is not in the recording": 1,
        "what it was made of is not in the recording": 1,
    }
    assert dict(found.actions.unchecked) == {"its observation is not in the recording": 1}
    lost = losses(Recording.open(tmp_path / "run.mcap"))
    assert lost == {"legion/gripper/state": 1, topics.OBSERVATION: 1, topics.OBSERVATION_ORIGIN: 1}


@pytest.mark.parametrize("missing", [range(40), (20, 70)])
def test_no_observation_needs_another_one(tmp_path: Path, missing: Any) -> None:
    """Though the object filter looks back: with a recorder that came late, and one that lost messages."""

    def alter(topic: str, message: Any) -> Any:
        stamped = topic in (topics.OBSERVATION, topics.OBSERVATION_ORIGIN, "lbr/joint_states")
        return None if stamped and step_of(message) in missing else message

    found = replayed(tmp_path, alter=alter)
    assert found.equal
    assert found.observations.same == STEPS - len(missing)
    assert not found.observations.unchecked


def test_either_task_may_hold_while_it_changes(tmp_path: Path) -> None:
    """The policy heard of the task after the first actions that the recorder saw behind it, and the other way round."""
    for shift_ms in (-60, 60):
        folder = tmp_path / str(shift_ms)
        folder.mkdir()
        file = write_recording(folder / "run.mcap")
        recording = Recording.open(file)
        raw = recording.topics[f"/{topics.TASK_EMBEDDING}"].raw
        log, publish, number, data = raw[1]
        raw[1] = (log + shift_ms * MS, publish + shift_ms * MS, number, data)
        assert replay(recording).equal
        raw[1] = (log + 40 * shift_ms * MS, publish + 40 * shift_ms * MS, number, data)
        assert not replay(recording).equal


def test_what_a_replay_needs_is_named(tmp_path: Path) -> None:
    def no_observations(topic: str, message: Any) -> Any:
        return None if topic == topics.OBSERVATION else message

    with pytest.raises(RecordingError, match=r"holds no /legion/observation; its topics: /legion/e_stop"):
        replayed(tmp_path, steps=5, alter=no_observations)


def test_the_origin_of_another_version(tmp_path: Path) -> None:
    def renamed(topic: str, message: Any) -> Any:
        if topic == topics.OBSERVATION_ORIGIN:
            message.name[0] = "gripper.age_ms"
        return message

    found = replayed(tmp_path, steps=5, alter=renamed)
    assert found.equal
    assert found.actions.same == 5
    assert found.observations.unchecked == {"another version of legion_ros told what it was made of": 5}


# the command


def test_the_command_says_same_or_not(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(recorded)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"observations  {STEPS} of {STEPS} the same"
    assert out[-1] == "the same, bit for bit"

    def alter(topic: str, message: Any) -> Any:
        if topic == topics.ACTION:
            message.position[0] = 0.5
        return message

    changed = write_recording(tmp_path / "changed.mcap", steps=5, alter=alter)
    assert main(["replay", str(changed)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "NOT the same"
    assert out[-2].startswith(
        f"first difference: action of stamp {BEGIN_NS / NS_PER_S:.6f} s: dx: recorded 0.5, replayed "
    )


def test_the_command_asks_another_policy(
    recorded: Path, tmp_path: Path, random_bundle: PolicyBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    PolicyBundle.load().save(tmp_path / "same")
    assert main(["replay", str(recorded), "--policy", str(tmp_path / "same")]) == 0
    assert "dz       median 0.0000  largest 0.0000" in capsys.readouterr().out
    random_bundle.save(tmp_path / "random")
    code = main(["replay", str(recorded), "--policy", str(tmp_path / "random")])
    told = capsys.readouterr()
    if set(TASKS) <= set(random_bundle.task_names):
        assert code == 0
        assert "largest 0.0000" not in told.out
    else:
        assert code == 1
        assert "unknown task" in told.err


def test_a_truncated_recording_is_replayed_as_far_as_it_goes(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = recorded.read_bytes()
    (tmp_path / "cut.mcap").write_bytes(content[:-200])
    assert main(["replay", str(tmp_path / "cut.mcap")]) == 0
    told = capsys.readouterr()
    assert "what lies before is replayed" in told.err
    assert "the same, bit for bit" in told.out


WITHOUT_ROS = """
import sys
for name in ("rclpy", "std_msgs", "sensor_msgs", "geometry_msgs", "builtin_interfaces", "torch", "mujoco"):
    sys.modules[name] = None  # importing it now fails
if sys.argv[1] == "report":
    from legion_ros.recording import report
    report.DRAWN = report.DRAWN[:1]  # drawing takes seconds
from legion_ros.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("command", "said"), [("replay", "the same, bit for bit"), ("report", "saved")])
def test_recordings_need_neither_ros_nor_simulator(recorded: Path, command: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ROS, command, str(recorded)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LEGION_DEBUG": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
