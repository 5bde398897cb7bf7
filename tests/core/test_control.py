"""Words that steer: recognised with politeness and repetition, and never inside another request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legion_core.control import Control, control_of, releases_emergency_stop
from legion_core.words import words_of


@pytest.mark.parametrize(
    ("control", "sentences"),
    [
        (
            Control.STOP,
            ["stop", "STOP!!!", "stop stop stop", "please stop now", "halt", "don't move", "stop pushing", ""],
        ),
        (
            Control.STOP,
            ["stop it right now", "stop the robot", "abort the mission", "freeze", "stop moving", "enough!"],
        ),
        (Control.EMERGENCY_STOP, ["emergency stop", "E-stop!", "hit the emergency stop button", "emergency"]),
        (Control.PAUSE, ["pause", "wait a moment please", "hold on", "just a second"]),
        (Control.CONTINUE, ["continue", "go on", "please carry on", "resume", "don't stop", "you can continue"]),
        (Control.AGAIN, ["again", "do it again", "once more please", "one more time", "repeat that"]),
        (Control.SKIP, ["skip", "skip this step", "next", "go to the next one"]),
        (Control.HELP, ["help", "what can you do?", "tell me what you can do", "which tasks do you know"]),
    ],
)
def test_each_has_its_phrases(control: Control, sentences: list[str]) -> None:
    assert [control_of(words_of(sentence)) for sentence in sentences] == [control] * len(sentences)


@pytest.mark.parametrize(
    "sentence",
    [
        "stop the faucet from running",
        "open the window",
        "close the next window",
        "hold the puck",
        "help the puck to the goal",
        "continue to push the puck",
        "skip the rope",
    ],
)
def test_other_sentences_do_not_steer(sentence: str) -> None:
    assert control_of(words_of(sentence)) is None


@pytest.mark.parametrize("sentence", ["release the emergency stop", "reset the e-stop", "clear emergency stop"])
def test_no_sentence_releases_the_emergency_stop(sentence: str) -> None:
    assert releases_emergency_stop(words_of(sentence))
    assert control_of(words_of(sentence)) is None


@given(st.text())
def test_any_text_has_an_answer(text: str) -> None:
    assert control_of(words_of(text)) in (None, *Control)
