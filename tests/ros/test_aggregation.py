"""The tree of the graph's health: worst level upwards, silence is stale, every problem with its remedy."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from legion_ros.aggregation import EXPECTED, GROUPS, Aggregator
from legion_ros.deployment import NODE_NAMES
from legion_ros.mending import GUARD, Problem
from legion_sim2real.interventions import Intervention

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE
FRESH = {
    "real2sim_node": {"joint_state_age_s": "0.01", "object_age_s": "0.02"},
    "policy_node": {"observation_age_s": "0.01", "log_likelihood": "-4.2", "component": "3 (push)"},
    "sim2real_node": {"e_stop": "False", "guard.workspace": "7"},
}


class Graph:
    """An aggregator that hears a healthy graph, and a clock that the test turns."""

    def __init__(self, namespace: str = "") -> None:
        self.now = 100.0
        self._namespace = namespace
        self.aggregator = Aggregator(namespace, lambda: self.now)

    def report(self, *names: str) -> None:
        for name in names or EXPECTED:
            self.say(name, values=FRESH.get(name, {}))

    def say(self, name: str, level: bytes = OK, message: str = "working", values: dict[str, str] | None = None) -> None:
        pairs = [KeyValue(key=key, value=value) for key, value in (values or {}).items()]
        full = f"{self._namespace}/{name}"
        self.aggregator.hear(DiagnosticStatus(level=level, name=full, message=message, values=pairs))

    def tree(self) -> dict[str, DiagnosticStatus]:
        return {status.name: status for status in self.aggregator.statuses()}


@pytest.fixture
def graph() -> Graph:
    made = Graph()
    made.report()
    made.now += 2.0
    made.report()
    return made


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def test_a_healthy_graph_is_well(graph: Graph) -> None:
    tree = graph.tree()
    assert {status.level for status in tree.values()} == {OK}
    assert next(iter(tree)) == "/LEGION"
    assert {"/LEGION/robot/joint_states", "/LEGION/perception/object", "/LEGION/policy/policy_node"} <= set(tree)
    assert {"/LEGION/safety/guard", "/LEGION/safety/watchdog_node", "/LEGION/operator/language_node"} <= set(tree)
    assert tree["/LEGION"].message == "well"
    assert values_of(tree["/LEGION/policy/policy_node"])["component"] == "3 (push)"


def test_every_parent_is_there_before_its_children(graph: Graph) -> None:
    names = list(graph.tree())
    for name in names[1:]:
        assert names.index(name.rpartition("/")[0]) < names.index(name)


def test_every_node_of_the_project_has_a_place() -> None:
    placed = [name for names in GROUPS.values() for name in names]
    assert len(placed) == len(set(placed))
    assert set(NODE_NAMES) <= set(placed)
    assert set(EXPECTED) <= set(placed)


def test_the_worst_level_goes_upwards_with_its_words(graph: Graph) -> None:
    graph.say("policy_node", WARN, "unlike training", {"mend.unfamiliar": Problem.UNFAMILIAR.mend})
    graph.say("watchdog_node", ERROR, "two publishers")
    tree = graph.tree()
    assert tree["/LEGION/policy"].level == WARN
    assert tree["/LEGION/safety"].level == tree["/LEGION"].level == ERROR
    assert "watchdog_node: two publishers" in tree["/LEGION"].message
    assert "policy_node: unlike training" in tree["/LEGION"].message
    assert values_of(tree["/LEGION/policy/policy_node"])["mend.unfamiliar"] == Problem.UNFAMILIAR.mend


def test_who_is_silent_is_stale_and_its_group_in_error(graph: Graph) -> None:
    graph.now += 3.0
    graph.report("real2sim_node", "policy_node", "sim2real_node", "language_node")
    tree = graph.tree()
    assert tree["/LEGION/safety/watchdog_node"].level == STALE
    assert tree["/LEGION/safety/watchdog_node"].message == "silent for 3 s; last: working"
    assert values_of(tree["/LEGION/safety/watchdog_node"])["mend.silent"] == Problem.SILENT.mend
    assert tree["/LEGION/safety"].level == ERROR


def test_a_recorder_may_end_when_it_likes(graph: Graph) -> None:
    graph.say("record_node", WARN, "disk nearly full")
    assert graph.tree()["/LEGION/operator/record_node"].level == WARN
    graph.now += 3.0
    graph.report()
    assert "/LEGION/operator/record_node" not in graph.tree()
    assert graph.aggregator.troubles() == {}


def test_a_graph_that_never_spoke_is_stale_as_a_whole() -> None:
    tree = Graph().tree()
    assert tree["/LEGION"].level == STALE
    assert tree["/LEGION/policy/policy_node"].message == "has not reported yet"


@pytest.mark.parametrize(
    ("node", "key", "leaf", "problem"),
    [
        ("real2sim_node", "joint_state_age_s", "robot/joint_states", Problem.NO_JOINT_STATES),
        ("real2sim_node", "object_age_s", "perception/object", Problem.NO_OBJECT),
        ("policy_node", "observation_age_s", "policy/observation", Problem.NO_OBSERVATION),
    ],
)
@pytest.mark.parametrize(("age", "text"), [("nan", "nothing has come yet"), ("7.25", "7.2 s old")])
def test_what_is_too_old_is_an_error(
    graph: Graph, node: str, key: str, leaf: str, problem: Problem, age: str, text: str
) -> None:
    graph.say(node, values=FRESH[node] | {key: age})
    status = graph.tree()[f"/LEGION/{leaf}"]
    assert (status.level, status.message) == (ERROR, text)
    assert values_of(status)[f"mend.{problem.value}"] == problem.mend


@pytest.mark.parametrize(
    ("age", "text"), [("nan", "nothing has come yet"), ("120.0", "120.0 s old"), ("0.02", "20 ms old")]
)
def test_actions_may_be_of_any_age(graph: Graph, age: str, text: str) -> None:
    graph.say("sim2real_node", values=FRESH["sim2real_node"] | {"action_age_s": age})
    status = graph.tree()["/LEGION/safety/action"]
    assert (status.level, status.message) == (OK, text), "without a task there are none"


def test_interventions_are_named_with_the_time_since_when(graph: Graph) -> None:
    for count in range(8, 14):
        graph.now += 0.5
        graph.say("sim2real_node", values={"e_stop": "False", "guard.workspace": str(count)})
    guard = graph.tree()["/LEGION/safety/guard"]
    assert (guard.level, guard.message) == (OK, "workspace for 2.5 s"), "to be slowed is no fault"
    assert values_of(guard)["count.workspace"] == "13"
    graph.now += 1.5
    graph.report("sim2real_node")
    graph.now += 1.5
    graph.report("sim2real_node")
    assert graph.tree()["/LEGION/safety/guard"].message == "nothing to change"


def test_a_hold_is_a_warning_with_its_remedy(graph: Graph) -> None:
    graph.now += 0.5
    graph.say("sim2real_node", values={"e_stop": "False", "guard.workspace": "7", "guard.stale_object": "2"})
    guard = graph.tree()["/LEGION/safety/guard"]
    assert (guard.level, guard.message) == (WARN, "stale_object for 0.0 s")
    assert values_of(guard)["mend.stale_object"] == GUARD[Intervention.STALE_OBJECT].mend


def test_an_emergency_stop_is_an_error_with_its_reason(graph: Graph) -> None:
    graph.say("sim2real_node", values={"e_stop": "True", "stop_reason": "operator", "guard.workspace": "7"})
    tree = graph.tree()
    guard = tree["/LEGION/safety/guard"]
    assert (guard.level, guard.message) == (ERROR, "emergency stop: operator")
    assert values_of(guard)["mend.e_stop"] == Problem.E_STOP.mend
    assert tree["/LEGION"].level == ERROR


def test_deployments_do_not_mix_and_others_nodes_have_a_group_of_their_own() -> None:
    graph = Graph("/left")
    graph.report()
    graph.say("my_camera", ERROR, "no light")
    graph.aggregator.hear(DiagnosticStatus(level=ERROR, name="/right/policy_node", message="bad"))
    graph.aggregator.hear(DiagnosticStatus(level=ERROR, name="controller_manager: activity", message="bad"))
    tree = graph.tree()
    assert tree["/left/LEGION/other/my_camera"].level == ERROR
    assert tree["/left/LEGION/policy"].level == OK
    assert not any("right" in name or "controller_manager" in name for name in tree)
