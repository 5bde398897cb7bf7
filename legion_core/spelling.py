"""Mends typing errors in words that exist nowhere, never in words that do: a floor is no door.

Two letters that changed places are mended in any word that an operator has no use for: "teh" is common enough to be in
the vocabulary of language models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from rapidfuzz.distance import OSA, JaroWinkler

from legion_core.words import Words

LONG = 6
"""From so many letters on, two slips are mended; in shorter words, one."""
SHORTEST = 3


class Speller:
    """Finds the word of a `vocabulary` that was meant, unless what was written is a word that `exists`."""

    def __init__(self, vocabulary: Iterable[str], exists: Callable[[str], bool]) -> None:
        self._words = frozenset(vocabulary)
        self._vocabulary = frozenset(word for word in self._words if len(word) >= SHORTEST)
        self._exists = exists
        self._meant = cache(self._find)

    def correct(self, words: Words) -> Words:
        """The words as they were meant; "openthe widnow" is open the window."""
        return tuple(meant for word in words for meant in self._meant(word))

    def _find(self, word: str) -> Words:
        if not word.isalpha() or word in self._words:
            return (word,)
        if turned := sorted(_with_neighbours_turned(word) & self._words):
            return (turned[0],)
        if len(word) < SHORTEST or self._exists(word):
            return (word,)
        if near := self._near(word):
            return (near,)
        for at in range(2, len(word) - 1):  # a space that was left out
            first, second = word[:at], word[at:]
            if first in self._vocabulary and second in self._vocabulary:
                return (first, second)
        return (word,)

    def _near(self, word: str) -> str | None:
        """The most similar word of the vocabulary within the allowed number of slips."""
        allowed = 2 if len(word) >= LONG else 1
        found = []
        for candidate in self._vocabulary:
            slips = OSA.distance(word, candidate, score_cutoff=allowed)
            if slips <= allowed:
                if len(word) == SHORTEST and len(candidate) <= SHORTEST and sorted(word) != sorted(candidate):
                    continue  # another letter makes another word of one so short
                turned = sorted(word) != sorted(candidate)  # two letters that changed places are the likeliest slip
                found.append((slips, turned, -JaroWinkler.similarity(word, candidate), candidate))
        return min(found)[-1] if found else None


def _with_neighbours_turned(word: str) -> set[str]:
    """The word with any two neighbouring letters in each other's place."""
    return {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)}
