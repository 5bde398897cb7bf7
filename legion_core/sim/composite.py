"""Composite scenes: the objects of several tasks at once on one table, in one MuJoCo model, with one arm.

A scene is a YAML file in `config/scenes/`. Its model holds the tasks' own objects from the installed Meta-World; each
task is Meta-World's own environment that looks at them, so what it observes, and when it is solved, is as everywhere.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from metaworld.asset_path_utils import full_V3_path_for

from legion_core.config import from_mapping, load_yaml, require
from legion_core.embodiment import Embodiment
from legion_core.errors import ConfigurationError, SimulationError, unknown
from legion_core.resources import resource
from legion_core.sim.arm import CONTACT_GROUP, VISUAL_GROUP
from legion_core.sim.metaworld_tasks import DRAWS, make_shared_task, scene_file
from legion_core.sim.scene import metaworld_spec
from legion_core.tasks import get_task

SCENES = "config/scenes"
CLEARANCE_M = 0.005
"""Two objects are at least so far apart."""

LOOSE = ("push", "pick-place")
"""The tasks with a puck; one of them is in each scene, whose table and lights it brings."""
FREE = "reach"
"""The task that every scene has: it needs nothing but a goal."""


MUG_RADIUS_M = 0.028
MUG_PARTS = (
    ("mug", (0.0, 0.0, 0.034), (1.0, 0.0, 0.0, 0.0)),
    ("handle", (0.039, 0.0, 0.047), (0.7071, 0.7071, 0.0, 0.0)),
)
"""Mesh, place (m) and turn (w, x, y, z) of the parts of Meta-World's mug above its bottom."""
CUP_COLOUR = (0.9, 0.9, 0.88, 1.0)


@dataclass(frozen=True)
class _Kind:
    """What a task adds to a scene: a body of its own scene file, and the joint that says how the object stands."""

    body: str
    joint: str
    numbers: int = 3
    """Length of Meta-World's layout vector."""


KINDS = {
    "push": _Kind("obj", "objjoint", 6),
    "pick-place": _Kind("obj", "objjoint", 6),
    "door-open": _Kind("door", "doorjoint"),
    "faucet-open": _Kind("faucetBase", "knob_Joint_1"),
    "drawer-close": _Kind("drawer", "goal_slidey"),
    "button-press-topdown": _Kind("box", "btnbox_joint"),
    "window-open": _Kind("window", "window_slide"),
    "window-close": _Kind("window", "window_slide"),
}


@dataclass(frozen=True)
class Placement:
    """Where a task's object may stand: the corners of Meta-World's own layout vector of that task (sim frame, m)."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        require(len(self.low) == len(self.high), "high", self.high, f"{len(self.low)} numbers, as low has")
        ordered = all(low <= high for low, high in zip(self.low, self.high, strict=True))
        require(ordered, "high", self.high, f"nothing below low = {self.low}")


@dataclass(frozen=True)
class CompositeScene:
    """The tasks of a scene, each with where its object stands; `start_m` is the hand's first place (sim frame, m).

    With `cup` the puck looks like a small cup: what can be touched and weighed of it stays the puck, which the policy
    knows how to take.

    Raises:
        ConfigurationError: a task that has no object to place, or not exactly one of push and pick-place.
    """

    name: str
    tasks: dict[str, Placement]
    start_m: tuple[float, float, float] = (0.0, 0.6, 0.2)
    cup: bool = False

    def __post_init__(self) -> None:
        for task, where in self.tasks.items():
            if task not in KINDS:
                raise ConfigurationError(unknown("task", task, KINDS))
            right = len(where.low) == KINDS[task].numbers
            require(right, f"tasks: {task}", where.low, f"{KINDS[task].numbers} numbers")
        loose = [task for task in self.tasks if task in LOOSE]
        require(len(loose) == 1, "tasks", list(self.tasks), f"exactly one of {', '.join(LOOSE)} among them")

    @property
    def loose(self) -> str:
        """The task whose object is the puck."""
        return next(task for task in self.tasks if task in LOOSE)


def scene_names() -> tuple[str, ...]:
    """The composite scenes of the package."""
    return tuple(sorted(path.stem for path in Path(resource(SCENES)).glob("*.yaml")))


def load_scene(name: str) -> CompositeScene:
    """The composite scene of that name, or in that YAML file.

    Raises:
        ConfigurationError: there is none, or it is malformed.
    """
    if not name.endswith(".yaml") and name not in scene_names():
        raise ConfigurationError(unknown("scene", name, scene_names()))
    path = Path(name) if name.endswith(".yaml") else resource(f"{SCENES}/{name}.yaml")
    settings = load_yaml(path)
    if "name" in settings:
        raise ConfigurationError(f"{path}: name = {settings['name']!r}; allowed: none, the file names the scene")
    return from_mapping(CompositeScene, {**settings, "name": path.stem}, str(path))


class SharedScene:
    """The model of a composite scene and its tasks' environments, which share it; a step is `frame_skip` times 2.5 ms.

    Raises:
        SimulationError: the model cannot be built.
    """

    def __init__(self, scene: CompositeScene, robot: Embodiment, frame_skip: int) -> None:
        self.scene = scene
        self.model = copy.copy(_compiled(tuple(scene.tasks), scene.cup, robot))
        self.data = mujoco.MjData(self.model)
        joints = {FREE: KINDS[scene.loose].joint, **{task: KINDS[task].joint for task in scene.tasks}}
        self.tasks = {
            task: make_shared_task(task, self.model, self.data, frame_skip, joint) for task, joint in joints.items()
        }
        self._objects = {body: self._solid_geoms(body) for body in {KINDS[task].body for task in scene.tasks}}
        self._robot = self.model.body_rootid[self.model.body("hand").id]
        self._layouts = np.random.default_rng()

    def start(self, seed: int | None = None) -> None:
        """Everything to its place, in the layout of `seed` or in the next one of the seed before.

        Raises:
            SimulationError: the objects cannot stand clear of each other.
        """
        if seed is not None:
            self._layouts = np.random.default_rng([seed])
        for _ in range(DRAWS):
            mujoco.mj_resetData(self.model, self.data)
            mujoco.mj_forward(self.model, self.data)
            for task, where in self.scene.tasks.items():
                self.tasks[task].place(np.array(where.low), np.array(where.high), self._layouts)
            if self.clear():
                break
        else:
            raise SimulationError(f"scene {self.scene.name}: no layout without contact in {DRAWS} draws")
        self.data.qacc_warmstart[:] = 0.0  # or the layout before would be felt in the last digits
        self.tasks[FREE].settle_hand(np.array(self.scene.start_m))
        self.tasks[FREE].goal_at(self.tasks[FREE].tcp_center)
        for view in self.tasks.values():
            view.init_tcp = view.tcp_center

    def clear(self) -> bool:
        """Whether no two objects are nearer to each other than they may be."""
        mujoco.mj_forward(self.model, self.data)
        return not any(
            mujoco.mj_geomDistance(self.model, self.data, one, other, CLEARANCE_M, None) < CLEARANCE_M
            for mine, theirs in combinations(self._objects.values(), 2)
            for one, other in product(mine, theirs)
        )

    def touched(self, besides: str) -> set[str]:
        """The objects (bodies of `KINDS`) that the robot touches now, but for that of the task `besides`."""
        own = KINDS[besides].body if besides in KINDS else ""
        owners = {geom: body for body, geoms in self._objects.items() if body != own for geom in geoms}
        roots = self.model.body_rootid[self.model.geom_bodyid]
        pairs = [pair for one, other in self.data.contact.geom for pair in ((one, other), (other, one))]
        return {owners[thing] for thing, arm in pairs if thing in owners and roots[arm] == self._robot}

    def _solid_geoms(self, root: str) -> list[int]:
        """What of a body and those below it can be touched. (Of two fixed objects MuJoCo reports no contact.)"""
        model, below = self.model, {self.model.body(root).id}
        for body in range(model.nbody):
            if model.body_parentid[body] in below:
                below.add(body)
        solid = (model.geom_contype | model.geom_conaffinity) > 0
        return [geom for geom in range(model.ngeom) if solid[geom] and model.geom_bodyid[geom] in below]


@cache
def _compiled(tasks: tuple[str, ...], cup: bool, robot: Embodiment) -> mujoco.MjModel:
    loose = next(task for task in tasks if task in LOOSE)
    try:
        spec = metaworld_spec(scene_file(get_task(loose)), "iiwa7", "servo", robot)
        others = {KINDS[task].body: task for task in tasks if task != loose}
        sources = [_attach(spec, body, task) for body, task in others.items()]
        if cup:
            _dress_as_cup(spec)
        model = spec.compile()
    except ValueError as error:
        raise SimulationError(f"cannot build a scene of {', '.join(tasks)}: {error}") from error
    del sources  # attached specs must outlive the compilation
    return model


def _attach(spec: Any, body: str, task: str) -> Any:
    """Bring a body of another task's scene, and the marks of its goal, under the names that its environment uses."""
    source = mujoco.MjSpec.from_file(scene_file(get_task(task)))
    prefix = f"{task}/"
    attached = spec.worldbody.add_frame().attach_body(source.body(body), prefix, "")
    taken = {element.name for element in (*spec.bodies, *spec.joints, *spec.sites, *spec.geoms)}
    for kind in ("body", "joint", "site", "geom"):
        for element in (*attached.find_all(kind), *([attached] if kind == "body" else [])):
            name = element.name.removeprefix(prefix)
            if name not in taken:
                element.name = name
    for site in source.worldbody.sites:
        if site.name not in taken:
            spec.worldbody.add_site(name=site.name, pos=site.pos, size=site.size, rgba=site.rgba)
    return source


def _dress_as_cup(spec: Any) -> None:
    """Show Meta-World's mug, as small as the puck, in place of the puck."""
    puck = spec.geom("objGeom")
    puck.group = CONTACT_GROUP
    scale = puck.size[0] / MUG_RADIUS_M
    meshes = Path(full_V3_path_for("objects/meshes/coffeemachine"))
    for name, place, turn in MUG_PARTS:
        spec.add_mesh(name=name, file=str(meshes / f"{name}.stl"), scale=[scale] * 3)
        at = scale * np.array(place) - (0.0, 0.0, puck.size[1])
        look = {"rgba": CUP_COLOUR, "group": VISUAL_GROUP, "contype": 0, "conaffinity": 0, "mass": 0.0}
        spec.body("obj").add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, pos=at, quat=turn, **look)
