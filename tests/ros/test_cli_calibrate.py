"""`legion calibrate` as processes: files in, files out, one line where something is wrong; and live, with a graph."""

from __future__ import annotations

import csv
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import yaml
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from legion_core.errors import CalibrationError
from legion_core.spaces import Vector
from legion_ros import resting
from legion_ros.client import LegionClient
from legion_ros.resting import RestingArm
from legion_ros.vector_messages import pose_message
from legion_sim2real.calibration import Calibration, rotation_from_rpy
from legion_sim2real.camera import CameraCalibration, quaternion_from_rotation
from legion_sim2real.kinematics import ArmKinematics, Pose
from legion_sim2real.robot import load_profile

PROFILE = load_profile("lbr")
TOOL = ArmKinematics(PROFILE.description(), PROFILE.frames.tool, PROFILE.frames.tool)
HOME = np.array(PROFILE.sim2real.posture_rad)
CALIBRATION = Calibration(rotation_from_rpy(0.02, -0.01, 2.4), np.array([0.5, 0.34, 0.25]))
CAMERA = Pose(np.array([1.2, 0.3, 0.9]), rotation_from_rpy(-2.2, 0.1, 1.9))
TAG = Pose(np.array([0.03, 0.05, -0.02]), rotation_from_rpy(0.3, 0.2, 1.0))
POINTS = ("sim_x", "sim_y", "sim_z")
PAIRS = ("world_x", "world_y", "world_z", *POINTS)
TAGS = ("tag_x", "tag_y", "tag_z", "tag_qx", "tag_qy", "tag_qz", "tag_qw")


def legion(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "legion_ros.cli.main", "calibrate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def refused(*arguments: object) -> str:
    """The one line that it says when it does not succeed."""
    done = legion(*arguments)
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("legion calibrate: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return path


def some_pairs(seed: int = 0, noise: float = 0.0005) -> Vector:
    rng = np.random.default_rng(seed)
    world = rng.uniform([0.3, -0.4, 0.0], [0.8, 0.4, 0.4], (10, 3))
    return np.hstack((world, CALIBRATION.to_sim(world) + rng.normal(0, noise, (10, 3))))


def seen_by_camera(q: Vector) -> Pose:
    """The tag on the hand, in the camera's frame."""
    hand = PROFILE.kinematics().forward(q)
    position = hand.rotation @ TAG.position + hand.position - CAMERA.position
    return Pose(CAMERA.rotation.T @ position, CAMERA.rotation.T @ hand.rotation @ TAG.rotation)


def some_postures(count: int = 12) -> Vector:
    return HOME + np.random.default_rng(1).uniform(-0.5, 0.5, (count, 7))


# ------------------------------------------------------------------------------------------------------- points


def test_points_give_the_calibration_and_say_how_it_was_made(tmp_path: Path) -> None:
    pairs = some_pairs()
    pairs[3, 4] += 0.05
    names = [f"p{i}" for i in range(10)]
    source = write_csv(
        tmp_path / "pairs.csv", ("name", *PAIRS), [[n, *row] for n, row in zip(names, pairs, strict=True)]
    )
    done = legion("points", source, "-o", tmp_path / "found.yaml")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("p")]
    assert [line.endswith("rejected") for line in lines] == [name == "p3" for name in names]
    found = Calibration.load(tmp_path / "found.yaml")
    assert found.rotation == pytest.approx(CALIBRATION.rotation, abs=0.005)
    assert found.to_sim(pairs[5, :3]) == pytest.approx(pairs[5, 3:], abs=0.002)
    assert found.scale == 1.0
    made = found.made
    assert made is not None
    assert (made.source, made.measurements, made.rejected) == (str(source), 10, ("p3",))
    assert made.residuals_mm[3] == pytest.approx(50, abs=3)
    assert 0.2 < made.rms_mm < 2.0
    assert made.tool.startswith("legion calibrate points, legion_ros ")


def test_a_scale_is_found_where_it_is_asked_for(tmp_path: Path) -> None:
    pairs = some_pairs(noise=0.0)
    pairs[:, 3:] *= 2.0
    source = write_csv(tmp_path / "pairs.csv", PAIRS, pairs.tolist())
    assert "too few points agree" in refused("points", source, "-o", tmp_path / "found.yaml")
    assert legion("points", source, "--scale", "-o", tmp_path / "found.yaml").returncode == 0
    assert Calibration.load(tmp_path / "found.yaml").scale == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pairs: pairs[:2], "at least three pairs"),
        (lambda pairs: np.outer(np.linspace(0.1, 1, 10), np.ones(6)), "points lie on one line"),
        (lambda pairs: pairs * [-1, 1, 1, 1, 1, 1], "mirror image of the world points: one axis has the wrong sign"),
        (lambda pairs: np.random.default_rng(0).uniform(-1, 1, (10, 6)), "too few points agree"),
        (lambda pairs: pairs * 1000.0, "line 2, column world_x: '.*'; expected a number from -10 to 10 m"),
    ],
)
def test_points_that_fix_nothing_are_refused(tmp_path: Path, change: Callable[[Vector], Vector], message: str) -> None:
    source = write_csv(tmp_path / "pairs.csv", PAIRS, change(some_pairs()).tolist())
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(refused("points", source, "-o", tmp_path / "found.yaml"))
    assert not (tmp_path / "found.yaml").exists()


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    assert "cannot read /nowhere.csv" in refused("points", "/nowhere.csv", "-o", tmp_path / "found.yaml")
    source = write_csv(tmp_path / "pairs.csv", PAIRS, some_pairs().tolist())
    assert "cannot write /nowhere/found.yaml" in refused("points", source, "-o", "/nowhere/found.yaml")
    assert "--tolerance 0; allowed: 0.1 to 1000 mm" in refused("points", source, "-o", "x.yaml", "--tolerance", "0")


# ------------------------------------------------------------------------------------------------------- camera


def camera_rows() -> list[list[float]]:
    rows = []
    for q in some_postures():
        seen = seen_by_camera(q)
        rows.append([*q, *seen.position, *quaternion_from_rotation(seen.rotation)])
    return rows


def test_camera_is_found_from_joint_positions_and_tag_poses(tmp_path: Path) -> None:
    rows = camera_rows()
    rows[4][8] += 0.1
    source = write_csv(tmp_path / "poses.csv", (*PROFILE.joint_names, *TAGS), rows)
    done = legion("camera", source, "--robot", "lbr", "-o", tmp_path / "camera.yaml")
    assert done.returncode == 0, done.stderr
    assert "tag on the hand: 30.0 50.0 -20.0 mm" in done.stdout
    found = CameraCalibration.load(tmp_path / "camera.yaml")
    assert found.translation == pytest.approx(CAMERA.position, abs=1e-5)
    assert found.rotation == pytest.approx(CAMERA.rotation, abs=1e-5)
    assert found.made is not None
    assert found.made.rejected == ("line 6",)
    assert found.made.residuals_deg is not None


def test_camera_is_found_from_hand_poses(tmp_path: Path) -> None:
    rows = []
    for q, row in zip(some_postures(), camera_rows(), strict=True):
        hand = PROFILE.kinematics().forward(q)
        rows.append([*hand.position, *quaternion_from_rotation(hand.rotation), *row[7:]])
    columns = [f"hand_{key}" for key in ("x", "y", "z", "qx", "qy", "qz", "qw")]
    source = write_csv(tmp_path / "poses.csv", (*columns, *TAGS), rows)
    assert legion("camera", source, "-o", tmp_path / "camera.yaml").returncode == 0
    assert CameraCalibration.load(tmp_path / "camera.yaml").translation == pytest.approx(CAMERA.position, abs=1e-5)


def test_camera_is_found_from_tags_at_known_places(tmp_path: Path) -> None:
    base = some_pairs()[:, :3]
    rows = np.hstack((base, (base - CAMERA.position) @ CAMERA.rotation))
    source = write_csv(tmp_path / "tags.csv", ("base_x", "base_y", "base_z", *TAGS[:3]), rows.tolist())
    assert legion("camera", source, "-o", tmp_path / "camera.yaml").returncode == 0
    assert CameraCalibration.load(tmp_path / "camera.yaml").translation == pytest.approx(CAMERA.position, abs=1e-5)


def test_camera_files_that_fix_nothing_are_refused(tmp_path: Path) -> None:
    output = ("-o", tmp_path / "camera.yaml")
    bare = write_csv(tmp_path / "bare.csv", TAGS, [row[7:] for row in camera_rows()])
    assert "expected the columns lbr_A1, " in refused("camera", bare, *output)
    one_axis = [[*HOME[:6], 0.1 * i, *row[7:]] for i, row in enumerate(camera_rows())]
    source = write_csv(tmp_path / "axis.csv", (*PROFILE.joint_names, *TAGS), one_axis)
    assert "the hand turned about one axis only" in refused("camera", source, *output)
    rows = camera_rows()
    rows[2][-1] += 0.5
    source = write_csv(tmp_path / "quaternion.csv", (*PROFILE.joint_names, *TAGS), rows)
    assert "line 4" in refused("camera", source, *output)


# --------------------------------------------------------------------------------------------------------- live


class TalkingArm:
    """Publishes joint states of an arm, and the tag that a camera sees on its hand, from a thread of its own."""

    def __init__(self) -> None:
        self.joints = HOME.copy()
        self.shake = 0.0
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        node = rclpy.create_node("talking_arm", context=self._context)
        self._states = node.create_publisher(JointState, PROFILE.topics.joint_states, 1)
        self._tags = node.create_publisher(PoseStamped, "tag", 1)
        self._node, self._quit = node, threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        order = list(reversed(range(7)))  # drivers give joints in any order
        while not self._quit.wait(0.01):
            joints = self.joints + self.shake * np.sin(8.0 * time.monotonic())
            message = JointState(name=["finger", *(PROFILE.joint_names[i] for i in order)])
            message.position = [0.0, *(float(joints[i]) for i in order)]
            self._states.publish(message)
            seen = seen_by_camera(joints)
            stamp = self._node.get_clock().now().to_msg()
            self._tags.publish(pose_message(stamp, "camera", seen.position, quaternion_from_rotation(seen.rotation)))

    def close(self) -> None:
        self._quit.set()
        self._thread.join()
        self._node.destroy_node()
        self._context.try_shutdown()


@pytest.fixture
def arm() -> Iterator[TalkingArm]:
    talking = TalkingArm()
    yield talking
    talking.close()


def operate(arguments: Sequence[object], steps: Sequence[tuple[str, Callable[[], None]]]) -> tuple[int, str, str]:
    """Run it; each time it prints the text of a step, do the step and press Enter; then end its input."""
    command = [sys.executable, "-u", "-m", "legion_ros.cli.main", "calibrate", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    printed = ""
    for text, step in steps:
        while text not in (line := process.stdout.readline()):
            assert line, (printed, process.stderr.read() if process.stderr else "")
            printed += line
        printed += line
        step()
        process.stdin.write("\n")
        process.stdin.flush()
    out, err = process.communicate(timeout=60)
    return process.returncode, printed + out, err


def touchable(path: Path) -> tuple[Path, Vector]:
    """A file of points in the simulation frame, and joint positions that touch them."""
    postures = some_postures(5)
    points = {f"corner {i}": CALIBRATION.to_sim(TOOL.forward(q).position).tolist() for i, q in enumerate(postures)}
    path.write_text(yaml.safe_dump(points, sort_keys=False))
    return path, postures


def test_touching_known_points_gives_the_calibration(tmp_path: Path, arm: TalkingArm) -> None:
    points, postures = touchable(tmp_path / "points.yaml")

    def move(i: int) -> Callable[[], None]:
        def to_it() -> None:
            arm.joints = postures[i].copy()
            if i == 2:  # it still trembles when the operator presses Enter
                arm.shake = 0.05
                threading.Timer(1.0, lambda: setattr(arm, "shake", 0.0)).start()

        return to_it

    steps = [(f"Touch corner {i}", move(i)) for i in range(5)]
    code, out, err = operate(("touch", points, "--robot", "lbr", "-o", tmp_path / "found.yaml"), steps)
    assert code == 0, err
    assert "over 5 of 5" in out
    found = Calibration.load(tmp_path / "found.yaml")
    assert found.rotation == pytest.approx(CALIBRATION.rotation, abs=1e-4)
    assert found.translation == pytest.approx(CALIBRATION.translation, abs=1e-4)
    assert found.made is not None
    assert found.made.source == str(tmp_path / "found.csv")
    assert legion("points", tmp_path / "found.csv", "-o", tmp_path / "again.yaml").returncode == 0


def test_an_operator_who_ends_early_leaves_no_file(tmp_path: Path, arm: TalkingArm) -> None:
    points, _ = touchable(tmp_path / "points.yaml")
    code, _, err = operate(("touch", points, "-o", tmp_path / "found.yaml"), [("Touch corner 0", lambda: None)])
    assert code == 1
    assert "ended before corner 1; nothing is written" in err
    assert not (tmp_path / "found.yaml").exists()


def test_recorded_poses_give_the_camera(tmp_path: Path, arm: TalkingArm) -> None:
    poses = tmp_path / "poses.csv"
    postures = some_postures(6)

    def move(i: int) -> Callable[[], None]:
        return lambda: setattr(arm, "joints", postures[i].copy())

    steps = [("Move the arm" if i == 0 else f"pose {i} written", move(i)) for i in range(6)]
    code, out, err = operate(("record", poses, "--robot", "lbr", "--tag", "tag"), steps)
    assert code == 0, err
    assert "6 poses added" in out
    assert legion("camera", poses, "--robot", "lbr", "-o", tmp_path / "camera.yaml").returncode == 0
    assert CameraCalibration.load(tmp_path / "camera.yaml").translation == pytest.approx(CAMERA.position, abs=1e-3)
    other = write_csv(tmp_path / "other.csv", PAIRS, some_pairs().tolist())
    assert "its columns are world_x" in refused("record", other, "--robot", "lbr", "--tag", "tag")


def test_an_arm_that_moves_is_not_measured(arm: TalkingArm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "PATIENCE_S", 3.0)
    arm.shake = 0.002
    with LegionClient() as client:
        assert RestingArm(client, PROFILE).measure() is None
        arm.shake = 0.0
        measured = RestingArm(client, PROFILE).measure()
        assert measured is not None
        assert measured[0] == pytest.approx(arm.joints, abs=1e-6)


def test_a_silent_robot_or_camera_is_said_to_be(arm: TalkingArm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "PATIENCE_S", 3.0)
    with LegionClient() as client, pytest.raises(CalibrationError, match="the tag was not seen on elsewhere"):
        RestingArm(client, PROFILE, "elsewhere").measure()
    with LegionClient("nowhere") as client, pytest.raises(CalibrationError, match="nothing usable on lbr/joint_states"):
        RestingArm(client, PROFILE).measure()
