"""web_node: listens while somebody looks, draws what moves, says what is typed, stops whatever else it does."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("viser", reason="the web extra is not installed")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import MarkerArray
from websockets.exceptions import InvalidStatus

from legion_core.errors import ConfigurationError
from legion_core.mission import load_missions
from legion_core.sim.composite import load_scene
from legion_core.sim.plant import RobotPlant
from legion_ros import topics
from legion_ros.markers import SPHERES, MarkerPainter, Shown
from legion_ros.nodes.web_node import WebNode
from legion_ros.qos import EVENT, LATCHED
from legion_ros.reply import Reply
from legion_ros.stamps import from_ns
from legion_ros.vector_messages import named_vector
from legion_ros.web import wishes
from legion_ros.web.client import PageClient
from legion_ros.web.server import PageServer, own_page
from legion_sim2real.robot import load_profile


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Graph:
    """web_node and a probe that plays the rest of the graph, spun by a thread as the process's main thread does."""

    def __init__(self, robot: str) -> None:
        port = free_port()
        rclpy.init(args=["--ros-args", "-p", f"web_port:={port}", "-p", f"robot:={robot}"])
        self.node, self.probe = WebNode(), Node("probe", use_global_arguments=False)
        self.url = f"http://127.0.0.1:{port}"
        self._executor = SingleThreadedExecutor()
        for each in (self.node, self.probe):
            self._executor.add_node(each)
        self.stops: list[bool] = []
        self._publishers: dict[str, Publisher] = {}
        self._early_until = 0.0
        self._service: Any = None
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def listen(self, kind: Any, topic: str) -> list[Any]:
        heard: list[Any] = []
        self.probe.create_subscription(kind, topic, heard.append, EVENT)
        assert until(lambda: self.probe.count_publishers(topic) > 0)
        return heard

    def talk(self, kind: Any, topic: str, qos: Any = EVENT) -> Callable[[Any], None]:
        """One publisher a topic: what a second one has kept may be told to a new page after the news."""
        if topic not in self._publishers:
            self._publishers[topic] = self.probe.create_publisher(kind, topic, qos)
        publisher = self._publishers[topic]
        assert until(lambda: publisher.get_subscription_count() > 0), f"nobody listens on {topic}"
        return publisher.publish

    def offer_stop(self) -> None:
        """Be sim2real_node, as far as the emergency stop goes."""

        def answer(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
            self.stops.append(request.data)
            self._early_until = self._early_until or (0.0 if request.data else time.monotonic() + 0.3)
            response.success, response.message = time.monotonic() >= self._early_until, "ask again"
            return response

        if self._service is None:
            self._service = self.probe.create_service(SetBool, topics.E_STOP, answer)

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        self.probe.destroy_node()
        rclpy.try_shutdown()


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    end = time.monotonic() + timeout_s
    while not (fulfilled := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return fulfilled


@pytest.fixture(scope="module")
def graph() -> Iterator[Graph]:
    made = Graph("mujoco")
    yield made
    made.close()


@pytest.fixture
def page(graph: Graph) -> Iterator[PageClient]:
    with PageClient(graph.url) as client:
        assert client.until(lambda: bool(client.shown("banner")) and graph.node.page.browsers > 0)
        yield client
    assert until(lambda: graph.node.page.browsers == 0)


def test_it_listens_only_while_somebody_looks(graph: Graph) -> None:
    watched = (topics.MARKERS, topics.LATENT, topics.SIM_STATE, topics.TASK, topics.EPISODE)
    assert [graph.node.count_subscribers(topic) for topic in watched] == [0] * len(watched)
    with PageClient(graph.url) as client:
        assert client.until(lambda: all(graph.node.count_subscribers(topic) == 1 for topic in watched))
    assert until(lambda: not any(graph.node.count_subscribers(topic) for topic in watched))


def test_the_scene_is_sent_once_and_then_what_moves(graph: Graph, page: PageClient) -> None:
    publish = graph.talk(JointState, topics.SIM_STATE)

    def send(plant: RobotPlant, change: float = 0.0, scene: str = "") -> None:
        poses = np.hstack((plant.data.xpos, plant.data.xquat))
        poses[plant.model.body("hand").id, 0] += change
        publish(named_vector(from_ns(1), (scene or plant.task,), poses.ravel()))

    plant = RobotPlant("drawer-close", seed=1)
    hand = "/scene/hand"
    base, place = plant.robot.to_world(np.zeros(3)), plant.data.body("hand").xpos

    def shown() -> bool:
        send(plant)
        return page.nodes.get(hand, {}).get("position") == pytest.approx(place)

    assert page.until(shown)
    assert page.until(lambda: page.nodes["/scene"].get("position") == pytest.approx(base))
    page.until(lambda: False, 0.5)
    meshes, moves = page.received["MeshMessage"], page.received["SetPositionMessage"]

    def moved() -> bool:
        send(plant, 0.1)
        return page.nodes[hand]["position"] == pytest.approx((place[0] + 0.1, place[1], place[2]))

    assert page.until(moved)
    assert page.received["MeshMessage"] == meshes
    assert page.received["SetPositionMessage"] == moves + 1, "only the hand has moved"

    other = RobotPlant("window-open", seed=1)

    def rebuilt() -> bool:
        send(other)
        return any("windowb_a" in name for name in page.nodes)

    assert page.until(rebuilt)
    assert not any("drawer" in name for name in page.nodes)
    assert page.received["MeshMessage"] - meshes < meshes / 2, "the robot has stayed"

    table = RobotPlant("reach", seed=1, composite=load_scene("clear_the_table"))

    def together() -> bool:
        send(table, scene="clear_the_table")
        return all(any(part in name for name in page.nodes) for part in ("windowb_a", "drawer_link"))

    assert page.until(together)


def test_who_comes_later_sees_the_same(graph: Graph, page: PageClient) -> None:
    publish, plant = graph.talk(JointState, topics.SIM_STATE), RobotPlant("reach", seed=1)
    poses, hand = np.hstack((plant.data.xpos, plant.data.xquat)), plant.model.body("hand").id

    def drawn(client: PageClient) -> bool:
        place = client.nodes.get("/scene/hand", {}).get("position")
        return place is not None and place == pytest.approx(poses[hand, :3])

    def built() -> bool:
        publish(named_vector(from_ns(1), ("reach",), poses.ravel()))
        return drawn(page)

    assert page.until(built)
    with PageClient(graph.url) as second:
        assert second.until(lambda: drawn(second)), "although nothing moves any more"


def test_a_state_that_fits_no_scene_changes_nothing(graph: Graph, page: PageClient) -> None:
    publish = graph.talk(JointState, topics.SIM_STATE)
    for names, values in (((), ()), (("reach",), (1.0,) * 7), (("reach",), (1.0, 2.0)), (("nonsense",), (1.0,) * 7)):
        publish(named_vector(from_ns(1), names, values))
        page.until(lambda: False, 0.2)
    assert page.until(lambda: page.look(1.0) or graph.node.page.alive)
    assert graph.node.page.alive


def test_markers_are_drawn_and_vanish(graph: Graph, page: PageClient) -> None:
    publish, painter = graph.talk(MarkerArray, topics.MARKERS), MarkerPainter("b", (0, 0, 0), (1, 1, 1), 1.0)
    place = np.array((0.4, 0.1, 0.2))

    def shown(places: dict[str, Any], goal_visible: bool) -> bool:
        publish(painter.paint(Shown(places=places, trail=(place, 2 * place)), from_ns(1)))
        return "/goal" in page.nodes and page.nodes["/goal"].get("visible", True) == goal_visible

    assert page.until(lambda: shown(dict.fromkeys(SPHERES, place), True))
    assert {"/workspace", "/trail", "/object", "/target"} <= set(page.nodes)
    assert page.until(lambda: page.nodes["/goal"].get("position") == pytest.approx(place))
    assert page.until(lambda: shown({}, False))


def test_what_is_typed_is_said_and_nothing_else_happens(graph: Graph, page: PageClient) -> None:
    said, missions = graph.listen(String, topics.INSTRUCTION), graph.listen(String, topics.MISSION_REQUEST)
    for sentence in ("open the window", "<script>alert(1)</script> {{7*7}} $(reboot) '; --"):
        page.say(sentence)
        assert page.until(lambda: bool(said) and said[-1].data == sentence)  # noqa: B023
    assert page.until(lambda: "&lt;script&gt;" in page.shown("lines"))
    assert "<script>" not in page.shown("lines")
    page.say("")
    page.say("open the window " * 20)
    assert page.until(lambda: "300 characters at most" in page.shown("lines"))
    page.press("Stop")
    assert page.until(lambda: len(said) == 3 and said[-1].data == "stop")
    words = page.element("ButtonGroup")
    page.send({"type": "GuiUpdateMessage", "uuid": words, "updates": {"value": "What can you do"}})
    assert page.until(lambda: said[-1].data == "what can you do")
    name, mission = next(iter(load_missions().items()))
    chosen = page.element("Dropdown")
    page.send({"type": "GuiUpdateMessage", "uuid": chosen, "updates": {"value": mission.title}})
    page.press("Start mission")
    assert page.until(lambda: bool(missions))
    assert json.loads(missions[0].data) == {"name": name}


def test_each_sentence_is_said_however_quickly_they_are_typed(
    graph: Graph, page: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(graph.node.page._wishes, "say", said.append)
    typed = [f"sentence {number}" for number in range(300)]
    for sentence in typed:
        page.say(sentence)
    assert page.until(lambda: len(said) == len(typed))
    assert said == typed


def test_a_page_that_is_loaded_again_counts_no_further_attempt(graph: Graph) -> None:
    with PageClient(graph.url) as page:
        assert page.until(lambda: graph.node.count_subscribers(topics.TASK) == 1)
        graph.talk(String, topics.TASK, LATCHED)(String(data="peg-unplug"))
        assert page.until(lambda: "0 of 1</td>" in page.shown("tally"))
    assert until(lambda: graph.node.page.browsers == 0)
    with PageClient(graph.url) as page:
        assert page.until(lambda: graph.node.count_subscribers(topics.TASK) == 1)
        page.until(lambda: False, 1.0)
        assert "0 of 1</td>" in page.shown("tally")


def test_health_is_that_of_this_robot_now(graph: Graph, page: PageClient) -> None:
    def report(topic: str, name: str, message: str) -> None:
        publisher = graph.probe.create_publisher(DiagnosticArray, topic, EVENT)
        until(lambda: publisher.get_subscription_count() > 0, 1.0)
        publisher.publish(DiagnosticArray(status=[DiagnosticStatus(name=name, message=message)]))

    report(topics.DIAGNOSTICS_AGGREGATED, "/left/LEGION/safety/sim2real_node", "of another robot")
    report(topics.DIAGNOSTICS, "/left/sim2real_node", "of another robot")
    report(topics.DIAGNOSTICS, "/sim2real_node", "of this robot")
    assert page.until(lambda: "of this robot" in page.shown("health"))
    assert page.until(lambda: "silent for" in page.shown("health"))
    assert "of another robot" not in page.shown("health")


def test_what_the_topic_tells_ends_the_waiting_for_an_answer(
    graph: Graph, page: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wishes, "ATTEMPTS", 1)
    page.press("EMERGENCY STOP")
    assert page.until(lambda: "NO ANSWER" in page.shown("banner"))
    e_stop = graph.talk(Bool, topics.E_STOP, LATCHED)
    for told in (True, False):
        e_stop(Bool(data=told))
        assert page.until(lambda told=told: ("EMERGENCY STOP: engaged" in page.shown("banner")) == told)
    assert "NO ANSWER" not in page.shown("banner")


def test_replies_task_and_mission_are_told(graph: Graph, page: PageClient) -> None:
    graph.talk(String, topics.TASK, LATCHED)(String(data="push"))
    graph.talk(String, topics.REPLY)(String(data=str(Reply(False, "peel a banana", "the nearest tasks are: push"))))
    state = {"mission": "m", "title": "Clear", "state": "paused", "step": 0, "task": "", "success": False, "text": "x"}
    graph.talk(String, topics.MISSION_STATE, LATCHED)(String(data=json.dumps({**state, "steps": []})))
    assert page.until(lambda: "push" in page.shown("banner") and "the nearest tasks" in page.shown("lines"))
    assert page.until(lambda: "paused" in page.shown("mission"))


def test_successes_are_counted_in_missions_and_of_single_tasks(graph: Graph, page: PageClient) -> None:
    tasks, mission = graph.talk(String, topics.TASK, LATCHED), graph.talk(String, topics.MISSION_STATE, LATCHED)

    def tell(state: str, states: tuple[str, ...], success: bool = False, task: str = "") -> None:
        steps = [
            {"task": each, "state": how, "attempt": 1, "seconds": 1.0} for each, how in zip("ab", states, strict=False)
        ]
        told = {"mission": "m", "title": "M", "state": state, "step": 0, "steps": steps, "task": task, "text": "x"}
        mission(String(data=json.dumps({**told, "success": success})))
        page.until(lambda: False, 0.3)

    def begin(task: str) -> None:
        tasks(String(data=task))
        page.until(lambda: False, 0.3)

    begin("a")
    tell("running", ("running", "waiting"))
    begin("b")
    tell("running", ("succeeded", "running"))
    tell("succeeded", ("succeeded", "succeeded"), success=True)
    begin("c")
    tell("idle", (), success=False, task="c")
    tell("idle", (), success=True, task="c")
    begin("c")
    tell("idle", (), success=True, task="c")
    for task, count in (("a", "1 of 1"), ("b", "1 of 1"), ("c", "1 of 2")):
        shown = f"<td>{task}</td>", f"{count}</td>"
        assert page.until(lambda shown=shown: shown[0] in page.shown("tally") and shown[1] in page.shown("tally"))
    assert page.shown("tally").count("1 of 1") == 2


def test_the_emergency_stop_waits_for_nothing(graph: Graph, page: PageClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's thread hangs, and the service comes only after the button was pressed."""
    stuck, release = threading.Event(), threading.Event()

    def hang(scene: Any) -> None:
        stuck.set()
        release.wait(60.0)

    monkeypatch.setattr(graph.node.page, "_draw", hang)
    assert stuck.wait(20.0)
    page.press("EMERGENCY STOP")
    time.sleep(0.3)
    graph.offer_stop()
    try:
        assert until(lambda: graph.stops == [True])
    finally:
        release.set()
    assert page.until(lambda: "EMERGENCY STOP: engaged" in page.shown("banner"))
    monkeypatch.setattr(wishes, "ATTEMPTS", 2)
    page.press("Clear emergency stop")
    assert page.until(lambda: "emergency stop" not in page.shown("banner").lower())
    assert graph.stops == [True, False, False], "the first time it was too early"


def test_a_stop_that_the_topic_tells_is_shown(graph: Graph, page: PageClient) -> None:
    e_stop = graph.talk(Bool, topics.E_STOP, LATCHED)
    e_stop(Bool(data=True))
    assert page.until(lambda: "EMERGENCY STOP" in page.shown("banner"))
    e_stop(Bool(data=False))
    assert page.until(lambda: "EMERGENCY STOP" not in page.shown("banner"))


def test_the_scene_is_reset(graph: Graph, page: PageClient) -> None:
    asked: list[Trigger.Request] = []

    def answer(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        asked.append(request)
        response.success, response.message = True, "reach, seed 3"
        return response

    graph.probe.create_service(Trigger, topics.SIM_RESET, answer)
    assert until(lambda: bool(graph.probe.get_service_names_and_types()))
    page.press("Reset scene")
    assert page.until(lambda: "reach, seed 3" in page.shown("lines"))
    assert len(asked) == 1


def test_push_to_talk_is_offered_with_a_voice_and_let_go_with_the_browser(graph: Graph) -> None:
    pressed = graph.listen(Bool, topics.PUSH_TO_TALK)
    voice = graph.probe.create_publisher(String, topics.VOICE_TRANSCRIPT, EVENT)
    with PageClient(graph.url) as page:
        assert page.until(lambda: bool(page.shown("banner")))
        held = page.element("Checkbox")
        assert page.until(lambda: page.elements[held]["visible"])
        heard = {"text": "open the window", "confidence": 0.9, "final": True, "state": "asking"}
        voice.publish(String(data=json.dumps(heard)))
        assert page.until(lambda: "voice, asking" in page.shown("lines"))
        page.send({"type": "GuiUpdateMessage", "uuid": held, "updates": {"value": True}})
        assert page.until(lambda: [message.data for message in pressed] == [True])
    assert until(lambda: [message.data for message in pressed] == [True, False])
    with PageClient(graph.url) as onlooker:
        with PageClient(graph.url) as page:
            assert page.until(lambda: held in page.elements)
            page.send({"type": "GuiUpdateMessage", "uuid": held, "updates": {"value": True}})
            assert page.until(lambda: len(pressed) == 3)
            page.until(lambda: False, 1.0)
            assert pressed[-1].data, "held for as long as its browser is there"
        assert onlooker.until(lambda: [message.data for message in pressed[2:]] == [True, False])
    graph.probe.destroy_publisher(voice)


def test_nobody_opens_it_to_the_internet(graph: Graph, page: PageClient) -> None:
    page.send({"type": "ShareUrlRequest"})
    page.until(lambda: False, 0.5)
    assert page.received["ShareUrlUpdated"] == 0
    assert graph.node.page.server._share_tunnel is None


def test_pages_of_other_sites_are_refused(graph: Graph, page: PageClient) -> None:
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
        with pytest.raises(InvalidStatus) as refused:
            PageClient(graph.url, origin)
        assert refused.value.response.status_code == 403
    with PageClient(graph.url, graph.url) as own:
        assert own.until(lambda: bool(own.shown("banner")))
    with urllib.request.urlopen(graph.url) as whole:
        assert whole.headers["Content-Security-Policy"] == "frame-ancestors 'none'"


def test_garbage_harms_nobody(graph: Graph, page: PageClient) -> None:
    with PageClient(graph.url) as broken:
        broken.send({"type": "NoSuchMessage"})
    with PageClient(graph.url) as broken:
        broken.send({"type": "GuiUpdateMessage", "uuid": "none", "updates": {"value": []}})
        broken.send({"type": "GuiUpdateMessage", "uuid": page.element("Text"), "updates": {"value": [{}]}})
    said = graph.listen(String, topics.INSTRUCTION)
    page.say("close the window")
    assert page.until(lambda: [message.data for message in said] == ["close the window"])


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        ("127.0.0.1:8080", None, True),
        ("127.0.0.1:8080", "http://127.0.0.1:8080", True),
        ("localhost:8080", "http://localhost:8080", True),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("192.168.1.7:8080", "http://192.168.1.7:8080", True),
        (f"{socket.gethostname().lower()}:8080", None, True),
        ("127.0.0.1:8080", "http://evil.example", False),
        ("127.0.0.1:8080", "http://127.0.0.1:9090", False),
        ("127.0.0.1:8080", "null", False),
        ("evil.example:8080", "http://evil.example:8080", False),
        ("evil.example:8080", None, False),
        (None, None, False),
        ("", None, False),
    ],
)
def test_own_pages_are_those_of_this_address(host: str | None, origin: str | None, own: bool) -> None:
    assert own_page(host, origin) == own


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"web_port = {port} .*in use; choose others"):
            PageServer("127.0.0.1", port)
    with pytest.raises(ConfigurationError, match="web_host = '192"):
        PageServer("192.0.2.1", port)


def test_a_robot_without_simulator_is_drawn_from_its_description(graph: Graph) -> None:
    """The last test: it takes the graph's place."""
    graph.close()
    graph.__init__("lbr")  # type: ignore[misc]
    profile = load_profile("lbr")
    kinematics, q = profile.kinematics(), np.array((0.3, 0.8, -0.2, -1.4, 0.1, 0.6, 0.5))
    with PageClient(graph.url) as page:
        assert page.until(lambda: graph.node.count_subscribers(profile.topics.joint_states) == 1)
        publish = graph.talk(JointState, profile.topics.joint_states)

        def shown() -> bool:
            publish(named_vector(from_ns(1), profile.joint_names[::-1], q[::-1]))
            hand = page.nodes.get(f"/scene/{profile.frames.hand}", {})
            return hand.get("position") == pytest.approx(kinematics.forward(q).position)

        assert page.until(shown)
        assert not any(e.get("label") == "Reset scene" for e in page.elements.values())
