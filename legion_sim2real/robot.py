"""Profiles of the robots that can be driven: config/robots/*.yaml, and what is built from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from legion_core import config
from legion_core.config import require
from legion_core.description import ARM_JOINTS, load_description
from legion_core.errors import ConfigurationError, unknown
from legion_core.resources import resource, search_path
from legion_core.spaces import ObservationSpec
from legion_sim2real.calibration import Calibration
from legion_sim2real.guard import SafetyGuard, SafetyLimits
from legion_sim2real.kinematics import ArmKinematics
from legion_sim2real.real2sim import Real2Sim
from legion_sim2real.sim2real import Sim2Real, Sim2RealConfig

PROFILES = Path("config") / "robots"
PROFILE_SUFFIXES = (".yaml", ".yml")
"""A robot of such a name is the file of a profile."""
MISSED_PERIODS = 1.5
"""A timeout must be this many periods at least, or ordinary jitter would stop the arm."""


@dataclass(frozen=True)
class Topics:
    """Names of the robot's own topics; those of the pipeline are the same for every robot."""

    joint_states: str
    position_command: str
    trajectory_command: str

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            require(bool(value.strip()), key, value, "a topic name")


@dataclass(frozen=True)
class RobotProfile:
    """How one robot is driven.

    `model` and `robot_name` name its description and the prefix of its joints. The policy steps at `rate_hz`; between
    its actions commands are interpolated at `interpolation_rate_hz` (None: one command an action). `sync` says whether
    an observation is made of inputs with one and the same stamp (exact) or of the latest ones (latest).
    `command_interface` is the controller that takes the commands. `calibration` (None: the operator must bring one)
    and `safety` are files: absolute, beside the profile's own file, or below `config/`.
    """

    model: str
    robot_name: str
    rate_hz: float
    interpolation_rate_hz: float | None
    sync: Literal["exact", "latest"]
    command_interface: Literal["forward_position_controller", "joint_trajectory_controller"]
    topics: Topics
    calibration: str | None
    safety: str
    sim2real: Sim2RealConfig

    def __post_init__(self) -> None:
        require(1.0 <= self.rate_hz <= 200.0, "rate_hz", self.rate_hz, "1 to 200")
        if self.interpolation_rate_hz is not None:
            fits = self.rate_hz <= self.interpolation_rate_hz <= 1000.0
            require(
                fits, "interpolation_rate_hz", self.interpolation_rate_hz, f"rate_hz ({self.rate_hz}) to 1000, or null"
            )

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The seven joints in the order of every command."""
        return tuple(f"{self.robot_name}_{name}" for name in ARM_JOINTS)

    @property
    def base_frame(self) -> str:
        """The link whose frame is the world frame."""
        return f"{self.robot_name}_link_0"

    @property
    def hand_frame(self) -> str:
        """The link that the policy moves."""
        return f"{self.robot_name}_hand"

    @property
    def command_rate_hz(self) -> float:
        """How often a command leaves while the policy runs."""
        return self.interpolation_rate_hz or self.rate_hz

    def kinematics(self) -> ArmKinematics:
        """Kinematics of the hand.

        Raises:
            DescriptionError: the description is missing or broken.
        """
        description = load_description(self.model, self.robot_name)
        return ArmKinematics(description, self.hand_frame, f"{self.robot_name}_tcp")

    def load_calibration(self) -> Calibration:
        """The calibration between the robot's and the simulation frame.

        Raises:
            ConfigurationError: there is none, or the file is missing or malformed.
        """
        if self.calibration is None:
            raise ConfigurationError(
                "calibration = None; a real robot needs its own: measure how the table lies to the robot, "
                "write it as in config/calibration_mujoco.yaml and name that file"
            )
        return Calibration.load(_config_file(self.calibration))

    def load_safety(self) -> SafetyLimits:
        """The limits of the guard.

        Raises:
            ConfigurationError: the file is missing or malformed, or a timeout is shorter than the rates allow.
        """
        path = _config_file(self.safety)
        limits = config.load(SafetyLimits, path)
        for key, rate_hz in (("action_timeout_s", self.rate_hz), ("max_period_s", self.command_rate_hz)):
            shortest = MISSED_PERIODS / rate_hz
            allowed = f"at least {shortest:.3f}, which is {MISSED_PERIODS} periods at {rate_hz:g} Hz"
            require(getattr(limits, key) >= shortest, f"{path}: {key}", getattr(limits, key), allowed)
        return limits

    def make_real2sim(self, spec: ObservationSpec) -> Real2Sim:
        """Real2Sim for this robot; raises as `load_calibration` and `kinematics`."""
        return Real2Sim(self.kinematics(), self.load_calibration(), spec)

    def make_sim2real(self) -> Sim2Real:
        """Sim2Real with its guard, which is inactive; raises as `load_calibration`, `load_safety` and `kinematics`."""
        kinematics = self.kinematics()
        guard = SafetyGuard(self.load_safety(), kinematics)
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
        calibration = profile.calibration and _beside(folder, profile.calibration)
        return replace(profile, calibration=calibration, safety=_beside(folder, profile.safety))
    if robot not in profile_names():
        raise ConfigurationError(unknown("robot", robot, profile_names()))
    return config.load(RobotProfile, resource(f"{PROFILES.as_posix()}/{robot}.yaml"))


def _beside(folder: Path, name: str) -> str:
    return str(folder / name) if (folder / name).is_file() else name


def _config_file(name: str) -> Path:
    return Path(name) if Path(name).is_absolute() else resource(f"config/{name}")
