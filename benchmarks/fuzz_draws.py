"""Random setups of the bridge, inside what validation admits, and random, adversarial and malformed events for it."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from legion_core.config import from_mapping
from legion_core.errors import LegionError
from legion_sim2real.calibration import CalibrationSettings, rotation_from_rpy
from legion_sim2real.collision import Box
from legion_sim2real.interventions import HOLDS
from legion_sim2real.kinematics import ArmKinematics
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.real2sim import Scene
from legion_sim2real.robot import RobotProfile, profile_names
from legion_sim2real.sim2real import Sim2RealConfig

PIECES = (
    "{",
    "[",
    "]",
    ":",
    "- ",
    "\n",
    "\t",
    "&a ",
    "*a",
    "!!python/object:os.system ",
    "'",
    "9",
    "2001-99-99",
    "\0",
    "é",
    "<<: ",
)
START_US = 1_700_000_000_000_000
TRIES = 1000


@dataclass(frozen=True)
class Setup:
    """One bridge: a robot profile's name, mappings for SafetyLimits and Sim2RealConfig, and a calibration."""

    robot: str
    limits: dict[str, Any]
    sim2real: dict[str, Any]
    rotation: list[list[float]]
    translation: list[float]
    scale: float


@dataclass(frozen=True, eq=False)
class Event:
    """Something that happens to the bridge: a command is asked for (act, tick, hold), or its state is changed."""

    kind: str
    now_us: int = 0
    joints: Any = None
    state_stamp: float = 0.0
    opening: float = 1.0
    action: Any = None
    action_stamp: float = 0.0
    object_stamp: float | None = None
    scene: Scene | None = None


# ------------------------------------------------------------------------------------------------------ setups


def draw_setup(
    rng: np.random.Generator, profile_of: Callable[[str], RobotProfile], kinematics_of: Callable[[str], ArmKinematics]
) -> Setup:
    """A setup that validation admits: a robot's own with none, some or all of its numbers drawn anew."""
    robot = str(rng.choice(profile_names()))
    profile = profile_of(robot)
    limits = json.loads(json.dumps(dataclasses.asdict(profile.load_safety())))
    sim2real = json.loads(json.dumps(dataclasses.asdict(profile.sim2real)))
    share = rng.choice([0.0, 0.2, 1.0])
    hand = kinematics_of(robot).forward(np.array(sim2real["posture_rad"])).position
    limits = _redrawn(rng, SafetyLimits, limits, share, lambda data: _draw_limits(rng, data, share, hand))
    sim2real = _redrawn(rng, Sim2RealConfig, sim2real, share, lambda data: _draw_sim2real(rng, data, share))
    rotation, translation, scale = rotation_from_rpy(0.0, 0.0, math.radians(142.0)), np.array([0.5, 0.34, 0.25]), 1.0
    if rng.random() < share:
        rotation = rotation_from_rpy(*rng.uniform(-math.pi, math.pi, 3))
        translation, scale = rng.uniform(-1.0, 1.0, 3), 10.0 ** rng.uniform(-1, 1)
    return Setup(robot, limits, sim2real, rotation.tolist(), translation.tolist(), float(scale))


def _redrawn(
    rng: np.random.Generator, kind: type, data: dict[str, Any], share: float, draw: Callable[[dict[str, Any]], Any]
) -> dict[str, Any]:
    for _ in range(TRIES):
        drawn = copy.deepcopy(data)
        draw(drawn)
        try:
            from_mapping(kind, drawn)
        except LegionError:
            continue
        return drawn
    return data


LIMIT_RANGES = {
    "action_timeout_s": (0.01, 2.0),
    "joint_state_timeout_s": (0.01, 2.0),
    "object_timeout_s": (0.01, 10.0),
    "future_tolerance_s": (1e-4, 0.5),
    "max_period_s": (0.002, 0.5),
    "ramp_in_s": (0.05, 10.0),
    "table_clearance_m": (1e-4, 0.5),
    "overshoot_m": (0.001, 0.05),
    "self_clearance_m": (0.001, 0.1),
    "obstacle_clearance_m": (0.001, 0.5),
    "slow_distance_m": (0.005, 0.5),
    "collision_rate_hz": (1.0, 1000.0),
    "max_speed_m_s": (0.01, 1.5),
    "max_turn_rad_s": (0.01, 6.0),
    "joint_velocity_scale": (0.01, 1.0),
    "joint_acceleration_rad_s2": (0.1, 100.0),
    "joint_jerk_rad_s3": (1.0, 20_000.0),
    "joint_margin_rad": (0.01, 0.5),
    "max_tracking_error_rad": (0.01, 0.6),
    "singular_value_threshold": (0.01, 0.5),
    "max_damping": (0.01, 1.0),
}
SIM2REAL_RANGES = {
    "speed_scale": (0.01, 1.0),
    "leash_m": (0.005, 0.2),
    "smoothing_s": (0.001, 1.0),
    "robot_lag_s": (1e-4, 0.2),
    "posture_rate_hz": (1e-3, 10.0),
    "avoid_margin_rad": (1e-3, 0.5),
}


def _draw_limits(rng: np.random.Generator, data: dict[str, Any], share: float, hand: np.ndarray) -> None:
    _draw_numbers(rng, data, LIMIT_RANGES, share)
    if rng.random() < share:
        for key, highest in (("acceleration_rad_s2", 150.0), ("jerk_rad_s3", 50_000.0)):
            data[f"stop_{key}"] = _logarithmic(rng, data[f"joint_{key}"], highest)
    else:
        for key in ("acceleration_rad_s2", "jerk_rad_s3"):
            data[f"stop_{key}"] = max(data[f"stop_{key}"], data[f"joint_{key}"])
    if rng.random() < share:
        data["workspace_low_m"] = np.clip(hand - rng.uniform(0.02, 1.0, 3), -2, 2).tolist()
        data["workspace_high_m"] = np.clip(hand + rng.uniform(0.02, 1.0, 3), -2, 2).tolist()
        data["table_height_m"] = float(hand[2] - rng.uniform(0.0, 0.8))
    if rng.random() < share:
        data["obstacles"] = [_draw_box(rng, i, hand) for i in range(rng.integers(0, 4))]
    data["latch"] = [name.value for name in sorted(HOLDS) if rng.random() < rng.choice([0.0, 0.1])]


def _draw_box(rng: np.random.Generator, number: int, hand: np.ndarray) -> dict[str, Any]:
    """A box somewhere in the cell, or not far from where the hand is at home."""
    middle, half = rng.uniform([-0.8, -0.8, -0.6], [0.9, 0.8, 1.2]), 10.0 ** rng.uniform(-2, 0, 3) / 2.0
    if rng.random() < 0.5:
        middle = hand + rng.normal(0.0, 0.25, 3)
    return {
        "name": f"box {number}",
        "low_m": (middle - half).tolist(),
        "high_m": (middle + half).tolist(),
        "work_table": bool(rng.random() < 0.3),
    }


def _draw_sim2real(rng: np.random.Generator, data: dict[str, Any], share: float) -> None:
    _draw_numbers(rng, data, SIM2REAL_RANGES, share)
    if rng.random() < share:
        data["hand_low_m"], data["hand_high_m"] = np.sort(rng.uniform(-3, 3, (2, 3)), axis=0).tolist()
    if rng.random() < share:
        data["posture_rad"] = rng.uniform(-math.pi, math.pi, 7).tolist()


def _draw_numbers(
    rng: np.random.Generator, data: dict[str, Any], ranges: dict[str, tuple[float, float]], share: float
) -> None:
    for key, (low, high) in ranges.items():
        if rng.random() < share:
            data[key] = _logarithmic(rng, low, high)


def _logarithmic(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.clip(math.exp(rng.uniform(math.log(low), math.log(high))), low, high))


# ----------------------------------------------------------------------------------- malformed configurations


def draw_malformed(rng: np.random.Generator, setup: Setup) -> tuple[type, Any]:
    """A configuration that may be malformed, and the dataclass it is meant for."""
    box = {"name": "box", "low_m": [0.0, 0.0, 0.0], "high_m": [1.0, 1.0, 1.0], "work_table": False}
    calibration = {"translation_m": [0.0, 0.0, 0.0], "rotation_rpy_deg": [0.0, 0.0, 0.0], "scale": 1.0}
    kind, data = [
        (SafetyLimits, setup.limits),
        (Sim2RealConfig, setup.sim2real),
        (Box, box),
        (CalibrationSettings, calibration),
    ][rng.integers(4)]
    broken: dict[Any, Any] = copy.deepcopy(data)
    for _ in range(rng.integers(1, 4)):
        key = str(rng.choice(list(data)))
        how = rng.integers(5)
        if how == 0:
            broken.pop(key, None)
        elif how == 1:
            broken[_junk(rng) if rng.random() < 0.3 else f"{key}x"] = data[key]
        elif how == 2 and isinstance(broken.get(key), (list, tuple)) and broken[key]:
            values = list(broken[key])
            values[rng.integers(len(values))] = _junk(rng, hashable=False)
            broken[key] = values
        else:
            broken[key] = _junk(rng, hashable=False)
    return kind, _junk(rng, hashable=False) if rng.random() < 0.02 else broken


def garbled(rng: np.random.Generator, text: str) -> str:
    """The text of a YAML file with some characters lost, doubled or replaced."""
    characters = list(text)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(characters)))
        size = int(rng.choice([1, 1, 1, 20]))
        characters[at : at + size] = str(rng.choice(PIECES)) * int(rng.choice([0, 1, 1, 300]))
    return "".join(characters)


def _junk(rng: np.random.Generator, hashable: bool = True) -> Any:
    values: list[Any] = [None, True, "", "0.1", "\0", -1, 0, 10**400, 1e308, -1e-308, math.nan, math.inf, -math.inf]
    if not hashable:
        values += [[], {}, [[]], {"low_m": 1}, [1.0] * 3, [math.nan] * 3, [1.0] * 7, ["stale_action"], b"x", 1j]
    return values[rng.integers(len(values))]


# ------------------------------------------------------------------------------------------------------ events


def events(
    rng: np.random.Generator, setup: Setup, kinematics: ArmKinematics
) -> Generator[Event, np.ndarray | None, None]:
    """Endless events; what is sent back is the last command, which a simulated robot follows more or less well."""
    yield Event("activate")
    trouble = rng.choice([0.0, 0.003, 0.02, 0.2])
    period_us = int(1e6 * _logarithmic(rng, 0.001, setup.limits["max_period_s"]))
    jitter, follow, noise = rng.choice([0.0, 0.5]), rng.choice([1.0, 0.5, 0.1]), rng.choice([0.0, 1e-4, 3e-3])
    home = np.array(setup.sim2real["posture_rad"])
    low, high = kinematics.lower, kinematics.upper
    places = [np.add(box["low_m"], box["high_m"]) / 2.0 for box in setup.limits["obstacles"]]
    aims = [None, None, np.zeros(3), *places, *rng.normal(0.0, 0.7, (2, 3))]
    joints = np.clip(home + rng.normal(0, 0.2, 7), low, high) if rng.random() < 0.7 else rng.uniform(low, high)
    now, action, aim, left, kind = START_US, np.zeros(4), None, 0, "act"
    while True:
        if left <= 0:
            action, left = _draw_action(rng), int(rng.integers(1, 100))
            aim = aims[rng.integers(len(aims))]
            kind = str(rng.choice(["act", "act", "act", "tick"]))
        if aim is not None:
            way = np.array(setup.rotation) @ (aim - kinematics.forward(joints).position)
            action = np.append(way / max(np.abs(way).max(), 1e-9), 1.0)
        left -= 1
        now += max(int(period_us * (1.0 + jitter * rng.uniform(-1, 1))), 1)
        stamp = now * 1e-6
        event = Event(kind, now, joints + noise * rng.normal(size=7), stamp, 1.0, action, stamp, None)
        if rng.random() < trouble:
            event, joints, now = _disturbed(rng, event, joints, low, high)
        command = yield event
        if command is not None:
            joints = joints + follow * (command - joints)


def _draw_action(rng: np.random.Generator) -> Any:
    how = rng.integers(6)
    if how == 0:
        return rng.uniform(-1, 1, 4)
    if how == 1:
        return rng.choice([-1.0, 0.0, 1.0], 4)
    if how == 2:
        return rng.normal(0, 100, 4)
    if how == 3:
        return rng.uniform(-1, 1, 4).astype(np.float32)
    direction = rng.normal(size=3)
    return np.append(direction / np.abs(direction).max(), rng.choice([-1.0, 1.0]))


def _disturbed(
    rng: np.random.Generator, event: Event, joints: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[Event, np.ndarray, int]:
    """The event with something wrong, or another one; where the arm and the clock are then."""
    change, stamp = dataclasses.replace, event.now_us * 1e-6
    how, now = rng.integers(14), event.now_us
    if how == 0:
        event = change(event, action=_bad_action(rng), kind="act")
    elif how == 1:
        event = change(event, joints=_bad_joints(rng, event.joints))
    elif how == 2:
        event = change(event, state_stamp=_bad_stamp(rng, stamp))
    elif how == 3:
        event = change(event, action_stamp=_bad_stamp(rng, stamp))
    elif how == 4:
        event = change(event, object_stamp=_bad_stamp(rng, stamp))
    elif how == 5:
        now += int(rng.choice([0, 1, 10, 1000, 10**5, 10**6, 10**9, -1, -1000, -(10**6)]))
        event = change(event, now_us=now, state_stamp=now * 1e-6, action_stamp=now * 1e-6)
    elif how == 6:
        joints = rng.uniform(low, high)
        event = change(event, joints=joints)
    elif how == 7:
        joints = np.clip(joints + rng.normal(0, 0.05, 7), low, high)
        event = change(event, joints=joints)
    elif how == 8:
        event = change(event, kind="hold")
    elif how == 9:
        scene = Scene(*rng.choice([0.0, 1.0, np.nan, np.inf, 1e300], (3, 3)))
        event = change(event, kind="observe", scene=scene)
    else:
        event = Event(str(rng.choice(["e_stop", "clear", "clear", "activate", "activate", "deactivate", "reset"])))
    return event, joints, now


def _bad_action(rng: np.random.Generator) -> Any:
    values: list[Any] = [
        np.full(4, np.nan),
        np.array([1.0, -np.inf, 0.0, 0.0]),
        np.full(4, 1e308),
        np.zeros(3),
        np.zeros((4, 1)),
        np.zeros(0),
        np.array(["a", "b", "c", "d"]),
        np.array(1.0),
        np.array([1, -1, 0, 1]),
        np.array([None, 0, 0, 0], dtype=object),
    ]
    return values[rng.integers(len(values))]


def _bad_joints(rng: np.random.Generator, joints: np.ndarray) -> Any:
    broken = joints.copy()
    broken[rng.integers(7)] = rng.choice([np.nan, np.inf, -np.inf, 1e308, 4.0, -4.0])
    values: list[Any] = [broken, np.zeros(6), np.zeros((7, 1)), np.zeros(0), np.array(0.0), joints.astype(np.float32)]
    return values[rng.integers(len(values))]


def _bad_stamp(rng: np.random.Generator, stamp: float) -> float:
    return float(rng.choice([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e18, stamp - 10.0, stamp + 10.0, stamp - 0.1]))
