"""A task's MuJoCo model: Meta-World's own scene from the installed package, with the arm of choice in it."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import mujoco

from legion_core.embodiment import Embodiment
from legion_core.errors import SimulationError, unknown
from legion_core.sim import arm as iiwa

ARMS = ("iiwa7", "sawyer")
ACTUATIONS = ("mocap", "servo")
FINGER_GEOMS = ("leftclaw_it", "leftpad_geom", "rightclaw_it", "rightpad_geom")
CAMERA = "legion"


def check_choice(arm: str, actuation: str) -> None:
    """Whether that arm exists and can be moved that way.

    Raises:
        SimulationError: an unknown name, or the Sawyer with servo actuation.
    """
    if arm not in ARMS:
        raise SimulationError(unknown("arm", arm, ARMS))
    if actuation not in ACTUATIONS:
        raise SimulationError(unknown("actuation", actuation, ACTUATIONS))
    if arm == "sawyer" and actuation != "mocap":
        raise SimulationError(f"the sawyer has no {actuation} actuation; allowed: mocap (or arm iiwa7)")


def metaworld_spec(scene_file: str, arm: str, actuation: str, robot: Embodiment) -> Any:
    """Meta-World's scene as an editable MjSpec, with the arm and the project's camera in it."""
    spec = mujoco.MjSpec.from_file(scene_file)
    if arm == "iiwa7":
        _replace_arm(spec, actuation, robot)
    _add_camera(spec)
    return spec


def build_model(scene_file: str, arm: str, actuation: str, robot: Embodiment) -> mujoco.MjModel:
    """A model of its own for each caller (environments move bodies of the model), compiled once a process.

    `robot` is what stands there if the arm is not the sawyer.
    """
    return copy.copy(_compiled(scene_file, arm, actuation, robot))


@cache
def _compiled(scene_file: str, arm: str, actuation: str, robot: Embodiment) -> mujoco.MjModel:
    check_choice(arm, actuation)
    try:
        return metaworld_spec(scene_file, arm, actuation, robot).compile()
    except ValueError as error:
        raise SimulationError(f"cannot build {scene_file} with the {arm}: {error}") from error


def _replace_arm(spec: Any, actuation: str, robot: Embodiment) -> None:
    pads = {name: iiwa.Pad.of(spec, name) for name in FINGER_GEOMS}
    base = spec.body("base")
    # the body itself stays: environments count on the nine joints of arm and fingers coming first
    sawyer_meshes = {geom.meshname for geom in base.find_all("geom") if geom.meshname}
    for body in list(base.bodies):
        spec.detach_body(body)
    for mesh in list(spec.meshes):
        if mesh.name in sawyer_meshes:
            mesh.delete()
    iiwa.add_arm(spec, base, robot, pads)
    iiwa.add_fingers_drive(spec)
    if actuation == "mocap":
        iiwa.add_weld(spec)
    else:
        iiwa.add_servos(spec, robot.description)
        # the damping of the servos is too stiff for the light wrist to be integrated explicitly
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST


def _add_camera(spec: Any) -> None:
    """A view of arm, table and task from the front left."""
    spec.worldbody.add_camera(
        name=CAMERA, pos=(-1.0, -0.35, 0.95), xyaxes=(0.62, -0.78, 0.0, 0.33, 0.26, 0.9), fovy=42.0
    )
