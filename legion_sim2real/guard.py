"""The safety guard: everything that leaves for the robot passes here and is inside every limit.

The controllers of the robot hold their last command for ever, so freshness, limits and smoothness are decided here. The
guard remembers what it last let through and where the arm would come to rest if it braked at once. It lets a command
through only if braking after it still ends inside every limit, so there is always a way to stop: whatever goes in, the
commands that come out keep the limits of joint position, velocity, acceleration and jerk.
"""

from __future__ import annotations

import math
from collections import Counter
from operator import le, sub
from typing import NamedTuple

import numpy as np

from legion_core.spaces import ACTION_FIELDS, Vector
from legion_sim2real.collision import CollisionChecker
from legion_sim2real.interventions import Intervention, Level, worst
from legion_sim2real.kinematics import ArmKinematics, travel
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.motion import JOINTS, STILL, JointMotion, Motion, standstill
from legion_sim2real.proximity import ProximityWatch
from legion_sim2real.real2sim import RobotState

CLOCK_RESOLUTION_DIGITS = 6
"""Time steps are rounded to microseconds: a stamp loses its last bits in a message, and results must not."""
SLOWER = (1.0, 0.75, 0.5, 0.25)
"""Shares of the wanted velocity that are tried before the arm brakes."""
SAME_RAD_S = 1e-6
"""Joint velocities that differ by less are the same."""
SLACK = 1.000001
"""Speeds that exceed a limit by no more than this are rounding errors."""
LONG_WAY_M = 0.02
"""Where the hand cannot get farther than this while it comes to rest, its way is straight to a millimetre or two."""
NEARLY = 0.85
"""While it brakes, the hand may get faster than it is up to this share of its speed limits."""
ALMOST = 0.98
"""Nor may it be faster than this then, as its way to rest is looked at in some moments only."""
HEADROOM = 0.95
"""What is asked for stays this far below the hand's speed limits: on the way there the hand may be a little faster."""
COLLISIONS = (Intervention.SELF_COLLISION, Intervention.OBSTACLE)


class Plan(NamedTuple):
    """A command, and what braking after it would come to."""

    motion: Motion
    joints: Vector
    """The positions (7,) rad of the motion."""
    rest: list[float]
    """Where the joints (7,) rad come to rest."""
    travel: float
    """How far (m) the hand can get, at most, while they do."""
    excess: float
    """How far (m) outside workspace and table clearance the hand comes to rest; negative inside."""


class SafetyGuard:
    """Refuses, limits and counts. `counts` maps the name of each Intervention to how often it happened.

    A guard starts inactive: nothing moves before `activate()`.
    """

    def __init__(self, limits: SafetyLimits, kinematics: ArmKinematics, checker: CollisionChecker) -> None:
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self._kinematics = kinematics
        self._motion = JointMotion(limits.joint_acceleration_rad_s2, limits.joint_jerk_rad_s3)
        self._proximity = ProximityWatch(limits, kinematics, checker, self._motion)
        self._stopping = JointMotion(limits.stop_acceleration_rad_s2, limits.stop_jerk_rad_s3)
        self._walls = limits.workspace_low_m, limits.workspace_high_m
        self._lower, self._upper = kinematics.lower.tolist(), kinematics.upper.tolist()
        ends = kinematics.lower + limits.joint_margin_rad, kinematics.upper - limits.joint_margin_rad
        self._ends = np.stack(ends, axis=1).tolist()
        self._fastest = kinematics.velocity * limits.joint_velocity_scale
        self._reach = kinematics.reach(kinematics.tool_offset)
        self._floor = limits.table_height_m + limits.table_clearance_m
        self._stop: tuple[Intervention, str] | None = None
        self._active = False
        self._level = Level.CLEAR
        self._noted: list[Intervention] = []
        self._plan: Plan | None = None
        self._time = 0.0
        self._start = 0.0

    # ------------------------------------------------------------------------------------------ operator

    @property
    def e_stopped(self) -> bool:
        """Whether a stop is latched."""
        return self._stop is not None

    @property
    def stop_reason(self) -> str | None:
        """Why a stop is latched: who asked for it or which intervention it was; None where there is none."""
        return None if self._stop is None else self._stop[1]

    def e_stop(self, reason: str = "operator") -> None:
        """Latch the emergency stop: the arm brakes and stays until `clear_e_stop`. The first reason is kept."""
        self._stop = self._stop or (Intervention.E_STOP, reason)

    def clear_e_stop(self) -> None:
        """Release any latched stop; motion starts again with the next action, from the measured pose."""
        self._stop = None

    def activate(self) -> None:
        """Let actions move the arm."""
        self._active = True

    def deactivate(self) -> None:
        """Brake and hold until activated again."""
        self._active = False

    # ----------------------------------------------------------------------------------------- reporting

    @property
    def level(self) -> Level:
        """How severely the last command was interfered with."""
        return self._level

    def note(self, intervention: Intervention) -> None:
        """Count an intervention and report it with the command that is being made; latch a stop where limits say so."""
        self._noted.append(intervention)
        self.counts[intervention.value] += 1
        if intervention.value in self.limits.latch:
            self._stop = self._stop or (Intervention.STOPPED, intervention.value)

    def take_notes(self) -> tuple[Intervention, ...]:
        """The interventions noted since the last call, which decide the `level`."""
        if not self._noted:
            self._level = Level.CLEAR
            return ()
        noted = tuple(dict.fromkeys(self._noted))
        self._noted.clear()
        self._level = worst(noted)
        return noted

    # ----------------------------------------------------------------------------------------- admission

    def check_action(self, action: Vector) -> Vector | None:
        """The action (4,) clipped to [-1, 1], or None where it is malformed or not finite."""
        try:
            values = np.asarray(action, float)
        except (TypeError, ValueError):
            values = np.empty(0)
        if values.shape != (len(ACTION_FIELDS),):
            self.note(Intervention.MALFORMED_ACTION)
            return None
        if all(-1.0 <= value <= 1.0 for value in values.tolist()):
            return values
        if not _finite(values.tolist()):
            self.note(Intervention.NON_FINITE_ACTION)
            return None
        self.note(Intervention.ACTION_CLIPPED)
        return clip(values, -1.0, 1.0)

    def check_state(self, state: RobotState, now_s: float) -> bool:
        """Whether the measured joint positions can be trusted: seven finite, fresh numbers within the joint limits."""
        joints = state.joint_positions.tolist()
        shaped = state.joint_positions.shape == (JOINTS,)
        inside = shaped and all(map(le, self._lower, joints)) and all(map(le, joints, self._upper))
        if not shaped or not (inside or _finite(joints)):
            self.note(Intervention.MALFORMED_JOINT_STATE)
            return False
        if not self._fresh(state.stamp_s, now_s, self.limits.joint_state_timeout_s, Intervention.STALE_JOINT_STATE):
            return False
        if not inside:
            self.note(Intervention.OUTSIDE_JOINT_LIMITS)
        return inside

    def check_tracking(self, state: RobotState) -> None:
        """Where the measured joints do not follow the last command, forget it: the next one starts from them."""
        if self._plan is None:
            return
        if _distance(self._plan.motion.position, state.joint_positions.tolist()) > self.limits.max_tracking_error_rad:
            self.note(Intervention.TRACKING_ERROR)
            self.reset()

    def check_release(self, action_stamp_s: float, object_stamp_s: float, now_s: float) -> bool:
        """Whether motion is allowed: action and object are fresh, no stop is latched, the guard is active."""
        fresh = self._fresh(action_stamp_s, now_s, self.limits.action_timeout_s, Intervention.STALE_ACTION)
        seen = self._fresh(object_stamp_s, now_s, self.limits.object_timeout_s, Intervention.STALE_OBJECT)
        if self._stop is not None:
            self.note(self._stop[0])
        if not self._active:
            self.note(Intervention.INACTIVE)
        return fresh and seen and self._active and self._stop is None

    def _fresh(self, stamp_s: float, now_s: float, timeout_s: float, stale: Intervention) -> bool:
        age = now_s - stamp_s
        if age < -self.limits.future_tolerance_s:
            self.note(Intervention.FUTURE_STAMP)
            return False
        if not age <= timeout_s:  # written so that a stamp that is not a number is stale
            self.note(stale)
            return False
        return True

    # ------------------------------------------------------------------------------- the stream of commands

    def reset(self) -> None:
        """Forget what was commanded: the next command starts from the measured pose."""
        self._plan = None

    @property
    def motion(self) -> Motion | None:
        """Position, velocity and acceleration of the last command, None before the first."""
        return None if self._plan is None else self._plan.motion

    @property
    def position(self) -> Vector | None:
        """The joint positions (7,) that last left the guard, not to be written to; None before the first."""
        return None if self._plan is None else self._plan.joints

    @property
    def moving(self) -> bool:
        """Whether the last command had a velocity or an acceleration."""
        return self._plan is not None and not self._plan.motion.at_rest

    def period(self, now_s: float) -> float | None:
        """Time since the last command; None where there is none, or it is too long ago, or the clock went back."""
        if self._plan is None:
            return None
        period = now_s - self._time
        if not 0.0 <= period <= self.limits.max_period_s + 1e-9:
            self.note(Intervention.INTERRUPTED)
            return None
        return round(period, CLOCK_RESOLUTION_DIGITS)

    def anchor(self, state: RobotState, now_s: float) -> Vector:
        """Start from the measured joints, which `check_state` has passed: they are the command, at standstill."""
        joints = state.joint_positions.tolist()
        self._proximity.start(joints, now_s)
        self._start = now_s
        here = Plan(standstill(joints), np.array(joints), joints, 0.0, self._excess(joints))
        return self._leave(here, now_s)

    def speed_factor(self, now_s: float) -> float:
        """The ramp-in: 0 at a (re)start to 1 after `ramp_in_s`."""
        factor = round((now_s - self._start) / self.limits.ramp_in_s, CLOCK_RESOLUTION_DIGITS)
        if factor >= 1.0:
            return 1.0
        self.note(Intervention.RAMP_IN)
        return max(factor, 0.0)

    # --------------------------------------------------------------------------------------------- limits

    def limit_target(self, position: Vector) -> Vector:
        """The nearest position (3,) for the hand, tool down, inside the workspace box and clear of the table."""
        wanted = position.tolist()
        inside = [min(max(x, low), high) for x, low, high in zip(wanted, *self._walls, strict=True)]
        if inside != wanted:
            self.note(Intervention.WORKSPACE)
        lowest = self._floor + self._kinematics.tool_length
        if inside[2] < lowest:
            self.note(Intervention.TABLE_CLEARANCE)
            inside[2] = lowest
        return position if inside == wanted else np.array(inside)

    def limit_twist(self, twist: Vector, factor: float) -> Vector:
        """The twist (6,) of the hand, slowed in its own direction to the speed limits times `factor`."""
        share = self._share(twist)
        if share <= factor:
            return twist
        self.note(Intervention.CARTESIAN_SPEED)
        return twist * (factor / share)

    def send(self, velocity: Vector, jacobian: Vector, now_s: float, period: float, factor: float) -> Vector:
        """The next command (7,): as near to the joint `velocity` (7,) rad/s as the limits times `factor` allow.

        `jacobian` (6, 7) is that of the hand at the last command, `period` (s) the time since.
        """
        assert self._plan is not None
        if self._proximity.pace < 1.0:
            self.note(Intervention.PROXIMITY)
            factor *= self._proximity.pace
        wish = self._limit_joints(self._limit_speed(velocity, jacobian, factor), period)
        for share in SLOWER:
            plan = self._try([share * v for v in wish], period)
            objection = self._objection(plan, now_s)
            if objection is None:
                self._note_smoothing(wish, plan.motion, period)
                return self._leave(plan, now_s)
            self.note(objection)
            if objection in COLLISIONS:
                break
        braking = self._motion.brake(self._plan.motion, period)
        return self._leave(self._plan._replace(motion=braking, joints=np.array(braking.position)), now_s)

    def brake(self, now_s: float, period: float) -> Vector:
        """The next command (7,) of an arm that comes to rest and then stays.

        It brakes within the limits of a stop, or within those of motion where the hand would be too fast otherwise: the
        joints brake each on its own, so that what they add up to may grow before it ends.
        """
        assert self._plan is not None
        braking = self._stopping
        if not self._surely_slow(self._plan) and self._share_while_braking(self._stopping) > 1.0:
            braking = min(self._stopping, self._motion, key=self._share_while_braking)
        motion = braking.brake(self._plan.motion, period)
        rest = braking.rest(motion)
        return self._leave(self._plan._replace(motion=motion, joints=np.array(motion.position), rest=rest), now_s)

    def _share_while_braking(self, braking: JointMotion) -> float:
        """The greatest share of the hand's speed limits that is used on the way to rest from the last command."""
        assert self._plan is not None
        return max(self._share_at(joints, velocity) for joints, velocity, _ in braking.way_to_rest(self._plan.motion))

    def _share_at(self, joints: list[float], velocity: list[float]) -> float:
        """The share of the hand's speed limits that is used at `joints` (7,) rad and `velocity` (7,) rad/s."""
        return self._share(self._kinematics.twist(np.array(joints), np.array(velocity)))

    def _share(self, twist: Vector) -> float:
        """The share of the hand's speed limits that a `twist` (6,) uses."""
        x, y, z, a, b, c = twist.tolist()
        speed, turn = math.sqrt(x * x + y * y + z * z), math.sqrt(a * a + b * b + c * c)
        return max(speed / self.limits.max_speed_m_s, turn / self.limits.max_turn_rad_s)

    def _limit_speed(self, velocity: Vector, jacobian: Vector, factor: float) -> list[float]:
        """The joint velocity (7,) slowed, all joints alike, to the speed limits of joints and hand times `factor`."""
        joints = max(map(abs, (velocity / self._fastest).tolist()))
        hand = self._share(jacobian.dot(velocity)) / HEADROOM
        wish: list[float] = velocity.tolist()
        if joints <= factor and hand <= factor:
            return wish
        if not joints <= factor:
            self.note(Intervention.JOINT_VELOCITY)
        if not hand <= factor:
            self.note(Intervention.CARTESIAN_SPEED)
        slower = factor / max(joints, hand)
        return [v * slower for v in wish] if _finite(wish) else STILL

    def _limit_joints(self, wish: list[float], period: float) -> list[float]:
        """The joint velocity (7,) nearest to `wish` that slows down in time before the end stops."""
        assert self._plan is not None
        # v is slow enough when a step at v and braking from v fit into the room: v dt + v^2 / 2a + v a / 2j <= room
        acceleration = self._motion.acceleration_rad_s2
        lead = acceleration * (period + acceleration / (2.0 * self._motion.jerk_rad_s3))
        limited = []
        for v, q, (low, high) in zip(wish, self._plan.motion.position, self._ends, strict=True):
            room = high - q if v > 0.0 else q - low
            fastest = math.sqrt(lead * lead + 2.0 * acceleration * room) - lead if room > 0.0 else 0.0
            limited.append(v if -fastest <= v <= fastest else math.copysign(fastest, v))
        if limited != wish:
            self.note(Intervention.JOINT_POSITION)
        return limited

    def _try(self, wish: list[float], period: float) -> Plan:
        """The command that follows `wish` (7,) as the joints' acceleration, jerk and end stops allow."""
        assert self._plan is not None
        motion = self._motion.towards(wish, self._plan.motion, period)
        rest = self._motion.rest(motion)
        past = [
            not (low <= q <= high and low <= r <= high)
            and (max(q, r) > max(high, here, was) or min(q, r) < min(low, here, was))
            for q, r, here, was, (low, high) in zip(
                motion.position, rest, self._plan.motion.position, self._plan.rest, self._ends, strict=True
            )
        ]
        if any(past):
            self.note(Intervention.JOINT_POSITION)
            braking = self._motion.brake(self._plan.motion, period)
            motion = Motion(*(_where(past, a, b) for a, b in zip(braking, motion, strict=True)))
            rest = _where(past, self._plan.rest, rest)
        excess, way_m = self._excess(rest), travel(self._reach, motion.position, rest)
        if way_m > LONG_WAY_M and max(excess, self._plan.excess) > -way_m / 2.0:  # the hand's way is an arc
            way = self._motion.way_to_rest(motion)
            excess = max(excess, *(self._excess(moment.position) for moment in way))
        return Plan(motion, np.array(motion.position), rest, way_m, excess)

    def _objection(self, plan: Plan, now_s: float) -> Intervention | None:
        """What forbids `plan`, None where nothing does."""
        assert self._plan is not None
        if self._too_fast(plan):
            return Intervention.CARTESIAN_SPEED
        if plan.excess > self.limits.overshoot_m and plan.excess > self._plan.excess:
            return Intervention.STOPPING_DISTANCE
        return self._proximity.objection(plan.motion, plan.rest, now_s)

    def _too_fast(self, plan: Plan) -> bool:
        """Whether the hand is faster than its limits after the plan, or would be while it brakes."""
        if self._surely_slow(plan):
            return False
        position, velocity, _ = plan.motion
        now = max(self._share_at(position, velocity), self._share_at(position, self._motion.peak(plan.motion)))
        if now > SLACK:
            return True
        way, enough = self._motion.way_to_rest(plan.motion), max(min(now, ALMOST), NEARLY)
        return any(
            bound > enough and self._share_at(joints, speed) > enough
            for bound, (joints, speed, _) in zip(self._share_bounds(plan, way), way, strict=True)
        )

    def _share_bounds(self, plan: Plan, way: list[Motion]) -> list[float]:
        """What the share of the hand's speed limits cannot exceed in the moments of a way, by the Jacobian before it.

        No lever in it changes by more than the hand travels, and no axis by more than the joints turn.
        """
        joints, velocities = np.array([moment[:2] for moment in way]).transpose(1, 0, 2)
        turned, rates = np.abs(joints - plan.joints), np.abs(velocities).sum(1)
        squares = velocities.dot(self._kinematics.jacobian(plan.joints).T) ** 2
        speeds = np.sqrt(squares[:, :3].sum(1)) + turned.dot(self._reach) * rates
        turns = np.sqrt(squares[:, 3:].sum(1)) + turned.sum(1) * rates
        bounds: list[float] = np.maximum(
            speeds / self.limits.max_speed_m_s, turns / self.limits.max_turn_rad_s
        ).tolist()
        return bounds

    def _surely_slow(self, plan: Plan) -> bool:
        """Whether the hand keeps its speed limits on the way to rest in whichever order the joints get slower."""
        velocity, peak, limits = plan.motion.velocity, self._motion.peak(plan.motion), self.limits
        rate = sum(map(max, map(abs, velocity), map(abs, peak)))
        jacobian = self._kinematics.jacobian(plan.joints).tolist()
        if _speed_bound(jacobian[:3], velocity, peak) + plan.travel * rate > limits.max_speed_m_s:
            return False
        if rate <= limits.max_turn_rad_s:
            return True
        turn = float(sum(map(abs, map(sub, plan.rest, plan.motion.position))))
        return _speed_bound(jacobian[3:], velocity, peak) + turn * rate <= limits.max_turn_rad_s

    def _note_smoothing(self, wish: list[float], motion: Motion, period: float) -> None:
        """Name the limit because of which the velocity of `motion` is not yet the `wish`."""
        assert self._plan is not None
        if _distance(wish, motion.velocity) < SAME_RAD_S:
            return
        hard = _distance(wish, self._plan.motion.velocity) > self._motion.acceleration_rad_s2 * period
        self.note(Intervention.JOINT_ACCELERATION if hard else Intervention.JOINT_JERK)

    def _excess(self, joints: list[float]) -> float:
        """How far (m) outside workspace and table clearance the hand is at `joints` (7,); negative inside."""
        hand, rotation = self._kinematics.forward(np.array(joints))
        x, y, z = hand.tolist()
        (back, right, bottom), (front, left, top) = self._walls
        tip: float = z + min(0.0, rotation[2, 0].item()) * self._kinematics.tool_length
        excess: float = max(back - x, x - front, right - y, y - left, bottom - z, z - top, self._floor - tip)
        return excess

    def _leave(self, plan: Plan, now_s: float) -> Vector:
        self._plan, self._time = plan, now_s
        return clip(plan.joints, self._kinematics.lower, self._kinematics.upper)


def clip(values: Vector, low: Vector | float, high: Vector | float) -> Vector:
    """np.clip without its overhead, which is most of the time for vectors of seven."""
    clipped: Vector = np.minimum(np.maximum(values, low), high)
    return clipped


def _where(chosen: list[bool], first: list[float], second: list[float]) -> list[float]:
    """The numbers of `first` where they are `chosen`, those of `second` elsewhere."""
    return [a if choose else b for choose, a, b in zip(chosen, first, second, strict=True)]


def _distance(first: list[float], second: list[float]) -> float:
    """The greatest difference between numbers of equal rank."""
    return float(max(map(abs, map(sub, first, second))))


def _speed_bound(rows: list[list[float]], first: list[float], second: list[float]) -> float:
    """What the speed by three `rows` of a Jacobian cannot exceed, each joint between zero and either of two (7,)."""
    squares = 0.0
    for row in rows:
        forth = back = 0.0
        for lever, a, b in zip(row, first, second):  # noqa: B905, which would take a third of the time
            most, least = lever * a, lever * b
            if most < least:
                most, least = least, most
            if most > 0.0:
                forth += most
            if least < 0.0:
                back -= least
        squares += max(forth, back) ** 2
    return math.sqrt(squares)


def _finite(values: list[float]) -> bool:
    return all(map(math.isfinite, values))
