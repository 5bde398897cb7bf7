"""The page of a recording: what happened when, whole and self-contained."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mcap", reason="the extra 'record' is not installed")
pytest.importorskip("matplotlib", reason="the extra 'train' is not installed")

from matplotlib.image import imread
from recordings import TASKS, write_recording

from legion_core.errors import RecordingError
from legion_ros import topics
from legion_ros.cli import main as cli
from legion_ros.recording import pictures
from legion_ros.recording.recording import Recording
from legion_ros.recording.report import DRAWN
from legion_ros.recording.story import Story

STEPS = 130


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("recordings") / "run.mcap", steps=STEPS)


@pytest.fixture(scope="module")
def story(recorded: Path) -> Story:
    return Story(Recording.open(recorded))


def test_tasks_and_stops_follow_each_other(story: Story) -> None:
    assert [span.name for span in story.tasks] == list(TASKS)
    assert story.tasks[0].end_s == story.tasks[1].begin_s == pytest.approx(1.3, abs=0.02)
    assert story.tasks[1].end_s == story.end_s == pytest.approx(STEPS * 0.02, abs=0.05)
    ((begin, end, _),) = story.e_stops
    assert end - begin == pytest.approx(0.2, abs=0.02)
    assert story.task_at(np.array([-1.0, 0.5, 2.0])) == ["", *TASKS]


def test_sentences_have_their_replies(story: Story) -> None:
    assert [(said.text, said.reply) for said in story.sentences] == [(f"please {task}", task) for task in TASKS]


def test_steps_of_missions_end_with_them(story: Story) -> None:
    assert [span.name for span in story.steps] == ["1/2 window-open (running)", "2/2 reach (running)"]
    assert story.steps[-1].end_s == pytest.approx(1.5, abs=0.02)


def test_a_name_does_not_cover_the_next_bar(story: Story) -> None:
    [axes] = pictures.alone(pictures.timeline, story).axes
    assert len(axes.texts) == len(axes.patches) > 2
    for text, bar in zip(axes.texts, axes.patches, strict=True):
        assert text.get_clip_on() and np.array_equal(text.get_clip_box(), bar.get_window_extent())


def test_latency_is_from_joint_state_to_command(story: Story) -> None:
    assert story.latency.parts_ms == pytest.approx(np.tile((1.0, 1.0, 2.0), (STEPS, 1)))
    assert story.latency.total_ms == pytest.approx(4.0)


def test_interventions_problems_and_successes(story: Story) -> None:
    assert story.interventions.names == ("joint_jerk",)
    assert story.interventions.values[:, 0].tolist() == [0, 25, 50, 75, 100, 125]
    ((at, node, message, reports),) = story.problems
    assert (node, message, reports) == ("sim2real_node", "<late>", 6)
    assert at < 0.1
    assert story.successes == [pytest.approx(1.5, abs=0.02)]


def test_the_page_holds_everything(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert cli.main(["report", str(recorded), "--output", str(page)]) == 0
    assert capsys.readouterr().out == f"saved {page}\n"
    text = page.read_text(encoding="utf-8")
    for title, *_ in DRAWN:
        assert f"<h3>{title}</h3>" in text
    assert text.count("data:image/png;base64,") == len(DRAWN)
    assert "please window-open" in text
    assert "&lt;late&gt;" in text
    assert "<late>" not in text
    assert not re.search(r"(src|href)=\"(?!data:)", text), "something that is not in the page"
    pixels = imread(page.with_suffix(".png"))
    assert pixels.shape[0] > pixels.shape[1] > 1000
    assert np.ptp(pixels[..., :3]) > 0.9


@pytest.fixture
def draw_only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Leave out the other pictures, which take seconds."""

    def only(*titles: str) -> None:
        chosen = tuple(drawn for drawn in DRAWN if drawn[0] in titles)
        monkeypatch.setattr("legion_ros.recording.report.DRAWN", chosen)

    return only


def test_a_folder_is_a_recording_too(tmp_path: Path, draw_only: Callable[..., None]) -> None:
    draw_only("Timeline")
    write_recording(tmp_path / "bag", steps=10)
    assert cli.main(["report", str(tmp_path / "bag")]) == 0
    assert (tmp_path / "bag" / "bag_0.html").is_file()


def test_what_is_missing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], draw_only: Callable[..., None]
) -> None:
    draw_only("Hand path", "Actions", "Latent")

    def alter(topic: str, message: Any) -> Any:
        return None if topic in (topics.ACTION, topics.LATENT) else message

    file = write_recording(tmp_path / "run.mcap", steps=10, alter=alter)
    assert cli.main(["report", str(file)]) == 0
    told = capsys.readouterr().err
    assert "Actions: no legion/action in the recording" in told
    assert "Latent: no legion/latent in the recording" in told
    assert "<h3>Hand path</h3>" in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_what_has_another_form_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], draw_only: Callable[..., None]
) -> None:
    draw_only("Hand path", "Actions", "Latent")

    def alter(topic: str, message: Any) -> Any:
        if topic == topics.REPLY:
            message.data = "as another version would tell it"
        if topic == topics.OBSERVATION:
            message.name = [name.replace("object_x", "thing_x") for name in message.name]
        if topic == topics.ACTION:
            message.name, message.position = message.name[:1], message.position[:1]
        if topic == topics.LATENT:
            message.name, message.position = [], []
        return message

    file = write_recording(tmp_path / "run.mcap", steps=10, alter=alter)
    assert cli.main(["report", str(file)]) == 0
    told = capsys.readouterr().err
    assert "Hand path: no object_x among hand_x" in told
    assert "Latent: " in told and "its values have no names" in told
    assert "<h3>Actions</h3>" in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_a_recording_without_the_robots_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], draw_only: Callable[..., None]
) -> None:
    draw_only("Guard", "Latency")

    def alter(topic: str, message: Any) -> Any:
        if topic == topics.DIAGNOSTICS:
            message.status[0].name = "/monitor_node"
        return None if topic == "lbr/forward_position_controller/commands" else message

    file = write_recording(tmp_path / "run.mcap", steps=10, alter=alter)
    assert cli.main(["report", str(file)]) == 0
    told = capsys.readouterr().err
    assert "Guard: sim2real_node has told of none" in told
    assert "Latency: no command in the recording answers a joint state" in told


def test_one_recording_at_a_time(recorded: Path) -> None:
    assert cli.main(["report", str(recorded), str(recorded)]) == 1


def test_a_page_is_not_written_over_its_recording(recorded: Path) -> None:
    before = recorded.read_bytes()
    assert cli.main(["report", str(recorded), "--output", str(recorded)]) == 1
    assert recorded.read_bytes() == before


def test_an_empty_recording(tmp_path: Path) -> None:
    from legion_ros.recording.bag import Bag

    Bag(tmp_path / "run.mcap").close()
    with pytest.raises(RecordingError, match="holds no messages"):
        Story(Recording.open(tmp_path / "run.mcap"))
