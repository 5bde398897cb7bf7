"""The iiwa in MuJoCo, built from the robot description: the same numbers as the URDF, none of its own.

Added to Meta-World are only what a URDF cannot say: servo gains, the rotor inertia of the fingers, and the
contact parameters of the finger pads, which are read from Meta-World's own gripper so that a grasp stays
what it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from legion_core.description import Joint, Link, RobotDescription, Shape
from legion_core.embodiment import Embodiment
from legion_core.errors import SimulationError
from legion_core.spaces import Vector

ARM_JOINTS = 7
FINGER_ARMATURE_KG = 20.0
FINGER_STIFFNESS = 400.0
GAINS = (1000.0, 1000.0, 800.0, 800.0, 500.0, 250.0, 120.0)
"""Servo stiffness of A1..A7, Nm/rad. Stiffer ones press with hundreds of newtons where softer ones still track."""

DAMPING_RATIO = 0.06
"""Servo damping over stiffness, s. The servo lags a moving command by this much."""

TOOL_DOWN = (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)
"""Orientation (w, x, y, z) of the hand in the sim frame, which Meta-World keeps at all times."""

NOMINAL = np.radians((0.0, 30.0, 0.0, -90.0, 0.0, 60.0, 0.0))
"""Elbow-up posture with the tool pointing down, from which home postures are searched."""

VISUAL_GROUP, CONTACT_GROUP = 1, 4
ROBOT, SCENE = 1, 0
"""Contact bits of the arm: it touches the scene (contype) but never itself (conaffinity)."""

FINGER_JOINTS = {"leftclaw": "l_close", "rightclaw": "r_close"}
PAD_ATTRIBUTES = ("size", "condim", "friction", "solref", "solimp", "margin", "contype", "conaffinity")
TIP_X_M = 0.045


@dataclass(frozen=True)
class Pad:
    """Contact attributes of one of Meta-World's finger geoms, a box."""

    name: str
    values: dict[str, Any]

    @classmethod
    def of(cls, spec: Any, name: str) -> Pad:
        """Those of the geom `name` in a spec that still holds Meta-World's gripper."""
        geom = spec.geom(name)
        return cls(name, {key: np.copy(v) if np.ndim(v := getattr(geom, key)) else v for key in PAD_ATTRIBUTES})

    def add(self, body: Any) -> None:
        """Attach an equal geom, hidden and without mass, to `body`."""
        body.add_geom(name=self.name, type=mujoco.mjtGeom.mjGEOM_BOX, mass=0.0, group=CONTACT_GROUP, **self.values)


def add_arm(spec: Any, base: Any, robot: Embodiment, pads: dict[str, Pad]) -> None:
    """Build the robot below the body `base` of an MjSpec.

    `pads` are the four finger geoms of Meta-World by name.

    Raises:
        SimulationError: its root is no mere frame, or its hand has not two sliding fingers.
    """
    description, names = robot.description, _metaworld_names(robot)
    if description.link(description.root).mass > 0:
        raise SimulationError(f"{description.root} has a mass; the simulator needs a root link that is a mere frame")
    children: dict[str, list[Joint]] = {}
    for joint in description.joints.values():
        children.setdefault(joint.parent, []).append(joint)

    def add(parent: Any, joint: Joint) -> None:
        link = description.link(joint.child)
        name = names.get(link.name, link.name)
        body = parent.add_body(name=name, pos=joint.xyz, quat=_quaternion(joint.rpy), gravcomp=1.0)
        _add_inertial(body, link)
        _add_joint(body, joint, name)
        _add_shapes(body, link, name in FINGER_JOINTS)
        if name == "hand":
            body.add_site(name="endEffector", pos=(0.04, 0.0, 0.0), rgba=(0, 0, 0, 0))
        elif name in FINGER_JOINTS:
            _add_pads(body, name.removesuffix("claw"), pads)
        for child in children.get(link.name, ()):
            add(body, child)

    mount = base.add_body(name="mount", pos=robot.base_position_m, quat=robot.base_quaternion)
    height = robot.base_position_m[2] / 2
    mount.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(0.13, 0.13, height),
        pos=(-0.02, 0.0, -height),
        rgba=(0.2, 0.21, 0.22, 1.0),
        group=VISUAL_GROUP,
        contype=0,
        conaffinity=ROBOT,
    )
    for joint in children[description.root]:
        add(mount, joint)


def _metaworld_names(robot: Embodiment) -> dict[str, str]:
    """What Meta-World's environments call the hand and its fingers, by link; the left one is at +y of the hand."""
    fingers = [j for j in robot.description.joints.values() if j.parent == robot.hand and j.type == "prismatic"]
    if len(fingers) != 2:
        raise SimulationError(f"{robot.hand} has {len(fingers)} sliding fingers; the simulator needs two")
    right, left = sorted(fingers, key=lambda joint: float(joint.xyz[1]))
    return {robot.hand: "hand", left.child: "leftclaw", right.child: "rightclaw"}


def add_fingers_drive(spec: Any) -> None:
    """Meta-World's two finger actuators, in its order."""
    for joint in ("r_close", "l_close"):
        _add_position_actuator(spec, joint, FINGER_STIFFNESS, 0.0).ctrlrange = (-1.0, 1.0)


def add_servos(spec: Any, description: RobotDescription) -> None:
    """A position servo a joint whose command passes a first-order lag (its time constant is set later)."""
    for name, gain in zip(description.arm_joints, GAINS, strict=True):
        joint = description.joint(name)
        servo = _add_position_actuator(spec, name, gain, DAMPING_RATIO * gain)
        servo.ctrlrange = (joint.lower, joint.upper)
        servo.forcelimited, servo.forcerange = True, (-joint.effort, joint.effort)
        servo.dyntype, servo.actearly = mujoco.mjtDyn.mjDYN_FILTEREXACT, True


def add_weld(spec: Any) -> None:
    """Meta-World's weld between its mocap body and the hand."""
    spec.add_equality(
        type=mujoco.mjtEq.mjEQ_WELD,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        name1="mocap",
        name2="hand",
        solref=(0.02, 1.0),
    )


def arm_addresses(model: mujoco.MjModel) -> tuple[slice, slice]:
    """Where the seven joints stand in qpos and in qvel: in front, unless the scene lists a loose object before them."""
    first = model.joint(int(np.argmax(model.jnt_bodyid > model.body("mount").id)))
    q, v = first.qposadr.item(), first.dofadr.item()
    return slice(q, q + ARM_JOINTS), slice(v, v + ARM_JOINTS)


def home_posture(model: mujoco.MjModel, hand: Vector, tilted: bool = False) -> Vector:
    """Joint positions (7,) that put the hand at that point (sim frame), the tool pointing down, the elbow up.

    With `tilted` the tool may point anywhere, which reaches further (to a millimetre).

    Raises:
        SimulationError: the point is out of reach.
    """
    data = mujoco.MjData(model)
    body, (joints, rates) = model.body("hand").id, arm_addresses(model)
    limits = model.jnt_range[model.dof_jntid[rates]]
    position_jacobian, rotation_jacobian = np.zeros((3, model.nv)), np.zeros((3, model.nv))
    q, error = NOMINAL.copy(), np.zeros(6)
    for _ in range(200):
        data.qpos[joints] = q
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        error[:3] = hand - data.xpos[body]
        mujoco.mju_subQuat(error[3:], np.array(TOOL_DOWN), data.xquat[body])
        error[3:] = 0.0 if tilted else data.xmat[body].reshape(3, 3) @ error[3:]
        if np.abs(error).max() < (1e-3 if tilted else 1e-6):
            return q
        mujoco.mj_jacBody(model, data, position_jacobian, rotation_jacobian, body)
        jacobian = np.vstack((position_jacobian, (not tilted) * rotation_jacobian))[:, rates]
        inverse = jacobian.T @ np.linalg.inv(jacobian @ jacobian.T + 1e-6 * np.eye(6))
        step = inverse @ error + (np.eye(ARM_JOINTS) - inverse @ jacobian) @ (0.2 * (NOMINAL - q))
        q = np.clip(q + np.clip(step, -0.2, 0.2), limits[:, 0], limits[:, 1])
    raise SimulationError(f"the arm cannot hold its hand at {np.round(hand, 3).tolist()} with the tool pointing down")


def _add_position_actuator(spec: Any, joint: str, stiffness: float, damping: float) -> Any:
    actuator = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT, ctrllimited=True)
    actuator.gaintype, actuator.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    gain, bias = np.zeros(10), np.zeros(10)
    gain[0], bias[1], bias[2] = stiffness, -stiffness, -damping
    actuator.gainprm, actuator.biasprm = gain, bias
    return actuator


def _add_inertial(body: Any, link: Link) -> None:
    if link.mass == 0:
        return
    body.explicitinertial, body.mass, body.ipos = True, link.mass, link.com
    xx, yy, zz = np.diagonal(link.inertia)
    body.fullinertia = (xx, yy, zz, link.inertia[0, 1], link.inertia[0, 2], link.inertia[1, 2])


def _add_joint(body: Any, joint: Joint, body_name: str) -> None:
    if joint.type == "fixed":
        return
    finger = joint.type == "prismatic"
    body.add_joint(
        name=FINGER_JOINTS[body_name] if finger else joint.name,
        type=mujoco.mjtJoint.mjJNT_SLIDE if finger else mujoco.mjtJoint.mjJNT_HINGE,
        axis=joint.axis,
        limited=True,
        range=(joint.lower, joint.upper),
        damping=joint.damping,
        frictionloss=joint.friction,
        armature=FINGER_ARMATURE_KG if finger else 0.0,
    )


def _add_shapes(body: Any, link: Link, finger: bool) -> None:
    """Visuals without contact, and contacts without picture; a finger's contacts are its pads."""
    for shape in link.visuals:
        _add_shape(body, shape, group=VISUAL_GROUP, contype=0, conaffinity=0)
    for shape in () if finger else link.collisions:
        _add_shape(body, shape, group=CONTACT_GROUP, contype=ROBOT, conaffinity=SCENE)


def _add_shape(body: Any, shape: Shape, **attributes: int) -> None:
    kind = getattr(mujoco.mjtGeom, f"mjGEOM_{shape.kind.upper()}")
    halved = (0,) if shape.kind == "sphere" else (0, 1, 2) if shape.kind == "box" else (1,)
    size = [s / 2 if i in halved and shape.kind != "sphere" else s for i, s in enumerate(shape.size)]
    size += [0.0] * (3 - len(size))
    body.add_geom(type=kind, size=size, pos=shape.xyz, quat=_quaternion(shape.rpy), rgba=shape.rgba, **attributes)


def _add_pads(claw: Any, side: str, pads: dict[str, Pad]) -> None:
    """What Meta-World's environments look for on a finger: its contact geoms, the pad body and the tip site."""
    pads[f"{side}claw_it"].add(claw)
    inward = 0.003 if side == "right" else -0.003
    pads[f"{side}pad_geom"].add(claw.add_body(name=f"{side}pad", pos=(0.0, inward, 0.0)))
    claw.add_site(name=f"{side}EndEffector", pos=(TIP_X_M, 0.0, 0.0), rgba=(0, 0, 0, 0))


def _quaternion(rpy: Vector) -> Vector:
    """Fixed-axis roll, pitch, yaw as a quaternion (w, x, y, z)."""
    quaternion = np.zeros(4)
    mujoco.mju_euler2Quat(quaternion, rpy, "XYZ")
    return quaternion
