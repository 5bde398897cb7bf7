"""From samples to what was said: utterances are found, "stop" is caught while they last, the rest is recognised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from legion_core.errors import ConfigurationError, unknown
from legion_core.mission import load_missions
from legion_core.phrases import phrases_for
from legion_core.speech.activity import LONGEST_S, Segmenter
from legion_core.speech.audio import RATE_HZ, Pcm
from legion_core.speech.corpus import sentences
from legion_core.speech.dialogue import STOP
from legion_core.speech.judging import word_judge
from legion_core.speech.recogniser import ENGINES, Heard, Recogniser
from legion_core.speech.sphinx import SphinxRecogniser, StopSpotter
from legion_core.speech.whisper import WhisperRecogniser
from legion_core.tasks import all_tasks

RECENT, LOOK = round(1.6 * RATE_HZ), round(0.1 * RATE_HZ)
"""Samples in which "stop" is looked for, and how many new ones there are between two looks."""


class Listener:
    """Takes sound as it comes and yields what it means; keeps no other state than the utterance of the moment."""

    def __init__(self, recogniser: Recogniser, mode: str = "vad", longest_s: float = LONGEST_S) -> None:
        self.segmenter = Segmenter(mode, longest_s)
        self._recogniser, self._spotter = recogniser, StopSpotter()
        self._recent = np.zeros(0, np.int16)
        self._unheard, self._stopped = 0, False

    def feed(self, samples: Pcm) -> Iterator[Heard]:
        """Each utterance that ends in the samples; "stop" as soon as it is heard, and nothing more of its utterance."""
        for piece in self.segmenter.feed(samples):
            if piece.begins:
                self._recent = piece.samples[:0]
                self._unheard, self._stopped = 0, False
            self._recent = np.concatenate([self._recent, piece.samples])[-RECENT:]
            self._unheard += len(piece.samples)
            if not self._stopped and (self._unheard >= LOOK or piece.whole is not None):
                self._unheard = 0
                if self._said_stop():
                    self._stopped = True
                    yield Heard(STOP, 1.0)
            if piece.whole is not None and not self._stopped:
                yield self._recogniser.recognise(piece.whole)

    def _said_stop(self) -> bool:
        """Whether the spotter hears it, which is quick, and then the recogniser, too, which knows other words."""
        return self._spotter.said(self._recent) and STOP in self._recogniser.recognise(self._recent).text.split()


def make_recogniser(engine: str, model: str = "", phrase_files: Sequence[str] = ()) -> Recogniser:
    """The recogniser of that name for the tasks and missions of the package and the phrases of those files.

    Raises:
        ConfigurationError: an unknown engine, or one whose package or model is missing.
    """
    if engine == "whisper":
        return WhisperRecogniser(model, "open the window, close the drawer, push the puck, unplug the peg, stop")
    if engine != "pocketsphinx":
        raise ConfigurationError(unknown("engine", engine, ENGINES))
    tasks = all_tasks()
    missions = [phrase for mission in load_missions().values() for phrase in mission.phrases]
    corpus = sentences(tasks, phrases_for([task.name for task in tasks], phrase_files), missions)
    return SphinxRecogniser(corpus, word_judge())
