"""`legion report`: what runs of training came to, or what happened in a recording, as one self-contained HTML page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from legion_core.config import require


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="folder of a run, several are compared; or a recording (.mcap or folder)"
    )
    parser.add_argument("--output", metavar="FILE", help="default: report.html in the first run's folder, or FILE.html")
    parser.add_argument("--episodes", type=int, default=1, metavar="N", help="pictured of each task (1); 0 for none")


def run(options: argparse.Namespace) -> int:
    """0 when the page is written, whatever it says."""
    recordings = [path for path in map(Path, options.runs) if _is_recording(path)]
    if recordings:
        require(len(options.runs) == 1, "RUN", ", ".join(options.runs), "one recording, or runs of training")
        output, notes = _recording(recordings[0], options.output)
    else:
        output, notes = _runs(options)
    for note in notes:
        print(f"legion report: {note}", file=sys.stderr)
    print(f"saved {output}")
    return 0


def _is_recording(path: Path) -> bool:
    """Whether it is none of training: a file, or a folder with an MCAP file in it."""
    return path.is_file() or path.suffix == ".mcap" or any(path.glob("*.mcap"))


def _runs(options: argparse.Namespace) -> tuple[Path, list[str]]:
    from legion_core.report.page import write_report

    output = Path(options.output or Path(options.runs[0]) / "report.html")
    return output, write_report(options.runs, output, episodes=options.episodes)


def _recording(path: Path, named: str | None) -> tuple[Path, list[str]]:
    from legion_ros.recording.recording import Recording
    from legion_ros.recording.report import write_recording_report

    recording = Recording.open(path)
    output = Path(named or recording.path.with_suffix(".html"))
    require(output.suffix == ".html", "output", str(output), "a name that ends in .html; the picture lies beside it")
    return output, write_recording_report(recording, output)
