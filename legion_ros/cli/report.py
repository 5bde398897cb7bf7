"""`legion report`: what runs of training came to, as one self-contained HTML page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run; several are compared")
    parser.add_argument("--output", metavar="FILE", help="default: report.html in the first run's folder")
    parser.add_argument("--episodes", type=int, default=1, metavar="N", help="pictured of each task (1); 0 for none")


def run(options: argparse.Namespace) -> int:
    """0 when the page is written, whatever it says."""
    from legion_core.report.page import write_report

    output = Path(options.output or Path(options.runs[0]) / "report.html")
    for note in write_report(options.runs, output, episodes=options.episodes):
        print(f"legion report: {note}", file=sys.stderr)
    print(f"saved {output}")
    return 0
