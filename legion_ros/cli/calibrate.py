"""`legion calibrate`: where the simulation's frame lies to the robot, and where a camera stands."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from legion_core import __version__
from legion_core.config import load_yaml
from legion_core.errors import CalibrationError
from legion_core.spaces import Vector
from legion_ros.cli.common import add_network_argument, enter_domain
from legion_sim2real.calibration import Calibration, Made, rpy_from_rotation
from legion_sim2real.camera import CameraCalibration, hand_eye, rotation_from_quaternion
from legion_sim2real.kinematics import ArmKinematics, Pose
from legion_sim2real.registration import Mask, register
from legion_sim2real.robot import RobotProfile, load_profile
from legion_sim2real.tables import LABEL, Table

WORLD = ("world_x", "world_y", "world_z")
SIM = ("sim_x", "sim_y", "sim_z")
BASE = ("base_x", "base_y", "base_z")
HAND = ("hand_x", "hand_y", "hand_z")
HAND_TURN = ("hand_qx", "hand_qy", "hand_qz", "hand_qw")
TAG = ("tag_x", "tag_y", "tag_z")
TAG_TURN = ("tag_qx", "tag_qy", "tag_qz", "tag_qw")
FURTHEST_M = 10.0
"""Coordinates beyond are no metres of a robot's cell: most often millimetres."""
UNIT_QUATERNION = 1.01
TURN_RAD = 2.0 * np.pi
ENOUGH = 5
"""With fewer measurements than this a wrong one cannot be told from the others."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand for each way to calibrate."""
    ways = parser.add_subparsers(dest="way", required=True, metavar="way")
    points = ways.add_parser("points", help="robot and simulation frame, from measured pairs of points")
    points.add_argument("pairs", metavar="FILE.csv", help=f"columns {', '.join((*WORLD, *SIM))} in metres")
    touch = ways.add_parser("touch", help="the same, live: touch known points with the tool")
    touch.add_argument("points", metavar="FILE", help=f"points to touch: CSV with {', '.join((LABEL, *SIM))}, or YAML")
    camera = ways.add_parser("camera", help="camera and robot's base, from poses of a tag")
    camera.add_argument(
        "poses", metavar="FILE.csv", help="tag poses with joint positions, hand poses or base positions"
    )
    record = ways.add_parser("record", help="write such a file live: joint positions and tag poses of an arm at rest")
    record.add_argument("poses", metavar="FILE.csv", help="file to write; an existing one is continued")
    record.add_argument("--tag", required=True, metavar="TOPIC", help="geometry_msgs/PoseStamped in the camera's frame")
    for way in (points, touch, camera):
        way.add_argument("-o", "--output", required=True, metavar="FILE.yaml", help="calibration file to write")
        way.add_argument(
            "--tolerance", type=float, default=20.0, metavar="MM", help="what is further off is never used (20)"
        )
    for way in (points, touch):
        way.add_argument("--scale", action="store_true", help="find a scale as well (default: both are in true size)")
    for way in (touch, camera, record):
        way.add_argument("--robot", default="lbr", help="robot profile: its name or YAML file (lbr)")
    for way in (touch, record):
        way.add_argument("--namespace", default="", help="ROS namespace of the robot")
        add_network_argument(way)
    for way, call in ((points, _points), (touch, _touch), (camera, _camera), (record, _record)):
        way.set_defaults(call=call)


def run(options: argparse.Namespace) -> int:
    """0 if a file was written; what cannot be calibrated is a CalibrationError."""
    if "tolerance" in options and not 0.1 <= options.tolerance <= 1000.0:
        raise CalibrationError(f"--tolerance {options.tolerance:g}; allowed: 0.1 to 1000 mm")
    options.call(options)
    return 0


# --------------------------------------------------------------------------------------- the simulation's frame


def _points(options: argparse.Namespace) -> None:
    table = Table(options.pairs)
    world, sim = (table.numbers(columns, FURTHEST_M, "m") for columns in (WORLD, SIM))
    _fit_points(options, options.pairs, table.labels, world, sim)


def _touch(options: argparse.Namespace) -> None:
    from legion_ros.client import LegionClient
    from legion_ros.resting import RestingArm

    labels, sim = _named_points(options.points)
    profile = load_profile(options.robot)
    tool = ArmKinematics(profile.description(), profile.frames.tool, profile.frames.tool)
    enter_domain(options)
    world = []
    with LegionClient(options.namespace, "legion_calibrate") as client:
        arm = RestingArm(client, profile)
        for label, point in zip(labels, sim, strict=True):
            print(f"Touch {label} ({_millimetres(point)} mm) with the tool, then press Enter; q ends.", flush=True)
            joints, _ = arm.measured(label)
            world.append(tool.forward(joints).position)
            print(f"  at {_millimetres(world[-1])} mm in the robot's base frame", flush=True)
    pairs = Path(options.output).with_suffix(".csv")
    rows = [[label, *map(float, row)] for label, row in zip(labels, np.hstack((world, sim)), strict=True)]
    _write_rows(pairs, (LABEL, *WORLD, *SIM), rows)
    _fit_points(options, str(pairs), labels, np.array(world), sim)


def _named_points(path: str) -> tuple[tuple[str, ...], Vector]:
    """Names and simulation points (n, 3) from a CSV file, or from a YAML file that maps names to them."""
    if not path.endswith((".yaml", ".yml")):
        table = Table(path)
        return table.labels, table.numbers(SIM, FURTHEST_M, "m")
    points = load_yaml(path)
    for name, point in points.items():
        numbers = isinstance(point, list) and all(type(value) in (int, float) for value in point)
        if not numbers or len(point) != 3 or not all(abs(value) <= FURTHEST_M for value in point):
            raise CalibrationError(f"{path}: {name} = {point!r}; expected [x, y, z] in metres")
    return tuple(map(str, points)), np.array(list(points.values()), float).reshape(-1, 3)


def _fit_points(options: argparse.Namespace, source: str, labels: Sequence[str], world: Vector, sim: Vector) -> None:
    found = register(world, sim, options.scale, options.tolerance / 1e3, ("world", "simulation"))
    method = "least trimmed squares, then least squares (Umeyama)" + " with scale" * options.scale
    made = _made(options, method, source, labels, found.used, found.residuals)
    calibration = Calibration(*found.similarity, made)
    calibration.save(options.output)
    _report(made, labels)
    print(f"scale {calibration.scale:.5f}")
    _report_pose(options.output, calibration.rotation, calibration.translation)


# ------------------------------------------------------------------------------------------------- the camera


def _camera(options: argparse.Namespace) -> None:
    table = Table(options.poses)
    tags = table.numbers(TAG, FURTHEST_M, "m")
    tolerance = options.tolerance / 1e3
    if table.has(BASE):
        found = register(tags, table.numbers(BASE, FURTHEST_M, "m"), False, tolerance, ("camera", "base"))
        method = "tags at known positions: least trimmed squares, then least squares (Umeyama)"
        made = _made(options, method, options.poses, table.labels, found.used, found.residuals)
        rotation, translation, _ = found.similarity
    else:
        hands = _hand_poses(table, load_profile(options.robot))
        eye = hand_eye(hands, _poses(table, TAG, TAG_TURN), tolerance)
        method = "tag on the hand: least trimmed squares (Shah), then least squares over poses"
        made = _made(options, method, options.poses, table.labels, eye.used, eye.residuals_m, eye.residuals_rad)
        translation, rotation = eye.camera
        print(f"tag on the hand: {_millimetres(eye.tag.position)} mm, {_degrees(eye.tag.rotation)} deg")
    CameraCalibration(rotation, translation, made).save(options.output)
    _report(made, table.labels)
    _report_pose(options.output, rotation, translation)


def _hand_poses(table: Table, profile: RobotProfile) -> list[Pose]:
    """Poses of the hand: given, or by forward kinematics from the columns of the profile's joints."""
    if table.has(HAND):
        return _poses(table, HAND, HAND_TURN)
    if not table.has(profile.joint_names):
        raise CalibrationError(
            f"{table.path}: expected the columns {', '.join(profile.joint_names)} (joint positions, rad), "
            f"{', '.join((*HAND, *HAND_TURN))} (hand poses), or {', '.join(BASE)} (tags at known positions)"
        )
    kinematics = profile.kinematics()
    return [kinematics.forward(q) for q in table.numbers(profile.joint_names, TURN_RAD, "rad")]


def _poses(table: Table, position: Sequence[str], turn: Sequence[str]) -> list[Pose]:
    places = table.numbers(position, FURTHEST_M, "m")
    turns = table.numbers(turn, UNIT_QUATERNION, "")
    return [
        Pose(place, _rotation(quaternion, f"{table.path}, {label}, {turn[0]} to {turn[3]}"))
        for label, place, quaternion in zip(table.labels, places, turns, strict=True)
    ]


def _rotation(quaternion: Vector, where: str) -> Vector:
    try:
        return rotation_from_quaternion(quaternion)
    except CalibrationError as error:
        raise CalibrationError(f"{where}: {error}") from error


def _record(options: argparse.Namespace) -> None:
    from legion_ros.client import LegionClient
    from legion_ros.resting import RestingArm

    profile, path = load_profile(options.robot), Path(options.poses)
    columns = (*profile.joint_names, *TAG, *TAG_TURN)
    if path.exists() and (found := Table(path).columns) != list(columns):
        raise CalibrationError(f"{path}: its columns are {', '.join(found)}; expected {', '.join(columns)}")
    enter_domain(options)
    with LegionClient(options.namespace, "legion_calibrate") as client:
        arm = RestingArm(client, profile, options.tag)
        print("Move the arm, let it rest, press Enter; q ends. Turn the hand about two axes or three.", flush=True)
        count = 0
        while (measured := arm.ask()) is not None:
            _write_rows(path, columns, [[*map(float, np.concatenate(measured))]], append=path.exists())
            count += 1
            print(f"  pose {count} written", flush=True)
    print(f"{path}: {count} poses added; now: legion calibrate camera {path} --robot {options.robot} -o camera.yaml")


# --------------------------------------------------------------------------------------------------- results


def _made(
    options: argparse.Namespace,
    method: str,
    source: str,
    labels: Sequence[str],
    used: Mask,
    residuals_m: Vector,
    residuals_rad: Vector | None = None,
) -> Made:
    degrees = None if residuals_rad is None else np.degrees(residuals_rad)
    return Made(
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tool=f"legion calibrate {options.way}, legion_ros {__version__}",
        method=method,
        source=source,
        measurements=len(labels),
        rejected=tuple(label for label, kept in zip(labels, used, strict=True) if not kept),
        rms_mm=_rms(1e3 * residuals_m[used]),
        residuals_mm=tuple(np.round(1e3 * residuals_m, 3).tolist()),
        rms_deg=None if degrees is None else _rms(degrees[used]),
        residuals_deg=None if degrees is None else tuple(np.round(degrees, 3).tolist()),
    )


def _rms(values: Vector) -> float:
    return round(float(np.sqrt(np.square(values).mean())), 3)


def _report(made: Made, labels: Sequence[str]) -> None:
    """What each measurement is off by, and all together."""
    turned: Sequence[float | None] = made.residuals_deg or [None] * len(labels)
    width = max(map(len, labels))
    for label, off, angle in zip(labels, made.residuals_mm, turned, strict=True):
        rejected = "   rejected" if label in made.rejected else ""
        print(f"{label:{width}}  {off:8.2f} mm" + ("" if angle is None else f"  {angle:7.2f} deg") + rejected)
    used = made.measurements - len(made.rejected)
    and_turned = "" if made.rms_deg is None else f", {made.rms_deg:.2f} deg"
    print(f"root mean square {made.rms_mm:.2f} mm{and_turned} over {used} of {made.measurements}")
    if made.measurements < ENOUGH:
        print(f"warning: with fewer than {ENOUGH} measurements a wrong one cannot be told from the others")


def _report_pose(path: str, rotation: Vector, translation: Vector) -> None:
    print(f"translation {_millimetres(translation)} mm, roll pitch yaw {_degrees(rotation)} deg\nwritten to {path}")


def _millimetres(point: Vector) -> str:
    return " ".join(f"{1e3 * value:.1f}" for value in point)


def _degrees(rotation: Vector) -> str:
    return " ".join(f"{np.degrees(value):.2f}" for value in rpy_from_rotation(rotation))


def _write_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]], append: bool = False) -> None:
    try:
        with path.open("a" if append else "w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows([*([] if append else [columns]), *rows])
    except OSError as error:
        raise CalibrationError(f"cannot write {path}: {error.strerror}") from error
