"""What RViz and the web page draw beside the robot, as markers: a namespace each, so that each can be switched off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point
from visualization_msgs.msg import Marker, MarkerArray

from legion_core.spaces import Vector
from legion_ros import topics
from legion_ros.stamps import from_seconds
from legion_sim2real.interventions import Level

Colour = tuple[float, float, float, float]
SPHERES: dict[str, tuple[str, Colour, float]] = {
    topics.OBJECT: ("object", (0.9, 0.5, 0.1, 0.9), 0.04),
    topics.OBJECT2: ("object2", (0.6, 0.3, 0.7, 0.9), 0.04),
    topics.GOAL: ("goal", (0.1, 0.8, 0.2, 0.9), 0.03),
    topics.TARGET_POSE: ("target", (0.2, 0.4, 1.0, 0.9), 0.02),
}
"""Namespace, colour (RGBA) and diameter (m) of the sphere at the place that a topic of poses tells."""
NAMESPACES = ("workspace", *(name for name, _, _ in SPHERES.values()), "trail", "guard", "latent", "text")
WHITE: Colour = (1.0, 1.0, 1.0, 1.0)
GUARD_COLOURS: dict[str, Colour] = {
    Level.CLEAR: (0.3, 0.9, 0.3, 1.0),
    Level.SLOW: (1.0, 0.9, 0.2, 1.0),
    Level.HOLD: (1.0, 0.5, 0.1, 1.0),
    Level.STOP: (1.0, 0.1, 0.1, 1.0),
}
GREY: Colour = (0.5, 0.5, 0.5, 0.1)
LINE_M = 0.05
"""Height of a line of text."""


@dataclass(frozen=True)
class Shown:
    """What there is to draw.

    `places` are positions (3,) m in the robot's base frame by the topic that told them, `trail` is where the target
    was, the oldest first; `stopped` is the reason of an emergency stop, '' without one; `guard` a value of `Level`,
    anything else while it is unknown; `component` the task of the mixture component that explains the latent best, ''
    while no latent is known, and `certainty` its responsibility, 0 to 1.
    """

    places: Mapping[str, Vector] = field(default_factory=dict)
    trail: Sequence[Vector] = ()
    task: str = ""
    stopped: str = ""
    guard: str = ""
    component: str = ""
    certainty: float = 0.0
    troubles: Sequence[str] = ()


class MarkerPainter:
    """Draws in `frame`, with the workspace from `low` to `high` (3,) m; what is not drawn again vanishes after
    `lifetime_s`."""

    def __init__(self, frame: str, low: Sequence[float], high: Sequence[float], lifetime_s: float) -> None:
        self._frame = frame
        self._low, self._high = tuple(low), tuple(high)
        stamp = from_seconds(lifetime_s)
        self._lifetime = Duration(sec=stamp.sec, nanosec=stamp.nanosec)

    def paint(self, shown: Shown, stamp: Time) -> MarkerArray:
        """The markers of this moment."""
        markers = [self._workspace(), *self._spheres(shown.places), self._trail(shown.trail), *self._texts(shown)]
        for marker in markers:
            marker.header.frame_id, marker.header.stamp, marker.lifetime = self._frame, stamp, self._lifetime
        return MarkerArray(markers=markers)

    def _workspace(self) -> Marker:
        x, y, z = (b - a for a, b in zip(self._low, self._high, strict=True))
        box = _marker("workspace", Marker.CUBE, GREY, (x, y, z))
        box.pose.position = _point((a + b) / 2 for a, b in zip(self._low, self._high, strict=True))
        return box

    def _spheres(self, places: Mapping[str, Vector]) -> list[Marker]:
        drawn = []
        for topic, (name, colour, size) in SPHERES.items():
            if topic in places:
                drawn.append(_marker(name, Marker.SPHERE, colour, (size, size, size)))
                drawn[-1].pose.position = _point(places[topic].tolist())
        return drawn

    def _trail(self, places: Sequence[Vector]) -> Marker:
        trail = _marker("trail", Marker.LINE_STRIP, (0.2, 0.4, 1.0, 0.6), (0.004, 0.0, 0.0))
        trail.points = [_point(place.tolist()) for place in places]
        return trail

    def _texts(self, shown: Shown) -> list[Marker]:
        state = f"E-STOP: {shown.stopped}" if shown.stopped else shown.task or "no task"
        lines = [("text", "\n".join([state, *shown.troubles]), WHITE)]
        if shown.component:
            lines.append(("latent", f"acts as in {shown.component}, {shown.certainty:.0%} sure", WHITE))
        if shown.guard in GUARD_COLOURS:
            lines.append(("guard", f"guard: {shown.guard}", GUARD_COLOURS[shown.guard]))
        return [self._text(name, text, colour, row) for row, (name, text, colour) in enumerate(reversed(lines))]

    def _text(self, name: str, text: str, colour: Colour, row: int) -> Marker:
        """A text above the workspace, `row` lines up."""
        marker = _marker(name, Marker.TEXT_VIEW_FACING, colour, (0.0, 0.0, LINE_M))
        marker.pose.position.z = self._high[2] + 0.1 + 1.5 * LINE_M * row
        marker.text = text
        return marker


def _marker(name: str, kind: int, colour: Colour, size: tuple[float, float, float]) -> Marker:
    marker = Marker(ns=name, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x, marker.scale.y, marker.scale.z = size
    marker.color.r, marker.color.g, marker.color.b, marker.color.a = colour
    return marker


def _point(place: Iterable[float]) -> Point:
    x, y, z = place
    return Point(x=x, y=y, z=z)
