"""What operators are likely to say aloud: the weighted sentences that a language model for speech is made of."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from legion_core.config import load_yaml
from legion_core.errors import ConfigurationError
from legion_core.phrases import Phrases
from legion_core.tasks import Task
from legion_core.words import spoken, words_of

SPOKEN_FILE = Path(__file__).parents[1] / "data" / "spoken.yaml"
DRAWS = 300
"""Sentences drawn of each pattern; what counts is which words follow which, so not every one has to be there."""
LABELLED, LABELLED_OTHERS = 40, 3
"""The same for a classifier of sentences, of patterns that mean a task and of others."""
PATTERN, KNOWN, OTHER = 100.0, 5.0, 1.0
"""How often the sentences of a pattern together, a known sentence, and one that means no task count as said."""
POLITE = 0.25
"""Share of sentences with a courtesy before them, and of those with one behind them."""

_CLOSING = {"(": ")", "[": "]"}
_TOKEN = re.compile(r"[()\[\]|]|[^()\[\]|\s]+")

Branches: TypeAlias = list[list[Any]]
"""Alternatives, each a sequence of words and of further alternatives."""


def sentences(tasks: Iterable[Task], phrases: Phrases, missions: Iterable[str] = ()) -> Iterator[tuple[str, float]]:
    """Sentences in lower case without punctuation, and how often each counts as said; the same ones at every call.

    Raises:
        ConfigurationError: data/spoken.yaml is malformed.
    """
    data = load_yaml(SPOKEN_FILE)
    before, behind = ([Pattern(text) for text in data[key]] for key in ("before", "behind"))
    rng = random.Random(0)

    def politely(sentence: str) -> str:
        first = rng.choice(before).draw(rng) if rng.random() < POLITE else ""
        last = rng.choice(behind).draw(rng) if rng.random() < POLITE else ""
        return " ".join(filter(None, (first, sentence, last)))

    for task in tasks:
        for text in data["tasks"].get(task.name, ()):
            pattern = Pattern(text)
            yield from ((politely(pattern.draw(rng)), PATTERN / DRAWS) for _ in range(DRAWS))
        for sentence in (*task.sentences, *phrases.tasks.get(task.name, ())):
            yield plain(sentence), KNOWN
    for text in (*data["answers"], *map(plain, missions)):
        pattern = Pattern(text)
        yield from ((pattern.draw(rng), KNOWN / 10) for _ in range(10))
    for text in data["other"]:
        pattern = Pattern(text)
        yield from ((pattern.draw(rng), OTHER) for _ in range(10))
    yield from ((plain(sentence), OTHER) for sentence in phrases.refused)


def labelled(tasks: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Sentences of the patterns, each once, and the tasks that they mean; '' for none."""
    data, rng = load_yaml(SPOKEN_FILE), random.Random(0)
    patterns = [(text, task, LABELLED) for task in tasks for text in data["tasks"].get(task, ())]
    patterns += [(text, "", LABELLED_OTHERS) for text in data["other"]]
    for text, task, count in patterns:
        pattern = Pattern(text)
        yield from ((said, task) for said in dict.fromkeys(pattern.draw(rng) for _ in range(count)))


def answers() -> frozenset[str]:
    """Every control word and answer as it may be said."""
    rng = random.Random(0)
    patterns = [Pattern(text) for text in load_yaml(SPOKEN_FILE)["answers"]]
    return frozenset(pattern.draw(rng) for pattern in patterns for _ in range(100))


def plain(sentence: str) -> str:
    """The words of a sentence as they are spoken."""
    return " ".join(spoken(words_of(sentence)))


class Pattern:
    """Sentences of one form: (a|b) is one of them, [a|b] may be left out; brackets may be nested.

    Raises:
        ConfigurationError: a bracket is not closed, or was not opened.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.findall(text)
        self._branches, end = self._parse(0, "")
        if end != len(self._tokens):
            raise ConfigurationError(f"pattern {text!r}: {self._tokens[end]!r} closes nothing")

    def draw(self, rng: random.Random) -> str:
        """One of the sentences."""
        return " ".join(_drawn(self._branches, rng))

    def _parse(self, at: int, closing: str) -> tuple[Branches, int]:
        """The alternatives from that token to the closing bracket, and where that is."""
        branches: Branches = [[]]
        while at < len(self._tokens) and self._tokens[at] not in (")", "]"):
            token = self._tokens[at]
            if token == "|":
                branches.append([])
            elif token in _CLOSING:
                inner, at = self._parse(at + 1, _CLOSING[token])
                branches[-1].append(inner if token == "(" else [[], [inner]])
            else:
                branches[-1].append(token)
            at += 1
        if closing and self._tokens[at : at + 1] != [closing]:
            raise ConfigurationError(f"pattern {self._text!r}: {closing!r} is missing")
        return branches, at


def _drawn(branches: Branches, rng: random.Random) -> Iterator[str]:
    for part in rng.choice(branches):
        if isinstance(part, str):
            yield part
        else:
            yield from _drawn(part, rng)
