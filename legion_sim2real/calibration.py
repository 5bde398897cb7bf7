"""How the robot's world frame and the simulation frame of the policy lie to each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from legion_core import config
from legion_core.config import require
from legion_core.errors import CalibrationError
from legion_core.spaces import Vector

Triple = tuple[float, float, float]
MIN_SPREAD_M = 0.01
"""Point pairs closer to one line than this cannot fix a rotation."""


@dataclass(frozen=True)
class CalibrationSettings:
    """A calibration as it stands in a YAML file: sim = scale * Rz(yaw) Ry(pitch) Rx(roll) * world + translation."""

    translation_m: Triple
    rotation_rpy_deg: Triple
    scale: float

    def __post_init__(self) -> None:
        require(all(map(math.isfinite, self.translation_m)), "translation_m", self.translation_m, "finite numbers")
        require(
            all(map(math.isfinite, self.rotation_rpy_deg)), "rotation_rpy_deg", self.rotation_rpy_deg, "finite numbers"
        )
        require(0.1 <= self.scale <= 10, "scale", self.scale, "0.1 to 10")


class Calibration:
    """The similarity sim = scale * rotation @ world + translation; `rotation` (3, 3), `translation` (3,) in sim metres.

    Raises:
        CalibrationError: a number is not finite, the matrix is no rotation or the scale is not positive.
    """

    def __init__(self, rotation: Vector, translation: Vector, scale: float = 1.0) -> None:
        self.rotation = np.asarray(rotation, float)
        self.translation = np.asarray(translation, float)
        self.scale = float(scale)
        if self.rotation.shape != (3, 3) or self.translation.shape != (3,):
            raise CalibrationError("a calibration needs a 3 x 3 rotation and a translation of 3 numbers")
        if not (np.isfinite(self.rotation).all() and np.isfinite(self.translation).all() and 0 < self.scale < np.inf):
            raise CalibrationError("a calibration needs finite numbers and a positive scale")
        if not np.allclose(self.rotation @ self.rotation.T, np.eye(3), atol=1e-6) or np.linalg.det(self.rotation) < 0:
            raise CalibrationError("the calibration's matrix is not a rotation")
        self._to_sim: Vector = (self.scale * self.rotation).T
        self._to_world: Vector = self.rotation / self.scale

    @classmethod
    def load(cls, path: Path | str) -> Calibration:
        """The calibration in a YAML file with the keys of `CalibrationSettings`.

        Raises:
            ConfigurationError: the file is missing, malformed or out of range.
        """
        settings = config.load(CalibrationSettings, path)
        rotation = rotation_from_rpy(*np.radians(settings.rotation_rpy_deg))
        return cls(rotation, np.array(settings.translation_m), settings.scale)

    def save(self, path: Path | str) -> None:
        """Write the YAML file that `load` reads."""
        data = {
            "translation_m": self.translation.tolist(),
            "rotation_rpy_deg": np.degrees(rpy_from_rotation(self.rotation)).tolist(),
            "scale": self.scale,
        }
        Path(path).write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")

    @classmethod
    def fit(cls, world: Vector, sim: Vector, with_scale: bool = False) -> tuple[Calibration, Vector]:
        """The least squares calibration of point pairs (n, 3) each and its residuals (n,) in sim metres (Umeyama).

        Raises:
            CalibrationError: fewer than three pairs, unequal shapes, a number that is not finite or points on one line.
        """
        world, sim = np.asarray(world, float), np.asarray(sim, float)
        if world.shape != sim.shape or world.ndim != 2 or world.shape[1] != 3 or len(world) < 3:
            raise CalibrationError(f"expected at least three pairs of points, got shapes {world.shape} and {sim.shape}")
        if not (np.isfinite(world).all() and np.isfinite(sim).all()):
            raise CalibrationError("a calibration point is not finite")
        a, b = world - world.mean(0), sim - sim.mean(0)
        for name, points in (("world", a), ("simulation", b)):
            if np.linalg.svd(points, compute_uv=False)[1] < MIN_SPREAD_M:
                raise CalibrationError(f"the {name} points lie on one line; spread them over the workspace")
        u, spread, vt = np.linalg.svd(b.T @ a)
        handed = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        rotation = u @ np.diag(handed) @ vt
        scale = float(spread @ handed / np.square(a).sum()) if with_scale else 1.0
        calibration = cls(rotation, sim.mean(0) - scale * rotation @ world.mean(0), scale)
        return calibration, np.linalg.norm(calibration.to_sim(world) - sim, axis=1)

    def to_sim(self, points: Vector) -> Vector:
        """World points (..., 3) in the simulation frame."""
        sim: Vector = points @ self._to_sim + self.translation
        return sim

    def to_world(self, points: Vector) -> Vector:
        """Simulation points (..., 3) in the world frame."""
        world: Vector = (points - self.translation) @ self._to_world
        return world

    def direction_to_world(self, vector: Vector) -> Vector:
        """A displacement (..., 3) of the simulation frame as one of the world frame, scale included."""
        world: Vector = vector @ self._to_world
        return world

    def rotation_to_world(self, rotation: Vector) -> Vector:
        """An orientation (3, 3) of the simulation frame in the world frame."""
        return self.rotation.T @ rotation


def rotation_from_rpy(roll: float, pitch: float, yaw: float) -> Vector:
    """Rz(yaw) Ry(pitch) Rx(roll), the URDF convention, (3, 3)."""
    cr, sr, cp, sp, cy, sy = (f(angle) for angle in (roll, pitch, yaw) for f in (math.cos, math.sin))
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def rpy_from_rotation(rotation: Vector) -> Vector:
    """Roll, pitch, yaw (3,) rad of a rotation (3, 3); at pitch +-90 deg roll is zero."""
    horizontal = math.hypot(rotation[0, 0], rotation[1, 0])
    pitch = math.atan2(-rotation[2, 0], horizontal)
    if horizontal < 1e-9:
        return np.array([0.0, pitch, math.atan2(-rotation[0, 1], rotation[1, 1])])
    return np.array([math.atan2(rotation[2, 1], rotation[2, 2]), pitch, math.atan2(rotation[1, 0], rotation[0, 0])])
