"""Where a fixed camera stands: its frame in the robot's base frame, and how that is found from poses of a tag.

A tag on the hand, seen in several poses of the arm, gives for each of them hand @ tag = camera @ seen (AX = ZB): the
pose of the hand in the base frame and that of the tag in the camera's are known, the tag on the hand and the camera in
the base frame are sought. Shah's closed form (2013) starts the search, least squares over both poses ends it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from legion_core import config
from legion_core.errors import CalibrationError
from legion_core.spaces import Vector
from legion_sim2real.calibration import (
    Made,
    Triple,
    require_finite,
    require_rotation,
    rotation_from_rpy,
    rpy_from_rotation,
    write_yaml,
)
from legion_sim2real.kinematics import Pose
from legion_sim2real.registration import Mask, agreeing

LEVER_M = 0.15
"""A rotation that is off counts as this distance times the angle (rad): a tag's orientation is known so much worse."""
MIN_TURN_RAD = math.radians(10.0)
"""The hand has to turn by this much (root mean square) about a second axis: one alone fixes no translation."""
MIN_POSES = 3
UNIT_TOLERANCE = 0.01
"""How far the norm of a quaternion may be from 1."""


@dataclass(frozen=True)
class CameraSettings:
    """A camera calibration as it stands in a YAML file: base = Rz(yaw) Ry(pitch) Rx(roll) * camera + translation."""

    translation_m: Triple
    rotation_rpy_deg: Triple
    made: Made | None = None

    def __post_init__(self) -> None:
        require_finite("translation_m", self.translation_m)
        require_finite("rotation_rpy_deg", self.rotation_rpy_deg)


class CameraCalibration:
    """The pose of a camera in the robot's base frame: base = rotation @ camera + translation.

    `rotation` is (3, 3), `translation` (3,) in metres; `made` says how it was found, None where nobody wrote that down.

    Raises:
        CalibrationError: a number is not finite or the matrix is no rotation.
    """

    def __init__(self, rotation: Vector, translation: Vector, made: Made | None = None) -> None:
        self.rotation = np.asarray(rotation, float)
        self.translation = np.asarray(translation, float)
        self.made = made
        if self.rotation.shape != (3, 3) or self.translation.shape != (3,):
            raise CalibrationError("a camera's pose needs a 3 x 3 rotation and a translation of 3 numbers")
        if not (np.isfinite(self.rotation).all() and np.isfinite(self.translation).all()):
            raise CalibrationError("a camera's pose needs finite numbers")
        require_rotation("camera", self.rotation)

    @classmethod
    def load(cls, path: Path | str) -> CameraCalibration:
        """The calibration in a YAML file with the keys of `CameraSettings`.

        Raises:
            ConfigurationError: the file is missing, malformed or out of range.
        """
        settings = config.load(CameraSettings, path)
        rotation = rotation_from_rpy(*np.radians(settings.rotation_rpy_deg))
        return cls(rotation, np.array(settings.translation_m), settings.made)

    def save(self, path: Path | str) -> None:
        """Write the YAML file that `load` reads.

        Raises:
            CalibrationError: the file cannot be written.
        """
        data = {
            "translation_m": self.translation.tolist(),
            "rotation_rpy_deg": np.degrees(rpy_from_rotation(self.rotation)).tolist(),
        }
        write_yaml(path, data, self.made)

    def to_world(self, position: Vector, quaternion: Vector) -> tuple[Vector, Vector]:
        """A pose in the camera's frame as one in the base frame: position (3,) m, quaternion (4,) x, y, z, w."""
        rotation = self.rotation @ rotation_from_quaternion(quaternion)
        return self.rotation @ position + self.translation, quaternion_from_rotation(rotation)


class HandEye(NamedTuple):
    """What the poses of a tag on the hand say.

    `camera` is the camera's pose in the base frame, `tag` the tag's on the hand; `residuals_m` and `residuals_rad` (n,)
    are how far each seen tag is from where these two put it, and `used` (n,) which of them they were found from.
    """

    camera: Pose
    tag: Pose
    residuals_m: Vector
    residuals_rad: Vector
    used: Mask


def hand_eye(hands: Sequence[Pose], seen: Sequence[Pose], tolerance_m: float = 0.02) -> HandEye:
    """The camera's pose from poses of the hand (base frame) and of a tag on it as `seen` (camera frame), n each.

    Poses that do not agree with the others, or by more than `tolerance_m`, are not used.

    Raises:
        CalibrationError: fewer than three poses or unequal numbers of them, a number that is not finite, a hand that
            did not turn about two axes, or no majority of poses that agree.
    """
    if len(hands) != len(seen) or len(hands) < MIN_POSES:
        raise CalibrationError(f"expected at least {MIN_POSES} pairs of poses, got {len(hands)} and {len(seen)}")
    a, b = _Poses.of(hands), _Poses.of(seen)
    if not all(np.isfinite(values).all() for values in (*a, *b)):
        raise CalibrationError("a pose is not finite")
    _check_turns(a.rotations)
    found = agreeing(
        len(a.rotations),
        MIN_POSES,
        lambda chosen: _shah(a.take(chosen), b.take(chosen)),
        lambda model: np.linalg.norm(_residuals(model, a, b), axis=1),
        6,
        12,
        tolerance_m,
    )
    if found is None:
        raise CalibrationError(
            f"too few poses agree: most of the {len(hands)} do not fit one camera to {1e3 * tolerance_m:g} mm; "
            "does the tag sit firmly on the hand, and are its poses in the camera's frame?"
        )
    model, used = found
    chosen = np.flatnonzero(used)
    _check_turns(a.rotations[chosen])
    model = _refine(model, a.take(chosen), b.take(chosen))
    errors = _residuals(model, a, b)
    off, turned = np.linalg.norm(errors[:, :3], axis=1), np.linalg.norm(errors[:, 3:], axis=1) / LEVER_M
    return HandEye(model.camera, model.tag, off, turned, used)


class _Poses(NamedTuple):
    """Rotations (n, 3, 3) and positions (n, 3)."""

    rotations: Vector
    positions: Vector

    @classmethod
    def of(cls, poses: Sequence[Pose]) -> _Poses:
        return cls(np.array([pose.rotation for pose in poses]), np.array([pose.position for pose in poses]))

    def take(self, chosen: npt.NDArray[np.intp]) -> _Poses:
        return _Poses(self.rotations[chosen], self.positions[chosen])


class _Model(NamedTuple):
    camera: Pose
    tag: Pose


def _check_turns(rotations: Vector) -> None:
    """Refuse rotations (n, 3, 3) that do not turn about two axes."""
    turns = np.array([_rotation_vector(rotation @ rotations[0].T) for rotation in rotations])
    if not len(turns) > 1 or (second := _spread(turns)) < MIN_TURN_RAD:
        angle = 0.0 if len(turns) < 2 else math.degrees(second)
        raise CalibrationError(
            f"the hand turned about one axis only ({angle:.0f} deg about a second one): "
            f"turn it by 30 deg or more about two axes or three"
        )


def _spread(turns: Vector) -> float:
    return float(np.linalg.svd(turns, compute_uv=False)[1]) / math.sqrt(len(turns))


def _shah(a: _Poses, b: _Poses) -> _Model:
    """The closed form: rotations from the Kronecker products of theirs, then translations by linear least squares."""
    _check_turns(a.rotations)
    products = sum(np.kron(rb, ra) for ra, rb in zip(a.rotations, b.rotations, strict=True))
    u, _, vt = np.linalg.svd(products)
    tag = _nearest_rotation(vt[0].reshape(3, 3).T)
    camera = _nearest_rotation(u[:, 0].reshape(3, 3).T)
    # a_rotation @ tag_position - camera_position = camera_rotation @ b_position - a_position
    left = np.concatenate((a.rotations, np.broadcast_to(-np.eye(3), a.rotations.shape)), axis=2).reshape(-1, 6)
    right = (b.positions @ camera.T - a.positions).reshape(-1)
    both = np.linalg.lstsq(left, right, rcond=None)[0].astype(float)
    return _Model(Pose(both[3:], camera), Pose(both[:3], tag))


def _nearest_rotation(matrix: Vector) -> Vector:
    """The rotation nearest to a multiple of it (of either sign)."""
    u, _, vt = np.linalg.svd(matrix * np.sign(np.linalg.det(matrix)))
    rotation: Vector = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return rotation


def _residuals(model: _Model, a: _Poses, b: _Poses) -> Vector:
    """What each pose (n, 6) is off by: metres, then rotation vectors times LEVER_M."""
    expected = a.rotations @ model.tag.rotation
    seen = model.camera.rotation @ b.rotations
    off = a.rotations @ model.tag.position + a.positions
    off = off - (b.positions @ model.camera.rotation.T + model.camera.position)
    turned = [_rotation_vector(difference) for difference in np.swapaxes(expected, 1, 2) @ seen]
    return np.concatenate((off, LEVER_M * np.array(turned)), axis=1)


def _refine(model: _Model, a: _Poses, b: _Poses) -> _Model:
    """The model with the least sum of squared residuals."""
    import pinocchio
    from scipy.optimize import least_squares  # takes 0.3 s, which no node should wait for

    def shifted(pose: Pose, change: Vector) -> Pose:
        turn: Vector = pinocchio.exp3(change[3:])
        return Pose(pose.position + change[:3], pose.rotation @ turn)

    def moved(change: Vector) -> _Model:
        return _Model(shifted(model.camera, change[:6]), shifted(model.tag, change[6:]))

    return moved(least_squares(lambda change: _residuals(moved(change), a, b).ravel(), np.zeros(12)).x)


def rotation_from_quaternion(quaternion: Vector) -> Vector:
    """The rotation (3, 3) of a quaternion (4,) in the order x, y, z, w.

    Raises:
        CalibrationError: it is not finite, or not of norm 1.
    """
    import pinocchio

    x, y, z, w = (float(value) for value in quaternion)
    turn = pinocchio.Quaternion(w, x, y, z)
    if not abs(turn.norm() - 1.0) < UNIT_TOLERANCE:
        raise CalibrationError(f"quaternion = {[x, y, z, w]}; expected x, y, z, w of norm 1")
    turn.normalize()
    rotation: Vector = turn.toRotationMatrix()
    return rotation


def quaternion_from_rotation(rotation: Vector) -> Vector:
    """The quaternion (4,) in the order x, y, z, w of a rotation (3, 3), w not negative."""
    import pinocchio

    quaternion: Vector = pinocchio.Quaternion(rotation).coeffs()
    return -quaternion if quaternion[3] < 0.0 else quaternion


def _rotation_vector(rotation: Vector) -> Vector:
    import pinocchio

    vector: Vector = pinocchio.log3(rotation)
    return vector
