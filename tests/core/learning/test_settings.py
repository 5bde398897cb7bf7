"""The authors' coefficients are the defaults, and what cannot be is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from legion_core.config import load_yaml
from legion_core.errors import ConfigurationError
from legion_core.learning.settings import LifelongSettings, MultitaskSettings, RunSettings, run_settings
from legion_core.resources import resource
from legion_core.sim import RealityGap

PRESETS = sorted(resource("config/train").glob("*.yaml"))


def test_the_defaults_are_the_published_ones() -> None:
    lifelong, multitask = LifelongSettings(), MultitaskSettings()
    assert (lifelong.discount, lifelong.target_rate, lifelong.target_entropy) == (0.99, 0.005, -4)
    assert (lifelong.batch, lifelong.kl_weight, lifelong.encoder_interval) == (512, 1e-3, 50)
    assert (lifelong.mixture_first, lifelong.mixture_interval) == (10_000, 100_000)
    assert (multitask.batch, multitask.kl_weight, multitask.encoder_interval) == (1280, 2e-3, 30)
    assert (multitask.mixture_first, multitask.mixture_interval) == (6000, 50_000)
    plan = RunSettings().plan
    assert (plan.first_episodes * 150, plan.first_updates) == (1500, 1500)
    assert 1500 + plan.rounds * plan.episodes * 150 == pytest.approx(1e6, rel=1e-3)


def test_the_mode_decides_on_the_coefficients() -> None:
    assert isinstance(run_settings({"mode": "multitask"}).agent, MultitaskSettings)
    assert run_settings({"mode": "multitask", "agent": {"batch": 64}}).agent.kl_weight == 2e-3
    assert run_settings({"mode": "lifelong"}).agent == LifelongSettings()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_loads_and_survives_its_own_mapping(preset: Any) -> None:
    settings = run_settings(load_yaml(preset), str(preset))
    again = run_settings(yaml.safe_load(yaml.safe_dump(settings.mapping())))
    assert again == settings


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"seed": -1}, "seed"),
        ({"processes": 0}, "processes"),
        ({"mode": "endless"}, "mode"),
        ({"tasks": ["reach", "push", "reach"]}, "tasks"),
        ({"actuations": []}, "actuations"),
        ({"actuations": ["magic"]}, "actuations"),
        ({"demonstrations": "human"}, "demonstrations"),
        ({"randomisation": {"robot_lag_s": [0.04, 0.09]}}, "randomisation: missing friction_factor"),
        ({"arm": "sawyer", "randomisation": load_yaml(resource("config/gap.yaml"))}, "randomisation"),
        ({"noise": {"probability": 2.0}}, "probability"),
        ({"plan": {"rounds": -1}}, "rounds"),
        ({"plan": {"episodes": 0}}, "episodes"),
        ({"replay": {"retention": "forever"}}, "retention"),
        ({"replay": {"task_budget": 0}}, "task_budget"),
        ({"evaluation": {"round_interval": 0}}, "round_interval"),
        ({"agent": {"learning_rate": 0.0}}, "learning_rate"),
        ({"agent": {"kl_weight": -1.0}}, "kl_weight"),
        ({"agent": {"encoder_input": "nothing"}}, "encoder_input"),
        ({"agent": {"prior": "flat"}}, "prior"),
        ({"agent": {"mixture_engine": "magic"}}, "mixture_engine"),
        ({"agent": {"batch": "large"}}, "batch"),
        ({"agnet": {}}, "agnet"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError, match=key):
        run_settings(change)


def test_the_deployed_policy_is_trained_across_the_gap_that_it_is_judged_by() -> None:
    randomisation = run_settings(load_yaml(resource("config/train/deployment.yaml"))).randomisation
    assert randomisation is not None and randomisation.strength == (0.0, 1.0)
    assert replace(randomisation, strength=(1.0, 1.0)) == RealityGap.load()
