"""The page: whole, self-contained, about every task, for runs in every state."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic_run import write_run

from legion_core.bundle import PolicyBundle
from legion_core.errors import ConfigurationError, RunError, SimulationError
from legion_core.learning.cross_embodiment import FILE, CrossEmbodiment
from legion_core.learning.metrics import Count
from legion_core.report import tables
from legion_core.report.episodes import Strip
from legion_core.report.page import write_report
from legion_core.report.run import load_run
from legion_core.tasks import task_names

VOID = {"meta", "img", "br", "link", "hr", "input"}
TASKS = ("reach", "push", "pick-place")


class Page(HTMLParser):
    """What stands in a page: that its elements are closed in order is checked on the way."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag == "img":
            assert dict(attrs)["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(word for word in self.words if word)

    @property
    def pictures(self) -> list[bytes]:
        return [base64.b64decode(link.split(",", 1)[1]) for link in self.links if link.startswith("data:image/")]


@pytest.fixture(autouse=True)
def quick_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """t-SNE takes seconds a stage and has tests of its own."""
    monkeypatch.setattr("legion_core.report.latents.tsne", lambda values: values[:, :2])


def report(*folders: Path, episodes: int = 0) -> Page:
    output = folders[0].parent / "report.html"
    write_report(folders, output, episodes=episodes, progress=False)
    return Page(output)


def test_a_finished_run(tmp_path: Path) -> None:
    made = report(write_run(tmp_path / "run"))
    assert all(link.startswith(("data:", "#")) for link in made.links)
    assert "script" not in made.tags
    assert "http" not in made.text
    for task in TASKS:
        assert task in made.text
    assert "Finished: 3 stages." in made.text
    assert "0.95 (19/20)" in made.text  # of reach at the end
    assert "0.76 to 0.99" in made.text  # and its Wilson interval
    assert len(made.pictures) == 8
    for content in made.pictures:
        if not content.startswith(b"\x89PNG"):
            assert references(content) <= {"#", "data"}


def references(svg: bytes) -> set[str]:
    """What kinds of things a vector picture refers to: "#" for its own parts, or the scheme of a URI."""
    elements = list(ElementTree.fromstring(svg).iter())
    assert not any(
        element.tag.endswith(("script", "style")) and "@import" in (element.text or "") for element in elements
    )
    links = [value for element in elements for name, value in element.attrib.items() if name.endswith("href")]
    links += [part for e in elements for v in e.attrib.values() for part in re.findall(r"url\((.)", v)]
    return {"#" if link.startswith("#") else link.split(":")[0] for link in links}


@pytest.mark.parametrize("mode", ["lifelong", "multitask", "few_shot", "expanding"])
def test_every_mode(tmp_path: Path, mode: str) -> None:
    text = report(write_run(tmp_path / "run", mode)).text
    assert ("Few-shot recall" in text) == (mode == "few_shot")
    assert all(task in text for task in TASKS)


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    text = report(write_run(tmp_path / "run", stages=1)).text
    assert "Unfinished: 1 of 3 stages have ended. The newest measurements stand in for a final evaluation." in text
    assert "pick-place - - - - - - -" in text


def test_a_run_with_nothing_recorded_yet(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "metrics.jsonl").unlink()
    made = report(folder)
    assert "Unfinished: nothing is recorded yet." in made.text
    assert "Settings" in made.text


def test_several_runs_are_compared(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / f"seed-{seed}", seed=seed) for seed in range(2)]
    folders.append(write_run(tmp_path / "backwards", order=("reverse",)))
    folders.append(write_run(tmp_path / "at-work", stages=1, seed=2))
    made = report(*folders)
    assert "lifelong curriculum 2 (+1 unfinished) 0.983 ± 0.000" in made.text
    assert "lifelong reverse 1 0.983" in made.text
    assert {"#run-1", "#run-2", "#run-3"} <= set(made.links)
    for folder in folders:
        assert folder.name in made.text


def test_the_papers_figure_stands_beside_its_own_kind_of_run(tmp_path: Path) -> None:
    ten = load_run(write_run(tmp_path / "ten", tasks=task_names(), order=("random",)))
    assert tables.headline(ten)[0].remark == "paper 0.712 ± 0.117"
    three = load_run(write_run(tmp_path / "three", order=("random",)))
    assert tables.headline(three)[0].remark == ""


def test_text_of_users_is_escaped(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "<b>run & more")
    settings = folder / "run.yaml"
    settings.write_text(settings.read_text() + "note: <script>alert(1)</script>\n")
    made = report(folder)
    assert "script" not in made.tags
    assert "<script>alert(1)</script>" in made.text
    assert "<b>run & more" in made.text


def test_arms_are_shown_where_they_were_measured(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    counts = {"reach": Count(9, 10)}
    CrossEmbodiment("sawyer", {"iiwa7": counts, "sawyer": {"reach": Count(10, 10)}}).write(folder / FILE)
    text = report(folder).text
    assert "sawyer (trained on)" in text
    assert "reach 0.90 (9/10)" in text


def test_what_is_broken_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / FILE).write_text("{}")
    (folder / "stages" / "00-reach" / "latents.npz").write_bytes(b"nothing")
    (folder / "bundle").mkdir()
    output = tmp_path / "report.html"
    notes = write_report([folder], output, episodes=0, progress=False)
    assert len(notes) == 3
    made = Page(output)
    for part in (FILE, "latents.npz", "manifest.json"):
        assert part in made.text
    assert len(made.pictures) == 8


def test_episodes_of_the_runs_policy(
    tmp_path: Path, random_bundle: PolicyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "run", stages=2)
    training = {"command": "legion train <there>"}
    replace(random_bundle, manifest=replace(random_bundle.manifest, training=training)).save(folder / "bundle")
    asked: dict[str, object] = {}

    def film(bundle: PolicyBundle, tasks: list[str], **options: object) -> list[Strip]:
        asked.update(options, tasks=tasks)
        return [Strip(task, 7, task == "reach", 12, (0, 12), (b"one", b"two")) for task in tasks]

    monkeypatch.setattr("legion_core.report.episodes.film", film)
    made = report(folder, episodes=1)
    assert asked == {"tasks": list(TASKS), "arm": "iiwa7", "episodes": 1}
    assert "layout 7: done after 12 steps" in made.text
    assert "not done in 12 steps" in made.text
    assert "Made by legion train <there>" in made.text
    assert made.pictures.count(b"two") == 3


def test_no_rendering_is_one_sentence(
    tmp_path: Path, random_bundle: PolicyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "run")
    random_bundle.save(folder / "best")

    def film(*_: object, **__: object) -> list[Strip]:
        raise SimulationError("no offscreen rendering with MUJOCO_GL=egl")

    monkeypatch.setattr("legion_core.report.episodes.film", film)
    assert "No pictures of episodes: no offscreen rendering with MUJOCO_GL=egl." in report(folder, episodes=1).text


def test_what_cannot_be_reported_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    output = tmp_path / "report.html"
    for folders, message in (
        ([tmp_path / "nowhere"], "no such folder"),
        ([tmp_path], r"run\.yaml is missing"),
        ([folder, folder], "the same run twice"),
    ):
        with pytest.raises(RunError, match=message):
            write_report(folders, output, progress=False)
    with pytest.raises(RunError, match="no such folder"):
        write_report([folder], tmp_path / "nowhere" / "report.html", progress=False)
    with pytest.raises(ConfigurationError, match="episodes = -1"):
        write_report([folder], output, episodes=-1, progress=False)
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps({"kind": "evaluation"}) + "\n")
    with pytest.raises(RunError, match="stage is missing"):
        write_report([folder], output, progress=False)
    assert not output.exists()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (725, "12 min 5 s"), (3599.9, "1 h 0 min"), (12_300, "3 h 25 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert tables.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00"), (-0.001, "0.00"), (0.05, "+0.05"), (-0.3, "-0.30"), (float("nan"), "-")]
)
def test_signs(value: float, text: str) -> None:
    assert tables.signed(value, 2) == text


def test_mean_and_deviation_of_what_is_known() -> None:
    assert tables.mean_and_deviation([1.0, 2.0, float("nan")], 2) == "1.50 ± 0.71"
    assert tables.mean_and_deviation([1.0], 2) == "1.00"
    assert tables.mean_and_deviation([], 2) == "-"
