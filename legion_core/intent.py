"""What a whole sentence asks for: a linear classifier of its embedding and its words.

It has learned from phrasings of the ten tasks, and from sentences that mean none of them or several, which are in the
file that `INTENTS_FILE` names as numbers. It knows of wordings that no rule foresees: the embedding tells what a
sentence is about, the words and their pairs tell "to the goal" from "away from the goal".
`python -m legion_core.intent FILE.yaml ...` fits it anew (needs the extra 'train').
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from legion_core.errors import ConfigurationError
from legion_core.spaces import Float32
from legion_core.words import Words, spoken, text_of

INTENTS_FILE = Path(__file__).parent / "data" / "intents.safetensors"
NONE = ""
"""The label of sentences that mean none of the tasks, or more than one."""
INVERSE_REGULARISATION = 10.0
"""Chosen, as what follows, by leaving writers out: 10 and 30 differ by less than one sentence in two hundred."""
TERMS_SCALE = 2.0
"""Length of the vector of terms beside an embedding of length 1."""
LEAST_SENTENCES = 2
"""A term that occurs in fewer tells nothing."""


@dataclass(frozen=True)
class IntentClassifier:
    """Multinomial logistic regression for sentences that are encoded by `model`.

    `weights` (C, E) and `biases` (C,) of the C `labels`; `term_weights` (C, T) of the T `terms`, whose `rarity` (T,) is
    the inverse document frequency.
    """

    model: str
    labels: tuple[str, ...]
    terms: tuple[str, ...]
    weights: Float32
    biases: Float32
    term_weights: Float32
    rarity: Float32

    @cached_property
    def _places(self) -> dict[str, int]:
        return {term: place for place, term in enumerate(self.terms)}

    def opinion(self, embedding: Float32, words: Words) -> tuple[str, float]:
        """The likeliest label of a sentence given its embedding (E,) and its words, and its probability."""
        places, values = _weighed(words, self._places, self.rarity)
        scores = self.weights @ embedding + self.term_weights[:, places] @ values + self.biases
        odds = np.exp(scores - scores.max())
        best = int(np.argmax(odds))
        return self.labels[best], float(odds[best] / odds.sum())

    def save(self, file: Path) -> None:
        """Write it to a file, the weights of the terms in half precision."""
        about = {"model": self.model, "labels": json.dumps(self.labels), "terms": json.dumps(self.terms)}
        tensors = {"weights": self.weights, "biases": self.biases, "rarity": self.rarity}
        tensors["term_weights"] = self.term_weights.astype(np.float16)
        # safetensors writes the memory as it lies
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, file, metadata=about)

    @classmethod
    def load(cls, file: Path = INTENTS_FILE) -> IntentClassifier:
        """Read one that `save` wrote.

        Raises:
            ConfigurationError: the file cannot be read, or holds something else.
        """
        try:
            with safe_open(file, framework="numpy") as tensors:
                about = tensors.metadata()
                labels, terms = (tuple(json.loads(about[name])) for name in ("labels", "terms"))
                names = ("weights", "biases", "term_weights", "rarity")
                numbers = (tensors.get_tensor(name).astype(np.float32) for name in names)
                return cls(about["model"], labels, terms, *numbers)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"{file}: no classifier of sentences ({error})") from error


def _terms(words: Words) -> Iterable[str]:
    """The words and the pairs of neighbours."""
    said = spoken(words)
    return (*said, *map(" ".join, itertools.pairwise(said)))


def _weighed(words: Words, places: dict[str, int], rarity: Float32) -> tuple[list[int], Float32]:
    """The places of the known terms of a sentence, and their values: rare ones count more (tf-idf)."""
    counts = Counter(places[term] for term in _terms(words) if term in places)
    values = np.array([(1 + np.log(count)) * rarity[place] for place, count in counts.items()], np.float32)
    length = float(np.linalg.norm(values))
    return list(counts), values * np.float32(TERMS_SCALE / length) if length else values


def fit(model: str, embeddings: Float32, sentences: Sequence[Words], labels: Sequence[str]) -> IntentClassifier:
    """The classifier of sentences with these embeddings (n, E), words and labels."""
    from scipy.sparse import csr_array, hstack
    from sklearn.linear_model import LogisticRegression

    in_sentences = Counter(term for words in sentences for term in set(_terms(words)))
    terms = tuple(sorted(term for term, count in in_sentences.items() if count >= LEAST_SENTENCES))
    found = np.array([in_sentences[term] for term in terms])
    rarity = (1 + np.log((1 + len(sentences)) / (1 + found))).astype(np.float32)
    places = {term: place for place, term in enumerate(terms)}
    rows = [_weighed(words, places, rarity) for words in sentences]
    starts = np.cumsum([0, *(len(values) for _, values in rows)])
    columns, values = (np.concatenate([row[i] for row in rows]) for i in (0, 1))
    inputs = hstack([csr_array(embeddings), csr_array((values, columns.astype(int), starts), (len(rows), len(terms)))])
    fitted: Any = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=5000).fit(inputs.tocsr(), labels)
    weights, biases = fitted.coef_.astype(np.float32), fitted.intercept_.astype(np.float32)
    size = embeddings.shape[1]
    return IntentClassifier(
        model, tuple(map(str, fitted.classes_)), terms, weights[:, :size], biases, weights[:, size:], rarity
    )


def fit_files(files: Sequence[Path]) -> IntentClassifier:
    """The classifier of the sentences in YAML files, and of what is likely to be said aloud.

    A file may hold `tasks` with the phrasings of each, `refused` with others, and `sequences`, each a `sentence` that
    means several tasks, and thus no single one.
    """
    from legion_core.bundle import PolicyBundle
    from legion_core.config import load_yaml
    from legion_core.embedding import encoder_of
    from legion_core.speech.corpus import labelled
    from legion_core.understanding import Interpreter

    bundle = PolicyBundle.load()
    model = bundle.manifest.embedding
    if (encoder := encoder_of(model)) is None:
        raise ConfigurationError(f"the sentence encoder {model.name} is not installed")
    interpreter = Interpreter(bundle, encoder)
    said = [*labelled(bundle.task_names)]
    for file in files:
        sentences = load_yaml(file)
        said += [(text, task) for task, texts in sentences.get("tasks", {}).items() for text in texts]
        said += [(text, NONE) for text in sentences.get("refused", ())]
        said += [(each["sentence"], NONE) for each in sentences.get("sequences", ())]
    words = [interpreter.words(text) for text, _ in said]
    embeddings = encoder.encode([text_of(each) for each in words])
    return fit(model.name, embeddings, words, [label for _, label in said])


def main() -> int:
    """Fit the classifier to files and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="YAML files of sentences")
    parser.add_argument("--output", type=Path, default=INTENTS_FILE)
    options = parser.parse_args()
    fit_files(options.files).save(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
