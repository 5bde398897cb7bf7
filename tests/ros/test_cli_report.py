"""`legion report`: where the page goes, what is printed, and errors of one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_run import write_run

from legion_ros.cli import main as cli


@pytest.fixture(autouse=True)
def quick_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """t-SNE takes seconds a stage and has tests of its own."""
    monkeypatch.setattr("legion_core.report.latents.tsne", lambda values: values[:, :2])


def test_the_page_lies_in_the_run_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "run", stages=1)
    assert cli.main(["report", str(folder), "--episodes", "0"]) == 0
    assert "Unfinished" in (folder / "report.html").read_text()
    assert capsys.readouterr().out == f"saved {folder / 'report.html'}\n"


def test_several_runs_in_one_page(tmp_path: Path) -> None:
    folders = [str(write_run(tmp_path / name, stages=1)) for name in ("one", "two")]
    assert cli.main(["report", *folders, "--output", str(tmp_path / "both.html"), "--episodes", "0"]) == 0
    assert "Comparison" in (tmp_path / "both.html").read_text()


def test_what_could_not_be_shown_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "run", stages=1)
    (folder / "cross_embodiment.json").write_text("nothing")
    assert cli.main(["report", str(folder), "--episodes", "0"]) == 0
    assert "cross_embodiment.json" in capsys.readouterr().err


def test_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(tmp_path / "nowhere")]) == 1
    assert (
        capsys.readouterr().err.strip()
        == f"legion report: {tmp_path / 'nowhere'}: no such folder; expected that of a run"
    )
