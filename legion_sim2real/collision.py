"""Distances between the links of the arm, and from the arm to boxes in its cell: pinocchio's geometry model and coal.

The shapes are the collision primitives of the URDF; joints other than the arm's stay at zero (the fingers: wide open,
which encloses every other opening). Which pairs are measured follows from the description alone:

- Links on one body, or on two bodies that one joint connects, are not measured: they touch by design.
- Links two joints apart, whose pose to each other only these two joints change, are measured unless they stay clear of
  each other over the whole range of both, which the joint limits then guarantee.
- Pairs that touch in every sampled configuration are not measured: their primitives overlap, the links do not.
- A box is measured against every link that a joint moves. The base is not measured, since it never moves, and the
  gripper (the hand and what it carries) is not measured against a box that is a work table: it has to work there, and
  the guard keeps the tool centre clear of the table by `table_clearance_m`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from typing import Any, Literal, NamedTuple

import numpy as np

from legion_core.config import require
from legion_core.description import RobotDescription
from legion_core.errors import DescriptionError
from legion_core.spaces import Vector
from legion_sim2real.kinematics import ArmKinematics, arm_model

Triple = tuple[float, float, float]
Kind = Literal["self", "obstacle"]
WORLD = 0
"""pinocchio's index of the fixed joint and of the frame that boxes hang on."""
SAMPLES, SEED = 1000, 0
"""Random configurations that decide which pairs of links are measured, the same in every run."""
NEVER_M = 0.005
"""Links two joints apart that no sampled configuration brings closer than this never touch."""


@dataclass(frozen=True)
class Box:
    """A box in the world frame, from `low_m` to `high_m` (3,) in metres, that the arm must not touch.

    `work_table` says that the gripper works on it: then only the links up to the flange are kept away.
    """

    name: str
    low_m: Triple
    high_m: Triple
    work_table: bool = False

    def __post_init__(self) -> None:
        require(bool(self.name.strip()), "name", self.name, "a name")
        for key in ("low_m", "high_m"):
            require(all(abs(x) <= 10.0 for x in getattr(self, key)), key, getattr(self, key), "-10 to 10 m each")
        above = all(low < high for low, high in zip(self.low_m, self.high_m, strict=True))
        require(above, "high_m", self.high_m, f"above low_m {self.low_m}")


class Proximity(NamedTuple):
    """Two things and the distance between them (m, negative where they overlap): a link and a link or a box."""

    distance_m: float
    first: str
    second: str
    kind: Kind


class CollisionChecker:
    """Measures how near the arm is to itself and to boxes. One instance serves one thread: it reuses its workspace.

    Args:
        kinematics: of the arm; its tip is the link where the gripper begins.
        obstacles: boxes in the world frame.

    Raises:
        ConfigurationError: two boxes have one name.
        DescriptionError: a joint moves nothing that has a collision shape.
    """

    def __init__(self, kinematics: ArmKinematics, obstacles: Sequence[Box] = ()) -> None:
        names = [box.name for box in obstacles]
        require(len(set(names)) == len(names), "obstacles", names, "each name once")
        links = _links(kinematics.description)
        gripper = set(_links_from(kinematics.description, kinematics.tip))
        model, _ = arm_model(kinematics.description)
        bare = [name for i, name in enumerate(model.names) if i not in {link.joint for link in links} | {WORLD}]
        if bare:
            raise DescriptionError(f"no collision shape moves with {', '.join(bare)}")
        self._self = _Pairs(model, _self_pairs(kinematics.description))
        self._boxes = _Pairs(
            model,
            tuple(
                (link, _Body(box.name, WORLD, (_shape_of(box),)))
                for box in obstacles
                for link in links
                if link.joint != WORLD and not (box.work_table and link.name in gripper)
            ),
        )

    @property
    def self_pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs of links that are measured against each other."""
        return self._self.names

    @property
    def obstacle_pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs of link and box that are measured."""
        return self._boxes.names

    def nearest(self, q: Vector) -> Proximity:
        """The nearest pair of all at the finite joint positions `q` (7,) rad."""
        of_self, of_boxes = self.nearest_of_each(q)
        return of_self if of_boxes is None else min(of_self, of_boxes)

    def nearest_of_each(self, q: Vector) -> tuple[Proximity, Proximity | None]:
        """The nearest two links, and the nearest link and box (None without boxes), at the finite `q` (7,) rad."""
        of_boxes = Proximity(*self._boxes.nearest(q), "obstacle") if self._boxes.names else None
        return Proximity(*self._self.nearest(q), "self"), of_boxes

    def clear(self, q: Vector, self_clearance_m: float, obstacle_clearance_m: float) -> Proximity | None:
        """The pair that is furthest inside its clearance at the finite `q` (7,) rad, None where all are clear."""
        of_self, of_boxes = self.nearest_of_each(q)
        worst, lack = of_self, self_clearance_m - of_self.distance_m
        if of_boxes is not None and obstacle_clearance_m - of_boxes.distance_m > lack:
            worst, lack = of_boxes, obstacle_clearance_m - of_boxes.distance_m
        return worst if lack > 0.0 else None


class _Body(NamedTuple):
    """A link, or a box of the cell: its name, the index of the joint that moves it and its shapes."""

    name: str
    joint: int
    shapes: tuple[Any, ...]


class _Pairs:
    """Pairs of bodies of which the nearest is found; simple hulls tell first which pairs can be it."""

    def __init__(self, model: Any, pairs: Sequence[tuple[_Body, _Body]]) -> None:
        import pinocchio  # here, so that importing this module stays cheap

        self._pin: Any = pinocchio
        self._model, self._data = model, model.createData()
        self.names = tuple((first.name, second.name) for first, second in pairs)
        self._coarse = _geometry([((_hull(first),), (_hull(second),)) for first, second in pairs])
        self._fine = [_geometry([(first.shapes, second.shapes)]) for first, second in pairs]

    def nearest(self, q: Vector) -> tuple[float, str, str]:
        """The distance (m) of the nearest pair at the joint positions `q` (7,) and its two names."""
        pin, model, data = self._pin, self._model, self._data
        geometry, distances = self._coarse
        pin.computeDistances(model, data, geometry, distances, q)
        bounds = [result.min_distance for result in distances.distanceResults]
        least, nearest = math.inf, 0
        for i in sorted(range(len(bounds)), key=bounds.__getitem__):
            if bounds[i] >= least:
                break
            geometry, distances = self._fine[i]
            pin.updateGeometryPlacements(model, data, geometry, distances)
            distance = distances.distanceResults[pin.computeDistances(geometry, distances)].min_distance
            if distance < least:
                least, nearest = distance, i
        return (least, *self.names[nearest])


def _geometry(pairs: Sequence[tuple[tuple[Any, ...], tuple[Any, ...]]]) -> tuple[Any, Any]:
    """A geometry model in which each shape of a first group is paired with each of the second, and its workspace."""
    import coal
    import pinocchio

    geometry = pinocchio.GeometryModel()
    for first, second in pairs:
        start, middle, end = (geometry.ngeoms + n for n in (0, len(first), len(first) + len(second)))
        for shape in (*first, *second):
            geometry.addGeometryObject(shape)
        for i, j in product(range(start, middle), range(middle, end)):
            geometry.addCollisionPair(pinocchio.CollisionPair(i, j))
    distances = geometry.createData()
    for i in range(len(geometry.collisionPairs)):
        # pinocchio's own request starts from the last result, which would make every result depend on what came before
        distances.distanceRequests[i] = coal.DistanceRequest()
    return geometry, distances


def _hull(body: _Body) -> Any:
    """A shape that encloses those of the body: the only one, or a sphere around all."""
    import coal
    import pinocchio

    if len(body.shapes) == 1:
        return body.shapes[0]
    for shape in body.shapes:
        shape.geometry.computeLocalAABB()
    centers = np.array([shape.placement.act(shape.geometry.aabb_center) for shape in body.shapes])
    radii = np.array([shape.geometry.aabb_radius for shape in body.shapes])
    middle = ((centers.T - radii).min(1) + (centers.T + radii).max(1)) / 2.0
    sphere = coal.Sphere(float((np.linalg.norm(centers - middle, axis=1) + radii).max()))
    return pinocchio.GeometryObject(body.name, body.joint, WORLD, pinocchio.SE3(np.eye(3), middle), sphere)


@cache
def _links(description: RobotDescription) -> tuple[_Body, ...]:
    """The links that have collision shapes."""
    model, geometry = arm_model(description)
    shapes: dict[str, list[Any]] = {}
    for shape in geometry.geometryObjects:
        shapes.setdefault(model.frames[shape.parentFrame].name, []).append(shape)
    return tuple(_Body(name, group[0].parentJoint, tuple(group)) for name, group in shapes.items())


@cache
def _self_pairs(description: RobotDescription) -> tuple[tuple[_Body, _Body], ...]:
    """The pairs of links that are measured against each other."""
    model, _ = arm_model(description)
    rng = np.random.default_rng(SEED)
    samples = rng.uniform(model.lowerPositionLimit, model.upperPositionLimit, (SAMPLES, model.nq))

    def can_meet(pair: tuple[_Body, _Body]) -> bool:
        joints_apart = abs(pair[0].joint - pair[1].joint)
        if joints_apart < 2:
            return False
        alone = _Pairs(model, (pair,))
        if all(alone.nearest(q)[0] < 0.0 for q in samples):
            return False
        return joints_apart > 2 or any(alone.nearest(q)[0] < NEVER_M for q in samples)

    return tuple(filter(can_meet, combinations(_links(description), 2)))


def _shape_of(box: Box) -> Any:
    import coal
    import pinocchio

    low, high = np.array(box.low_m), np.array(box.high_m)
    placement = pinocchio.SE3(np.eye(3), (low + high) / 2.0)
    return pinocchio.GeometryObject(box.name, WORLD, WORLD, placement, coal.Box(*(high - low)))


def _links_from(description: RobotDescription, link: str) -> Iterator[str]:
    """The link and all that it carries."""
    yield link
    for joint in description.joints.values():
        if joint.parent == link:
            yield from _links_from(description, joint.child)
