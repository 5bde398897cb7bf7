"""`legion listen`: what a microphone or a file is heard to say, without a deployment; nothing moves."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator

from legion_core.config import require
from legion_core.speech.audio import RATE_HZ, Pcm, level_db
from legion_core.speech.dialogue import THRESHOLD, Dialogue, Turn
from legion_core.speech.listener import Listener, make_recogniser
from legion_core.speech.recogniser import ENGINES
from legion_core.speech.sources import AudioSource, Microphone, WavSource, microphones

MIC = "mic"
WAIT_S = 0.2
QUIET_DB = -50.0
"""Speech is louder than that on every microphone that is neither muted nor far away."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("source", nargs="?", default=MIC, metavar="SOURCE", help=f"{MIC} (default) or a WAV file")
    parser.add_argument("--device", default="", metavar="NAME", help="microphone's name or part of it")
    parser.add_argument("--devices", action="store_true", help="list the microphones, the default one first, and end")
    parser.add_argument("--engine", default=ENGINES[0], metavar="ENGINE", help=f"recogniser ({', '.join(ENGINES)})")
    parser.add_argument("--model", default="", metavar="FOLDER", help="the Whisper model (engine whisper)")
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, metavar="P", help=f"below it is asked back ({THRESHOLD})"
    )


def run(options: argparse.Namespace) -> int:
    """0 if something was heard, or the microphones were listed; 1 if not."""
    if options.devices:
        names = microphones()
        print("\n".join(names) or "no microphone here")
        return int(not names)
    require(0.0 <= options.threshold <= 1.0, "threshold", options.threshold, "0 to 1")
    listener = Listener(make_recogniser(options.engine, options.model))
    source: AudioSource = Microphone(options.device) if options.source == MIC else WavSource(options.source)
    if isinstance(source, Microphone):
        print(f"{source.name} at {source.rate_hz} Hz; speak, Ctrl-C ends", flush=True)
    try:
        return _listen(source, listener, Dialogue(options.threshold, patience_s=8.0))
    finally:
        source.close()


def _listen(source: AudioSource, listener: Listener, dialogue: Dialogue) -> int:
    """Print every turn until the sound or the operator's patience ends, then how loud it was."""
    heard_s, loudest, turns = 0.0, -100.0, 0
    meter = sys.stdout.isatty()
    for samples in _pieces(source):
        heard_s += len(samples) / RATE_HZ
        loudest = max(loudest, level := level_db(samples))
        said = [dialogue.heard(heard, heard_s) for heard in listener.feed(samples)]
        for turn in filter(None, [*said, dialogue.waited(heard_s)]):
            turns += 1
            print(f"{_CLEAR if meter else ''}{heard_s:6.1f} s  {_described(turn)}", flush=True)
        if meter:
            print(f"{_CLEAR}{_bar(level)}", end="", flush=True)
    print(f"{_CLEAR if meter else ''}the loudest tenth of a second had {loudest:.0f} dB of full scale")
    if loudest < QUIET_DB:
        print("that is no speech: is the microphone muted, or another one meant (--devices)?")
    return int(turns == 0)


def _pieces(source: AudioSource) -> Iterator[Pcm]:
    """The sound, to its end or Ctrl-C."""
    try:
        while True:
            samples = source.read(WAIT_S)
            if samples is not None:
                yield samples
    except (EOFError, KeyboardInterrupt):
        return


_CLEAR = "\r\x1b[K"


def _bar(level: float) -> str:
    """The level, -60 to 0 dB of full scale, over the width of the terminal."""
    width = shutil.get_terminal_size().columns - 10
    return f"{level:5.0f} dB {'#' * max(0, round((level + 60) / 60 * width))}"


def _described(turn: Turn) -> str:
    told = turn.question or (f"tells the robot {turn.instruction!r}" if turn.instruction else "tells the robot nothing")
    return f"{turn.state:9s} {turn.confidence:.2f}  {turn.text!r}: {told}"
