"""How well sentences are understood: right, wrong and refused by task, and sequences in their order.

Run: python benchmarks/bench_language.py [--sentences FILE ...] [--phrases FILE ...] [--output FILE.json]
A FILE of sentences may hold `tasks` (name: [sentences]), `refused` ([sentences]) and `sequences`, each a `sentence` and
its `tasks`, none where it is to be refused.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in language_node

import numpy as np

from legion_core.bundle import PolicyBundle
from legion_core.config import load_yaml
from legion_core.embedding import encoder_of
from legion_core.errors import LegionError
from legion_core.phrases import phrases_for
from legion_core.understanding import Interpreter, Tasks

UNSEEN = sorted((Path(__file__).parents[1] / "tests" / "core" / "data").glob("unseen_*.yaml"))
BARS = "bars: right >= 0.970, good refused <= 0.020, others refused >= 0.950"


def tasks_of(interpreter: Interpreter, sentence: str) -> tuple[str, ...]:
    """The tasks that the sentence is understood to mean; none if it is refused or no task."""
    outcome = interpreter.understand(sentence)
    return outcome.names if isinstance(outcome, Tasks) else ()


def measure_sentences(interpreter: Interpreter, sentences: dict[str, Any], show: bool) -> dict[str, Any]:
    """Shares by task and over all; prints the table, and what went wrong if asked to."""
    rows: dict[str, tuple[int, int, int]] = {}
    errors: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
    for task, said in sentences["tasks"].items():
        found = [tasks_of(interpreter, sentence) for sentence in said]
        errors += [(s, (task,), f) for s, f in zip(said, found, strict=True) if f != (task,)]
        rows[task] = (len(said), sum(f == (task,) for f in found), sum(not f for f in found))
    others = [(sentence, tasks_of(interpreter, sentence)) for sentence in sentences["refused"]]
    errors += [(sentence, (), found) for sentence, found in others if found]
    print("| task | sentences | right | wrong | refused |\n|---|---|---|---|---|")
    total = np.sum(list(rows.values()), axis=0).tolist()
    for task, (count, right, refused) in {**rows, "all": total}.items():
        shares = (f"{part / count:.3f}" for part in (right, count - right - refused, refused))
        print(f"| {task} | {count} | {' | '.join(shares)} |")
    share = sum(not found for _, found in others) / len(others)
    print(f"| to be refused | {len(others)} | | | {share:.3f} |\n{BARS}")
    if show:
        for sentence, meant, understood in errors:
            print(f"  {sentence!r}: {', '.join(meant) or 'none'}, understood {', '.join(understood) or 'none'}")
    return {
        "right": total[1] / total[0],
        "good refused": total[2] / total[0],
        "others refused": share,
        "right by task": {task: right / count for task, (count, right, _) in rows.items()},
    }


def measure_sequences(interpreter: Interpreter, sequences: list[dict[str, Any]], show: bool) -> dict[str, float]:
    """Shares of those that are understood task by task and in order, of those misunderstood, and rightly refused."""
    found = [(each["sentence"], tuple(each["tasks"]), tasks_of(interpreter, each["sentence"])) for each in sequences]
    several = [(meant, understood) for _, meant, understood in found if meant]
    others = [not understood for _, meant, understood in found if not meant]
    right = float(np.mean([meant == understood for meant, understood in several]))
    wrong = float(np.mean([understood not in (meant, ()) for meant, understood in several]))
    refused = float(np.mean(others)) if others else 1.0
    print(f"| sequences | {len(several)} | {right:.3f} | {wrong:.3f} | {1 - right - wrong:.3f} |")
    print(f"| with an impossible part | {len(others)} | | | {refused:.3f} |")
    for sentence, meant, understood in found if show else ():
        if meant != understood:
            print(f"  {sentence!r}: {', '.join(meant) or 'none'}, understood {', '.join(understood) or 'none'}")
    return {"sequences right": right, "sequences wrong": wrong, "impossible ones refused": refused}


def read_all(files: Iterable[Path]) -> dict[str, Any]:
    """What the files hold together."""
    tasks: dict[str, list[str]] = {}
    refused: list[str] = []
    sequences: list[dict[str, Any]] = []
    for file in files:
        data = load_yaml(file)
        for task, said in data.get("tasks", {}).items():
            tasks.setdefault(task, []).extend(said)
        refused += data.get("refused", ())
        sequences += data.get("sequences", ())
    return {"tasks": tasks, "refused": refused, "sequences": sequences}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sentences", type=Path, nargs="+", default=UNSEEN, help="YAML (default: those nothing was tuned on)"
    )
    parser.add_argument("--policy", default="", help="bundle folder (default: the shipped one)")
    parser.add_argument("--phrases", nargs="*", default=[], help="files with further phrasings and aliases")
    parser.add_argument("--errors", action="store_true", help="also print what was not understood as meant")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    try:
        sentences = read_all(options.sentences)
        bundle = PolicyBundle.load(options.policy or None)
        encoder = encoder_of(bundle.manifest.embedding)
        began = time.perf_counter()
        interpreter = Interpreter(bundle, encoder, phrases_for(bundle.task_names, options.phrases))
        made_s = time.perf_counter() - began
    except LegionError as error:
        print(f"bench_language: {error}", file=sys.stderr)
        return 1
    began, figures = time.perf_counter(), dict[str, Any]()
    if sentences["tasks"]:
        figures |= measure_sentences(interpreter, sentences, options.errors)
    if sentences["sequences"]:
        figures |= measure_sequences(interpreter, sentences["sequences"], options.errors)
    count = sum(len(said) for said in (*sentences["tasks"].values(), sentences["refused"], sentences["sequences"]))
    figures |= {"ms a sentence": 1e3 * (time.perf_counter() - began) / count, "start s": made_s}
    print(f"{figures['ms a sentence']:.1f} ms a sentence, {made_s:.2f} s to start once the model is loaded")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
