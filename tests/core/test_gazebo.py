"""The Gazebo worlds: what is committed is what the generator makes, and it is what MuJoCo simulates."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("mujoco", reason="the simulator is not installed")

import mujoco

from legion_core.resources import resource
from legion_core.sim.gazebo import GOAL, OBJECT, SEED, WORLD, make_world
from legion_core.sim.plant import RobotPlant
from legion_core.tasks import task_names

FIXED_TASKS = ("reach", "push", "pick-place", "peg-unplug-side")
"""Tasks whose object lies loose."""
TOLERANCE = 2e-4
"""Metres and radians: what rounding and another processor's arithmetic may change."""
Transform = np.ndarray


def committed(task: str) -> ET.Element:
    return ET.parse(resource(f"config/gazebo/{task}.sdf")).getroot()


def pose_of(element: ET.Element) -> Transform:
    """The 4x4 pose of an element in its parent."""
    pose = element.find("pose")
    numbers = [0.0] * 6 if pose is None else [float(n) for n in (pose.text or "").split()]
    transform = np.eye(4)
    transform[:3, 3], transform[:3, :3] = numbers[:3], Rotation.from_euler("xyz", numbers[3:]).as_matrix()
    return transform


def model_of(root: ET.Element, name: str) -> ET.Element:
    model = root.find(f"world/model[@name='{name}']")
    assert model is not None, name
    return model


def assert_same(ours: ET.Element, theirs: ET.Element) -> None:
    """Equal elements, numbers within the tolerance."""
    assert (ours.tag, ours.attrib) == (theirs.tag, theirs.attrib)
    a, b = ((element.text or "").split() for element in (ours, theirs))
    try:
        np.testing.assert_allclose([float(x) for x in a], [float(x) for x in b], atol=TOLERANCE, rtol=1e-3)
    except ValueError:
        assert a == b
    assert len(ours) == len(theirs)
    for mine, yours in zip(ours, theirs, strict=True):
        assert_same(mine, yours)


@pytest.mark.parametrize("task", task_names())
def test_the_committed_world_is_the_one_the_generator_makes(task: str) -> None:
    assert_same(committed(task), ET.fromstring(make_world(task)))


@pytest.mark.parametrize("task", task_names())
def test_names_are_unique_and_bodies_are_physical(task: str) -> None:
    root = committed(task)
    assert root.get("version") == "1.9"
    assert [world.get("name") for world in root.findall("world")] == [WORLD]
    for scope in ("world", "world/model", "world/model/link"):
        for parent in root.findall(scope):
            names = Counter((child.tag, child.get("name")) for child in parent if child.get("name"))
            assert set(names.values()) <= {1}, f"{scope}: {names}"
    for model in root.findall("world/model"):
        moving = model.findtext("static") != "true"
        assert moving == (model.get("name") == OBJECT)
        if moving:
            inertial = model.find("link/inertial")
            assert inertial is not None
            assert float(inertial.findtext("mass", "0")) > 0
            x, y, z = (float(inertial.findtext(f"inertia/i{axis}{axis}", "0")) for axis in "xyz")
            assert min(x, y, z) > 0
            assert max(x, y, z) <= 1.01 * (x + y + z - max(x, y, z)), "no body has such an inertia"


@pytest.mark.parametrize("task", task_names())
def test_object_and_goal_lie_where_the_simulator_has_them(task: str) -> None:
    root, state = committed(task), RobotPlant(task, seed=SEED).state()
    np.testing.assert_allclose(pose_of(model_of(root, OBJECT))[:3, 3], state.object_position, atol=TOLERANCE)
    np.testing.assert_allclose(pose_of(model_of(root, GOAL))[:3, 3], state.goal_position, atol=TOLERANCE)


@pytest.mark.parametrize("task", task_names())
def test_every_contact_shape_lies_where_the_simulator_has_it(task: str) -> None:
    root, plant = committed(task), RobotPlant(task, seed=SEED)
    places = [
        (pose_of(model) @ pose_of(link) @ pose_of(collision))[:3, 3]
        for model in root.findall("world/model")
        for link in model.findall("link")
        for collision in link.findall("collision")
        if model.get("name") != "floor"
    ]
    m, data = plant.model, plant.data
    own = {m.body(name).id for name in ("base", "mocap")}
    wanted = [
        plant.robot.to_world(data.geom_xpos[geom])
        for geom in range(m.ngeom)
        if (m.geom_contype[geom] or m.geom_conaffinity[geom])
        and m.geom_bodyid[geom]
        and (m.body_rootid[m.geom_bodyid[geom]] not in own or m.body(m.geom_bodyid[geom]).name == "mount")
    ]
    assert len(places) == len(wanted)
    for place in wanted:
        assert min(np.linalg.norm(place - other) for other in places) < 3 * TOLERANCE


@pytest.mark.parametrize("task", [task for task in task_names() if task not in FIXED_TASKS])
def test_the_object_moves_on_its_joint_as_in_the_simulator(task: str) -> None:
    """The pose that Gazebo's joint would give at a position, against what the task observes in MuJoCo at the same."""
    model, plant = model_of(committed(task), OBJECT), RobotPlant(task, seed=SEED)
    joint, link = model.find("joint"), model.find("link")
    assert joint is not None
    assert link is not None
    axis = np.array([float(n) for n in joint.findtext("axis/xyz", "").split()])
    lower, upper = (float(joint.findtext(f"axis/limit/{end}", "nan")) for end in ("lower", "upper"))
    assert lower < upper
    m, data = plant.model, plant.data
    (index,) = (each for each in range(9, m.njnt) if m.jnt_type[each] != int(mujoco.mjtJoint.mjJNT_FREE))
    address = m.jnt_qposadr[index]
    start = float(data.qpos[address])
    for travel in np.linspace(max(lower, -0.1), min(upper, 0.1), 3):
        motion = np.eye(4)
        if joint.get("type") == "revolute":
            motion[:3, :3] = Rotation.from_rotvec(travel * axis).as_matrix()
        else:
            motion[:3, 3] = travel * axis
        anchor = pose_of(model) @ pose_of(link)
        moved = anchor @ motion @ np.linalg.inv(pose_of(link))
        data.qpos[address] = start + travel
        mujoco.mj_forward(m, data)
        np.testing.assert_allclose(moved[:3, 3], plant.state().object_position, atol=5 * TOLERANCE)


@pytest.mark.parametrize("task", task_names())
def test_object_and_goal_publish_their_pose_and_nothing_else(task: str) -> None:
    for name in (OBJECT, GOAL):
        (plugin,) = model_of(committed(task), name).findall("plugin")
        assert plugin.get("name") == "gz::sim::systems::PosePublisher"
        published = {child.tag for child in plugin if child.tag.startswith("publish_") and child.text == "true"}
        assert published == {"publish_model_pose"}
        assert plugin.findtext("use_pose_vector_msg") == "false"
