"""Training: settings are checked, demonstrations are what they claim, and a tiny run gives a complete bundle."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("metaworld")
pytest.importorskip("sklearn")
pytest.importorskip("sentence_transformers")

from legion_core import config, imitation  # noqa: E402
from legion_core.bundle import PolicyBundle  # noqa: E402
from legion_core.demonstrations import AFTER_SUCCESS, Demonstrations, Noise, Rollout, collect  # noqa: E402
from legion_core.errors import BundleError, ConfigurationError, SimulationError  # noqa: E402
from legion_core.imitation import Language, Learner, TrainConfig, train  # noqa: E402
from legion_core.mixture import fit_knowledge  # noqa: E402
from legion_core.resources import resource  # noqa: E402
from legion_core.spaces import ObservationSpec  # noqa: E402

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "legion_published" / "latent_dpmm_subtask9.npz"
TINY = TrainConfig(
    actuations=("mocap",),
    demonstrations=1,
    rounds=1,
    relabelled=1,
    batch=64,
    encoder_steps=(60, 20),
    actor_steps=(20, 20),
    mixture_latents=500,
    evaluation_episodes=1,
)


@pytest.fixture(scope="module")
def language() -> Language:
    return Language()


def test_the_commented_file_states_the_defaults() -> None:
    assert config.load(TrainConfig, resource("config/train.yaml")) == TrainConfig()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": -1},
        {"processes": 0},
        {"actuations": []},
        {"actuations": ["magic"]},
        {"learning_rate": 0.0},
        {"kl_weight": -1.0},
        {"actor_steps": [0, 1]},
        {"noise": {"probability": 2.0}},
        {"noise": {"longest": 0}},
        {"batch": "large"},
    ],
)
def test_settings_are_checked(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        config.from_mapping(TrainConfig, change)


def test_an_existing_output_is_refused_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imitation, "Language", lambda: pytest.fail("training began"))
    with pytest.raises(BundleError, match="exists already"):
        train(TINY, tmp_path)


def test_servo_without_a_bridge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="bridge"):
        train(dataclasses.replace(TINY, actuations=("servo",)), tmp_path / "bundle", progress=False)
    assert not (tmp_path / "bundle").exists()


def test_an_expert_demonstrates_what_it_does() -> None:
    shown = collect(Rollout("drawer-close", "mocap", (3, 4), ObservationSpec()))
    assert (shown.episodes, shown.successes) == (2, 2)
    np.testing.assert_array_equal(shown.actions, shown.labels)
    assert np.abs(shown.labels).max() <= 1
    within = shown.next_observations[:-1] == shown.observations[1:]
    assert (~within.all(axis=1)).sum() == 1, "only between the two episodes does the chain break"
    assert len(shown.labels) < 2 * (150 - AFTER_SUCCESS)


def test_noise_changes_the_actions_but_not_what_the_expert_says() -> None:
    rollout = Rollout("reach", "mocap", (3,), ObservationSpec(), Noise(probability=0.3))
    noisy = collect(rollout)
    differs = np.any(noisy.actions != noisy.labels, axis=1)
    assert 0.2 < differs.mean() < 1
    again = collect(rollout)
    for name in ("observations", "actions", "labels"):
        np.testing.assert_array_equal(getattr(noisy, name), getattr(again, name))


def test_the_policy_leads_and_the_expert_labels(random_bundle: PolicyBundle) -> None:
    shown = collect(Rollout("reach", "mocap", (3,), ObservationSpec(), bundle=random_bundle))
    assert np.any(shown.actions != shown.labels)
    assert len(shown.labels) == 150


def test_sampled_sentences_belong_to_their_task(language: Language) -> None:
    torch.manual_seed(0)
    task = torch.arange(len(language.tasks)).repeat(50)
    known = list(language.embeddings.values())
    for index, embedding in zip(task.tolist(), language.sample(task).numpy(), strict=True):
        assert np.isclose(known[index], embedding).all(axis=1).any()
    np.testing.assert_array_equal(language.canonical(task)[3].numpy(), known[3][0])


def test_learning_lowers_both_losses(language: Language) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(2000, 13)).astype(np.float32)
    labels = np.tanh(observations[:, :4])
    learner = Learner(dataclasses.replace(TINY, batch=128), language, ObservationSpec(), observations)
    for task, part, sign in ((0, slice(0, 1000), 1), (1, slice(1000, 2000), -1)):
        shown = sign * labels[part]
        learner.add(task, Demonstrations(observations[part], observations[part], shown, shown, 1, 1))
    assert learner.learn_to_infer(300, False) < 0.6 * learner.learn_to_infer(1, False) + 0.3
    start = learner.learn_to_act(1, False)
    assert learner.learn_to_act(300, False) < 0.3 * start, "the two tasks differ by the sign alone, so z must tell them"


def test_a_field_that_never_moves_keeps_its_unit(language: Language) -> None:
    first = np.zeros((10, 13), np.float32)
    first[:, 0] = np.linspace(0, 1e-4, 10)
    learner = Learner(TINY, language, ObservationSpec(), first)
    assert learner.network.observation_scale[0] == pytest.approx(imitation.LEAST_SCALE)
    assert learner.network.observation_scale[1] == 1


@pytest.mark.parametrize("clusters", [1, 4, 10])
def test_the_mixture_counts_the_tasks_by_itself(clusters: int) -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(scale=2, size=(clusters, 10))
    label = np.arange(2000) % clusters
    latents = centres[label] + rng.normal(scale=0.3, size=(2000, 10))
    names = [f"task {i}" for i in label]
    space = fit_knowledge(latents, names, seed=0)
    assert sorted(space.tasks) == sorted(set(names))
    assert space.purity(latents, names) == 1


@pytest.mark.skipif(not PUBLISHED.exists(), reason="LEGION's published latents are not here")
def test_the_mixture_finds_the_ten_published_tasks() -> None:
    data = np.load(PUBLISHED, allow_pickle=False)
    names = data["env_name"].tolist()
    space = fit_knowledge(data["z"], names, seed=0)
    assert sorted(space.tasks) == sorted(set(names))
    assert space.purity(data["z"], names) >= 0.999


def test_a_tiny_training_gives_a_complete_bundle_and_repeats(tmp_path: Path) -> None:
    trained = train(TINY, tmp_path / "a", command="legion train", progress=False)
    loaded = PolicyBundle.load(tmp_path / "a")
    training = loaded.manifest.training
    assert training["command"] == "legion train"
    assert training["config"]["actuations"] == ["mocap"]
    assert len(training["rounds"]) == 2
    assert training["transitions"] == training["rounds"][-1]["transitions"] > 0
    assert 0 <= loaded.manifest.success["mocap"]["mean"] <= 1
    assert set(loaded.manifest.success["mocap"]["tasks"]) == set(loaded.task_names)
    again = train(TINY, tmp_path / "b", progress=False)
    for name, array in trained.weights.items():
        np.testing.assert_array_equal(array, again.weights[name])
