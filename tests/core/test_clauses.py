"""Words, spelling, splitting and the lexicon: the steps from a sentence to clauses that can be judged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legion_core.errors import ConfigurationError
from legion_core.lexicon import Lexicon
from legion_core.spelling import Speller
from legion_core.splitting import in_order, is_reason, joined
from legion_core.words import text_of, words_of


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon()


def clauses(sentence: str, lexicon: Lexicon) -> list[str]:
    return [text_of(clause) for clause in in_order(words_of(sentence), lexicon.is_action)]


def test_words_are_spelt_out() -> None:
    assert words_of("DON\u2019T stop, I'd like it!") == ("do", "not", "stop", ",", "i", "would", "like", "it", "!")
    assert text_of(("open", "it", ",", "please", ".")) == "open it, please"


@pytest.mark.parametrize(
    "sentence",
    [
        "open the window then press the button",
        "before you press the button, open the window",
        "before pressing the button open the window",
        "press the button after you have opened the window",
        "once the window is open, press the button",
        "press the button, but before that open the window",
        "press the button but open the window first",
        "Open the window. After that, press the button.",
        "first open the window; finally press the button",
        "prior to pressing the button, open the window",
    ],
)
def test_clauses_come_in_the_order_of_execution(lexicon: Lexicon, sentence: str) -> None:
    first, second = clauses(sentence, lexicon)
    assert "window" in first and "open" in first
    assert "button" in second and "press" in second


def test_and_joins_and_because_gives_a_reason(lexicon: Lexicon) -> None:
    parts = joined(words_of("open the window and close the drawer because it is late"), lexicon.is_action)
    assert [text_of(part) for part in parts] == ["open the window", "close the drawer", "because it is late"]
    assert [is_reason(part) for part in parts] == [False, False, True]


@given(st.lists(st.sampled_from(words_of("open close the window before after that , and then first once . but"))))
def test_any_order_of_words_can_be_split(words: list[str]) -> None:
    found = in_order(tuple(words), {"open", "close"}.__contains__)
    assert all(found)
    assert sum(map(len, found)) <= len(words)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("opne", "open"),
        ("widnow", "window"),
        ("teh", "the"),
        ("drawr", "drawer"),
        ("openthe", "open the"),
        ("floor", "floor"),
        ("xyzzy", "xyzzy"),
        ("42", "42"),
        ("dor", "door"),
    ],
)
def test_only_words_that_do_not_exist_are_mended(written: str, meant: str) -> None:
    speller = Speller(["open", "window", "the", "door", "drawer"], {"floor", "tea"}.__contains__)
    assert " ".join(speller.correct((written,))) == meant


@pytest.mark.parametrize(
    ("clause", "task", "verdict"),
    [
        ("close the drawer", "drawer-close", True),
        ("pushing the drawer shut", "drawer-close", True),
        ("close the open drawer", "drawer-close", True),
        ("open the drawer", "drawer-close", False),
        ("do not close the drawer", "drawer-close", False),
        ("is the drawer closed", "drawer-close", False),
        ("close the drawer and the door", "drawer-close", False),
        ("paint the drawer", "drawer-close", False),
        ("deal with the drawer", "drawer-close", None),
        ("unplug it", "peg-unplug-side", True),
        ("unplug the toaster", "peg-unplug-side", False),
    ],
)
def test_words_judge_a_clause(lexicon: Lexicon, clause: str, task: str, verdict: bool | None) -> None:
    assert lexicon.read(words_of(clause)).judge(lexicon.tasks[task]) is verdict


def test_courtesies_are_left_out_but_not_all_of_a_sentence(lexicon: Lexicon) -> None:
    assert text_of(lexicon.without_courtesies(words_of("could you please open it for me"))) == "open it"
    assert lexicon.without_courtesies(words_of("thank you")) == ("thank", "you")


def test_strange_words_are_told(lexicon: Lexicon) -> None:
    assert lexicon.read(words_of("flumox the door")).strange == ("flumox",)


def test_a_rule_must_name_what_the_lexicon_holds(tmp_path, lexicon: Lexicon) -> None:
    file = tmp_path / "lexicon.yaml"
    file.write_text(
        "things: {door: [door]}\nactions: {open: [open]}\nforms: {}\nplain: [the]\ncourtesies: [please]\n"
        "tasks: {door-open: {thing: door, does: [opne]}}\n"
    )
    with pytest.raises(ConfigurationError, match=r"lexicon.yaml: door-open: unknown concept 'opne'"):
        Lexicon(file=file)
