"""Rigid bodies to draw: coloured triangles in the frame of each body, from a MuJoCo model or a robot description."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from scipy.spatial.transform import Rotation

from legion_core.description import Link, RobotDescription
from legion_core.errors import SpaceError
from legion_core.spaces import Vector

Colour = tuple[float, float, float, float]
"""Red, green, blue and opacity, 0 to 1."""
SAG_M = 0.002
"""How far a polygon may stay inside the circle that it is drawn for: without a graphics card a browser has most work
with triangles."""
LEAST_CORNERS = 10
SHARPEST_RAD = 0.7
"""Between faces that meet at a smaller angle than this the shading is smooth: few of them look round."""


@dataclass(frozen=True, eq=False)
class Part:
    """Triangles of one colour: `vertices` (V, 3) m in the frame of the body, `faces` (F, 3)."""

    colour: Colour
    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.uint32]

    def looks_like(self, other: Part) -> bool:
        """Whether the other one has the same colour and triangles."""
        same_shape = np.array_equal(self.vertices, other.vertices) and np.array_equal(self.faces, other.faces)
        return self.colour == other.colour and same_shape


@dataclass(frozen=True)
class Body:
    """What moves as one."""

    name: str
    parts: tuple[Part, ...]

    def looks_like(self, other: Body) -> bool:
        """Whether the other one has the same parts."""
        pairs = zip(self.parts, other.parts, strict=False)
        return len(self.parts) == len(other.parts) and all(mine.looks_like(its) for mine, its in pairs)


def merged(name: str, pieces: Iterable[tuple[Colour, trimesh.Trimesh]]) -> Body:
    """A body of many pieces: one part a colour, as each part costs the browser a draw call."""
    by_colour: dict[Colour, list[trimesh.Trimesh]] = defaultdict(list)
    for colour, mesh in pieces:
        by_colour[colour].append(trimesh.graph.smooth_shade(mesh, angle=SHARPEST_RAD, facet_minarea=None))
    parts = []
    for colour, meshes in by_colour.items():
        firsts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
        vertices = np.vstack([mesh.vertices for mesh in meshes]).astype(np.float32)
        faces = np.vstack([mesh.faces + first for mesh, first in zip(meshes, firsts, strict=False)]).astype(np.uint32)
        parts.append(Part(colour, vertices, faces))
    return Body(name, tuple(parts))


def corners(radius: float) -> int:
    """An even number of corners that makes a polygon look like a circle of that radius (m)."""
    needed = np.pi / np.arccos(1.0 - min(SAG_M / radius, 1.0)) if radius > 0 else 0.0
    return max(LEAST_CORNERS, 2 * int(np.ceil(needed / 2)))


def primitive(kind: str, size: Iterable[float]) -> trimesh.Trimesh:
    """A box (x, y, z), cylinder or capsule (radius, length) along z, sphere (radius,) or ellipsoid (half axes), m.

    Raises:
        SpaceError: another kind.
    """
    sizes, made = [float(value) for value in size], trimesh.creation
    mesh: trimesh.Trimesh
    if kind == "box":
        mesh = made.box(extents=sizes)
    elif kind == "cylinder":
        mesh = made.cylinder(radius=sizes[0], height=sizes[1], sections=corners(sizes[0]))
    elif kind == "capsule":
        count = corners(sizes[0])
        mesh = made.capsule(radius=sizes[0], height=sizes[1], count=(count // 2, count))
    elif kind in ("sphere", "ellipsoid"):
        mesh = made.icosphere(subdivisions=1)
        mesh.vertices = mesh.vertices * sizes
    else:
        raise SpaceError(f"no primitive {kind!r}")
    return mesh


def placed(mesh: trimesh.Trimesh, position: Vector, rotation: Rotation) -> trimesh.Trimesh:
    """The mesh turned, then moved by `position` (3,) m."""
    mesh.vertices = rotation.apply(mesh.vertices) + position
    return mesh


class MujocoBodies:
    """The bodies of a compiled MuJoCo model that its own viewer would show, in the order of the model.

    The infinite floor is left out, and of a texture only its mean colour is taken.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        pieces: dict[int, list[tuple[Colour, trimesh.Trimesh]]] = defaultdict(list)
        for geom in np.flatnonzero(_shown(model)).tolist():
            pieces[int(model.geom_bodyid[geom])].append((self._colour(geom), self._mesh(geom)))
        names = [model.body(index).name or f"body{index}" for index in range(model.nbody)]
        self.bodies = tuple(merged(name, pieces[index]) for index, name in enumerate(names))

    def _colour(self, geom: int) -> Colour:
        model, material = self._model, int(self._model.geom_matid[geom])
        if material < 0:
            return _rounded(model.geom_rgba[geom])
        rgba = model.mat_rgba[material].copy()
        textures = model.mat_texid[material]
        texture = int(textures[textures >= 0][0]) if (textures >= 0).any() else -1
        if texture >= 0:
            channels, first = int(model.tex_nchannel[texture]), int(model.tex_adr[texture])
            size = int(model.tex_width[texture] * model.tex_height[texture]) * channels
            rgba[:3] *= model.tex_data[first : first + size].reshape(-1, channels)[:, :3].mean(axis=0) / 255.0
        return _rounded(rgba)

    def _mesh(self, geom: int) -> trimesh.Trimesh:
        model, size = self._model, self._model.geom_size[geom]
        kind = _GEOMS[int(model.geom_type[geom])]
        if kind == "mesh":
            mesh = self._asset(int(model.geom_dataid[geom]))
        elif kind == "box":
            mesh = primitive(kind, 2 * size)
        elif kind in ("cylinder", "capsule"):
            mesh = primitive(kind, (size[0], 2 * size[1]))
        else:
            mesh = primitive(kind, size[:1] if kind == "sphere" else size)
        return placed(mesh, model.geom_pos[geom], Rotation.from_quat(model.geom_quat[geom][[1, 2, 3, 0]]))

    def _asset(self, index: int) -> trimesh.Trimesh:
        model = self._model
        vertex, face = int(model.mesh_vertadr[index]), int(model.mesh_faceadr[index])
        vertices = model.mesh_vert[vertex : vertex + int(model.mesh_vertnum[index])]
        faces = model.mesh_face[face : face + int(model.mesh_facenum[index])]
        return trimesh.Trimesh(vertices.copy(), faces.copy(), process=False)


class RobotBodies:
    """The links of a robot description and where they are, in the frame of its root."""

    def __init__(self, description: RobotDescription) -> None:
        import pinocchio  # here, so that a page with a simulator's scene need not load it

        links = list(description.links.values())
        self.bodies = tuple(merged(link.name, _link_pieces(link)) for link in links)
        self._pin: Any = pinocchio
        self._model = pinocchio.buildModelFromXML(description.urdf)
        self._data = self._model.createData()
        self._frames = [self._model.getFrameId(link.name) for link in links]
        self._index = {
            name: self._model.joints[number].idx_q
            for number, name in enumerate(self._model.names)
            if number > 0 and self._model.joints[number].nq == 1
        }
        self._positions = pinocchio.neutral(self._model)

    def poses(self, names: Iterable[str], positions: Iterable[float]) -> Vector:
        """Rows x, y, z, qw, qx, qy, qz (B, 7) with joints at these positions, the others where they were last."""
        for name, position in zip(names, positions, strict=False):
            if name in self._index and np.isfinite(position):
                self._positions[self._index[name]] = position
        self._pin.framesForwardKinematics(self._model, self._data, self._positions)
        rows = np.array([self._pin.SE3ToXYZQUAT(self._data.oMf[frame]) for frame in self._frames])
        poses: Vector = rows[:, [0, 1, 2, 6, 3, 4, 5]]
        return poses


_GEOMS = {2: "sphere", 3: "capsule", 4: "ellipsoid", 5: "cylinder", 6: "box", 7: "mesh"}
"""MuJoCo's mjtGeom by number; planes and height fields are not drawn."""
_SHOWN_GROUPS = 3
"""MuJoCo's viewer shows geoms of groups 0 to 2."""


def _shown(model: Any) -> npt.NDArray[np.bool_]:
    opaque = np.where(model.geom_matid >= 0, model.mat_rgba[model.geom_matid, 3] if model.nmat else 1.0, 1.0)
    visible: npt.NDArray[np.bool_] = (model.geom_group < _SHOWN_GROUPS) & (model.geom_rgba[:, 3] * opaque > 0)
    return visible & np.isin(model.geom_type, list(_GEOMS))


def _link_pieces(link: Link) -> Iterable[tuple[Colour, trimesh.Trimesh]]:
    for shape in link.visuals or link.collisions:
        mesh = primitive(shape.kind, shape.size)
        yield _rounded(shape.rgba), placed(mesh, shape.xyz, Rotation.from_euler("xyz", shape.rpy))


def _rounded(rgba: Iterable[float]) -> Colour:
    red, green, blue, opacity = (round(min(max(float(value), 0.0), 1.0), 2) for value in rgba)
    return red, green, blue, opacity
