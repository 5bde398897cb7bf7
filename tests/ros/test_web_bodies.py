"""What the page draws: the bodies that MuJoCo's viewer would show, and a robot's links where its joints put them."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

pytest.importorskip("trimesh", reason="the web extra is not installed")

from hypothesis import given
from hypothesis import strategies as st

from legion_core.errors import SpaceError
from legion_core.sim.plant import RobotPlant
from legion_core.tasks import task_names
from legion_ros.web.bodies import LEAST_CORNERS, SAG_M, MujocoBodies, RobotBodies, corners, merged, primitive
from legion_sim2real.robot import load_profile

XML = """
<mujoco>
  <asset><material name="red" rgba="1 0 0 0.5"/></asset>
  <worldbody>
    <geom type="plane" size="1 1 1"/>
    <body name="thing" pos="0 0 1">
      <geom type="box" size="0.1 0.2 0.3" pos="1 0 0" euler="0 0 90" rgba="0 1 0 1"/>
      <geom type="capsule" size="0.1 0.2" rgba="0 1 0 1"/>
      <geom type="sphere" size="0.1" material="red"/>
      <geom type="ellipsoid" size="0.1 0.2 0.3" rgba="0 0 1 1"/>
      <geom type="cylinder" size="0.1 0.2" rgba="0 0 0 0"/>
      <geom type="cylinder" size="0.1 0.2" group="3"/>
    </body>
  </worldbody>
</mujoco>
"""


def test_geoms_become_coloured_triangles_of_their_body() -> None:
    bodies = MujocoBodies(mujoco.MjModel.from_xml_string(XML)).bodies
    assert [body.name for body in bodies] == ["world", "thing"]
    assert bodies[0].parts == (), "an infinite floor is not drawn"
    parts = {part.colour: part for part in bodies[1].parts}
    assert set(parts) == {(0, 1, 0, 1), (1, 0, 0, 0.5), (0, 0, 1, 1)}, "hidden and invisible geoms are left out"
    green = parts[0, 1, 0, 1].vertices
    # the box is turned by 90 degrees: what was 0.2 in y lies in x
    assert green.max(axis=0) == pytest.approx((1.2, 0.1, 0.3), abs=1e-6)
    blue = parts[0, 0, 1, 1].vertices
    assert np.abs(blue).max(axis=0) == pytest.approx((0.1, 0.2, 0.3), rel=0.02)
    assert parts[1, 0, 0, 0.5].faces.max() < len(parts[1, 0, 0, 0.5].vertices)


@pytest.mark.parametrize("task", task_names())
def test_scenes_are_light_enough_to_send(task: str) -> None:
    model = RobotPlant(task, seed=0).model
    bodies = MujocoBodies(model).bodies
    assert len(bodies) == model.nbody
    triangles = sum(len(part.faces) for body in bodies for part in body.parts)
    assert 1_000 < triangles < 6_000, "a browser without a graphics card draws them, often"
    assert sum(len(body.parts) for body in bodies) < 45, "draw calls"


def test_links_stand_where_the_kinematics_say() -> None:
    profile = load_profile("lbr")
    robot, kinematics = RobotBodies(profile.description()), profile.kinematics()
    q = np.array((0.3, 0.8, -0.2, -1.4, 0.1, 0.6, 0.5))
    poses = robot.poses(profile.joint_names, q)
    hand = [body.name for body in robot.bodies].index(profile.frames.hand)
    assert poses[hand, :3] == pytest.approx(kinematics.forward(q).position, abs=1e-9)
    assert np.linalg.norm(poses[:, 3:], axis=1) == pytest.approx(1.0)
    again = robot.poses(["unknown", profile.joint_names[0]], [1.0, float("nan")])
    assert again == pytest.approx(poses), "what is unknown or no number changes nothing"
    assert any(body.parts for body in robot.bodies)


@given(st.floats(1e-4, 1.0))
def test_circles_have_as_many_corners_as_they_need(radius: float) -> None:
    count = corners(radius)
    assert count % 2 == 0 and count >= LEAST_CORNERS
    assert radius * (1 - np.cos(np.pi / count)) <= SAG_M


def test_only_round_things_are_shaded_smoothly() -> None:
    white = (1.0, 1.0, 1.0, 1.0)
    box, tube = (
        merged("b", [(white, primitive(*shape))]).parts[0] for shape in (("box", (1, 1, 1)), ("cylinder", (1, 1)))
    )
    assert len(box.vertices) == 6 * 4, "each side has corners, and so normals, of its own"
    assert len(tube.vertices) == 2 * (corners(1) + 1) + 2 * corners(1), "two lids and one wall"


def test_an_unknown_primitive_is_an_error() -> None:
    with pytest.raises(SpaceError, match="cone"):
        primitive("cone", (1.0,))
