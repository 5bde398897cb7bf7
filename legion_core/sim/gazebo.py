"""The tasks' scenes as Gazebo worlds, derived from their MuJoCo models: `python -m legion_core.sim.gazebo FOLDER`.

A world's frame is the robot's base. What the task sees moving is the model `object`, whose frame lies where the task
observes it; `goal` marks the goal. So the poses of these two models are the poses on `legion/scene/object` and `goal`,
and since Gazebo stamps them with the name of the world, the world is named after the robot's base link.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from legion_core.sim.plant import RobotPlant
from legion_core.spaces import Vector
from legion_core.tasks import task_names

SDF_VERSION = "1.9"
"""Read by Gazebo Fortress (ROS 2 Humble) and Harmonic (Jazzy) alike."""
WORLD = "lbr_link_0"
OBJECT, GOAL, LINK = "object", "goal", "link"
SEED = 0
"""Layout of the worlds."""
POSE_RATE_HZ = 50
STEP_S = 0.001
WORLD_PLUGINS = ("physics", "user-commands", "scene-broadcaster")
_DECIMALS = 5
_ROBOT, _MOCAP = "base", "mocap"
_CONTACT_COLOUR = (0.55, 0.58, 0.62, 1.0)


def make_world(task: str) -> str:
    """The SDF of a task's scene: table, fixtures, the object with its joint, and the goal. Metres, radians, kilograms.

    Raises:
        TaskError: not one of the ten tasks.
    """
    return _Scene(task).sdf()


class _Scene:
    """A task's MuJoCo scene at rest in its first layout."""

    def __init__(self, task: str) -> None:
        self._task = task
        plant = RobotPlant(task, seed=SEED)
        self._state, self._model, self._data, self._robot = plant.state(), plant.model, plant.data, plant.robot

    def sdf(self) -> str:
        root = ET.Element("sdf", version=SDF_VERSION)
        root.append(ET.Comment(f" The scene of {self._task}; made by python -m legion_core.sim.gazebo, not by hand. "))
        world = ET.SubElement(root, "world", name=WORLD)
        physics = _add(world, "physics", name="dart", type="ignored")
        _add(physics, "max_step_size", STEP_S)
        _add(physics, "real_time_factor", 1.0)
        for name in WORLD_PLUGINS:
            system = "".join(part.title() for part in name.split("-"))
            _add(world, "plugin", filename=f"gz-sim-{name}-system", name=f"gz::sim::systems::{system}")
        self._add_surroundings(world)
        for top, bodies in self._fixtures():
            self._add_fixture(world, top, bodies)
        self._add_object(world)
        self._add_goal(world)
        ET.indent(root)
        return f'<?xml version="1.0"?>\n{ET.tostring(root, encoding="unicode")}\n'

    def _add_surroundings(self, world: ET.Element) -> None:
        light = _add(world, "light", name="sun", type="directional")
        _add(light, "pose", (0, 0, 10, 0, 0, 0))
        _add(light, "direction", (-0.5, 0.1, -0.9))
        floor = _add(world, "model", name="floor")
        _add(floor, "static", "true")
        lowest = min(float(self._robot.to_world(self._data.geom_xpos[g])[2]) for g in self._geoms(0))
        _add(floor, "pose", (0, 0, lowest, 0, 0, 0))
        link = _add(floor, "link", name=LINK)
        for kind in ("collision", "visual"):
            plane = _add(_add(_add(link, kind, name=kind), "geometry"), "plane")
            _add(plane, "normal", (0, 0, 1))
            _add(plane, "size", (10, 10))

    def _fixtures(self) -> Iterator[tuple[str, list[int]]]:
        """What stands still, by the body of the world that carries it; of the robot only what it stands on."""
        groups: dict[str, list[int]] = {}
        for body in range(1, self._model.nbody):
            top = self._name(int(self._model.body_rootid[body]))
            wanted = self._name(body) == "mount" if top == _ROBOT else top != _MOCAP
            if wanted and self._model.body_weldid[body] == 0 and any(True for _ in self._contacts(body)):
                groups.setdefault("mount" if top == _ROBOT else top, []).append(body)
        yield from groups.items()

    def _add_fixture(self, world: ET.Element, name: str, bodies: Sequence[int]) -> None:
        model = _add(world, "model", name=name)
        _add(model, "static", "true")
        _add(model, "pose", _six(*self._pose(bodies[0])))
        self._add_shapes(_add(model, "link", name=LINK), bodies[0], bodies)

    def _add_object(self, world: ET.Element) -> None:
        root, bodies = self._moving()
        body_position, rotation = self._pose(root)
        seen = self._state.object_position
        model = _add(world, "model", name=OBJECT)
        _add(model, "pose", _six(seen, rotation))
        link = _add(model, "link", name=LINK)
        _add(link, "pose", _six(rotation.T @ (body_position - seen), np.eye(3)))
        self._add_inertial(link, root, bodies)
        self._add_shapes(link, root, bodies)
        self._add_joint(model, root)
        _add_pose_publisher(model)

    def _moving(self) -> tuple[int, list[int]]:
        """The body that the task moves and the bodies that are fixed to it, itself included."""
        groups: dict[int, list[int]] = {}
        for body in range(1, self._model.nbody):
            top, root = self._name(int(self._model.body_rootid[body])), int(self._model.body_weldid[body])
            if root and top not in (_ROBOT, _MOCAP):
                groups.setdefault(root, []).append(body)
        ((root, bodies),) = groups.items()
        return root, bodies

    def _add_inertial(self, link: ET.Element, root: int, bodies: Sequence[int]) -> None:
        (body,) = (body for body in bodies if self._model.body_mass[body] > 0)
        position, rotation = self._relative(root, body)
        turn = _matrix(self._model.body_iquat[body])
        inertial = _add(link, "inertial")
        _add(inertial, "pose", _six(position + rotation @ self._model.body_ipos[body], rotation @ turn))
        _add(inertial, "mass", float(self._model.body_mass[body]))
        inertia = _add(inertial, "inertia")
        for axis, value in zip("xyz", self._model.body_inertia[body], strict=True):
            _add(inertia, f"i{axis}{axis}", f"{value:.6g}")
        for pair in ("ixy", "ixz", "iyz"):
            _add(inertia, pair, 0)

    def _add_joint(self, model: ET.Element, root: int) -> None:
        """A hinge or slide between world and link; its zero is the pose in this file. A free body has none."""
        m, index = self._model, int(self._model.body_jntadr[root])
        kind = m.jnt_type[index]
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            return
        joint = _add(
            model, "joint", name="joint", type="revolute" if kind == mujoco.mjtJoint.mjJNT_HINGE else "prismatic"
        )
        _add(joint, "parent", "world")
        _add(joint, "child", LINK)
        _add(joint, "pose", (*m.jnt_pos[index], 0, 0, 0))
        axis = _add(joint, "axis")
        _add(axis, "xyz", m.jnt_axis[index])
        now = self._data.qpos[m.jnt_qposadr[index]]
        limit = _add(axis, "limit")
        for name, end in zip(("lower", "upper"), m.jnt_range[index], strict=True):
            _add(limit, name, end - now)
        dynamics = _add(axis, "dynamics")
        address = m.jnt_dofadr[index]
        _add(dynamics, "damping", float(m.dof_damping[address]))
        _add(dynamics, "friction", float(m.dof_frictionloss[address]))
        if m.jnt_stiffness[index]:
            _add(dynamics, "spring_stiffness", float(m.jnt_stiffness[index]))
            _add(dynamics, "spring_reference", m.qpos_spring[m.jnt_qposadr[index]] - now)

    def _add_goal(self, world: ET.Element) -> None:
        """A sphere that touches nothing."""
        model = _add(world, "model", name=GOAL)
        _add(model, "static", "true")
        _add(model, "pose", (*self._state.goal_position, 0, 0, 0))
        visual = _add(_add(model, "link", name=LINK), "visual", name="visual")
        _add(_add(_add(visual, "geometry"), "sphere"), "radius", 0.015)
        _add_colour(visual, (0.1, 0.8, 0.2, 0.8))
        _add_pose_publisher(model)

    def _add_shapes(self, link: ET.Element, root: int, bodies: Sequence[int]) -> None:
        """Collision and picture of every geom of the bodies that takes part in contacts, in the frame of `root`."""
        shapes = [(body, geom) for body in bodies for geom in self._contacts(body)]
        for number, (body, geom) in enumerate(shapes):
            position, rotation = self._relative(root, body)
            turn = _matrix(self._model.geom_quat[geom])
            pose = _six(position + rotation @ self._model.geom_pos[geom], rotation @ turn)
            for kind in ("collision", "visual"):
                shape = _add(link, kind, name=f"{kind}_{number}")
                _add(shape, "pose", pose)
                self._add_geometry(shape, geom)
                if kind == "visual":
                    rgba = self._model.geom_rgba[geom]
                    plain = np.allclose(rgba[:3], 0.5)  # MuJoCo's default
                    _add_colour(shape, _CONTACT_COLOUR if plain else (*rgba[:3], 1.0))
                else:
                    friction = _add(_add(_add(shape, "surface"), "friction"), "ode")
                    for name in ("mu", "mu2"):
                        _add(friction, name, float(self._model.geom_friction[geom, 0]))

    def _add_geometry(self, shape: ET.Element, geom: int) -> None:
        kind, size = mujoco.mjtGeom(self._model.geom_type[geom]), self._model.geom_size[geom]
        name = kind.name.removeprefix("mjGEOM_").lower()
        element = _add(_add(shape, "geometry"), name)
        if name == "box":
            _add(element, "size", 2 * size)
            return
        _add(element, "radius", float(size[0]))
        if name != "sphere":
            _add(element, "length", 2 * float(size[1]))

    def _contacts(self, body: int) -> Iterator[int]:
        """Geoms of a body that take part in contacts; all of them are primitives."""
        m = self._model
        return (g for g in self._geoms(body) if m.geom_contype[g] or m.geom_conaffinity[g])

    def _geoms(self, body: int) -> range:
        first = int(self._model.body_geomadr[body])
        return range(first, first + int(self._model.body_geomnum[body]))

    def _name(self, body: int) -> str:
        name: str = self._model.body(body).name
        return name

    def _pose(self, body: int) -> tuple[Vector, Vector]:
        """Position (3,) and rotation (3, 3) in the world frame."""
        rotation: Vector = self._robot.base_rotation.T @ self._data.xmat[body].reshape(3, 3)
        return self._robot.to_world(self._data.xpos[body]), rotation

    def _relative(self, root: int, body: int) -> tuple[Vector, Vector]:
        """Pose of `body` in the frame of `root`."""
        (origin, turn), (position, rotation) = self._pose(root), self._pose(body)
        return turn.T @ (position - origin), turn.T @ rotation


def _add(parent: ET.Element, tag: str, content: Any = None, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    if isinstance(content, str):
        element.text = content
    elif content is not None:
        # adding zero turns -0 into 0
        element.text = " ".join(f"{round(float(v), _DECIMALS) + 0.0:.7g}" for v in np.atleast_1d(content))
    return element


def _add_colour(visual: ET.Element, rgba: Sequence[float]) -> None:
    material = _add(visual, "material")
    for name in ("ambient", "diffuse"):
        _add(material, name, rgba)


def _add_pose_publisher(model: ET.Element) -> None:
    """Publishes the pose of this model in the world, and of nothing else, on `/model/<name>/pose`."""
    plugin = _add(model, "plugin", filename="gz-sim-pose-publisher-system", name="gz::sim::systems::PosePublisher")
    wanted = {"model": True, "nested_model": False, "link": False, "visual": False, "collision": False, "sensor": False}
    for name, publish in wanted.items():
        _add(plugin, f"publish_{name}_pose", str(publish).lower())
    _add(plugin, "use_pose_vector_msg", "false")
    _add(plugin, "update_frequency", POSE_RATE_HZ)


def _six(position: Vector, rotation: Vector) -> tuple[float, ...]:
    """x y z roll pitch yaw, as SDF writes a pose."""
    return (*position, *Rotation.from_matrix(rotation).as_euler("xyz"))


def _matrix(quaternion: Vector) -> Vector:
    """Rotation matrix of a quaternion (w, x, y, z)."""
    matrix: Vector = Rotation.from_quat(quaternion[[1, 2, 3, 0]]).as_matrix()
    return matrix


def main() -> None:
    """Write the world of every task into the folder given."""
    folder = Path(sys.argv[1])
    for task in task_names():
        (folder / f"{task}.sdf").write_text(make_world(task), encoding="utf-8")


if __name__ == "__main__":
    main()
