"""The observation and action spaces: named fields, their order, and the one place that packs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from legion_core.errors import SpaceError, unknown

Vector = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

LEGION_FIELDS: tuple[str, ...] = tuple(
    f"{thing}_{axis}" for thing in ("hand", "object", "object2", "goal") for axis in "xyz"
)
"""The twelve fields of the LEGION paper: positions in the simulation frame, metres."""

GRIPPER_OPENING = "gripper_opening"
"""Finger distance over its maximum, 0 closed to 1 open."""

DEFAULT_FIELDS: tuple[str, ...] = (*LEGION_FIELDS, GRIPPER_OPENING)
"""What an observation holds unless somebody asks for more."""

ORIENTATION_FIELDS: tuple[str, ...] = tuple(f"object_q{part}" for part in "xyzw")
"""The object's orientation as a unit quaternion with w >= 0; no rotation where the task tells none."""

KNOWN_FIELDS: tuple[str, ...] = (*DEFAULT_FIELDS, *ORIENTATION_FIELDS)
FIFTY_FIELDS: tuple[str, ...] = KNOWN_FIELDS
"""What Meta-World's fifty tasks need: four of their rewards judge how the object is turned."""

ACTION_FIELDS: tuple[str, ...] = ("dx", "dy", "dz", "gripper")
ACTION_SCALE_M = 0.01
"""Displacement of the hand target for an action component of 1, metres a policy step (Meta-World)."""


def _zeros3() -> Vector:
    return np.zeros(3)


def _unknown4() -> Vector:
    return np.full(4, np.nan)


@dataclass
class TaskState:
    """What a policy can see of the world, in the simulation frame (metres; y away from the robot, z up).

    `hand`, `object`, `object2` and `goal` are positions of shape (3,); `object2` stays zero where the
    task has one object. `gripper_opening` is in [0, 1]. `object_quaternion` is (x, y, z, w), w >= 0, and NaN
    where nobody measures it: who asks for it all the same then sees that it is missing.
    """

    hand: Vector
    object: Vector
    goal: Vector
    object2: Vector = field(default_factory=_zeros3)
    gripper_opening: float = 1.0
    object_quaternion: Vector = field(default_factory=_unknown4)


@dataclass(frozen=True)
class ObservationSpec:
    """An ordered choice of KNOWN_FIELDS.

    Raises:
        SpaceError: no field, an unknown field or a field named twice.
    """

    fields: tuple[str, ...] = DEFAULT_FIELDS
    _index: npt.NDArray[np.intp] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))
        if not self.fields:
            raise SpaceError("an observation needs at least one field")
        for name in self.fields:
            if name not in KNOWN_FIELDS:
                raise SpaceError(unknown("observation field", name, KNOWN_FIELDS))
        if len(set(self.fields)) != len(self.fields):
            raise SpaceError(f"observation fields are named twice: {', '.join(self.fields)}")
        object.__setattr__(self, "_index", np.array([KNOWN_FIELDS.index(name) for name in self.fields]))

    @property
    def size(self) -> int:
        """Number of fields."""
        return len(self.fields)

    def pack(self, state: TaskState) -> Float32:
        """The observation vector of `state`, float32 of shape (size,)."""
        opening = (state.gripper_opening,)
        values = np.concatenate((state.hand, state.object, state.object2, state.goal, opening, state.object_quaternion))
        return values[self._index].astype(np.float32)

    def order(self, names: Sequence[str], values: Sequence[float]) -> Float32:
        """The observation vector from a named vector in any order, extra names allowed.

        Raises:
            SpaceError: the lengths differ or a field is absent.
        """
        if len(names) != len(values):
            raise SpaceError(f"{len(names)} names but {len(values)} values in an observation")
        if tuple(names) == self.fields:
            return np.asarray(values, np.float32)
        position = {name: i for i, name in enumerate(names)}
        missing = [name for name in self.fields if name not in position]
        if missing:
            raise SpaceError(f"observation lacks {', '.join(missing)}; it has: {', '.join(names)}")
        return np.array([values[position[name]] for name in self.fields], np.float32)
