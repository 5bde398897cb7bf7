"""From the actions of a policy to joint commands: a virtual hand target, inverse kinematics and the safety guard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from legion_core.config import require
from legion_core.spaces import ACTION_SCALE_M, Vector
from legion_sim2real.calibration import Calibration
from legion_sim2real.guard import SafetyGuard, clip
from legion_sim2real.interventions import Intervention, Level
from legion_sim2real.kinematics import ArmKinematics, Pose, damped_least_squares
from legion_sim2real.real2sim import RobotState

Triple = tuple[float, float, float]
HAND_ROTATION = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Orientation of the hand in the simulation frame: Meta-World's (w, x, y, z) = (1, 0, 1, 0) / sqrt(2), tool down."""
AVOID_RATE_HZ = 5.0
"""How fast the null space draws a joint out of the margin before its limits."""

LEAST_OF_LAG = 0.5
"""The hand follows its target with at least this share of the robot's lag as time constant: to lead the robot faster
takes more speed than the limits leave, and the hand would swing about its target."""


class Status(str, Enum):
    """What a command does."""

    MOVING = "moving"
    HOLDING = "holding"
    REFUSED = "refused"


@dataclass(frozen=True)
class Sim2RealConfig:
    """How actions become motion. Distances in the simulation frame where nothing else is said.

    `speed_scale` times 1 cm is what an action of 1 moves the target; the target stays within `leash_m` of the measured
    hand and within Meta-World's box `hand_low_m`..`hand_high_m`; the hand follows with the time constant `smoothing_s`,
    or with half of `robot_lag_s` if that is longer.
    `robot_lag_s` is the time constant of the robot's first-order lag behind its commands, which they anticipate.
    `posture_rad` is where the null space draws the arm to, with the rate `posture_rate_hz`; joints closer than
    `avoid_margin_rad` to the guard's limits are drawn back.
    """

    speed_scale: float
    leash_m: float
    smoothing_s: float
    robot_lag_s: float
    hand_low_m: Triple
    hand_high_m: Triple
    posture_rad: tuple[float, float, float, float, float, float, float]
    posture_rate_hz: float
    avoid_margin_rad: float

    def __post_init__(self) -> None:
        for key, low, high in (
            ("speed_scale", 0.01, 1.0),
            ("leash_m", 0.005, 0.2),
            ("smoothing_s", 0.001, 1.0),
            ("robot_lag_s", 0.0, 0.2),
            ("posture_rate_hz", 0.0, 10.0),
            ("avoid_margin_rad", 0.0, 0.5),
        ):
            require(low <= getattr(self, key) <= high, key, getattr(self, key), f"{low} to {high}")
        above = all(low < high for low, high in zip(self.hand_low_m, self.hand_high_m, strict=True))
        require(above, "hand_high_m", self.hand_high_m, f"above hand_low_m {self.hand_low_m}")
        require(all(abs(x) <= math.pi for x in self.posture_rad), "posture_rad", self.posture_rad, "-pi to pi each")


@dataclass(frozen=True, eq=False)
class Command:
    """What may be sent to the robot, and why it is what it is.

    `joint_positions` (7,) rad, None where nothing may be sent; `gripper` in [-1 open, +1 closed], None before the first
    action; `target_pose` is where the hand is going, world frame, None while nothing is pursued.
    """

    joint_positions: Vector | None
    gripper: float | None
    target_pose: Pose | None
    status: Status
    interventions: tuple[Intervention, ...]
    level: Level


class Sim2Real:
    """Turns actions into guarded joint commands; one instance drives one arm.

    `act` takes an action, `tick` goes on towards the current target between actions, `hold` brakes and stays. Motion
    always starts from the measured pose: after construction, `reset`, a hold, a stop, an interruption of the stream of
    commands or a tracking error, the next action yields the measured joints as the command; speed ramps in from there.
    """

    def __init__(
        self, kinematics: ArmKinematics, calibration: Calibration, config: Sim2RealConfig, guard: SafetyGuard
    ) -> None:
        self.guard = guard
        self.config = config
        self._kinematics = kinematics
        self._calibration = calibration
        self._rotation = calibration.rotation_to_world(HAND_ROTATION)
        self._step = ACTION_SCALE_M * config.speed_scale
        self._box = config.hand_low_m, config.hand_high_m
        self._time_constant = max(config.smoothing_s, LEAST_OF_LAG * config.robot_lag_s)
        self._draw = config.posture_rate_hz * np.array(config.posture_rad)
        self._rates = config.posture_rate_hz + AVOID_RATE_HZ
        margin = guard.limits.joint_margin_rad + config.avoid_margin_rad
        self._comfort = kinematics.lower + margin, kinematics.upper - margin
        self._leash = config.leash_m / calibration.scale
        self._stamps = (-math.inf, -math.inf)
        self.reset()

    def reset(self) -> None:
        """Forget target and last command; the guard's stop and counts stay."""
        self.guard.reset()
        self._target: Vector | None = None
        self._gripper: float | None = None
        self._robot = np.zeros(7)  # where the model of the lag has the joints; every start sets it

    def act(
        self,
        action: Vector,
        action_stamp_s: float,
        state: RobotState,
        now_s: float,
        object_stamp_s: float | None = None,
    ) -> Command:
        """The command for an action (4,) made from an observation of the time `action_stamp_s`.

        `object_stamp_s` is the stamp of the object pose in that observation; where it is not given, the stamp of the
        observation stands for it. Nothing raises: what cannot be followed ends in a hold or a refusal that says why.
        """
        self._stamps = (action_stamp_s, action_stamp_s if object_stamp_s is None else object_stamp_s)
        values = self.guard.check_action(action)
        trusted = self._check_state(state, now_s)
        released = self.guard.check_release(*self._stamps, now_s)
        if values is None or not trusted or not released:
            return self._brake(state, now_s, trusted)
        return self._follow(values, state, now_s)

    def tick(self, state: RobotState, now_s: float) -> Command:
        """The command between actions: on towards the target, or a hold once the last action is too old."""
        if self._target is None:
            return self.hold(state, now_s)
        trusted = self._check_state(state, now_s)
        if not self.guard.check_release(*self._stamps, now_s) or not trusted:
            return self._brake(state, now_s, trusted)
        return self._follow(None, state, now_s)

    def hold(self, state: RobotState, now_s: float) -> Command:
        """The command that brakes within the acceleration limits and then stays."""
        return self._brake(state, now_s, self._check_state(state, now_s))

    def _check_state(self, state: RobotState, now_s: float) -> bool:
        """Whether the measured joints can be trusted; where the arm does not follow, the stream starts afresh."""
        trusted = self.guard.check_state(state, now_s)
        if trusted:
            self.guard.check_tracking(state)
        return trusted

    def _brake(self, state: RobotState, now_s: float, trusted: bool) -> Command:
        """Come to rest; where there is no stream of commands to brake, rest at the measured joints if `trusted`."""
        self._target = None
        period = self.guard.period(now_s)
        if period is not None:
            joints = self.guard.brake(now_s, period)
        elif trusted:
            joints = self.guard.anchor(state, now_s)
        else:
            return self._command(None, None, None, Status.REFUSED)
        return self._command(joints, self._gripper, None, Status.HOLDING)

    def _follow(self, action: Vector | None, state: RobotState, now_s: float) -> Command:
        """Move the target by `action` if there is one, and the joints towards the target; start afresh where needed."""
        guard = self.guard
        period = guard.period(now_s)
        if period is not None and self._target is None and guard.moving:
            return self._brake(state, now_s, True)
        if action is not None:
            self._gripper = float(action[3])
        if period is None or self._target is None:
            joints = guard.anchor(state, now_s)
            self._robot = joints.copy()
            target = self._kinematics.forward(joints).position
        else:
            factor = guard.speed_factor(now_s)
            target = self._target if action is None else self._moved(self._target, action[:3] * factor, state)
            joints = self._joints(target, now_s, period, factor)
        self._target = target
        pose = Pose(target.copy(), self._rotation)
        return self._command(joints, self._gripper, pose, Status.MOVING)

    def _command(self, joints: Vector | None, gripper: float | None, pose: Pose | None, status: Status) -> Command:
        notes = self.guard.take_notes()
        return Command(joints, gripper, pose, status, notes, self.guard.level)

    def _moved(self, target: Vector, direction: Vector, state: RobotState) -> Vector:
        """The target (3,), world frame, moved by an action's `direction` (3,) and kept where it may be."""
        hand = self._kinematics.forward(state.joint_positions).position
        lead = target + self._calibration.direction_to_world(direction * self._step) - hand
        length = math.sqrt(lead.dot(lead))
        if length > self._leash:
            lead *= self._leash / length
        moved = hand + lead
        in_sim = self._calibration.to_sim(moved).tolist()
        inside = [min(max(x, low), high) for x, low, high in zip(in_sim, *self._box, strict=True)]
        if inside != in_sim:
            moved = self._calibration.to_world(np.array(inside))
        return self.guard.limit_target(moved)

    def _joints(self, target: Vector, now_s: float, period: float, factor: float) -> Vector:
        """The next joint command (7,) of a hand that follows `target` with the time constant of the configuration.

        The motion is planned for a model of the robot, which follows its commands with a first-order lag; the command
        is drawn to where it must be for that robot to move as planned.
        """
        joints, robot = self.guard.position, self._robot
        assert joints is not None  # a period exists only where there was a command
        if period == 0.0:
            return joints.copy()
        rate = -math.expm1(-period / self._time_constant) / period
        velocity, jacobian = self._velocity(target, rate, factor)
        follows = self._share_followed(period)
        lead = robot + velocity * (period / follows - period) - joints
        command = self.guard.send(velocity + lead * rate, jacobian, now_s, period, factor)
        self._robot = robot + follows * (command - robot)
        return command

    def _velocity(self, target: Vector, rate: float, factor: float) -> tuple[Vector, Vector]:
        """The joint velocity (7,) that brings the hand towards `target` at `rate` (1/s), and the Jacobian (6, 7)."""
        limits = self.guard.limits
        pose, jacobian = self._kinematics.forward_and_jacobian(self._robot)
        twist = np.empty(6)
        twist[:3] = target - pose.position
        twist[3:] = error = self._kinematics.rotation_error(self._rotation, pose.rotation)
        twist *= rate
        calm = limits.joint_acceleration_rad_s2 / rate  # turning faster, joints could not brake at this rate
        if (turn := rate * math.sqrt(error.dot(error))) > calm:
            twist[3:] *= calm / turn
        step = damped_least_squares(
            jacobian,
            self.guard.limit_twist(twist, factor),
            self._pull(self._robot),
            limits.singular_value_threshold,
            limits.max_damping,
        )
        if step.smallest_singular_value < limits.singular_value_threshold:
            self.guard.note(Intervention.SINGULARITY)
        return step.velocity, jacobian

    def _share_followed(self, period: float) -> float:
        """The share of its distance from a steady command that the robot covers in `period` (s)."""
        lag = self.config.robot_lag_s
        return -math.expm1(-period / lag) if lag > 0.0 else 1.0

    def _pull(self, joints: Vector) -> Vector:
        """Joint velocity (7,) for the null space: towards the posture and away from the limits."""
        pull: Vector = self._draw + AVOID_RATE_HZ * clip(joints, *self._comfort) - self._rates * joints
        return pull
