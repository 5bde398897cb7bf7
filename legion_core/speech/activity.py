"""Which part of the sound is an utterance: by voice activity, or while a button is held."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from legion_core.speech.audio import RATE_HZ, Pcm
from legion_core.speech.sphinx import import_pocketsphinx

MODES = ("vad", "push_to_talk")
LONGEST_S = 12.0
WINDOW = 20
"""Frames of 30 ms with which an utterance begins: what was said before it was noticed."""
RECENT, BEGINNING = 8, 5
ENDING, LEAST = 14, 2
"""So many voiced frames among the newest begin an utterance, and so many keep it going."""


@dataclass(frozen=True)
class Piece:
    """The newest `samples` of an utterance, whether it `begins` with them, and the `whole` of it where it ends."""

    samples: Pcm
    begins: bool = False
    whole: Pcm | None = None


class Segmenter:
    """Finds utterances in samples as they come; one that lasts too long ends where the time is up."""

    def __init__(self, mode: str = "vad", longest_s: float = LONGEST_S) -> None:
        sphinx = import_pocketsphinx()
        self._by_voice = mode == "vad"
        self._vad = sphinx.Vad(sphinx.Vad.STRICT)
        self._frames: deque[tuple[Pcm, bool]] = deque(maxlen=WINDOW)
        self._longest = round(longest_s * RATE_HZ)
        self._waiting = np.zeros(0, np.int16)
        self._utterance: list[Pcm] = []
        self.pressed = False

    @property
    def busy(self) -> bool:
        """Whether an utterance has begun and not ended."""
        return bool(self._utterance)

    def forget(self) -> None:
        """The utterance that has begun is none: its end will not come."""
        self._utterance = []
        self._frames.clear()

    def feed(self, samples: Pcm) -> list[Piece]:
        """What the samples add to utterances, in order."""
        if not len(samples):
            return []  # nothing can be recognised of nothing
        if not self._by_voice:
            return self._add(samples, going_on=self.pressed) if self.pressed or self._utterance else []
        self._waiting = np.concatenate([self._waiting, samples])
        size = self._vad.frame_bytes // 2
        pieces: list[Piece] = []
        while len(self._waiting) >= size:
            frame, self._waiting = self._waiting[:size], self._waiting[size:]
            self._frames.append((frame, self._vad.is_speech(frame.tobytes())))
            voiced = [speech for _, speech in self._frames]
            if self._utterance:
                pieces += self._add(frame, going_on=sum(voiced[-ENDING:]) >= LEAST)
            elif sum(voiced[-RECENT:]) >= BEGINNING:
                pieces += self._add(np.concatenate([frame for frame, _ in self._frames]), going_on=True)
        if not self._utterance and pieces:
            self._frames.clear()
        return pieces

    def _add(self, samples: Pcm, going_on: bool) -> list[Piece]:
        begins = not self._utterance
        self._utterance.append(samples)
        if going_on and sum(map(len, self._utterance)) < self._longest:
            return [Piece(samples, begins)]
        whole, self._utterance = np.concatenate(self._utterance), []
        return [Piece(samples, begins, whole)]
