"""Recognition with pocketsphinx: its acoustic model comes with it, the language model is made of our sentences."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from legion_core.errors import ConfigurationError
from legion_core.speech.audio import Pcm
from legion_core.speech.ngram import NgramModel
from legion_core.speech.pronunciation import pronunciations
from legion_core.speech.recogniser import Heard, Judge

INSTALL_HINT = "install it with: pip install 'legion_ros[voice]'"
HYPOTHESES = 100
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
        """The likeliest words among those that mean what the likeliest hypotheses together mean."""
        decoder = self._decoder
        decoder.start_utt()
        decoder.process_raw(utterance.tobytes(), full_utt=True)
        decoder.end_utt()
        best = decoder.hyp()
        if best is None or not best.hypstr:
            return Heard("", 0.0)
        return _agreed([best.hypstr, *(h.hypstr for h in islice(decoder.nbest(), HYPOTHESES) if h)], self._judge)


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


def _agreed(texts: Sequence[str], judge: Judge) -> Heard:
    """The likeliest text of the meaning that most of the hypotheses share, and that share; the best if none has one."""
    distinct = list(dict.fromkeys(texts))
    meanings = [judge(text) for text in distinct]
    votes = Counter(meaning for meaning in meanings if meaning)
    if not votes:
        return Heard(distinct[0], 0.0)
    winner = meanings[0] or votes.most_common(1)[0][0]
    return Heard(distinct[meanings.index(winner)], votes[winner] / len(distinct))


def _dictionary(said: dict[str, list[str]]) -> str:
    lines = []
    for word, ways in sorted(said.items()):
        lines += [f"{word}{f'({n})' if n > 1 else ''} {phones}" for n, phones in enumerate(ways, 1)]
    return "\n".join([*lines, ""])
