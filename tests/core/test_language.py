"""Sentences of operators: what they mean, and that whatever is unclear is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from legion_core.bundle import PolicyBundle
from legion_core.errors import ConfigurationError, SpaceError
from legion_core.language import OFFERED, TaskResolver
from legion_core.tasks import task_names

SENTENCES = yaml.safe_load((Path(__file__).parent / "data" / "instructions.yaml").read_text(encoding="utf-8"))
LEAST_RIGHT, LEAST_REFUSED, LEAST_NEAR_MISSES_REFUSED, MOST_WRONG = 0.95, 0.95, 0.85, 0.02

Encode = Callable[[Sequence[str]], np.ndarray]


@pytest.fixture
def resolver(random_bundle: PolicyBundle) -> TaskResolver:
    return TaskResolver(random_bundle)


def test_every_known_sentence_means_its_task(random_bundle: PolicyBundle, resolver: TaskResolver) -> None:
    for task, embeddings in random_bundle.embeddings.items():
        for embedding in embeddings:
            resolution = resolver.resolve(embedding)
            assert resolution.task == task
            assert resolution.score == pytest.approx(1, abs=1e-5)


def test_a_refused_sentence_is_refused(random_bundle: PolicyBundle, resolver: TaskResolver) -> None:
    for embedding in random_bundle.refused:
        assert resolver.resolve(embedding).task is None


def test_an_unfamiliar_sentence_is_refused_with_the_nearest_tasks(
    random_bundle: PolicyBundle, resolver: TaskResolver
) -> None:
    embedding = np.random.default_rng(5).normal(size=384)
    resolution = resolver.resolve(embedding / np.linalg.norm(embedding))
    assert resolution.task is None
    assert len({candidate.task for candidate in resolution.nearest}) == OFFERED
    scores = [candidate.score for candidate in resolution.nearest]
    assert scores == sorted(scores, reverse=True)
    for candidate in resolution.nearest:
        assert candidate.description in resolution.suggestion()
        best = (random_bundle.embeddings[candidate.task] @ embedding).max() / np.linalg.norm(embedding)
        assert candidate.score == pytest.approx(best, abs=1e-5)


def test_a_sentence_between_two_tasks_is_refused(random_bundle: PolicyBundle, resolver: TaskResolver) -> None:
    between = random_bundle.embedding("window-open") + random_bundle.embedding("window-close")
    between /= np.linalg.norm(between)
    resolution = resolver.resolve(between)
    assert resolution.score > 0.6
    assert resolution.task is None
    assert TaskResolver(random_bundle, margin=0.0).resolve(between).task in ("window-open", "window-close")


@pytest.mark.parametrize("embedding", [np.zeros(383), np.zeros((1, 384)), np.full(384, np.nan)])
def test_a_vector_that_is_no_embedding(resolver: TaskResolver, embedding: np.ndarray) -> None:
    with pytest.raises(SpaceError, match="384"):
        resolver.resolve(embedding)


@pytest.mark.parametrize("setting", ["threshold", "margin"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_settings_are_checked(random_bundle: PolicyBundle, setting: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        TaskResolver(random_bundle, **{setting: value})


def test_the_judged_sentences_are_not_known(shipped_bundle: PolicyBundle) -> None:
    known = {s.casefold() for task in shipped_bundle.manifest.tasks for s in task.sentences}
    known |= {s.casefold() for s in shipped_bundle.manifest.refused}
    held_out = [s for sentences in SENTENCES["held_out"].values() for s in sentences]
    judged = [*held_out, *SENTENCES["unrelated"], *SENTENCES["near_misses"]]
    assert not known & {s.casefold() for s in judged}
    assert len(set(judged)) == len(judged)
    assert set(SENTENCES["held_out"]) == set(task_names())
    assert min(len(sentences) for sentences in SENTENCES["held_out"].values()) >= 8
    assert len(SENTENCES["unrelated"]) >= 40


def test_held_out_phrasings_are_understood(shipped_bundle: PolicyBundle, encode: Encode) -> None:
    resolver = TaskResolver(shipped_bundle)
    expected = [task for task, sentences in SENTENCES["held_out"].items() for _ in sentences]
    embeddings = encode([s for sentences in SENTENCES["held_out"].values() for s in sentences])
    found = [resolver.resolve(embedding).task for embedding in embeddings]
    right = np.mean([a == b for a, b in zip(found, expected, strict=True)])
    wrong = np.mean([a not in (b, None) for a, b in zip(found, expected, strict=True)])
    assert right >= LEAST_RIGHT
    assert wrong <= MOST_WRONG


@pytest.mark.parametrize(("group", "least"), [("unrelated", LEAST_REFUSED), ("near_misses", LEAST_NEAR_MISSES_REFUSED)])
def test_other_sentences_are_refused(shipped_bundle: PolicyBundle, encode: Encode, group: str, least: float) -> None:
    resolver = TaskResolver(shipped_bundle)
    refused = [resolver.resolve(embedding).task is None for embedding in encode(SENTENCES[group])]
    assert np.mean(refused) >= least
