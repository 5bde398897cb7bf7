"""Patterns, probabilities and pronunciations that the recogniser is given."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legion_core.errors import ConfigurationError
from legion_core.phrases import phrases_for
from legion_core.speech.corpus import Pattern, labelled, sentences
from legion_core.speech.dialogue import STOP
from legion_core.speech.judging import word_judge
from legion_core.speech.ngram import END, NgramModel
from legion_core.speech.pronunciation import british, pronunciations
from legion_core.tasks import all_tasks, task_names


def test_patterns_are_alternatives_and_options() -> None:
    pattern = Pattern("(open|shut [up]) the [big|red] door")
    drawn = {pattern.draw(random.Random(seed)) for seed in range(300)}
    verbs, things = ("open", "shut", "shut up"), ("the door", "the big door", "the red door")
    assert drawn == {f"{verb} {thing}" for verb in verbs for thing in things}


@pytest.mark.parametrize("text", ["(open", "open)", "[a|b", "(a]"])
def test_brackets_must_match(text: str) -> None:
    with pytest.raises(ConfigurationError, match="pattern"):
        Pattern(text)


def test_a_classifier_learns_every_task_from_them_and_the_same_ones_each_time() -> None:
    said = list(labelled(task_names()))
    assert said == list(labelled(task_names()))
    assert {task for _, task in said} == {*task_names(), ""}
    assert len({text for text, task in said if task == "reach"}) > 20


@given(st.lists(st.tuples(st.text("abc ", max_size=12), st.floats(0.1, 10)), min_size=1, max_size=8))
def test_probabilities_after_any_words_sum_to_one(corpus: list[tuple[str, float]]) -> None:
    model = NgramModel([(" ".join(sentence.split()), weight) for sentence, weight in corpus])
    for history in ((), ("a",), ("a", "b"), ("<s>",), ("<s>", "c")):
        assert sum(model.probability((*history, word)) for word in model.words) == pytest.approx(1)
    assert END in model.words


def test_what_was_said_is_likelier() -> None:
    model = NgramModel([("open the door", 5.0), ("close the window", 1.0)])
    assert model.probability(("open", "the", "door")) > 2 * model.probability(("open", "the", "window")) > 0
    assert model.arpa().startswith("\\data\\\nngram 1=7\n")


def test_britons_leave_out_the_r() -> None:
    assert british("D AO R") == "D AO"
    assert british("W AO T ER") == "W AO T AH"
    assert british("HH IH R") == "HH IH AH"
    assert british("HH IH R IH NG") == "HH IH R IH NG"
    assert british("S T AA P") == "S T AO P"


def test_words_get_their_pronunciations(tmp_path: Path) -> None:
    (tmp_path / "words.dict").write_text("door D AO R\nthe DH AH\nthe(2) DH IY\n")
    said = pronunciations(tmp_path / "words.dict", ["the", "door", "xyz"])
    assert said == {"the": ["DH AH", "DH IY"], "door": ["D AO R", "D AO"]}


def test_each_task_can_be_said_and_none_means_stop() -> None:
    corpus = list(sentences(all_tasks(), phrases_for(task_names())))
    assert corpus == list(sentences(all_tasks(), phrases_for(task_names()))), "the same at every start"
    judge = word_judge()
    assert {judge(sentence) for sentence, _ in corpus[::10]} >= set(task_names())
    for task in all_tasks():
        assert not any(STOP in sentence.split() for sentence in task.sentences)
