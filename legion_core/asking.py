"""How something is asked for: courtesies, duties and wishes around what is wanted, which do not change it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from legion_core.config import load_yaml
from legion_core.words import Words, spoken

ASKING_FILE = Path(__file__).parent / "data" / "asking.yaml"

_WISHED = re.compile(
    r"\b(?:(?:i|we) (?:want|need|wish|would like) that|it would be \w+ if) (.+?) (?:is|are|was|were|gets|got)\b"
)
"""What ought to be, said as if it were."""


class Asking:
    """The frames of `data/asking.yaml`, left out of a sentence until nothing but what is wanted remains."""

    def __init__(self, file: Path = ASKING_FILE) -> None:
        data: dict[str, list[str]] = load_yaml(file)
        self._frames, self._wishes = _any_of(data["frames"]), _any_of(data["wishes"])
        self.vocabulary = frozenset(re.findall(r"(?<![\\+])\b[a-z]+", " ".join((*data["frames"], *data["wishes"]))))

    def stripped(self, words: Words, names_something: Callable[[Words], bool]) -> Words:
        """The words that say what is wanted; a sentence of frames alone stays as it is.

        Args:
            names_something: whether words name a thing or an action: what a wish must be followed by.
        """
        text, before = _WISHED.sub(r"\1 should be", " ".join(words)), ""
        while text != before:
            before, text = text, " ".join(self._frames.sub(" ", text).split())
            text = self._wishes.sub(lambda found: " " if names_something(_rest(found)) else found[0], text)
        left = tuple(text.split())
        return left if spoken(left) else words


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """Any of the patterns as whole words; where several fit, the first."""
    return re.compile(rf"(?<!\S)(?:{'|'.join(patterns)})(?!\S)")


def _rest(found: re.Match[str]) -> Words:
    return tuple(found.string[found.end() :].split())
