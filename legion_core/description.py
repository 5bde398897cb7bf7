"""The robot description: one xacro file, expanded and parsed once, that every other model is built from."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from legion_core.errors import ConfigurationError, DescriptionError, unknown
from legion_core.resources import resource
from legion_core.spaces import Vector

MODES = ("mock", "gazebo", "hardware")
"""What may drive the arm through ros2_control."""

ARM_JOINTS = tuple(f"A{i}" for i in range(1, 8))
"""The joints of a KUKA LBR iiwa without their prefix."""
MODEL_SUFFIXES = (".xacro", ".urdf")
"""A model of such a name is the path of a file."""
_DEFAULT_RGBA = (0.8, 0.8, 0.8, 1.0)
_LIMITED = ("revolute", "prismatic")
_SHAPE_SIZES = {"box": ("size",), "cylinder": ("radius", "length"), "sphere": ("radius",)}


@dataclass(frozen=True, eq=False)
class Shape:
    """A primitive in the frame of its link, metres and radians.

    `kind` is box, cylinder (along its z) or sphere; `size` is (x, y, z), (radius, length) or (radius,);
    `xyz` and `rpy` (3,) place it; `rgba` is its colour.
    """

    kind: str
    size: tuple[float, ...]
    xyz: Vector
    rpy: Vector
    rgba: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Link:
    """A body: `mass` (kg), `com` (3,) in m, `inertia` (3, 3) about the centre of mass in link axes (kg m2).

    A link without inertial is a pure frame: mass and inertia are zero.
    """

    name: str
    mass: float
    com: Vector
    inertia: Vector
    visuals: tuple[Shape, ...]
    collisions: tuple[Shape, ...]


@dataclass(frozen=True, eq=False)
class Joint:
    """`child` in the frame of `parent` at zero position (`xyz`, `rpy`), and how it moves along or about `axis` (3,).

    `type` is fixed, revolute or prismatic. Limits are rad or m (`lower`, `upper`), rad/s or m/s (`velocity`), Nm or N
    (`effort`); all are zero for a fixed joint.
    """

    name: str
    type: str
    parent: str
    child: str
    xyz: Vector
    rpy: Vector
    axis: Vector
    lower: float = 0.0
    upper: float = 0.0
    velocity: float = 0.0
    effort: float = 0.0
    damping: float = 0.0
    friction: float = 0.0


@dataclass(frozen=True, eq=False)
class RobotDescription:
    """The expanded URDF and what it says. `arm_joints` are the seven joint names from base to flange."""

    name: str
    urdf: str
    links: dict[str, Link]
    joints: dict[str, Joint]
    arm_joints: tuple[str, ...]

    def joint(self, name: str) -> Joint:
        """The joint of that name.

        Raises:
            DescriptionError: there is none; the message lists the names.
        """
        if name not in self.joints:
            raise DescriptionError(unknown("joint", name, self.joints))
        return self.joints[name]

    def link(self, name: str) -> Link:
        """The link of that name.

        Raises:
            DescriptionError: there is none; the message lists the names.
        """
        if name not in self.links:
            raise DescriptionError(unknown("link", name, self.links))
        return self.links[name]

    @property
    def root(self) -> str:
        """The link that no joint carries."""
        carried = {joint.child for joint in self.joints.values()}
        return next(name for name in self.links if name not in carried)

    def at_root(self, link: str) -> bool:
        """Whether the frame of `link` is that of the description's root, in which kinematics are expressed."""
        parents = {joint.child: joint for joint in self.joints.values()}
        while link in parents:
            joint = parents[link]
            if joint.type != "fixed" or joint.xyz.any() or joint.rpy.any():
                return False
            link = joint.parent
        return True


def load_description(
    model: str = "iiwa7_r800",
    robot_name: str = "lbr",
    mode: str = "mock",
    joint_names: tuple[str, ...] | None = None,
) -> RobotDescription:
    """The description expanded from `urdf/<model>.urdf.xacro`, or from the file `model`; the same object each time.

    `robot_name` prefixes every link and joint of the iiwas; `joint_names` are the arm's seven joints from base to
    flange, by default those of an iiwa.

    Raises:
        DescriptionError: an unknown mode or model, or a file that cannot be expanded or lacks a joint.
    """
    return _loaded(model, robot_name, mode, joint_names or tuple(f"{robot_name}_{name}" for name in ARM_JOINTS))


@cache
def _loaded(model: str, robot_name: str, mode: str, joint_names: tuple[str, ...]) -> RobotDescription:
    import xacro  # takes 50 ms, which only those who expand a description should wait for

    if mode not in MODES:
        raise DescriptionError(unknown("mode", mode, MODES))
    try:
        path = Path(model) if model.endswith(MODEL_SUFFIXES) else resource(f"urdf/{model}.urdf.xacro")
        urdf: str = xacro.process_file(str(path), mappings={"robot_name": robot_name, "mode": mode}).toxml()
    except ConfigurationError as error:
        raise DescriptionError(f"unknown robot model {model!r}: {error}") from error
    except Exception as error:  # xacro raises whatever an expression in the file raises
        raise DescriptionError(f"cannot expand {path}: {error}") from error
    return parse_urdf(urdf, joint_names)


def parse_urdf(urdf: str, joint_names: tuple[str, ...]) -> RobotDescription:
    """The description in a URDF text, with `joint_names` from base to flange as its arm.

    Raises:
        DescriptionError: it is not a URDF, a number or link is missing, or an arm joint is absent.
    """
    try:
        root = ET.fromstring(urdf)
    except ET.ParseError as error:
        raise DescriptionError(f"the robot description is not valid XML: {error}") from error
    materials = {_get(m, "name"): rgba for m in root.findall("material") if (rgba := _rgba(m)) is not None}
    links = {link.name: link for link in (_link(e, materials) for e in root.findall("link"))}
    joints = {joint.name: joint for joint in map(_joint, root.findall("joint"))}
    for joint in joints.values():
        for end in (joint.parent, joint.child):
            if end not in links:
                raise DescriptionError(f"joint {joint.name}: {unknown('link', end, links)}")
    description = RobotDescription(_get(root, "name"), urdf, links, joints, joint_names)
    for name in description.arm_joints:
        if description.joint(name).type != "revolute":
            raise DescriptionError(f"joint {name} is {description.joint(name).type}, expected revolute")
    return description


def _link(element: ET.Element, materials: dict[str, Any]) -> Link:
    name = _get(element, "name")
    inertial = element.find("inertial")
    mass, com, inertia = 0.0, np.zeros(3), np.zeros((3, 3))
    if inertial is not None:
        mass = _number(_child(inertial, "mass", name), "value")
        com, rpy = _origin(inertial)
        if rpy.any():
            raise DescriptionError(f"link {name}: a turned inertial frame is not supported")
        tensor = _child(inertial, "inertia", name)
        xx, xy, xz, yy, yz, zz = (_number(tensor, f"i{key}") for key in ("xx", "xy", "xz", "yy", "yz", "zz"))
        inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    visuals, collisions = (
        tuple(_shape(e, name, materials) for e in element.findall(tag)) for tag in ("visual", "collision")
    )
    return Link(name, mass, com, inertia, visuals, collisions)


def _shape(element: ET.Element, link: str, materials: dict[str, Any]) -> Shape:
    geometry = _child(element, "geometry", link)
    if len(geometry) != 1 or geometry[0].tag not in _SHAPE_SIZES:
        found = ", ".join(e.tag for e in geometry) or "nothing"
        raise DescriptionError(f"link {link}: a geometry must be one of {', '.join(_SHAPE_SIZES)}, found {found}")
    primitive = geometry[0]
    keys = _SHAPE_SIZES[primitive.tag]
    size = tuple(_vector(primitive, keys[0])) if keys == ("size",) else tuple(_number(primitive, key) for key in keys)
    xyz, rpy = _origin(element)
    material = element.find("material")
    rgba = None if material is None else _rgba(material) or materials.get(_get(material, "name"))
    return Shape(primitive.tag, size, xyz, rpy, rgba or _DEFAULT_RGBA)


def _joint(element: ET.Element) -> Joint:
    name, kind = _get(element, "name"), _get(element, "type")
    parent, child = (_get(_child(element, end, name), "link") for end in ("parent", "child"))
    xyz, rpy = _origin(element)
    if kind == "fixed":
        return Joint(name, kind, parent, child, xyz, rpy, np.zeros(3))
    if kind not in _LIMITED:
        raise DescriptionError(f"joint {name}: {unknown('type', kind, ('fixed', *_LIMITED))}")
    limit = _child(element, "limit", name)
    lower, upper, velocity, effort = (_number(limit, key) for key in ("lower", "upper", "velocity", "effort"))
    dynamics = element.find("dynamics")
    damping, friction = (
        0.0 if dynamics is None else _number(dynamics, key, default="0") for key in ("damping", "friction")
    )
    axis = _vector(_child(element, "axis", name), "xyz")
    return Joint(name, kind, parent, child, xyz, rpy, axis, lower, upper, velocity, effort, damping, friction)


def _origin(element: ET.Element) -> tuple[Vector, Vector]:
    """The (xyz, rpy) of an element's origin, zeros where it has none."""
    origin = element.find("origin")
    if origin is None:
        return np.zeros(3), np.zeros(3)
    return _vector(origin, "xyz", default="0 0 0"), _vector(origin, "rpy", default="0 0 0")


def _rgba(material: ET.Element) -> tuple[float, ...] | None:
    color = material.find("color")
    return None if color is None else tuple(_vector(color, "rgba", size=4))


def _child(element: ET.Element, tag: str, owner: str) -> ET.Element:
    child = element.find(tag)
    if child is None:
        raise DescriptionError(f"{owner}: <{element.tag}> lacks <{tag}>")
    return child


def _get(element: ET.Element, key: str, default: str | None = None) -> str:
    value = element.get(key, default)
    if value is None:
        raise DescriptionError(f"<{element.tag}> lacks {key!r}")
    return value


def _vector(element: ET.Element, key: str, default: str | None = None, size: int = 3) -> Vector:
    text = _get(element, key, default)
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        values = np.empty(0)
    if values.shape != (size,) or not np.isfinite(values).all():
        raise DescriptionError(f"<{element.tag}> {key} = {text!r}; expected {size} number{'s' if size > 1 else ''}")
    return values


def _number(element: ET.Element, key: str, default: str | None = None) -> float:
    return float(_vector(element, key, default, size=1)[0])
