"""Profiles of the robots that can be driven: config/robots/*.yaml, and what is built from them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from legion_core import config
from legion_core.config import require
from legion_core.description import ARM_JOINTS, RobotDescription, load_description
from legion_core.embodiment import Embodiment
from legion_core.errors import ConfigurationError, DescriptionError, unknown
from legion_core.resources import resource, search_path
from legion_core.spaces import ObservationSpec, Vector
from legion_sim2real.calibration import Calibration
from legion_sim2real.camera import CameraCalibration
from legion_sim2real.collision import CollisionChecker
from legion_sim2real.filters import ObjectFilterConfig
from legion_sim2real.guard import SafetyGuard
from legion_sim2real.kinematics import ArmKinematics
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.real2sim import Real2Sim
from legion_sim2real.sim2real import Sim2Real, Sim2RealConfig

PROFILES = Path("config") / "robots"
PROFILE_SUFFIXES = (".yaml", ".yml")
"""A robot of such a name is the file of a profile."""
MISSED_PERIODS = 1.5
"""A timeout must be this many periods at least, or ordinary jitter would stop the arm."""
SILENT_PERIODS = 2.5
"""So many policy periods without an action are silence, which brakes the arm."""

CommandInterface = Literal["forward_position", "joint_trajectory", "cartesian"]
COMMAND_INTERFACES: tuple[CommandInterface, ...] = get_args(CommandInterface)

_TOPIC = re.compile(r"/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_NODE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Controllers:
    """Name of the ros2_control controller that takes each command interface; None: its presence is not checked."""

    forward_position: str | None
    joint_trajectory: str | None
    cartesian: str | None

    def __post_init__(self) -> None:
        for key, name in vars(self).items():
            require(name is None or bool(_NODE.fullmatch(name)), key, name, "the name of a controller, or null")


@dataclass(frozen=True)
class Frames:
    """Links of the robot description: `base` is the world frame, `hand` what the policy moves (its x axis along the
    tool), `tool` the point between the finger tips. `camera` is the frame that a camera's poses come in, None where
    there is none but the base."""

    base: str
    hand: str
    tool: str
    camera: str | None

    def __post_init__(self) -> None:
        for key, name in vars(self).items():
            named = bool(name and name.strip()) or (key == "camera" and name is None)
            require(named, key, name, "the name of a frame" + ", or null" * (key == "camera"))
        names = [name for name in vars(self).values() if name is not None]
        require(len(set(names)) == len(names), "frames", names, "different frames")


@dataclass(frozen=True)
class Topics:
    """Names of the robot's own topics; those of the pipeline are the same for every robot.

    `hand_pose` and `pose_command` are of a robot with a Cartesian input or command interface.
    """

    joint_states: str
    position_command: str
    trajectory_command: str
    hand_pose: str
    pose_command: str

    def __post_init__(self) -> None:
        for key, name in vars(self).items():
            require(bool(_TOPIC.fullmatch(name)), key, name, "the name of a topic")
        names = list(vars(self).values())
        require(len(set(names)) == len(names), "topics", names, "different topics")


@dataclass(frozen=True)
class Gripper:
    """How the gripper is read and commanded.

    On `state` (JointState) the positions of `joints` lie between `closed` and `open`; on `command` (Float64MultiArray)
    it takes as many numbers as `command_open` and `command_closed` have. Units are the gripper's own.
    """

    command: str
    state: str
    joints: tuple[str, ...]
    open: tuple[float, ...]
    closed: tuple[float, ...]
    command_open: tuple[float, ...]
    command_closed: tuple[float, ...]

    def __post_init__(self) -> None:
        for key in ("command", "state"):
            require(bool(_TOPIC.fullmatch(getattr(self, key))), key, getattr(self, key), "the name of a topic")
        require(self.command != self.state, "state", self.state, "another topic than command")
        named = bool(self.joints) and all(self.joints) and len(set(self.joints)) == len(self.joints)
        require(named, "joints", self.joints, "at least one name, each once")
        self._require_numbers("open", len(self.joints))
        self._require_numbers("closed", len(self.joints))
        differ = all(a != b for a, b in zip(self.open, self.closed, strict=True))
        require(differ, "closed", self.closed, f"another position than open {self.open} for each joint")
        require(len(self.command_open) > 0, "command_open", self.command_open, "at least one number")
        self._require_numbers("command_open", len(self.command_open))
        self._require_numbers("command_closed", len(self.command_open))
        differ = self.command_open != self.command_closed
        require(differ, "command_closed", self.command_closed, f"another command than command_open {self.command_open}")

    def _require_numbers(self, key: str, count: int) -> None:
        values = getattr(self, key)
        fits = len(values) == count and all(map(math.isfinite, values))
        require(fits, key, values, f"{count} finite number{'s' if count > 1 else ''}")

    def opening(self, positions: Vector) -> float:
        """How open it is, 0 closed to 1 open, with its joints at `positions` (in the order of `joints`)."""
        closed = np.array(self.closed)
        openings = (positions - closed) / (np.array(self.open) - closed)
        return float(np.clip(openings.mean(), 0.0, 1.0))

    def positions(self, opening: float) -> Vector:
        """The joint positions of that opening, 0 closed to 1 open."""
        closed = np.array(self.closed)
        positions: Vector = closed + opening * (np.array(self.open) - closed)
        return positions

    def commanded(self, gripper: float) -> Vector:
        """The numbers to send for a gripper command, -1 open to +1 closed."""
        middle, half = self._command_range()
        numbers: Vector = middle + min(max(gripper, -1.0), 1.0) * half
        return numbers

    def wanted(self, command: Vector) -> float:
        """The gripper command, -1 open to +1 closed, that those numbers stand for."""
        middle, half = self._command_range()
        moving = half != 0.0
        return float(np.clip(((command - middle)[moving] / half[moving]).mean(), -1.0, 1.0))

    def _command_range(self) -> tuple[Vector, Vector]:
        opened, closed = np.array(self.command_open), np.array(self.command_closed)
        return (opened + closed) / 2, (closed - opened) / 2


@dataclass(frozen=True)
class RobotProfile:
    """How one robot is driven; docs/own_robot.md explains every key.

    `model` is its description (urdf/<model>.urdf.xacro, or the path of a URDF or xacro file) and `robot_name` the
    prefix it is expanded with; `joint_names` are the seven joints from base to flange, in the order of every command.
    `driver` says who plays the robot: mujoco_node, or a driver with controllers, in Gazebo by its clock. The policy
    steps at `rate_hz`; between its actions commands are interpolated at `interpolation_rate_hz` (None: one command an
    action). `sync` says whether an observation is made of inputs with one and the same stamp (exact) or of the latest
    ones (latest).
    `input` is what the robot says of itself, joint states or the pose of its hand; `command_interface` what it takes.
    `object_filter` (None: objects are taken as they come) says how far a camera is trusted.
    `camera` (None: no camera frame), `calibration` (None: the operator must bring one) and `safety` are files:
    absolute, beside the profile's own file, or below `config/`.
    """

    model: str
    robot_name: str
    joint_names: tuple[str, str, str, str, str, str, str]
    driver: Literal["mujoco", "gazebo", "ros2_control"]
    rate_hz: float
    interpolation_rate_hz: float | None
    sync: Literal["exact", "latest"]
    input: Literal["joint", "cartesian"]
    command_interface: CommandInterface
    controllers: Controllers
    frames: Frames
    topics: Topics
    gripper: Gripper
    camera: str | None
    calibration: str | None
    safety: str
    sim2real: Sim2RealConfig
    object_filter: ObjectFilterConfig | None

    def __post_init__(self) -> None:
        require(1.0 <= self.rate_hz <= 200.0, "rate_hz", self.rate_hz, "1 to 200")
        if self.interpolation_rate_hz is not None:
            fits = self.rate_hz <= self.interpolation_rate_hz <= 1000.0
            require(
                fits, "interpolation_rate_hz", self.interpolation_rate_hz, f"rate_hz ({self.rate_hz}) to 1000, or null"
            )
        named = all(self.joint_names) and len(set(self.joint_names)) == len(self.joint_names)
        require(named, "joint_names", self.joint_names, f"{len(ARM_JOINTS)} names, each once")
        own_clock = self.sync == "latest" or self.driver == "mujoco"
        require(own_clock, "sync", self.sync, f"latest, as a {self.driver} robot and its cameras stamp independently")
        joints = self.input == "joint" or self.command_interface == "cartesian"
        require(joints, "command_interface", self.command_interface, "cartesian, as the input is the hand's pose")
        paired = (self.camera is None) == (self.frames.camera is None)
        require(paired, "camera", self.camera, f"a file where frames.camera ({self.frames.camera!r}) is set, else null")

    @property
    def controller(self) -> str | None:
        """The ros2_control controller that must be active; None: not checked."""
        name: str | None = getattr(self.controllers, self.command_interface)
        return name

    @property
    def state_topic(self) -> str:
        """The topic on which the robot says where it is."""
        return self.topics.joint_states if self.input == "joint" else self.topics.hand_pose

    @property
    def command_topic(self) -> str:
        """The topic that commands go to."""
        return {
            "forward_position": self.topics.position_command,
            "joint_trajectory": self.topics.trajectory_command,
            "cartesian": self.topics.pose_command,
        }[self.command_interface]

    @property
    def command_rate_hz(self) -> float:
        """How often a command leaves while the policy runs."""
        return self.interpolation_rate_hz or self.rate_hz

    def description(self, mode: str = "mock") -> RobotDescription:
        """The robot description, with every joint and frame of the profile in it.

        Raises:
            DescriptionError: it is missing or broken, or lacks one of them.
        """
        description = load_description(self.model, self.robot_name, mode, self.joint_names)
        for key in ("base", "hand", "tool"):
            if getattr(self.frames, key) not in description.links:
                raise DescriptionError(unknown(f"frames.{key}", getattr(self.frames, key), description.links))
        if not description.at_root(self.frames.base):
            raise DescriptionError(f"frames.base = {self.frames.base!r}; allowed: a link at the origin of {self.model}")
        return description

    def kinematics(self) -> ArmKinematics:
        """Kinematics of the hand.

        Raises:
            DescriptionError: the description is missing, broken or lacks a joint or frame.
        """
        return ArmKinematics(self.description(), self.frames.hand, self.frames.tool)

    def load_calibration(self) -> Calibration:
        """The calibration between the robot's and the simulation frame.

        Raises:
            ConfigurationError: there is none, or the file is missing or malformed.
        """
        if self.calibration is None:
            raise ConfigurationError(
                "calibration = None; a real robot needs its own: make one with legion calibrate and name its file"
            )
        return Calibration.load(config_file(self.calibration))

    def load_camera(self) -> CameraCalibration | None:
        """Where the camera of `frames.camera` stands; None where there is none.

        Raises:
            ConfigurationError: the file is missing or malformed.
        """
        return None if self.camera is None else CameraCalibration.load(config_file(self.camera))

    def embodiment(self) -> Embodiment:
        """The robot as the simulator builds it: its base stands where the calibration says.

        Raises:
            ConfigurationError: there is no calibration, or it is not upright and of scale 1.
            DescriptionError: as `description`.
        """
        calibration = self.load_calibration()
        upright = calibration.scale == 1.0 and abs(calibration.rotation[2, 2] - 1.0) < 1e-9
        require(upright, "calibration", self.calibration, "for a simulated robot roll 0, pitch 0 and scale 1")
        x, y, z = calibration.translation.tolist()
        yaw = math.atan2(calibration.rotation[1, 0], calibration.rotation[0, 0])
        return Embodiment(self.description(), self.frames.hand, (x, y, z), yaw)

    def load_safety(self) -> SafetyLimits:
        """The limits of the guard.

        Raises:
            ConfigurationError: the file is missing or malformed, or a timeout is shorter than the rates allow.
        """
        path = config_file(self.safety)
        limits = config.load(SafetyLimits, path)
        for key, rate_hz in (("action_timeout_s", self.rate_hz), ("max_period_s", self.command_rate_hz)):
            shortest = MISSED_PERIODS / rate_hz
            allowed = f"at least {shortest:.3f}, which is {MISSED_PERIODS} periods at {rate_hz:g} Hz"
            require(getattr(limits, key) >= shortest, f"{path}: {key}", getattr(limits, key), allowed)
        return limits

    def silence_s(self, limits: SafetyLimits) -> float:
        """So long without an action is silence, which brakes the arm."""
        return min(limits.action_timeout_s, SILENT_PERIODS / self.rate_hz)

    def make_real2sim(self, spec: ObservationSpec) -> Real2Sim:
        """Real2Sim for this robot; raises as `load_calibration` and `kinematics`."""
        return Real2Sim(self.kinematics(), self.load_calibration(), spec, self.object_filter)

    def make_sim2real(self) -> Sim2Real:
        """Sim2Real with its guard, which is inactive; raises as `load_calibration`, `load_safety` and `kinematics`."""
        kinematics = self.kinematics()
        limits = self.load_safety()
        guard = SafetyGuard(limits, kinematics, CollisionChecker(kinematics, limits.obstacles))
        return Sim2Real(kinematics, self.load_calibration(), self.sim2real, guard)


def profile_names() -> tuple[str, ...]:
    """The robots there is a profile for."""
    return tuple(sorted({path.stem for folder in search_path() for path in (folder / PROFILES).glob("*.yaml")}))


def load_profile(robot: str) -> RobotProfile:
    """The profile of that name, or in that YAML file; files that it names may lie beside it.

    Raises:
        ConfigurationError: there is none, or it is malformed.
    """
    if robot.endswith(PROFILE_SUFFIXES):
        profile, folder = config.load(RobotProfile, robot), Path(robot).resolve().parent
        return replace(
            profile,
            model=_beside(folder, profile.model),
            camera=profile.camera and _beside(folder, profile.camera),
            calibration=profile.calibration and _beside(folder, profile.calibration),
            safety=_beside(folder, profile.safety),
        )
    if robot not in profile_names():
        raise ConfigurationError(unknown("robot", robot, profile_names()))
    return config.load(RobotProfile, resource(f"{PROFILES.as_posix()}/{robot}.yaml"))


def _beside(folder: Path, name: str) -> str:
    return str(folder / name) if (folder / name).is_file() else name


def config_file(name: str) -> Path:
    """The file that a profile names: absolute, or below `config/`."""
    return Path(name) if Path(name).is_absolute() else resource(f"config/{name}")
