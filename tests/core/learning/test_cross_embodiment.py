"""One policy on both arms: a table that survives its file, and one real small run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from legion_core.bundle import PolicyBundle
from legion_core.errors import RunError
from legion_core.learning.cross_embodiment import ARMS, CrossEmbodiment, evaluate_arms, trained_on
from legion_core.learning.metrics import Count

RESULT = CrossEmbodiment(
    "sawyer", {"iiwa7": {"reach": Count(9, 10), "push": Count(4, 10)}, "sawyer": {"reach": Count(10, 10)}}
)


def test_table_names_the_arm_it_was_trained_on() -> None:
    lines = RESULT.markdown().splitlines()
    assert lines[0] == "| task | iiwa7 | sawyer (trained on) |"
    assert lines[2].startswith("| reach | 0.900 (0.596 to 0.982) | 1.000 (")
    assert lines[3].endswith("| - |")
    assert lines[4] == "| mean | 0.650 | 1.000 |"
    assert len({line.count("|") for line in lines}) == 1


def test_what_is_written_is_read(tmp_path: Path) -> None:
    RESULT.write(tmp_path / "arms.json")
    assert CrossEmbodiment.read(tmp_path / "arms.json") == RESULT


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"trained_on": "sawyer", "arms": {"iiwa7": {"reach": [1, 2]}}}'])
def test_another_file_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "arms.json"
    file.write_text(content)
    with pytest.raises(RunError, match=r"arms\.json"):
        CrossEmbodiment.read(file)
    with pytest.raises(RunError, match="cannot read"):
        CrossEmbodiment.read(tmp_path / "nowhere.json")
    with pytest.raises(RunError, match="cannot write"):
        RESULT.write(tmp_path / "nowhere" / "arms.json")


def test_both_arms_see_the_same_layouts(random_bundle: PolicyBundle) -> None:
    pytest.importorskip("metaworld")
    with ThreadPoolExecutor(1) as pool:
        result = evaluate_arms(random_bundle, tasks=["reach"], episodes=1, pool=pool, progress=False)
    assert tuple(result.arms) == ARMS
    assert all(count.episodes == 1 for counts in result.arms.values() for count in counts.values())


def test_the_manifest_says_where_it_was_trained(random_bundle: PolicyBundle) -> None:
    assert trained_on(random_bundle) == "iiwa7"
    manifest = replace(random_bundle.manifest, training={"settings": {"arm": "sawyer"}})
    assert trained_on(replace(random_bundle, manifest=manifest)) == "sawyer"
