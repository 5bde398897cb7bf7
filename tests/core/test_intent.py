"""The classifier of sentences: fitted, kept and read again as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legion_core.errors import ConfigurationError
from legion_core.intent import IntentClassifier, fit
from legion_core.tasks import task_names

CENTRES = {"reach": (1.0, 0.0, 0.0), "push": (0.0, 1.0, 0.0), "": (0.0, 0.0, 1.0)}


@pytest.fixture(scope="module")
def classifier() -> IntentClassifier:
    """Of three kinds of sentences that are easily told apart."""
    pytest.importorskip("sklearn", reason="the extra 'train' is not installed")
    rng = np.random.default_rng(0)
    labels = [label for label in CENTRES for _ in range(20)]
    embeddings = np.array([CENTRES[label] for label in labels]) + rng.normal(scale=0.1, size=(len(labels), 3))
    return fit("model", embeddings.astype(np.float32), labels)


@pytest.mark.parametrize("label", CENTRES)
def test_it_tells_the_label_and_how_sure_it_is(classifier: IntentClassifier, label: str) -> None:
    found, probability = classifier.opinion(np.array(CENTRES[label], np.float32))
    assert found == label
    assert 0.9 < probability <= 1.0
    _, between = classifier.opinion(np.full(3, 1 / 3, np.float32))
    assert between < 0.9


def test_a_file_gives_it_back(classifier: IntentClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "intents.safetensors")
    again = IntentClassifier.load(tmp_path / "intents.safetensors")
    assert (again.model, again.labels) == (classifier.model, classifier.labels)
    assert again.weights.tobytes() == classifier.weights.tobytes()
    for label, centre in CENTRES.items():
        assert again.opinion(np.array(centre, np.float32))[0] == label


def test_another_file_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "intents.safetensors"
    file.write_bytes(b"no tensors")
    with pytest.raises(ConfigurationError, match="no classifier of sentences"):
        IntentClassifier.load(file)


def test_the_one_that_is_shipped_knows_the_tasks_and_none() -> None:
    shipped = IntentClassifier.load()
    assert set(shipped.labels) == {*task_names(), ""}
    assert shipped.weights.shape == (len(shipped.labels), 384)
