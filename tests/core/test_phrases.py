"""An operator's own phrasings: read strictly, joined with those of the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from legion_core.errors import ConfigurationError
from legion_core.phrases import SHIPPED_FILE, Phrases, load_phrases, phrases_for
from legion_core.resources import resource
from legion_core.tasks import fifty_tasks, task_names


@pytest.mark.parametrize("file", [SHIPPED_FILE, resource("config/phrases.yaml")], ids=lambda file: file.parent.name)
def test_files_of_the_package_load(file: Path) -> None:
    assert load_phrases(file, task_names())


def test_files_add_up(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("window-open: [sesame]\naliases: {hatch: door}\n")
    shipped, both = phrases_for(task_names()), phrases_for(task_names(), [own])
    assert both.tasks["window-open"] == (*shipped.tasks["window-open"], "sesame")
    assert both.aliases == {**shipped.aliases, "hatch": "door"}


def test_what_the_package_refuses_may_be_a_task_of_another_policy() -> None:
    assert phrases_for(task_names()).refused
    assert not phrases_for(task.name for task in fifty_tasks()).refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "window_open: [sesame]",
            r"unknown key 'window_open' .did you mean window-open, .*; allowed: refused, aliases",
        ),
        ("window-open: sesame", r"tasks.window-open = 'sesame'; expected a list"),
        ("window-open: ['?']", r"window-open: '\?'; allowed: sentences"),
        ("aliases: {two words: door}", r"aliases: two words: 'door'; allowed: one word"),
        ("refused: [3]", r"refused\[0\] = 3; expected str"),
    ],
)
def test_errors_name_file_key_and_value(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=rf"own\.yaml: .*{message}"):
        load_phrases(file)


def test_a_sum_keeps_the_later_alias() -> None:
    assert (Phrases(aliases={"a": "door"}) + Phrases(aliases={"a": "window"})).aliases == {"a": "window"}
