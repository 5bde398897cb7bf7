"""The classifier of sentences: fitted, kept and read again as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legion_core.errors import ConfigurationError
from legion_core.intent import IntentClassifier, fit
from legion_core.tasks import task_names

SAID = {"reach": ("go", "there"), "push": ("push", "it"), "": ("do", "not", "push", "it")}
CENTRES = {"reach": (1.0, 0.0, 0.0), "push": (0.0, 1.0, 0.0), "": (0.0, 0.0, 1.0)}


@pytest.fixture(scope="module")
def classifier() -> IntentClassifier:
    """Of three kinds of sentences that are easily told apart."""
    pytest.importorskip("sklearn", reason="the extra 'train' is not installed")
    rng = np.random.default_rng(0)
    labels = [label for label in CENTRES for _ in range(20)]
    embeddings = np.array([CENTRES[label] for label in labels]) + rng.normal(scale=0.1, size=(len(labels), 3))
    return fit("model", embeddings.astype(np.float32), [SAID[label] for label in labels], labels)


@pytest.mark.parametrize("label", CENTRES)
def test_it_tells_the_label_and_how_sure_it_is(classifier: IntentClassifier, label: str) -> None:
    found, probability = classifier.opinion(np.array(CENTRES[label], np.float32), SAID[label])
    assert found == label
    assert 0.9 < probability <= 1.0
    _, between = classifier.opinion(np.full(3, 1 / 3, np.float32), ("never", "heard"))
    assert between < 0.9


def test_words_tell_what_the_embedding_does_not(classifier: IntentClassifier) -> None:
    about_pushing = np.array(CENTRES["push"], np.float32) / 2 + np.array(CENTRES[""], np.float32) / 2
    assert classifier.opinion(about_pushing, ("push", "it"))[0] == "push"
    assert classifier.opinion(about_pushing, ("do", "not", "push", "it"))[0] == ""


def test_a_file_gives_it_back(classifier: IntentClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "intents.safetensors")
    again = IntentClassifier.load(tmp_path / "intents.safetensors")
    assert (again.model, again.labels, again.terms) == (classifier.model, classifier.labels, classifier.terms)
    assert np.abs(again.term_weights - classifier.term_weights).max() < 1e-3
    assert again.weights.tobytes() == classifier.weights.tobytes()
    for label, centre in CENTRES.items():
        assert again.opinion(np.array(centre, np.float32), SAID[label])[0] == label


def test_another_file_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "intents.safetensors"
    file.write_bytes(b"no tensors")
    with pytest.raises(ConfigurationError, match="no classifier of sentences"):
        IntentClassifier.load(file)


def test_the_one_that_is_shipped_knows_the_tasks_and_none() -> None:
    shipped = IntentClassifier.load()
    assert set(shipped.labels) == {*task_names(), ""}
    assert shipped.weights.shape == (len(shipped.labels), 384)
    assert shipped.term_weights.shape == (len(shipped.labels), len(shipped.terms))
