"""What every command must keep, computed from nothing but the commands, the limits and the URDF.

Nothing of the guard, of its motion generator or of its collision checker is used: speeds, accelerations and jerks are
divided differences of the commands, places come from a kinematic model of its own, distances from a geometry model of
its own with the pairs written out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

import coal
import numpy as np
import pinocchio

from legion_core.description import RobotDescription
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.robot import RobotProfile

SLACK = 1e-4
"""Share by which rounding may exceed a limit of motion."""
ROUNDING = 1e-14
"""Error (rad) of one command, which divided differences over short times amplify."""
SPEED_SLACK = 0.01
"""Share by which the hand may be faster on its curved way than the tangents say."""
SPACE_SLACK_M = 0.002
"""How far the hand's path may bulge beyond the places where it may come to rest."""
DISTANCE_SLACK_M = 0.001
REACH_M = 2.0
"""No point of the arm is farther from any of its axes."""
JOINTS_BETWEEN = 3
"""Links fewer joints apart cannot meet."""
REST_US = 10_000
HYPOTHESES = 3


class Violation(NamedTuple):
    """Which limit was broken, and by which figures."""

    limit: str
    detail: str


@dataclass
class Record:
    """The greatest share of each limit that was used, by its name."""

    shares: dict[str, float] = field(default_factory=dict)

    def put(self, limit: str, share: float) -> None:
        self.shares[limit] = max(self.shares.get(limit, 0.0), share)


NO_START = Violation("start", "the first command is not the measured pose")


class CommandChecks:
    """Follows the commands of one arm: streams of motion, each of which starts at rest at the measured joints.

    A command that equals the measured joints may go on or start anew; both are followed until one of them is refuted.
    """

    def __init__(self, profile: RobotProfile, limits: SafetyLimits, record: Record) -> None:
        self._limits, self._record = limits, record
        self._space = ReferenceArm(profile.description(), profile.frames.hand, profile.frames.tool, limits)
        self._streams: list[Stream] = []
        self._stopped_us: int | None = None
        """When the first command after a stop was given."""
        speed = float(self._space.fastest.max()) + limits.joint_acceleration_rad_s2**2 / limits.joint_jerk_rad_s3
        ramps = 3.0 * limits.stop_acceleration_rad_s2 / limits.stop_jerk_rad_s3
        self._braking_us = 1e6 * (speed / limits.stop_acceleration_rad_s2 + ramps)

    def check(
        self, joints: np.ndarray | None, holding: bool, stopped: bool, measured: np.ndarray, now_us: int
    ) -> Violation | None:
        """What the command (7,) breaks, None where nothing; None where a command was refused and the last one holds."""
        if not stopped or self._stopped_us is None:
            self._stopped_us = now_us if stopped else None
        if joints is None:
            return None
        if joints.shape != (7,) or not np.isfinite(joints).all():
            return Violation("finite", f"command {joints}")
        streams, violation = [], NO_START
        for stream in self._streams:
            refuted = self._refute(stream, joints, holding, now_us)
            if refuted is None:
                streams.append(stream.followed_by(now_us, joints, holding))
            else:
                violation = refuted
        if np.array_equal(joints, measured) and not any(stream.rests for stream in streams):
            streams.append(Stream.started(now_us, joints, self._space.allowed_from(joints)))
        self._streams = [*streams[:1], *streams[-2:]] if len(streams) > HYPOTHESES else streams
        return None if streams else violation

    def _refute(self, stream: Stream, joints: np.ndarray, holding: bool, now_us: int) -> Violation | None:
        """Why the command cannot follow this stream."""
        last_us, last = stream.times_us[-1], stream.rows[-1]
        if now_us == last_us:
            same = np.abs(joints - last).max() <= 1e-12
            return None if same else Violation("no time", f"moved by {np.abs(joints - last).max()} rad in no time")
        if now_us < last_us:
            return Violation("clock", "the clock went back, the command went on")
        if self._stopped_us is not None and last_us - self._stopped_us > self._braking_us:
            same = np.abs(joints - last).max() <= 1e-9
            return None if same else Violation("rest", f"moves {(now_us - self._stopped_us) * 1e-6} s after a stop")
        refuted = self._refute_motion(stream, joints, holding, now_us)
        if refuted is None and not np.array_equal(joints, last):
            refuted = self._space.check(joints, stream.allowed, self._record)
        return refuted

    def _refute_motion(self, stream: Stream, joints: np.ndarray, holding: bool, now_us: int) -> Violation | None:
        limits = self._limits
        times = np.array([*stream.times_us, now_us]) - now_us
        times = times * 1e-6
        stopping = holding or any(stream.held)
        acceleration = limits.stop_acceleration_rad_s2 if stopping else limits.joint_acceleration_rad_s2
        jerk = limits.stop_jerk_rad_s3 if stopping else limits.joint_jerk_rad_s3
        differences, scale = np.array([*stream.rows, joints]), 1.0
        for order, (name, bound) in enumerate(
            (
                ("joint velocity", self._space.fastest),
                ("joint acceleration", np.full(7, acceleration / 2.0)),
                ("joint jerk", np.full(7, jerk / 6.0)),
            ),
            1,
        ):
            spans = (times[order:] - times[:-order])[:, None]
            differences = np.diff(differences, axis=0) / spans
            scale *= 2.0 / spans.min()
            shares = np.abs(differences[-1]) / bound
            if (np.abs(differences[-1]) > bound * (1.0 + SLACK) + ROUNDING * scale).any():
                worst = int(shares.argmax())
                return Violation(name, f"joint {worst + 1}: {shares[worst]:.6f} of the limit, {times.tolist()} s")
            if ROUNDING * scale < 1e-3 * bound.min():
                self._record.put(name, float(shares.max()))
        return self._space.check_speed(stream.rows[-1], joints, -float(times[-2]), self._record)


class Stream(NamedTuple):
    """The last commands of a motion (the newest last), which of them were holds, and what it may do."""

    times_us: tuple[int, ...]
    rows: tuple[np.ndarray, ...]
    held: tuple[bool, ...]
    allowed: Allowed

    @classmethod
    def started(cls, now_us: int, joints: np.ndarray, allowed: Allowed) -> Stream:
        """At rest at `joints` for some time."""
        return cls(tuple(now_us + step * REST_US for step in (-2, -1, 0)), (joints,) * 3, (False,) * 3, allowed)

    @property
    def rests(self) -> bool:
        """Whether all of its last commands are one and the same."""
        return all(np.array_equal(row, self.rows[-1]) for row in self.rows)

    def followed_by(self, now_us: int, joints: np.ndarray, held: bool) -> Stream:
        """The stream with one more command."""
        if now_us == self.times_us[-1]:
            return self
        return Stream((*self.times_us[1:], now_us), (*self.rows[1:], joints), (*self.held[1:], held), self.allowed)


class Allowed(NamedTuple):
    """How far out a stream that started where it did may be: joints (rad, 7), hand, tool, self and boxes (m)."""

    below: np.ndarray
    above: np.ndarray
    outside: float
    nearest_self: float
    nearest_box: float


class ReferenceArm:
    """Places, speeds and distances of the arm, from the URDF."""

    def __init__(self, description: RobotDescription, hand: str, tool: str, limits: SafetyLimits) -> None:
        full = pinocchio.buildModelFromXML(description.urdf)
        shapes = pinocchio.buildGeomFromUrdfString(full, description.urdf, pinocchio.GeometryType.COLLISION)
        locked = [full.getJointId(name) for name in list(full.names)[1:] if name not in description.arm_joints]
        model, geometry = pinocchio.buildReducedModel(full, shapes, locked, pinocchio.neutral(full))
        self._model, self._data, self._limits = model, model.createData(), limits
        self._hand, self._tool = model.getFrameId(hand), model.getFrameId(tool)
        self.fastest = np.array(model.velocityLimit) * limits.joint_velocity_scale
        self._low = model.lowerPositionLimit + limits.joint_margin_rad
        self._high = model.upperPositionLimit - limits.joint_margin_rad
        self._box = np.array(limits.workspace_low_m), np.array(limits.workspace_high_m)
        self._floor = limits.table_height_m + limits.table_clearance_m
        self._self, self._boxes = _geometries(description, model, geometry, hand, limits)
        self.limits_at_rest = Allowed(
            self._low, self._high, limits.overshoot_m, limits.self_clearance_m, limits.obstacle_clearance_m
        )

    def allowed_from(self, q: np.ndarray) -> Allowed:
        """What a stream may do that had to start at `q`: come nearer to nothing that is too near already."""
        normal = self.limits_at_rest
        of_self, of_boxes = (self._distance(geometry, q) for geometry in (self._self, self._boxes))
        return Allowed(
            np.minimum(normal.below, q),
            np.maximum(normal.above, q),
            max(normal.outside, self._outside(q)),
            min(normal.nearest_self, of_self),
            min(normal.nearest_box, of_boxes),
        )

    def check(self, q: np.ndarray, allowed: Allowed, record: Record) -> Violation | None:
        """Which limit of joints or space `q` breaks."""
        beyond = np.maximum(allowed.below - q, q - allowed.above)
        if beyond.max() > 1e-9:
            return Violation("joint position", f"joint {beyond.argmax() + 1} by {beyond.max()} rad")
        outside = self._outside(q)
        if outside > allowed.outside + SPACE_SLACK_M:
            return Violation("workspace and table", f"{outside:.5f} m outside, allowed {allowed.outside:.5f}")
        if allowed.outside == self.limits_at_rest.outside:
            record.put("workspace and table", outside / allowed.outside)
        for name, geometry, least in (
            ("self-collision", self._self, allowed.nearest_self),
            ("obstacles", self._boxes, allowed.nearest_box),
        ):
            if (distance := self._closer_than(geometry, q, least - DISTANCE_SLACK_M)) is not None:
                return Violation(name, f"{distance:.5f} m, allowed {least:.5f}")
        return None

    def check_speed(self, before: np.ndarray, after: np.ndarray, seconds: float, record: Record) -> Violation | None:
        """Whether the hand moved or turned too fast on its way."""
        (start, turned), (end, turning) = self._hand_pose(before), self._hand_pose(after)
        for name, distance, limit in (
            ("Cartesian speed", np.linalg.norm(end - start), self._limits.max_speed_m_s),
            ("turning speed", np.linalg.norm(pinocchio.log3(turned.T @ turning)), self._limits.max_turn_rad_s),
        ):
            share = float(distance) / seconds / limit
            if share > 1.0 + SPEED_SLACK + 1e-12 / seconds:
                return Violation(name, f"{share:.6f} of the limit over {seconds} s")
            record.put(name, share)
        return None

    def _hand_pose(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) m and rotation (3, 3)."""
        pinocchio.forwardKinematics(self._model, self._data, q)
        place = pinocchio.updateFramePlacement(self._model, self._data, self._hand)
        return place.translation.copy(), place.rotation.copy()

    def _place(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hand and tool (3,) m."""
        pinocchio.forwardKinematics(self._model, self._data, q)
        pinocchio.updateFramePlacement(self._model, self._data, self._hand)
        pinocchio.updateFramePlacement(self._model, self._data, self._tool)
        return self._data.oMf[self._hand].translation.copy(), self._data.oMf[self._tool].translation.copy()

    def _outside(self, q: np.ndarray) -> float:
        hand, tool = self._place(q)
        low, high = self._box
        return max(float(np.maximum(low - hand, hand - high).max()), self._floor - min(hand[2], tool[2]))

    def _distance(self, geometry: Shapes, q: np.ndarray) -> float:
        if not len(geometry.shapes.collisionPairs):
            return np.inf
        index = pinocchio.computeDistances(self._model, self._data, geometry.shapes, geometry.data, q)
        geometry.at, geometry.distance = q, geometry.data.distanceResults[index].min_distance
        return geometry.distance

    def _closer_than(self, geometry: Shapes, q: np.ndarray, least: float) -> float | None:
        """The distance (m) if it is less than that; it is measured where it could be."""
        if geometry.distance - REACH_M * np.abs(q - geometry.at).sum() > least:
            return None
        distance = self._distance(geometry, q)
        return distance if distance < least else None


@dataclass
class Shapes:
    """A geometry model, its workspace, and the distance (m) that it had where it was last measured."""

    shapes: Any
    data: Any
    at: np.ndarray = field(default_factory=lambda: np.zeros(7))
    distance: float = -np.inf


def _geometries(
    description: RobotDescription, model: Any, geometry: Any, hand: str, limits: SafetyLimits
) -> tuple[Shapes, Shapes]:
    """Two geometry models: links against links at least three joints apart, and what moves against the boxes."""
    shapes = list(geometry.geometryObjects)
    joints = [shape.parentJoint for shape in shapes]
    links = [model.frames[shape.parentFrame].name for shape in shapes]
    gripper, grown = {hand}, 0
    while grown != len(gripper):
        grown = len(gripper)
        gripper |= {joint.child for joint in description.joints.values() if joint.parent in gripper}
    of_self, of_boxes = pinocchio.GeometryModel(), pinocchio.GeometryModel()
    for shape in shapes:
        of_self.addGeometryObject(shape)
        of_boxes.addGeometryObject(shape)
    for i, j in combinations(range(len(shapes)), 2):
        if abs(joints[i] - joints[j]) >= JOINTS_BETWEEN:
            of_self.addCollisionPair(pinocchio.CollisionPair(i, j))
    for box in limits.obstacles:
        low, high = np.array(box.low_m), np.array(box.high_m)
        place = pinocchio.SE3(np.eye(3), (low + high) / 2.0)
        at = of_boxes.addGeometryObject(pinocchio.GeometryObject(box.name, 0, 0, place, coal.Box(*(high - low))))
        for i, joint in enumerate(joints):
            if joint > 0 and not (box.work_table and links[i] in gripper):
                of_boxes.addCollisionPair(pinocchio.CollisionPair(i, at))
    return Shapes(of_self, of_self.createData()), Shapes(of_boxes, of_boxes.createData())
