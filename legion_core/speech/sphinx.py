"""Recognition with pocketsphinx: its acoustic model comes with it, the language model is made of our sentences."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from legion_core.errors import ConfigurationError
from legion_core.speech.audio import RATE_HZ, Pcm, resampled
from legion_core.speech.ngram import NgramModel
from legion_core.speech.pronunciation import pronunciations
from legion_core.speech.recogniser import Heard, Judge

INSTALL_HINT = "install it with: pip install 'legion_ros[voice]'"
HYPOTHESES = 100
SHARPNESS = 40.0
"""Power of the hypotheses' scores that makes their shares say best who is right (benchmarks/bench_voice.py --curve)."""
HEARINGS_HZ = (RATE_HZ, 17_600, 14_400)
"""An utterance is taken as if it came at these rates, one after the other: as other throats would have said it."""
SURE = 0.7
"""Confidence at which it is not heard again."""
FLOOR_DB = 25.0
"""Level of the noise that is added, below the utterance's own."""
LANGUAGE_WEIGHT = 8.0
STOP = {"stop-american": "S T AA P", "stop-british": "S T AO P"}
THRESHOLD = 1e-20


def import_pocketsphinx() -> Any:
    """The module, which only a process that listens needs.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import pocketsphinx
    except ImportError as error:
        raise ConfigurationError(f"pocketsphinx is missing; {INSTALL_HINT}") from error
    return pocketsphinx


class SphinxRecogniser:
    """Hears the sentences of a corpus, and others made of their words.

    Args:
        sentences: what may be said, and how often it counts as said; those with a word that has no pronunciation in
            the dictionary are left out, and the words are in `unpronounceable`.
        judge: tells which hypotheses mean the same.

    Raises:
        ConfigurationError: pocketsphinx is not installed.
    """

    def __init__(self, sentences: Iterable[tuple[str, float]], judge: Judge = lambda text: None) -> None:
        sphinx = import_pocketsphinx()
        corpus = list(sentences)
        words = {word for sentence, _ in corpus for word in sentence.split()}
        said = pronunciations(Path(sphinx.get_model_path("en-us/cmudict-en-us.dict")), words)
        self.unpronounceable = sorted(words - set(said))
        model = NgramModel((s, weight) for s, weight in corpus if said.keys() >= set(s.split()))
        self._judge = judge
        with tempfile.TemporaryDirectory() as folder:
            language, dictionary = Path(folder, "language.arpa"), Path(folder, "words.dict")
            language.write_text(model.arpa(), encoding="utf-8")
            dictionary.write_text(_dictionary(said), encoding="utf-8")
            self._decoder = sphinx.Decoder(
                hmm=sphinx.get_model_path("en-us/en-us"),
                lm=str(language),
                dict=str(dictionary),
                lw=LANGUAGE_WEIGHT,
                fwdflatlw=LANGUAGE_WEIGHT + 2,
                bestpathlw=LANGUAGE_WEIGHT + 3,
                fwdtree=False,  # the words are few: all of them are tried everywhere, with the whole language model
                loglevel="FATAL",
            )

    def recognise(self, utterance: Pcm) -> Heard:
        """The likeliest words among those that mean what the likeliest hypotheses of all hearings together mean."""
        heard, shares = Heard("", 0.0), dict[str, float]()
        for count, rate_hz in enumerate(HEARINGS_HZ, 1):
            for text, share in self._shares(resampled(utterance, rate_hz)).items():
                shares[text] = shares.get(text, 0.0) + share
            if shares:
                heard = _agreed({text: share / count for text, share in shares.items()}, self._judge)
            if heard.confidence >= SURE:
                break
        return heard

    def _shares(self, utterance: Pcm) -> dict[str, float]:
        """The hypotheses of one hearing, each with its share of their likelihood."""
        decoder = self._decoder
        decoder.start_utt()
        decoder.process_raw(_in_faint_noise(utterance).tobytes(), full_utt=True)
        decoder.end_utt()
        hypotheses = list(filter(None, islice(decoder.nbest(), HYPOTHESES))) if decoder.hyp() else []
        scores = {each.hypstr: each.score for each in hypotheses if each.hypstr}
        best = max(scores.values(), default=1.0)
        weights = {text: (score / best) ** SHARPNESS for text, score in scores.items()}
        return {text: weight / sum(weights.values()) for text, weight in weights.items()}


class StopSpotter:
    """Listens for "stop" alone, while the sentence is still being spoken; a search of its own.

    It hears "stop" in other words, too: whoever acts on it asks the recogniser whether it was said.
    """

    def __init__(self) -> None:
        sphinx = import_pocketsphinx()
        self._decoder = sphinx.Decoder(hmm=sphinx.get_model_path("en-us/en-us"), lm=None, loglevel="FATAL")
        for name, phones in STOP.items():
            self._decoder.add_word(name, phones, True)
        with tempfile.TemporaryDirectory() as folder:
            phrases = Path(folder, "stop.txt")
            phrases.write_text("".join(f"{name} /{THRESHOLD:g}/\n" for name in STOP), encoding="utf-8")
            self._decoder.add_kws("stop", str(phrases))
        self._decoder.activate_search("stop")

    def said(self, recent: Pcm) -> bool:
        """Whether "stop" is in these samples.

        They are heard anew each time: the level of a room is not known before something was said in it.
        """
        self._decoder.start_utt()
        self._decoder.process_raw(recent.tobytes(), full_utt=True)
        self._decoder.end_utt()
        return self._decoder.hyp() is not None


def _in_faint_noise(utterance: Pcm) -> Pcm:
    """The utterance in a little white noise: in the silence of a file the acoustic model hears what nobody said."""
    power = float(np.mean(utterance.astype(np.float64) ** 2)) / 10 ** (FLOOR_DB / 10)
    noise = np.random.default_rng(0).normal(scale=np.sqrt(power), size=len(utterance))
    return np.clip(utterance + noise, -32768, 32767).astype(np.int16)


def _agreed(shares: Mapping[str, float], judge: Judge) -> Heard:
    """The likeliest text of the likeliest meaning, and that meaning's share; if none has one, the likeliest text."""
    meanings: defaultdict[str | None, dict[str, float]] = defaultdict(dict)
    for text, share in shares.items():
        meanings[judge(text)][text] = share
    likeliest = max(filter(None, meanings), key=lambda meaning: sum(meanings[meaning].values()), default=None)
    texts = meanings[likeliest]
    return Heard(max(texts, key=texts.__getitem__), sum(texts.values()) if likeliest else 0.0)


def _dictionary(said: dict[str, list[str]]) -> str:
    lines = []
    for word, ways in sorted(said.items()):
        lines += [f"{word}{f'({n})' if n > 1 else ''} {phones}" for n, phones in enumerate(ways, 1)]
    return "\n".join([*lines, ""])
