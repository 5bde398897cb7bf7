"""Spoken sentences to tasks: espeak-ng's speech in noise, through the recogniser and the understanding of its text.

Prints, for each voice and noise, the share of sentences whose task is understood, and how long "stop" takes.
Run: python benchmarks/bench_voice.py --sentences FILE.yaml [--snr 20] [--voices en-us en] [--output FILE.json]
The threshold of confidence is chosen by what it prints with
  --voices en-us en en+f3 en-us+m3 --noise white babble --snr 5 10 20 30 --every 4 --curve
The file holds {tasks: {task: [sentence, ...]}}; without one the sentences are those of tests/core/speech/spoken.yaml.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from spoken import NOISES, VOICES, Voice, speak, with_noise

from legion_core.bundle import PolicyBundle
from legion_core.config import load_yaml
from legion_core.embedding import InstructionEncoder
from legion_core.phrases import phrases_for
from legion_core.speech.audio import RATE_HZ, Pcm
from legion_core.speech.dialogue import STOP, THRESHOLD
from legion_core.speech.listener import Listener, make_recogniser
from legion_core.speech.recogniser import Heard, Recogniser
from legion_core.understanding import Interpreter, Tasks

OWN_SENTENCES = Path(__file__).parents[1] / "tests" / "core" / "speech" / "spoken.yaml"
CHUNK = RATE_HZ // 10
STOPS = ("stop", "stop now", "please stop", "robot stop", "stop moving", "stop it")
PAUSE_S = 0.6
BAR = 0.90
THRESHOLDS = [step / 20 for step in range(1, 20)]


def hear(recogniser: Recogniser, sound: Pcm) -> list[tuple[Heard, float]]:
    """What is heard in the sound, a tenth of a second at a time, and after how many seconds of it."""
    listener = Listener(recogniser)
    return [
        (heard, (start + CHUNK) / RATE_HZ)
        for start in range(0, len(sound), CHUNK)
        for heard in listener.feed(sound[start : start + CHUNK])
    ]


@dataclass(frozen=True)
class Condition:
    """Who speaks, and in what."""

    voice: Voice
    noise: str
    snr_db: float

    def __str__(self) -> str:
        return f"{self.voice.name}, {self.noise} {self.snr_db:g} dB"

    def sound(self, text: str, seed: int = 0) -> Pcm:
        """The text as it arrives."""
        return with_noise(speak(text, self.voice), self.snr_db, seed, PAUSE_S, self.noise)


def main() -> int:
    """0 if the mean over the conditions reaches the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=Path, default=OWN_SENTENCES)
    parser.add_argument("--voices", nargs="+", default=[voice.name for voice in VOICES])
    parser.add_argument("--noise", nargs="+", default=["white"], choices=NOISES)
    parser.add_argument("--snr", type=float, nargs="+", default=[20.0], metavar="DB", help="inf: no noise")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each condition hears another Nth")
    parser.add_argument("--curve", action="store_true", help="print what other thresholds of confidence come to")
    parser.add_argument("--show", action="store_true", help="print what was misunderstood")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    wanted = [(task, sentence) for task, group in load_yaml(options.sentences)["tasks"].items() for sentence in group]
    bundle, recogniser = PolicyBundle.load(), make_recogniser("pocketsphinx")
    interpreter = Interpreter(bundle, InstructionEncoder(), phrases_for(bundle.task_names))

    def task_of(text: str) -> str | None:
        outcome = interpreter.understand(text) if text else None
        return outcome.names[0] if isinstance(outcome, Tasks) and len(outcome.names) == 1 else None

    written = sum(task_of(sentence) == task for task, sentence in wanted) / len(wanted)
    print(f"| as text | {written:.3f} of {len(wanted)} sentences |")
    print("| voice | right task | ... at once | wrong at once | false stops | factor | stops | delay of stop |")
    every: list[tuple[bool, float]] = []
    results = []
    conditions = [
        Condition(Voice(v), noise, snr) for v, noise, snr in product(options.voices, options.noise, options.snr)
    ]
    for number, condition in enumerate(conditions):
        rows, false_stops, busy_s, sound_s = [], 0, 0.0, 0.0
        for seed, (task, sentence) in list(enumerate(wanted))[number % options.every :: options.every]:
            sound = condition.sound(sentence, seed)
            began = time.process_time()
            heard = [each for each, _ in hear(recogniser, sound)]
            busy_s, sound_s = busy_s + time.process_time() - began, sound_s + len(sound) / RATE_HZ
            false_stops += any(each.text == STOP for each in heard)
            best = max(heard, key=lambda each: len(each.text), default=Heard("", 0.0))
            rows.append((task_of(best.text) == task, best.confidence))
            if options.show and not rows[-1][0]:
                print(f"    {sentence} | {best.text} | {task_of(best.text)} | {best.confidence:.2f}")
        delays = [delay for text in STOPS if (delay := stop_delay_s(recogniser, text, condition)) is not None]
        right_at_once, _, wrong_at_once = shares(rows, THRESHOLD)
        result = {
            "voice": str(condition),
            "right": sum(right for right, _ in rows) / len(rows),
            "right_at_once": right_at_once,
            "wrong_at_once": wrong_at_once,
            "false_stops": false_stops / len(rows),
            "real_time_factor": busy_s / sound_s,
            "stops": len(delays) / len(STOPS),
            "stop_delay_s": sorted(delays)[len(delays) // 2] if delays else None,
        }
        every += rows
        results.append(result)
        cells = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in result.values()]
        print(f"| {' | '.join(cells)} |", flush=True)
    mean = sum(float(str(result["right"])) for result in results) / len(results)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| mean | {mean:.3f} (asked for: {BAR}); memory with the language model {memory_mb:.0f} MB |")
    curve = {threshold: shares(every, threshold) for threshold in THRESHOLDS}
    if options.curve:
        print("| threshold | right at once | asked | wrong at once |")
        for threshold, each in curve.items():
            print(f"| {threshold:.2f} | {' | '.join(f'{share:.3f}' for share in each)} |")
    if options.output:
        found = {"text": written, "mean": mean, "voices": results, "curve": curve}
        options.output.write_text(json.dumps(found, indent=2))
    return int(mean < BAR)


def shares(rows: Sequence[tuple[bool, float]], threshold: float) -> tuple[float, float, float]:
    """Of the sentences, as (right, confidence): obeyed rightly at once, asked about, obeyed wrongly at once."""
    right, wrong = (sum(r is way and sure >= threshold for r, sure in rows) / len(rows) for way in (True, False))
    return right, 1 - right - wrong, wrong


def stop_delay_s(recogniser: Recogniser, text: str, condition: Condition) -> float | None:
    """Seconds from the end of the word to its being heard, with the time that recognition took; None: not heard."""
    word_s = len(np.trim_zeros(speak(text[: text.index(STOP) + len(STOP)], condition.voice))) / RATE_HZ
    began = time.process_time()
    for heard, at_s in hear(recogniser, condition.sound(text)):
        if heard.text == STOP:
            return at_s - PAUSE_S - word_s + (time.process_time() - began) / at_s * CHUNK / RATE_HZ
    return None


if __name__ == "__main__":
    sys.exit(main())
