"""What every speech recogniser gives: words, and how sure it is of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from legion_core.speech.audio import Pcm

ENGINES = ("pocketsphinx", "whisper")

Judge = Callable[[str], str | None]
"""The task that a text names by its words, or None where they do not tell."""


@dataclass(frozen=True)
class Heard:
    """The words of an utterance, '' for none, and the probability, 0 to 1, that they mean what was said."""

    text: str
    confidence: float


class Recogniser(Protocol):
    """Turns one utterance into words, offline."""

    def recognise(self, utterance: Pcm) -> Heard:
        """What was said in 16 kHz mono samples."""
        ...
