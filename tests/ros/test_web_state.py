"""What the page tells: counts that do not lie, texts that are never markup, messages that may be anything."""

from __future__ import annotations

import contextlib
import json
from html import escape

import numpy as np
import pytest

pytest.importorskip("viser", reason="the web extra is not installed")

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from hypothesis import given
from hypothesis import strategies as st

from legion_ros.diagnostics import MEND
from legion_ros.web import texts
from legion_ros.web.history import Attempts, Curves, Tally
from legion_ros.web.panel import sentence_of
from legion_ros.web.state import Health, Line, MissionState, MissionStep, PageState

MARKUP = '<img src=x onerror="alert(1)">'
STATE = {
    **{"mission": "clear", "title": "Clear the table", "state": "running", "step": 0, "task": "push", "success": False},
    **{"text": "step 1 of 1", "steps": [{"task": "push", "state": "running", "attempt": 1, "seconds": 2.5}]},
}


def test_a_success_counts_once_an_attempt_and_never_that_of_the_one_before() -> None:
    tally = Tally()
    tally.see("push", True)
    tally.begin("push")
    tally.see("push", True)  # of what went before
    assert tally.tasks["push"].done == 0
    for success in (False, True, True, False, True):
        tally.see("push", success)
    assert tally.tasks["push"].done == 1
    tally.begin("push")
    tally.see("push", False)
    tally.begin("")
    tally.see("push", True)
    assert (tally.tasks["push"].begun, tally.tasks["push"].done) == (2, 1)


def test_a_task_may_be_said_to_be_undone_before_it_is_said_to_begin() -> None:
    tally = Tally()
    tally.begin("reach")
    tally.see("push", False)
    tally.begin("push")
    tally.see("push", True)
    assert (tally.tasks["reach"].done, tally.tasks["push"].done) == (0, 1)


def test_curves_keep_the_newest_rows() -> None:
    curves = Curves(2, 3)
    assert [array.tolist() for array in curves.arrays()] == [[0.0]] * 3
    for row in range(5):
        curves.add(row, 10.0 * row, -row)
    times, first, second = curves.arrays()
    assert (times.tolist(), first.tolist(), second.tolist()) == ([-2, -1, 0], [20, 30, 40], [-2, -3, -4])


def test_a_missions_state_is_read() -> None:
    state = MissionState.parse(json.dumps(STATE))
    assert (state.title, state.state) == ("Clear the table", "running")
    assert state.steps == (MissionStep("push", "running", 1, 2.5),)
    assert "attempt 1, 2.5 s" in texts.mission(state)
    assert "No mission node" in texts.mission(MissionState())


@given(st.one_of(st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps)))
def test_what_is_no_state_of_a_mission_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        MissionState.parse(text)


@given(st.dictionaries(st.sampled_from(sorted(STATE)), st.none() | st.text() | st.lists(st.text())))
def test_a_state_with_wrong_parts_is_read_or_refused(changed: dict[str, object]) -> None:
    with contextlib.suppress(ValueError):
        MissionState.parse(json.dumps(STATE | changed))


def test_nothing_that_was_said_becomes_markup() -> None:
    state = PageState(task=MARKUP, e_stop=True, stop_reason=MARKUP, stop_asked=MARKUP, component=MARKUP)
    mission = MissionState(MARKUP, MARKUP, MARKUP, MARKUP, False, (MissionStep(MARKUP, MARKUP, 1, 0.0),))
    report = Health(MARKUP, 2, MARKUP, (MARKUP,))
    everything = (
        texts.banner(state),
        texts.banner(PageState(task="push", component=MARKUP)),
        texts.lines([Line(MARKUP, MARKUP)]),
        texts.mission(mission),
        texts.tally({MARKUP: Attempts()}),
        texts.health([report]),
    )
    for text in everything:
        assert "<img" not in text
        assert escape(MARKUP) in text


def test_the_banner_says_what_matters() -> None:
    assert "no task" in texts.banner(PageState())
    running = texts.banner(PageState(task="push", guard="slow", component="push", certainty=0.5))
    assert "guard: slow" in running and "acts as in push, 50% sure" in running
    stopped = texts.banner(PageState(task="push", guard="slow", e_stop=True, stop_reason="operator"))
    assert "EMERGENCY STOP: operator" in stopped and "guard" not in stopped
    assert "EMERGENCY STOP: engaged" in texts.banner(PageState(e_stop=True, stop_reason="none"))


def test_an_unanswered_stop_is_told_before_all_else() -> None:
    asked = texts.banner(PageState(task="push", stop_asked="NO ANSWER", silent=True))
    assert asked.index("NO ANSWER") < asked.index("nothing is heard of what moves the arm")
    assert 'role="alert"' in asked and 'role="alert"' not in texts.banner(PageState(task="push"))


def test_groups_are_not_told_beside_their_parts() -> None:
    names = ("/LEGION", "/LEGION/safety", "/LEGION/safety/guard", "/LEGION/policy")
    shown = texts.health([Health(name, 0, "well") for name in names])
    assert [name for name in ("LEGION", "safety", "guard", "policy") if f">{name}<" in shown] == ["guard", "policy"]


def test_trouble_comes_first_with_its_mend() -> None:
    values = [KeyValue(key=f"{MEND}bad", value="mend it"), KeyValue(key="rate_hz", value="1")]
    bad = Health.of(DiagnosticStatus(name="/z", level=DiagnosticStatus.ERROR, message="broken", values=values))
    good = Health.of(DiagnosticStatus(name="/a", level=DiagnosticStatus.OK, message="well"))
    assert bad.mends == ("mend it",)
    shown = texts.health([good, bad])
    assert shown.index("broken") < shown.index("mend it") < shown.index("well")


@given(st.text())
def test_a_sentence_is_one_line_of_printable_characters(text: str) -> None:
    sentence = sentence_of(text)
    assert sentence.isprintable()
    assert sentence_of(sentence) == sentence


def test_words_stay_apart_whatever_stands_between_them() -> None:
    assert sentence_of(" open\u00a0the\twin\u00addow\n now") == "open the window now"


def test_plots_take_arrays() -> None:
    assert all(isinstance(array, np.ndarray) for array in PageState().episodes.arrays())
