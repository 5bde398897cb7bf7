"""What the pages show is what the code takes."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from legion_core.config import from_mapping
from legion_core.learning.settings import RunSettings, run_settings
from legion_core.tasks import Task, get_task

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_task_and_the_training_of_the_guide() -> None:
    text = (DOCS / "own_task.md").read_text(encoding="utf-8")
    entry, training = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
    ((name, values),) = entry.items()
    shown, ours = from_mapping(Task, {"name": name, **values}), get_task(name)
    assert (shown.metaworld, shown.description) == (ours.metaworld, ours.description)
    assert set(shown.phrasings) <= set(ours.phrasings)

    preset = run_settings(yaml.safe_load((DOCS.parent / "config/train/lifelong.yaml").read_text(encoding="utf-8")))
    settings = run_settings(training)
    assert settings.tasks == ("reach", "drawer-close", "plate-slide")
    for key in ("mode", "demonstrations", "after_success", "plan", "replay", "agent"):
        assert getattr(settings, key) == getattr(preset, key), key
    assert settings != RunSettings()


def test_the_names_of_the_tree_are_those_of_the_page() -> None:
    from legion_ros.aggregation import GROUPS, STREAMS, TREE

    text = (DOCS / "diagnostics.md").read_text(encoding="utf-8")
    for group in (*GROUPS, "other"):
        assert f"| `/{TREE}/{group}` |" in text
    for stream in STREAMS:
        assert f"`{stream.name}`" in text
