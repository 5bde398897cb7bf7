"""`legion replay`: do a recording's observations and actions come out the same again?"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from legion_ros.recording.recording import Recording
    from legion_ros.recording.replay import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("recording", metavar="FILE", help="made by legion record: an .mcap file or its folder")
    parser.add_argument(
        "--policy", default="", metavar="FOLDER", help="ask another policy bundle how far its actions are from these"
    )


def run(options: argparse.Namespace) -> int:
    """0 when everything that can be compared is the same, or another policy was asked; 1 when something differs."""
    from legion_ros.recording.recording import Recording

    recording = Recording.open(options.recording)
    if recording.damage:
        print(f"legion replay: {recording.path}: {recording.damage}; what lies before is replayed", file=sys.stderr)
    return _distance(recording, options.policy) if options.policy else _replay(recording)


def _replay(recording: Recording) -> int:
    from legion_ros.recording.replay import losses, replay

    found = replay(recording)
    outcomes = {"observations": found.observations, "actions": found.actions, "latents": found.latents}
    for name, outcome in outcomes.items():
        print(f"{name:13s} {_said(outcome)}")
    for outcome in outcomes.values():
        if outcome.first is not None:
            print(f"first difference: {outcome.first}")
    for topic, count in losses(recording).items():
        print(f"lost by the recorder: {count} of {topic}")
    print(_verdict(found.equal, list(outcomes.values())))
    return 0 if found.equal else 1


def _distance(recording: Recording, folder: str) -> int:
    from legion_core.bundle import PolicyBundle
    from legion_ros.recording.replay import distance, reasons

    found = distance(recording, PolicyBundle.load(folder))
    print(f"{found.steps} actions of {folder} against those recorded, in action units")
    for name, median in found.median.items():
        print(f"{name:8s} median {median:.4f}  largest {found.largest[name]:.4f}")
    if found.unchecked:
        print(f"not compared: {reasons(found.unchecked)}")
    return 0


def _said(outcome: Outcome) -> str:
    from legion_ros.recording.replay import reasons

    text = f"{outcome.same} of {outcome.compared} the same"
    return f"{text}; not compared {reasons(outcome.unchecked)}" if outcome.unchecked else text


def _verdict(equal: bool, outcomes: list[Outcome]) -> str:
    if equal:
        some = "what was compared is " if any(outcome.unchecked for outcome in outcomes) else ""
        return f"{some}the same, bit for bit"
    return "NOT the same" if any(outcome.different for outcome in outcomes) else "nothing to compare"
