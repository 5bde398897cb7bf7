"""Kinematics of the arm: forward, Jacobian and damped least squares, on pinocchio."""

from __future__ import annotations

import math
from functools import cache
from itertools import accumulate
from operator import mul, sub
from typing import Any, NamedTuple

import numpy as np

from legion_core.description import RobotDescription
from legion_core.spaces import Vector


class Pose(NamedTuple):
    """A pose in the world frame: `position` (3,) in metres and `rotation` (3, 3) whose columns are the frame's axes."""

    position: Vector
    rotation: Vector


class Step(NamedTuple):
    """A damped least squares solution: joint `velocity` (7,) and the `smallest_singular_value` it met."""

    velocity: Vector
    smallest_singular_value: float


@cache
def arm_model(description: RobotDescription) -> tuple[Any, Any]:
    """pinocchio's model of the seven joints and of their links' collision shapes; the other joints stay at zero."""
    import pinocchio  # here, so that importing this module stays cheap

    full = pinocchio.buildModelFromXML(description.urdf)
    shapes = pinocchio.buildGeomFromUrdfString(full, description.urdf, pinocchio.GeometryType.COLLISION)
    locked = [full.getJointId(name) for name in list(full.names)[1:] if name not in description.arm_joints]
    model, arm_shapes = pinocchio.buildReducedModel(full, shapes, locked, pinocchio.neutral(full))
    return model, arm_shapes


class ArmKinematics:
    """Kinematics of the seven joints from the base (`world`) to the link `tip`, whose x axis points along the tool.

    Attributes `description` and `tip` are those it was made of; `lower`, `upper` (rad) and `velocity` (rad/s), each
    (7,), are the limits of the description; `tool_length` (m) is how far the link `tool` (the tool centre) lies beyond
    the tip, `tool_offset` (m) how far it is from the last joint.
    One instance serves one thread: it reuses its workspace.

    Raises:
        DescriptionError: the description has no link `tip` or `tool`.
    """

    def __init__(self, description: RobotDescription, tip: str = "lbr_hand", tool: str = "lbr_tcp") -> None:
        import pinocchio

        for name in (tip, tool):
            description.link(name)
        self.description, self.tip = description, tip
        self._pin: Any = pinocchio
        self._model, _ = arm_model(description)
        self._data = self._model.createData()
        self._tip = self._model.getFrameId(tip)
        self._aligned = pinocchio.ReferenceFrame.LOCAL_WORLD_ALIGNED
        pinocchio.framesForwardKinematics(self._model, self._data, pinocchio.neutral(self._model))
        placements = [self._data.oMf[self._model.getFrameId(name)] for name in (tip, tool)]
        self.tool_length = float(placements[0].actInv(placements[1]).translation[0])
        self.tool_offset = float(np.linalg.norm(self._data.oMi[-1].actInv(placements[1]).translation))
        joints = [description.joint(name) for name in description.arm_joints]
        self.lower = np.array([joint.lower for joint in joints])
        self.upper = np.array([joint.upper for joint in joints])
        self.velocity = np.array([joint.velocity for joint in joints])

    def forward(self, q: Vector) -> Pose:
        """Pose of the tip at the joint positions `q` (7,) rad."""
        self._pin.forwardKinematics(self._model, self._data, q)
        return self._tip_pose()

    def jacobian(self, q: Vector) -> Vector:
        """Jacobian (6, 7) of the tip at `q`: linear rows first, in world axes."""
        jacobian: Vector = self._pin.computeFrameJacobian(self._model, self._data, q, self._tip, self._aligned)
        return jacobian

    def forward_and_jacobian(self, q: Vector) -> tuple[Pose, Vector]:
        """Both of the above in one pass."""
        jacobian = self.jacobian(q)
        return self._tip_pose(), jacobian

    def _tip_pose(self) -> Pose:
        placement = self._pin.updateFramePlacement(self._model, self._data, self._tip).homogeneous
        return Pose(placement[:3, 3], placement[:3, :3])

    def twist(self, q: Vector, velocity: Vector) -> Vector:
        """Velocity (6,) of the tip at `q` (7,) rad and `velocity` (7,) rad/s: m/s, then rad/s, in world axes."""
        self._pin.forwardKinematics(self._model, self._data, q, velocity)
        twist: Vector = self._pin.getFrameVelocity(self._model, self._data, self._tip, self._aligned).vector
        return twist

    def reach(self, beyond_m: float) -> list[float]:
        """How far (m) from each of the seven joints a point can be that is at most `beyond_m` from the last one."""
        offsets = [float(np.linalg.norm(self.description.joint(name).xyz)) for name in self.description.arm_joints[1:]]
        return list(accumulate(reversed(offsets), initial=beyond_m))[::-1]

    def rotation_error(self, target: Vector, rotation: Vector) -> Vector:
        """The rotation vector (3,) rad, in world axes, that turns `rotation` into `target` (3, 3 each)."""
        error: Vector = self._pin.log3(target.dot(rotation.T))
        return error

    def manipulability(self, q: Vector) -> float:
        """Yoshikawa's measure sqrt(det(J J')) at `q`; zero at a singularity."""
        jacobian = self.jacobian(q)
        return math.sqrt(max(float(np.linalg.det(jacobian @ jacobian.T)), 0.0))

    def smallest_singular_value(self, q: Vector) -> float:
        """Speed (m/s, rad/s) of the hand in its slowest direction at joint speeds of norm 1; 0 at a singularity."""
        return float(np.linalg.svd(self.jacobian(q), compute_uv=False)[-1])

    def joint_margin(self, q: Vector) -> float:
        """How far (rad) that joint is from its end stop which is the nearest to one at `q`; negative beyond it."""
        return float(np.minimum(q - self.lower, self.upper - q).min())

    def inverse(self, target: Pose, start: Vector, posture: Vector | None = None, iterations: int = 200) -> Vector:
        """Joint positions (7,) near `start` that bring the tip to `target`, drawn towards `posture` in the null space.

        It does not fail: compare `forward` of the result with `target` to learn whether the target is within reach.
        Joint limits are respected.
        """
        q = np.clip(start, self.lower, self.upper)
        goal = q if posture is None else posture
        for _ in range(iterations):
            pose, jacobian = self.forward_and_jacobian(q)
            error = np.concatenate(
                (target.position - pose.position, self.rotation_error(target.rotation, pose.rotation))
            )
            step = damped_least_squares(jacobian, error, 0.2 * (goal - q)).velocity
            q = np.clip(q + step * min(1.0, 0.2 / (np.abs(step).max() + 1e-12)), self.lower, self.upper)
        return q


def travel(reach: list[float], start: list[float], end: list[float]) -> float:
    """How far (m) a point within `reach` (7,) m of the joints can move, at most, between two postures (7,) rad."""
    return float(sum(map(mul, reach, map(abs, map(sub, end, start)))))


@cache
def _eigensolver() -> Any:
    """That of pinocchio's matrices: twice as fast as NumPy's for one as small as this."""
    from eigenpy import SelfAdjointEigenSolver

    return SelfAdjointEigenSolver


def damped_least_squares(
    jacobian: Vector, twist: Vector, pull: Vector, threshold: float = 0.1, max_damping: float = 0.1
) -> Step:
    """Joint velocity (7,) for a `twist` (6,) of the tip, with `pull` (7,) followed in the null space.

    The damping is zero while the Jacobian's smallest singular value is above `threshold` and grows to `max_damping`
    at a singularity (Nakamura and Hanafusa), so that precision is lost only where it would cost speed.
    """
    solution = _eigensolver()(jacobian.dot(jacobian.T))
    squares, axes = solution.eigenvalues(), solution.eigenvectors()
    smallest = math.sqrt(max(float(squares[0]), 0.0))
    lack = 1.0 - min(smallest / threshold, 1.0)
    residual = (twist - jacobian.dot(pull)).dot(axes)
    velocity = pull + axes.dot(residual / (squares + ((lack * max_damping) ** 2 + 1e-12))).dot(jacobian)
    return Step(velocity, smallest)
