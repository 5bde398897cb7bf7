"""A second opinion on sentences that the rules do not understand: a linear classifier of sentence embeddings.

It has learned from phrasings of the ten tasks and from sentences that mean none of them, which are in the file that
`INTENTS_FILE` names as numbers. It knows of wordings that no rule foresees, but little of negations and opposites: the
words keep their veto.
`python -m legion_core.intent FILE.yaml ...` fits it anew (needs the extra 'train').
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from legion_core.errors import ConfigurationError
from legion_core.spaces import Float32

INTENTS_FILE = Path(__file__).parent / "data" / "intents.safetensors"
NONE = ""
"""The label of sentences that mean none of the tasks."""
INVERSE_REGULARISATION = 30.0
"""Chosen by leaving one writer's file out: 10 to 100 differ by less than one sentence in a hundred."""


@dataclass(frozen=True)
class IntentClassifier:
    """Multinomial logistic regression: weights (C, E) and biases (C,) of the C `labels`, for embeddings by `model`."""

    model: str
    labels: tuple[str, ...]
    weights: Float32
    biases: Float32

    def opinion(self, embedding: Float32) -> tuple[str, float]:
        """The likeliest label of a sentence given its embedding (E,), and its probability."""
        scores = self.weights @ embedding + self.biases
        odds = np.exp(scores - scores.max())
        best = int(np.argmax(odds))
        return self.labels[best], float(odds[best] / odds.sum())

    def save(self, file: Path) -> None:
        """Write it to a file."""
        about = {"model": self.model, "labels": json.dumps(self.labels)}
        save_file({"weights": self.weights, "biases": self.biases}, file, metadata=about)

    @classmethod
    def load(cls, file: Path = INTENTS_FILE) -> IntentClassifier:
        """Read one that `save` wrote.

        Raises:
            ConfigurationError: the file cannot be read, or holds something else.
        """
        try:
            with safe_open(file, framework="numpy") as tensors:
                about = tensors.metadata()
                labels = tuple(json.loads(about["labels"]))
                return cls(about["model"], labels, tensors.get_tensor("weights"), tensors.get_tensor("biases"))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"{file}: no classifier of sentences ({error})") from error


def fit(model: str, embeddings: Float32, labels: Sequence[str]) -> IntentClassifier:
    """The classifier of sentences with these embeddings (n, E) and labels."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=5000).fit(embeddings, labels)
    weights = np.ascontiguousarray(fitted.coef_, np.float32)  # safetensors writes the memory as it lies
    return IntentClassifier(model, tuple(map(str, fitted.classes_)), weights, fitted.intercept_.astype(np.float32))


def fit_files(files: Sequence[Path]) -> IntentClassifier:
    """The classifier of the sentences in YAML files: `tasks` with the phrasings of each, `refused` with others."""
    from legion_core.bundle import PolicyBundle
    from legion_core.config import load_yaml
    from legion_core.embedding import encoder_of
    from legion_core.understanding import Interpreter

    bundle = PolicyBundle.load()
    model = bundle.manifest.embedding
    if (encoder := encoder_of(model)) is None:
        raise ConfigurationError(f"the sentence encoder {model.name} is not installed")
    interpreter = Interpreter(bundle, encoder)
    said: list[tuple[str, str]] = []
    for file in files:
        sentences = load_yaml(file)
        said += [(text, task) for task, texts in sentences["tasks"].items() for text in texts]
        said += [(text, NONE) for text in sentences["refused"]]
    embeddings = encoder.encode([interpreter.wanted_text(text) for text, _ in said])
    return fit(model.name, embeddings, [label for _, label in said])


def main() -> int:
    """Fit the classifier to files and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="YAML files with `tasks` and `refused`")
    parser.add_argument("--output", type=Path, default=INTENTS_FILE)
    options = parser.parse_args()
    fit_files(options.files).save(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
