"""The 3-D scene in one browser: bodies that are sent once, of which only those that moved are spoken of again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from visualization_msgs.msg import Marker, MarkerArray

from legion_core.embodiment import Embodiment
from legion_core.spaces import Vector
from legion_ros.web.bodies import Body

MOVED = 2e-5
"""A body that moved by less (m, or parts of a quaternion) stays where it was drawn."""
FLOOR_M = -0.913
"""Height of the floor in Meta-World's frame."""
LINE_M = 0.004


class SceneView:
    """One browser's scene, in the frame of the robot's base. `client` is viser's handle of the browser."""

    def __init__(self, client: Any) -> None:
        self._client, self._scene = client, client.scene
        self.key = ""
        self._root = self._scene.add_frame("/scene", show_axes=False)
        self._shown: dict[str, tuple[Body, Any]] = {}
        self._frames: list[tuple[int, Any]] = []
        self._drawn = np.empty((0, 7))
        self._markers: dict[str, _Marker] = {}
        self._grid = self._scene.add_grid("/grid", width=4.0, height=4.0, cell_size=0.1, section_size=0.5)

    def show(self, key: str, bodies: Sequence[Body], base: Embodiment | None) -> None:
        """Another scene; `base` is where the robot stands in the frame of the poses, None at its origin.

        Bodies that both scenes have, the robot's above all, stay: a browser is busy for a second with new ones.
        """
        wanted = [(index, body) for index, body in enumerate(bodies) if body.parts]
        with self._client.atomic():
            if base is not None:
                self._root.position = base.to_world(np.zeros(3))
                self._root.wxyz = np.array(base.base_quaternion) * (1.0, -1.0, -1.0, -1.0)
                self._grid.position = (0.0, 0.0, FLOOR_M - base.base_position_m[2])
            self._drop({body.name: body for _, body in wanted})
            for _, body in wanted:
                if body.name not in self._shown:
                    self._shown[body.name] = body, self._add(f"/scene/{body.name}", body)
            self._frames = [(index, self._shown[body.name][1]) for index, body in wanted]
        self.key, self._drawn = key, np.full((len(bodies), 7), np.nan)

    def _drop(self, wanted: Mapping[str, Body]) -> None:
        """Remove the bodies that are not wanted, or look otherwise now."""
        for name, (body, frame) in tuple(self._shown.items()):
            if name not in wanted or not body.looks_like(wanted[name]):
                frame.remove()
                del self._shown[name]

    def _add(self, name: str, body: Body) -> Any:
        frame = self._scene.add_frame(name, show_axes=False, visible=False)
        for number, part in enumerate(body.parts):
            red, green, blue, opacity = part.colour
            self._scene.add_mesh_simple(
                f"{name}/{number}",
                part.vertices,
                part.faces,
                color=(red, green, blue),
                opacity=opacity if opacity < 1.0 else None,
            )
        return frame

    def move(self, poses: Vector) -> int:
        """Poses of all bodies as rows x, y, z, qw, qx, qy, qz (B, 7). Returns how many bodies were moved."""
        if poses.shape != self._drawn.shape:
            return 0
        with np.errstate(invalid="ignore"):
            stays = np.abs(poses - self._drawn).max(axis=1, initial=0.0) < MOVED  # never of what was not drawn yet
        moved = [(index, frame) for index, frame in self._frames if not stays[index]]
        if moved:
            with self._client.atomic():
                for index, frame in moved:
                    frame.position, frame.wxyz = poses[index, :3], poses[index, 3:]
                    frame.visible = True
                    self._drawn[index] = poses[index]
            self._client.flush()
        return len(moved)

    def mark(self, array: MarkerArray) -> None:
        """Draw the shapes among the markers; what is gone vanishes. The panel has the texts."""
        shapes = {marker.ns: marker for marker in array.markers if marker.type in _SHAPES}
        with self._client.atomic():
            for name, marker in shapes.items():
                if name not in self._markers:
                    self._markers[name] = _SHAPES[marker.type](self._scene, f"/{name}", marker)
                self._markers[name].show(marker)
            for name in self._markers.keys() - shapes.keys():
                self._markers[name].hide()


class _Marker:
    """A shape at a place."""

    def __init__(self, scene: Any, name: str, marker: Marker) -> None:
        self._handle = self._make(scene, name, _colour(marker), marker)

    def _make(self, scene: Any, name: str, colour: tuple[float, float, float], marker: Marker) -> Any:
        return scene.add_icosphere(
            name, radius=marker.scale.x / 2, color=colour, opacity=marker.color.a, subdivisions=1
        )

    def show(self, marker: Marker) -> None:
        place = marker.pose.position
        self._handle.position = (place.x, place.y, place.z)
        self._handle.visible = True

    def hide(self) -> None:
        self._handle.visible = False


class _Box(_Marker):
    """Its edges."""

    def _make(self, scene: Any, name: str, colour: tuple[float, float, float], marker: Marker) -> Any:
        corners = 0.5 * np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
        edges = [pair for pair in itertools.combinations(corners, 2) if np.abs(pair[0] - pair[1]).sum() == 1.0]
        points = np.array(edges) * (marker.scale.x, marker.scale.y, marker.scale.z)
        return scene.add_line_segments(name, points=points, colors=colour, thickness=LINE_M)


class _Line(_Marker):
    def _make(self, scene: Any, name: str, colour: tuple[float, float, float], marker: Marker) -> Any:
        return scene.add_line_segments(name, points=np.zeros((1, 2, 3)), colors=colour, thickness=LINE_M)

    def show(self, marker: Marker) -> None:
        if len(marker.points) < 2:
            self.hide()
            return
        points = np.array([(point.x, point.y, point.z) for point in marker.points], np.float32)
        self._handle.points = np.stack((points[:-1], points[1:]), axis=1)
        self._handle.visible = True


_SHAPES: dict[int, Callable[[Any, str, Marker], _Marker]] = {
    Marker.SPHERE: _Marker,
    Marker.CUBE: _Box,
    Marker.LINE_STRIP: _Line,
}


def _colour(marker: Marker) -> tuple[float, float, float]:
    return marker.color.r, marker.color.g, marker.color.b
