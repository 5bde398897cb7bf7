"""How the robot's world frame and the simulation frame of the policy lie to each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from legion_core import config
from legion_core.config import require
from legion_core.errors import CalibrationError
from legion_core.spaces import Vector
from legion_sim2real.registration import align

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Made:
    """How a calibration was made, for whoever reads its file.

    `date` (ISO 8601, UTC), `tool` with its version, `method`, `source` file; `measurements` by number, of which the
    `rejected` ones were not used; what each is off by in `residuals_mm` (and `residuals_deg`, where orientations were
    measured), and the root mean square of the used ones.
    """

    date: str
    tool: str
    method: str
    source: str
    measurements: int
    rejected: tuple[str, ...]
    rms_mm: float
    residuals_mm: tuple[float, ...]
    rms_deg: float | None = None
    residuals_deg: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        try:
            known = datetime.fromisoformat(self.date).tzinfo is not None
        except ValueError:
            known = False
        require(known, "date", self.date, "ISO 8601 with its offset, such as 2026-11-23T12:00:00+00:00")
        require(self.measurements > 0, "measurements", self.measurements, "1 or more")
        require(0.0 <= self.rms_mm < math.inf, "rms_mm", self.rms_mm, "a number from 0 on")

    def as_yaml(self) -> dict[str, Any]:
        """The mapping that stands in the file."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in vars(self).items() if v is not None}


@dataclass(frozen=True)
class CalibrationSettings:
    """A calibration as it stands in a YAML file: sim = scale * Rz(yaw) Ry(pitch) Rx(roll) * world + translation."""

    translation_m: Triple
    rotation_rpy_deg: Triple
    scale: float
    made: Made | None = None

    def __post_init__(self) -> None:
        require_finite("translation_m", self.translation_m)
        require_finite("rotation_rpy_deg", self.rotation_rpy_deg)
        require(0.1 <= self.scale <= 10, "scale", self.scale, "0.1 to 10")


def require_finite(key: str, values: Sequence[float]) -> None:
    """Raise ConfigurationError unless all of the values are finite."""
    require(all(map(math.isfinite, values)), key, values, "finite numbers")


def require_rotation(owner: str, matrix: Vector) -> None:
    """Raise CalibrationError unless the finite `matrix` (3, 3) of the `owner` is a rotation."""
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6) or np.linalg.det(matrix) < 0:
        raise CalibrationError(f"the {owner}'s matrix is not a rotation")


class Calibration:
    """The similarity sim = scale * rotation @ world + translation; `rotation` (3, 3), `translation` (3,) in sim metres.

    `made` says how it was found, None where nobody wrote that down.

    Raises:
        CalibrationError: a number is not finite, the matrix is no rotation or the scale is not positive.
    """

    def __init__(self, rotation: Vector, translation: Vector, scale: float = 1.0, made: Made | None = None) -> None:
        self.rotation = np.asarray(rotation, float)
        self.translation = np.asarray(translation, float)
        self.scale = float(scale)
        self.made = made
        if self.rotation.shape != (3, 3) or self.translation.shape != (3,):
            raise CalibrationError("a calibration needs a 3 x 3 rotation and a translation of 3 numbers")
        if not (np.isfinite(self.rotation).all() and np.isfinite(self.translation).all() and 0 < self.scale < np.inf):
            raise CalibrationError("a calibration needs finite numbers and a positive scale")
        require_rotation("calibration", self.rotation)
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
        return cls(rotation, np.array(settings.translation_m), settings.scale, settings.made)

    def save(self, path: Path | str) -> None:
        """Write the YAML file that `load` reads."""
        data = {
            "translation_m": self.translation.tolist(),
            "rotation_rpy_deg": np.degrees(rpy_from_rotation(self.rotation)).tolist(),
            "scale": self.scale,
        }
        write_yaml(path, data, self.made)

    @classmethod
    def fit(cls, world: Vector, sim: Vector, with_scale: bool = False) -> tuple[Calibration, Vector]:
        """The least squares calibration of point pairs (n, 3) each and its residuals (n,) in sim metres (Umeyama).

        Raises:
            CalibrationError: fewer than three pairs, unequal shapes, a number that is not finite or points on one line.
        """
        found = cls(*align(world, sim, with_scale, ("world", "simulation")))
        return found, np.linalg.norm(found.to_sim(np.asarray(world, float)) - sim, axis=1)

    def to_sim(self, points: Vector) -> Vector:
        """World points (..., 3) in the simulation frame."""
        sim: Vector = points.dot(self._to_sim) + self.translation
        return sim

    def to_world(self, points: Vector) -> Vector:
        """Simulation points (..., 3) in the world frame."""
        world: Vector = (points - self.translation) @ self._to_world
        return world

    def direction_to_world(self, vector: Vector) -> Vector:
        """A displacement (..., 3) of the simulation frame as one of the world frame, scale included."""
        world: Vector = vector.dot(self._to_world)
        return world

    def rotation_to_world(self, rotation: Vector) -> Vector:
        """An orientation (3, 3) of the simulation frame in the world frame."""
        return self.rotation.T @ rotation


def write_yaml(path: Path | str, data: dict[str, Any], made: Made | None) -> None:
    """Write a calibration's file: its numbers, and how it was made.

    Raises:
        CalibrationError: the file cannot be written.
    """
    if made is not None:
        data = {**data, "made": made.as_yaml()}
    try:
        Path(path).write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise CalibrationError(f"cannot write {path}: {error.strerror}") from error


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
