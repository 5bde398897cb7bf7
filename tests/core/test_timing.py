"""Times, events and repetitions: found where they are asked for, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legion_core.lexicon import Lexicon
from legion_core.timing import Timing
from legion_core.words import words_of


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon()


@pytest.fixture(scope="module")
def timing(lexicon: Lexicon) -> Timing:
    return Timing(lexicon)


@pytest.mark.parametrize(
    ("sentence", "hindrance"),
    [
        ("close the window every morning", "every morning"),
        ("in ten minutes push the puck", "in ten minutes"),
        ("press the button at noon", "at noon"),
        ("press the button five times", "five times"),
        ("press the button twice", "twice"),
        ("hit the button again and again until something happens", "again and again"),
        ("tomorrow I want the window open", "tomorrow"),
        ("not now, but later on open the door", "not now"),
        ("at the end of the shift, open the window", "at the end of the"),
        ("wait a week and then pull the peg", "wait a week"),
        ("if it rains, close the window", "if"),
        ("should it rain, close the window", "should it"),
        ("in case you smell gas, open the window", "in case"),
        ("open the door on my signal", "on my signal"),
        ("next time somebody leaves the window open, push it shut", "next time"),
        ("keep the faucet open until I come back", "keep the faucet open until i come back"),
        ("press the button until the bell rings", "until the bell rings"),
        ("when the bell rings press the button", "when the bell rings"),
        ("as soon as it starts raining, shut the window", "once it starts raining"),
        ("after lunch open the tap", "after lunch"),
        ("push the puck once I have left the room", "once i have left the room"),
        ("it is stuffy and I want the window open at noon", "at noon"),
    ],
)
def test_what_an_arm_that_acts_at_once_cannot_do_is_found(
    timing: Timing, lexicon: Lexicon, sentence: str, hindrance: str
) -> None:
    assert timing.hindrance(lexicon.without_courtesies(words_of(sentence))).startswith(hindrance)


@pytest.mark.parametrize(
    "sentence",
    [
        "push the drawer until it is shut",
        "turn the tap until the water runs",
        "as soon as you can, open the door",
        "if you don't mind, open the door",
        "when you are ready, open the door",
        "open the door once more, please",
        "open the window before we go",
        "open the door by noon",
        "for once do it in one go: open the door",
        "we have ten minutes left, push the puck to the goal",
        "it is always cold at night, so close the window",
        "my boss comes at noon, open the window",
        "close the drawer because the cleaners come every evening",
        "once the drawer is closed, open the window",
        "press the button after you have opened the window",
        "open the window, and when you are done with it, close the drawer",
        "open the window, and once it is open, close the drawer",
        "don't keep me waiting, open the faucet",
        "what are you waiting for, push the button",
        "do as you did on Friday and open the door",
        "close the window for the night",
        "keep pushing the puck until it is at the goal",
    ],
)
def test_what_may_be_done_at_once_is_left_alone(timing: Timing, lexicon: Lexicon, sentence: str) -> None:
    assert timing.hindrance(lexicon.without_courtesies(words_of(sentence))) == ""


@given(st.lists(st.sampled_from(words_of("when in ten minutes until the bell , so as if it is every and . window"))))
def test_any_words_have_an_answer(words: list[str]) -> None:
    assert isinstance(Timing(Lexicon()).hindrance(tuple(words)), str)
