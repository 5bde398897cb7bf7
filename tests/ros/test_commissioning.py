"""Commissioning: every stage accepts the cell it was made for, and names what is wrong with any other."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cells import Cell, made

from legion_core.errors import ConfigurationError
from legion_ros import topics
from legion_ros.client import NodeStatus
from legion_ros.commissioning import NODES, joint_limits
from legion_ros.findings import ADVICE, GOOD, WRONG, Finding
from legion_ros.realtime import Grant
from legion_ros.stages import STAGES
from legion_ros.survey import Stream, Survey

START_S = 1_000_000.0
OPERATORS = ("air", "slow", "full")


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    return Cell(tmp_path)


def wrong(findings: list[Finding]) -> list[str]:
    return [finding.what for finding in findings if finding.state == WRONG]


def of(findings: list[Finding], what: str) -> Finding:
    return next(finding for finding in findings if finding.what == what)


# files


@pytest.mark.parametrize("stage", OPERATORS)
def test_a_cell_made_for_the_stage_is_accepted(cell: Cell, stage: str) -> None:
    assert wrong([*cell.for_stage(stage).check(stage).files()]) == []


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("sim2real.speed_scale", 0.5, "speed_scale"),
        ("max_speed_m_s", 0.15, "max_speed_m_s"),
        ("joint_velocity_scale", 0.3, "joint_velocity_scale"),
        ("workspace_low_m", [0.35, -0.4, 0.1], "height"),
        ("latch", ["tracking_error"], "latch"),
    ],
)
def test_what_is_too_much_for_the_air(cell: Cell, key: str, value: Any, what: str) -> None:
    cell.for_stage("air")
    (cell.profile if "." in key else cell.safety)[key] = value
    findings = [*cell.check("air").files()]
    assert wrong(findings) == [what]
    assert of(findings, what).mend


def test_each_stage_allows_no_less_than_the_one_before() -> None:
    stages = [STAGES[name] for name in OPERATORS]
    for slower, faster in itertools.pairwise(stages):
        for key in ("speed_scale", "max_speed_m_s", "joint_velocity_scale"):
            assert getattr(slower, key) < getattr(faster, key)


def test_shipped_limits_are_no_cells(cell: Cell) -> None:
    cell.for_stage("full").safety = {}
    assert wrong([*cell.check("full").files()]) == ["cell"]
    assert wrong([*cell.check("mock").files()]) == []


def test_what_was_left_as_shipped_is_named(cell: Cell) -> None:
    del cell.for_stage("slow").safety["obstacles"]
    assert of([*cell.check("slow").files()], "as shipped").detail == "workspace_high_m, obstacles"


@pytest.mark.parametrize(
    ("how", "state"), [(None, WRONG), (made(rms_mm=8.0), WRONG), (made(days=45), ADVICE), (made(), GOOD)]
)
def test_a_calibration_must_be_good_and_had_better_be_new(cell: Cell, how: dict[str, Any] | None, state: str) -> None:
    cell.for_stage("slow").made = how
    assert of([*cell.check("slow").files()], "calibration").state == state


def test_without_calibration_nothing_goes_on(cell: Cell) -> None:
    cell.profile["calibration"] = None
    assert wrong([*cell.check("mock").files()]) == ["calibration"]


def test_a_broken_file_is_one_line(cell: Cell) -> None:
    cell.safety["max_speed_m_s"] = "fast"
    with pytest.raises(ConfigurationError, match=r"cell\.yaml: max_speed_m_s"):
        cell.check("mock")


# the graph


def stream(topic: str, value: Any, rate_hz: float, age_s: float = 0.002) -> Stream:
    arrivals = [START_S + i / rate_hz for i in range(round(4 * rate_hz))]
    stamps = [arrival - age_s for arrival in arrivals]
    return Stream(topic, ("/lbr/driver",), arrivals, stamps, np.asarray(value, float))


def good_survey() -> Survey:
    """An arm at home over the table, as its driver, a camera and the nodes show it."""
    joints = [0.0, 0.6, 0.0, -1.5, 0.0, 1.0, 0.0]
    status = {name: NodeStatus(0, "content", {"e_stop": "False"}) for name in NODES}
    return Survey(
        stream("lbr/joint_states", joints, 100.0),
        stream("legion/gripper/state", [0.8], 30.0),
        stream(topics.OBJECT, [0.6, 0.1, 0.03], 30.0),
        stream(topics.GOAL, [0.6, -0.2, 0.2], 30.0),
        "lbr/forward_position_controller/commands",
        commanders=("/sim2real_node",),
        followers=("/lbr/forward_position_controller", "/watchdog_node"),
        status=status,
    )


def test_a_good_graph_is_accepted(cell: Cell) -> None:
    commissioning = cell.for_stage("full").check("full")
    seen = good_survey()
    seen.urdf = commissioning.profile.description().urdf
    findings = [*commissioning.graph(seen)]
    assert {finding.state for finding in findings} == {GOOD}


def silent(seen: Survey) -> None:
    seen.joints = Stream(seen.joints.topic)


def misnamed(seen: Survey) -> None:
    seen.joints = Stream(seen.joints.topic, complaints=["lbr/joint_states lacks lbr_A1"])


def two_drivers(seen: Survey) -> None:
    seen.joints.publishers = ("/lbr/driver", "/other")


def too_slow(seen: Survey) -> None:
    seen.joints = stream("", seen.joints.last, 50.0)


def with_a_gap(seen: Survey) -> None:
    times = seen.joints.arrivals_s
    seen.joints.arrivals_s = times[:100] + [t + 0.06 for t in times[100:]]
    seen.joints.stamps_s = [t - 0.002 for t in seen.joints.arrivals_s]


def late(seen: Survey) -> None:
    seen.joints = stream("", seen.joints.last, 100.0, age_s=0.2)


def ahead(seen: Survey) -> None:
    seen.joints = stream("", seen.joints.last, 100.0, age_s=-0.5)


def outside(seen: Survey) -> None:
    seen.joints.last = np.zeros(7)


def two_commanders(seen: Survey) -> None:
    seen.commanders = ("/sim2real_node", "/somebody")


def two_of_one_name(seen: Survey) -> None:
    seen.commanders = ("/sim2real_node", "/sim2real_node")


def no_deployment(seen: Survey) -> None:
    seen.commanders = ()


def inactive_controller(seen: Survey) -> None:
    seen.missing = "controller forward_position_controller is inactive"


def no_gripper(seen: Survey) -> None:
    seen.gripper = Stream(seen.gripper.topic)


def far_object(seen: Survey) -> None:
    seen.object.last = np.array([0.6, 0.1, 1.5])


def rare_object(seen: Survey) -> None:
    seen.object = stream(topics.OBJECT, seen.object.last, 2.0)


def no_goal(seen: Survey) -> None:
    seen.goal = Stream(seen.goal.topic, complaints=["frame_id = 'camera'"])


def no_watchdog(seen: Survey) -> None:
    del seen.status["watchdog_node"]


def unhappy_policy(seen: Survey) -> None:
    seen.status["policy_node"] = NodeStatus(2, "observations arrive too late", {})


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (silent, "joint states"),
        (misnamed, "joint states"),
        (two_drivers, "joint states: source"),
        (too_slow, "joint states: rate"),
        (with_a_gap, "joint states: rate"),
        (late, "clock"),
        (ahead, "clock"),
        (outside, "arm"),
        (two_commanders, "commands"),
        (two_of_one_name, "commands"),
        (no_deployment, "commands"),
        (inactive_controller, "controller"),
        (no_gripper, "gripper"),
        (far_object, "object"),
        (rare_object, "object: rate"),
        (no_goal, "goal"),
        (no_watchdog, "nodes"),
        (unhappy_policy, "policy_node"),
    ],
)
def test_each_fault_is_found_and_nothing_else(cell: Cell, fault: Callable[[Survey], None], what: str) -> None:
    seen = good_survey()
    fault(seen)
    findings = [*cell.for_stage("full").check("full").graph(seen)]
    assert wrong(findings) == [what]
    assert of(findings, what).mend


def test_the_scene_is_a_note_where_nothing_is_touched(cell: Cell) -> None:
    seen = good_survey()
    for fault in (no_gripper, far_object, rare_object, no_goal):
        fault(seen)
    assert wrong([*cell.for_stage("air").check("air").graph(seen)]) == []


def test_simulated_time_has_no_age(cell: Cell) -> None:
    seen = good_survey()
    late(seen)
    seen.simulated_time = True
    assert wrong([*cell.for_stage("full").check("full").graph(seen)]) == []


@pytest.mark.parametrize(("key", "share"), [("lower", 0.9), ("upper", 0.9), ("velocity", 0.1)])
def test_a_driver_that_allows_less_is_another_arm(cell: Cell, key: str, share: float) -> None:
    commissioning, seen = cell.for_stage("full").check("full"), good_survey()
    joint = commissioning.profile.description().joint("lbr_A2")
    urdf = '<robot name="r">'
    for name in commissioning.profile.joint_names:
        ours = commissioning.profile.description().joint(name)
        limits = {"lower": ours.lower, "upper": ours.upper, "velocity": ours.velocity}
        if ours is joint:
            limits[key] *= share
        given = " ".join(f'{k}="{v!r}"' for k, v in limits.items())
        urdf += f'<joint name="{name}" type="revolute"><limit {given} effort="1"/></joint>'
    seen.urdf = urdf + "</robot>"
    finding = of([*commissioning.graph(seen)], "description")
    assert finding.state == WRONG
    assert "lbr_A2" in finding.detail


def test_joint_limits_of_the_own_description(cell: Cell) -> None:
    description = cell.check("mock").profile.description()
    for name, (lower, upper, velocity) in joint_limits(description.urdf).items():
        joint = description.joint(name)
        assert (lower, upper, velocity) == pytest.approx((joint.lower, joint.upper, joint.velocity))


# machine and emergency stop


@pytest.mark.parametrize(("stage", "state"), [("mock", ADVICE), ("air", ADVICE), ("slow", WRONG), ("full", WRONG)])
def test_without_real_time_scheduling_no_contact(
    cell: Cell, stage: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("legion_ros.commissioning.obtainable", lambda: Grant.NONE)
    (finding,) = cell.for_stage(stage).check(stage).machine()
    assert (finding.state, "rtprio" in finding.mend) == (state, True)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"status": {}}, "sim2real_node says nothing"),
        ({"status": {"sim2real_node": NodeStatus(0, "", {"e_stop": "True"})}}, "engaged"),
        ({"task": "reach"}, "not tested while reach is to be done"),
        ({}, "not tested"),
    ],
)
def test_the_stop_is_only_tried_where_nothing_moves_and_somebody_agreed(
    cell: Cell, change: dict[str, Any], detail: str
) -> None:
    commissioning, seen = cell.for_stage("air").check("air"), dataclasses.replace(good_survey(), **change)
    (finding,) = commissioning.emergency_stop(None, seen, lambda: False)  # type: ignore[arg-type]
    assert (finding.state, finding.detail) == (WRONG, detail)
