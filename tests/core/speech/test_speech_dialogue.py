"""What is sure is obeyed, what is not is asked, and "stop" needs no answer."""

from __future__ import annotations

import pytest

from legion_core.speech.dialogue import Dialogue, Turn
from legion_core.speech.recogniser import Heard

SURE, UNSURE = Heard("open the window", 0.9), Heard("open the door", 0.1)


@pytest.fixture
def dialogue() -> Dialogue:
    return Dialogue(threshold=0.5, patience_s=5.0)


def test_what_is_sure_is_obeyed(dialogue: Dialogue) -> None:
    turn = dialogue.heard(SURE, 0.0)
    assert turn == Turn("open the window", 0.9, "heard", instruction="open the window")
    assert dialogue.heard(Heard("", 0.0), 0.0) is None


@pytest.mark.parametrize(("answer", "state", "told"), [("yes", "confirmed", "open the door"), ("no", "dropped", None)])
def test_what_is_not_sure_is_asked(dialogue: Dialogue, answer: str, state: str, told: str | None) -> None:
    asked = dialogue.heard(UNSURE, 0.0)
    assert asked is not None and asked.instruction is None
    assert (asked.state, asked.final, asked.question) == ("asking", False, "did you say 'open the door'? say yes or no")
    turn = dialogue.heard(Heard(answer, 0.1), 1.0)
    assert turn is not None and (turn.state, turn.text, turn.instruction) == (state, "open the door", told)


def test_a_question_is_dropped_in_time(dialogue: Dialogue) -> None:
    dialogue.heard(UNSURE, 0.0)
    assert dialogue.waited(4.9) is None
    turn = dialogue.waited(5.0)
    assert turn is not None and (turn.state, turn.instruction) == ("dropped", None)
    late = dialogue.heard(Heard("yes", 0.9), 6.0)
    assert late is not None and late.instruction is None


def test_another_sentence_replaces_the_question(dialogue: Dialogue) -> None:
    dialogue.heard(UNSURE, 0.0)
    turn = dialogue.heard(SURE, 1.0)
    assert turn is not None and turn.instruction == "open the window"
    assert dialogue.waited(99.0) is None


def test_stop_is_obeyed_however_unsure(dialogue: Dialogue) -> None:
    dialogue.heard(UNSURE, 0.0)
    turn = dialogue.heard(Heard("please stop", 0.0), 1.0)
    assert turn is not None and (turn.state, turn.instruction) == ("stop", "stop")
    assert dialogue.waited(99.0) is None, "the question is forgotten"
