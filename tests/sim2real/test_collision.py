"""Distances of the arm against MuJoCo, which reads the same URDF and measures with independent code."""

import itertools
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from legion_core.description import parse_urdf
from legion_core.errors import ConfigurationError, DescriptionError
from legion_sim2real.collision import Box, CollisionChecker
from legion_sim2real.kinematics import ArmKinematics

TABLE = Box("table", (-0.5, -1.0, -0.5), (1.5, 1.0, -0.3), work_table=True)
WALL = Box("wall", (-1.0, 0.75, -0.3), (1.0, 0.9, 1.5))
POST = Box("post", (0.45, -0.1, -0.3), (0.55, 0.1, 0.9))
REACH_M = 1.5
"""Further than any point of the arm is from any of its axes."""
FOLDED = np.radians([0.0, -115.0, 0.0, 120.0, 0.0, -60.0, 0.0])
"""The forearm against the base."""


@pytest.fixture(scope="module")
def checker(kinematics):
    return CollisionChecker(kinematics, (TABLE, WALL, POST))


@pytest.fixture(scope="module")
def alone(kinematics):
    return CollisionChecker(kinematics)


@pytest.fixture(scope="module")
def joints(kinematics):
    return np.random.default_rng(3).uniform(kinematics.lower, kinematics.upper, (200, 7))


class MujocoDistances:
    """Distances between bodies of MuJoCo's compilation of the URDF, with boxes in the world."""

    def __init__(self, description, boxes):
        options = '<mujoco><compiler fusestatic="false" balanceinertia="false"/></mujoco>'
        spec = mujoco.MjSpec.from_string(description.urdf.replace("</robot>", f"{options}</robot>"))
        for box in boxes:
            low, high = np.array(box.low_m), np.array(box.high_m)
            body = spec.worldbody.add_body(name=box.name, pos=(low + high) / 2)
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=(high - low) / 2)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.address = [self.model.joint(name).qposadr[0] for name in description.arm_joints]

    def set(self, q):
        self.data.qpos[self.address] = q
        mujoco.mj_kinematics(self.model, self.data)

    def between(self, first, second):
        def geoms(name):
            body = self.model.body(name)
            return range(body.geomadr[0], body.geomadr[0] + body.geomnum[0])

        return min(
            mujoco.mj_geomDistance(self.model, self.data, i, j, 5.0, None)
            for i, j in itertools.product(geoms(first), geoms(second))
        )


def test_nearest_agrees_with_mujoco(checker, kinematics, joints):
    reference = MujocoDistances(kinematics.description, (TABLE, WALL, POST))
    for q in joints:
        reference.set(q)
        for found, pairs in zip(checker.nearest_of_each(q), (checker.self_pairs, checker.obstacle_pairs), strict=True):
            distances = {pair: reference.between(*pair) for pair in pairs}
            least = min(distances.values())
            if least > 0.0:  # the depth of an overlap is a matter of definition, that there is one is not
                assert found.distance_m == pytest.approx(least, abs=1e-4)
                assert distances[found.first, found.second] == pytest.approx(least, abs=1e-4)
            else:
                assert found.distance_m < 1e-4
                assert distances[found.first, found.second] < 1e-4


def test_pairs_that_are_not_measured_never_meet_or_touch_by_design(alone, kinematics, joints):
    reference = MujocoDistances(kinematics.description, ())
    links = [name for name, link in kinematics.description.links.items() if link.collisions]
    bodies = [0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7]
    measured = {frozenset(pair) for pair in alone.self_pairs}
    assert len(links) == len(bodies)
    left_out = [
        (first, second)
        for (first, i), (second, j) in itertools.combinations(zip(links, bodies, strict=True), 2)
        if abs(i - j) > 1 and frozenset((first, second)) not in measured
    ]
    assert left_out  # the wrist is close to the forearm and cannot touch it
    for q in joints:
        reference.set(q)
        assert min(reference.between(*pair) for pair in left_out) > 0.0


def test_all_links_three_joints_apart_are_measured(alone):
    pairs = set(alone.self_pairs)
    for i in range(5):
        for j in range(i + 3, 8):
            assert (f"lbr_link_{i}", f"lbr_link_{j}") in pairs
        assert (f"lbr_link_{i}", "lbr_hand") in pairs
        assert (f"lbr_link_{i}", "lbr_left_finger") in pairs


def test_the_same_pairs_are_chosen_every_time(alone, kinematics, profile):
    from legion_sim2real import collision

    collision._self_pairs.cache_clear()
    assert CollisionChecker(profile.kinematics()).self_pairs == alone.self_pairs


def test_the_result_does_not_depend_on_what_was_asked_before(checker, kinematics, joints):
    fresh = CollisionChecker(kinematics, (TABLE, WALL, POST))
    forward = [checker.nearest(q) for q in joints]
    assert [fresh.nearest(q) for q in joints[::-1]][::-1] == forward


def test_postures_of_work_are_clear(alone, home):
    for q in (np.zeros(7), home, np.radians([0.0, 30.0, 0.0, -90.0, 0.0, 60.0, 0.0])):
        assert alone.nearest(q).distance_m > 0.1
        assert alone.clear(q, 0.1, 0.1) is None


@pytest.mark.parametrize(
    ("degrees", "first", "second"),
    [
        ((0, -115, 0, 120, 0, -60, 0), "lbr_link_0", "lbr_link_5"),
        ((0, -110, 0, 120, 0, -100, 0), "lbr_link_0", "lbr_hand"),
        ((0, 120, 0, -120, 0, 120, 0), "lbr_link_0", "lbr_hand"),
    ],
)
def test_a_folded_arm_is_named(alone, degrees, first, second):
    q = np.radians(degrees)
    found = alone.nearest(q)
    assert found.distance_m < -0.02
    assert found[1:] == (first, second, "self")
    assert alone.clear(q, 0.0, 0.0) == found


def test_straightening_the_arm_moves_it_clear_of_itself(alone):
    distances = [alone.nearest(FOLDED * part).distance_m for part in (1.0, 0.8, 0.6)]
    assert distances[0] < distances[1] < distances[2]


def test_a_work_table_is_measured_against_the_arm_and_not_against_the_gripper(checker):
    against = {
        name: {first for first, second in checker.obstacle_pairs if second == name} for name in ("table", "wall")
    }
    gripper = {"lbr_hand", "lbr_left_finger", "lbr_right_finger"}
    assert against["wall"] - against["table"] == gripper
    assert against["table"] == {f"lbr_link_{i}" for i in range(1, 8)}


def test_the_hand_may_touch_the_work_table_and_nothing_else(kinematics, home):
    hand = kinematics.forward(home).position
    low, high = hand - np.array([0.2, 0.2, 0.1]), hand + np.array([0.2, 0.2, -0.02])
    for work_table, kind in ((True, "self"), (False, "obstacle")):
        checker = CollisionChecker(kinematics, [Box("table", tuple(low), tuple(high), work_table)])
        found = checker.clear(home, 0.05, 0.01)
        assert (found is None) if work_table else (found.second == "table")
        assert found is None or found.kind == kind


def test_clear_asks_for_each_kind_its_own_clearance(checker, joints):
    for q in joints:
        of_self, of_boxes = checker.nearest_of_each(q)
        assert checker.clear(q, of_self.distance_m - 1e-9, of_boxes.distance_m - 1e-9) is None
        assert checker.clear(q, of_self.distance_m + 0.01, of_boxes.distance_m) == of_self
        assert checker.clear(q, of_self.distance_m, of_boxes.distance_m + 0.01) == of_boxes
        assert checker.nearest(q) == min(of_self, of_boxes)


def test_turning_the_base_and_the_cell_changes_nothing(kinematics, joints):
    low, high = np.array(POST.low_m), np.array(POST.high_m)
    # a quarter turn about z takes (x, y) to (-y, x)
    turned = Box("post", (-high[1], low[0], low[2]), (-low[1], high[0], high[2]))
    before, after = (CollisionChecker(kinematics, [box]) for box in (POST, turned))
    for q in joints[:50]:
        quarter = q + np.eye(7)[0] * np.pi / 2
        expected = before.nearest_of_each(q)[1]
        assert after.nearest_of_each(quarter)[1].distance_m == pytest.approx(expected.distance_m, abs=1e-5)


unit = arrays(float, 7, elements=st.floats(0, 1))


@settings(max_examples=200)
@given(unit, arrays(float, 7, elements=st.floats(-0.05, 0.05)))
def test_a_small_motion_changes_the_distance_little(checker, kinematics, fraction, motion):
    q = kinematics.lower + fraction * (kinematics.upper - kinematics.lower)
    before, after = checker.nearest(q).distance_m, checker.nearest(q + motion).distance_m
    if before > 0.0 and after > 0.0:
        assert abs(after - before) <= REACH_M * np.abs(motion).sum() + 1e-5


@settings(max_examples=100)
@given(unit, st.floats(0.001, 0.3))
def test_a_larger_box_is_never_further(kinematics, fraction, margin):
    q = kinematics.lower + fraction * (kinematics.upper - kinematics.lower)
    larger = Box("post", tuple(np.array(POST.low_m) - margin), tuple(np.array(POST.high_m) + margin))
    near, far = (CollisionChecker(kinematics, [box]).nearest_of_each(q)[1].distance_m for box in (larger, POST))
    assert near <= far + 1e-6
    if near > 1e-3:
        assert far - near <= margin * np.sqrt(3) + 1e-5


def test_without_boxes_only_the_arm_is_measured(alone, home):
    of_self, of_boxes = alone.nearest_of_each(home)
    assert of_boxes is None
    assert alone.nearest(home) == of_self
    assert type(of_self.distance_m) is float


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": " "}, "name = ' '"),
        ({"high_m": (1.0, 1.0, -0.5)}, "high_m = .*above low_m"),
        ({"low_m": (float("nan"), 0.0, 0.0)}, "low_m = .*-10 to 10 m each"),
        ({"high_m": (1.0, 11.0, 1.0)}, "high_m = .*-10 to 10 m each"),
    ],
)
def test_a_box_that_is_none_is_refused(change, message):
    with pytest.raises(ConfigurationError, match=message):
        Box(**{"name": "post", "low_m": (0.0, 0.0, -0.5), "high_m": (1.0, 1.0, 1.0), **change})


def test_boxes_of_one_name_are_refused(kinematics):
    with pytest.raises(ConfigurationError, match=r"obstacles = .*each name once"):
        CollisionChecker(kinematics, [POST, POST])


def test_a_description_without_shapes_is_refused(kinematics):
    root = ElementTree.fromstring(kinematics.description.urdf)
    for link in root.findall("link"):
        if link.get("name") == "lbr_link_3":
            for shape in link.findall("collision"):
                link.remove(shape)
    bare = parse_urdf(ElementTree.tostring(root, "unicode"), kinematics.description.arm_joints)
    with pytest.raises(DescriptionError, match="no collision shape moves with lbr_A3"):
        CollisionChecker(ArmKinematics(bare))
