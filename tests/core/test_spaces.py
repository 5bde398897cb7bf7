"""Packing a state into an observation, and reordering a named vector."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legion_core.errors import SpaceError
from legion_core.spaces import (
    DEFAULT_FIELDS,
    FIFTY_FIELDS,
    GRIPPER_OPENING,
    KNOWN_FIELDS,
    LEGION_FIELDS,
    ORIENTATION_FIELDS,
    ObservationSpec,
    TaskState,
)

STATE = TaskState(
    hand=np.array([1.0, 2.0, 3.0]),
    object=np.array([4.0, 5.0, 6.0]),
    goal=np.array([10.0, 11.0, 12.0]),
    object2=np.array([7.0, 8.0, 9.0]),
    gripper_opening=13.0,
    object_quaternion=np.array([14.0, 15.0, 16.0, 17.0]),
)
VALUES = dict(zip(KNOWN_FIELDS, range(1, 18), strict=True))

field_choices = st.lists(st.sampled_from(KNOWN_FIELDS), min_size=1, unique=True)


def test_legions_twelve_fields_come_first() -> None:
    assert (*LEGION_FIELDS, GRIPPER_OPENING) == DEFAULT_FIELDS == ObservationSpec().fields
    assert len(LEGION_FIELDS) == 12
    assert (*DEFAULT_FIELDS, *ORIENTATION_FIELDS) == FIFTY_FIELDS == KNOWN_FIELDS


def test_an_orientation_that_nobody_measures_is_seen_to_be_missing() -> None:
    state = TaskState(np.ones(3), np.ones(3), np.ones(3))
    assert np.isnan(ObservationSpec(ORIENTATION_FIELDS).pack(state)).all()
    assert np.isfinite(ObservationSpec().pack(state)).all()


@given(fields=field_choices)
def test_pack_puts_each_value_under_its_name(fields: list[str]) -> None:
    packed = ObservationSpec(tuple(fields)).pack(STATE)
    assert packed.dtype == np.float32
    assert packed.tolist() == [VALUES[name] for name in fields]


@given(fields=field_choices, names=st.permutations(KNOWN_FIELDS))
def test_order_finds_each_value_by_name(fields: list[str], names: list[str]) -> None:
    ordered = ObservationSpec(tuple(fields)).order(names, [VALUES[name] for name in names])
    assert ordered.dtype == np.float32
    assert ordered.tolist() == [VALUES[name] for name in fields]


def test_one_object_leaves_the_second_at_zero() -> None:
    state = TaskState(np.ones(3), np.ones(3), np.ones(3))
    assert ObservationSpec(("object2_x", "object2_y", "object2_z")).pack(state).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [((), "at least one"), (("elbow",), "unknown observation field 'elbow'.*hand_x"), (("hand_x", "hand_x"), "twice")],
)
def test_a_wrong_choice_of_fields_is_named(fields: tuple[str, ...], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        ObservationSpec(fields)


def test_a_named_vector_that_does_not_fit_is_named() -> None:
    spec = ObservationSpec(("hand_x", "goal_z"))
    with pytest.raises(SpaceError, match="2 names but 1 values"):
        spec.order(["hand_x", "goal_z"], [1.0])
    with pytest.raises(SpaceError, match=r"lacks goal_z; it has: hand_x"):
        spec.order(["hand_x"], [1.0])
