"""The markers of monitor_node: drawn for who looks, each in its own namespace, as config/legion.rviz shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from visualization_msgs.msg import Marker, MarkerArray

from legion_core.bundle import PolicyBundle
from legion_core.errors import SpaceError
from legion_core.resources import resource
from legion_ros import topics
from legion_ros.latents import LatentReader
from legion_ros.markers import GUARD_COLOURS, NAMESPACES, SPHERES, MarkerPainter, Shown
from legion_ros.nodes.monitor_node import MonitorNode
from legion_ros.qos import LATCHED
from legion_ros.stamps import from_ns
from legion_ros.vector_messages import named_vector, pose_message
from legion_sim2real.interventions import Level

PLACE = np.array((0.5, 0.1, 0.2))
EVERYTHING = Shown(
    places=dict.fromkeys(SPHERES, PLACE),
    trail=(PLACE, 2 * PLACE),
    task="push",
    guard=Level.SLOW,
    component="push",
    certainty=0.97,
    troubles=("policy_node: late",),
)


def painted(shown: Shown) -> dict[str, Marker]:
    painter = MarkerPainter("base", (0.0, -1.0, 0.0), (1.0, 1.0, 0.5), lifetime_s=1.0)
    return {marker.ns: marker for marker in painter.paint(shown, Time(sec=3)).markers}


def test_each_thing_has_a_namespace() -> None:
    markers = painted(EVERYTHING)
    assert set(markers) == set(NAMESPACES)
    assert {(m.header.frame_id, m.header.stamp.sec, m.lifetime.sec) for m in markers.values()} == {("base", 3, 1)}
    box = markers["workspace"]
    assert (box.pose.position.x, box.scale.y, box.scale.z) == (0.5, 2.0, 0.5)
    assert markers["goal"].pose.position.y == PLACE[1]
    assert [point.z for point in markers["trail"].points] == [0.2, 0.4]
    assert markers["latent"].text == "acts as in push, 97% sure"
    heights = [markers[name].pose.position.z for name in ("guard", "latent", "text")]
    assert len(set(heights)) == 3, "no text hides another"


def test_what_is_not_known_is_not_drawn() -> None:
    assert set(painted(Shown())) == {"workspace", "trail", "text"}
    assert painted(Shown())["text"].text == "no task"
    assert painted(Shown(task="push", stopped="operator"))["text"].text == "E-STOP: operator"


@pytest.mark.parametrize("level", list(Level))
def test_the_guard_has_a_colour_a_level(level: Level) -> None:
    colour = painted(Shown(guard=level))["guard"].color
    assert (colour.r, colour.g, colour.b) == pytest.approx(GUARD_COLOURS[level][:3])


def test_a_latent_names_the_component_that_explains_it(random_bundle: PolicyBundle) -> None:
    manifest = random_bundle.manifest
    responsible = np.full(len(manifest.components), 0.01)
    responsible[3] = 0.91
    z = np.arange(manifest.architecture.latent, dtype=float)
    reader = LatentReader(manifest)
    latent = reader.read(JointState(position=[*z, *responsible]))
    assert (latent.task, latent.certainty) == (manifest.components[3], 0.91)
    assert latent.z.tolist() == z.tolist()
    with pytest.raises(SpaceError, match="numbers; this policy has"):
        reader.read(JointState(position=[1.0, 2.0]))


def test_markers_are_drawn_for_who_looks(bench: Any) -> None:
    node = bench.start(MonitorNode, rate_hz=20.0)
    bench.settle(0.3)
    assert node.count_subscribers(topics.GOAL) == 0, "nobody looks, so nothing is listened to"
    assert node.count_subscribers(topics.LATENT) == 0
    arrays = bench.listen(MarkerArray, topics.MARKERS)
    manifest = PolicyBundle.load().manifest
    values = [*[0.0] * manifest.architecture.latent, *[1.0], *[0.0] * (len(manifest.components) - 1)]
    bench.talk(String, topics.TASK, LATCHED)(String(data="push"))
    goal, target = bench.talk(PoseStamped, topics.GOAL), bench.talk(PoseStamped, topics.TARGET_POSE)
    latent = bench.talk(JointState, topics.LATENT)

    def drawn() -> dict[str, Marker]:
        goal(pose_message(from_ns(1), "lbr_link_0", (0.5, 0.1, 0.2)))
        target(pose_message(from_ns(1), "lbr_link_0", (0.4, 0.1, 0.2)))
        latent(named_vector(from_ns(1), [f"v{i}" for i in range(len(values))], values))
        bench.settle(0.1)
        return {marker.ns: marker for array in arrays[-1:] for marker in array.markers}

    expected = {"workspace", "text", "goal", "target", "trail", "latent"}
    assert bench.until(lambda: set(drawn()) == expected)
    seen = drawn()
    assert seen["goal"].pose.position.x == 0.5
    assert len(seen["trail"].points) >= 1
    assert seen["latent"].text == f"acts as in {manifest.components[0]}, 100% sure"
    assert all(marker.header.frame_id == "lbr_link_0" for marker in seen.values())


def test_what_the_guard_does_is_shown_even_where_simulated_time_stands_still(bench: Any) -> None:
    bench.start(MonitorNode, rate_hz=20.0, use_sim_time=True)
    arrays = bench.listen(MarkerArray, topics.MARKERS)
    health = bench.listen(DiagnosticArray, topics.DIAGNOSTICS_AGGREGATED)
    diagnostics = bench.talk(DiagnosticArray, topics.DIAGNOSTICS)
    bench.talk(String, topics.TASK, LATCHED)(String(data="push"))
    e_stop = bench.talk(Bool, topics.E_STOP, LATCHED)

    def guard(level: str, reason: str) -> None:
        values = [KeyValue(key="level", value=level), KeyValue(key="stop_reason", value=reason)]
        diagnostics(DiagnosticArray(status=[DiagnosticStatus(name="/sim2real_node", message="x", values=values)]))

    def texts() -> dict[str, str]:
        return {m.ns: m.text for array in arrays[-1:] for m in array.markers if m.text}

    guard("hold", "none")
    assert bench.until(lambda: texts().get("guard") == "guard: hold" and texts()["text"].startswith("push"))
    e_stop(Bool(data=True))
    guard("stop", "tracking_error")
    assert bench.until(lambda: texts().get("text", "").startswith("E-STOP: tracking_error"))
    assert bench.until(lambda: bool(health))


def rviz_displays() -> dict[str, dict[str, Any]]:
    manager = yaml.safe_load(resource("config/legion.rviz").read_text(encoding="utf-8"))["Visualization Manager"]
    return {display["Name"]: display for display in manager["Displays"]}


def test_rviz_shows_every_namespace_and_no_other() -> None:
    shown = rviz_displays()["LEGION"]["Namespaces"]
    assert set(shown) == set(NAMESPACES)
    assert all(isinstance(switched, bool) for switched in shown.values())


def test_rviz_listens_as_the_graph_speaks(bench: Any) -> None:
    """Each topic of the RViz file is published with the type of its display, and as reliably as it asks for."""
    monitor = bench.start(MonitorNode)
    described = monitor.create_publisher(String, "robot_description", LATCHED)  # as robot_state_publisher does
    kinds = {"rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray"}
    kinds["rviz_default_plugins/RobotModel"] = "std_msgs/msg/String"
    topics_shown = [
        (display["Class"], display.get("Topic") or display["Description Topic"])
        for display in rviz_displays().values()
        if "Topic" in display or "Description Topic" in display
    ]
    assert {asked["Value"] for _, asked in topics_shown} == {topics.MARKERS, described.topic_name.lstrip("/")}
    for kind, asked in topics_shown:
        found = monitor.get_publishers_info_by_topic(asked["Value"])
        assert [each.topic_type for each in found] == [kinds[kind]]
        assert asked["Reliability Policy"] == found[0].qos_profile.reliability.name.title()
        if asked["Durability Policy"] == "Transient Local":
            assert found[0].qos_profile.durability == LATCHED.durability
