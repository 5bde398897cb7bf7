"""How well sentences are understood: right, wrong and refused by task, and sequences in their order.

Run: python benchmarks/bench_language.py [--sentences FILE] [--pairs FILE] [--phrases FILE] [--output FILE.json]
FILE of sentences holds `tasks` (name: [sentences]) and `refused` ([sentences]); that of pairs, entries of a `sentence`
and its `tasks`, empty where it is to be refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from legion_core.bundle import PolicyBundle
from legion_core.embedding import encoder_of
from legion_core.errors import LegionError
from legion_core.phrases import phrases_for
from legion_core.understanding import Interpreter, Tasks

SENTENCES = Path(__file__).parents[1] / "tests" / "core" / "data" / "seen_sentences.yaml"
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


def measure_pairs(interpreter: Interpreter, pairs: list[dict[str, Any]], show: bool) -> float:
    """The share of sequences that are understood, task by task and in order."""
    wrong = [p for p in pairs if tasks_of(interpreter, p["sentence"]) != tuple(p["tasks"])]
    print(f"| sequences | {len(pairs)} | {1 - len(wrong) / len(pairs):.3f} |")
    for pair in wrong if show else ():
        print(f"  {pair['sentence']!r}: {', '.join(pair['tasks'])}")
    return 1 - len(wrong) / len(pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=Path, default=SENTENCES, help="YAML (default: those seen while tuning)")
    parser.add_argument("--pairs", type=Path, help="YAML of sentences with several tasks")
    parser.add_argument("--policy", default="", help="bundle folder (default: the shipped one)")
    parser.add_argument("--phrases", nargs="*", default=[], help="files with further phrasings and aliases")
    parser.add_argument("--errors", action="store_true", help="also print what was not understood as meant")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    try:
        bundle = PolicyBundle.load(options.policy or None)
        encoder = encoder_of(bundle.manifest.embedding)
        began = time.perf_counter()
        interpreter = Interpreter(bundle, encoder, phrases_for(bundle.task_names, options.phrases))
        made_s = time.perf_counter() - began
    except LegionError as error:
        print(f"bench_language: {error}", file=sys.stderr)
        return 1
    sentences = yaml.safe_load(options.sentences.read_text(encoding="utf-8"))
    began = time.perf_counter()
    figures = measure_sentences(interpreter, sentences, options.errors)
    count = sum(map(len, sentences["tasks"].values())) + len(sentences["refused"])
    figures |= {"ms a sentence": 1e3 * (time.perf_counter() - began) / count, "start s": made_s}
    if options.pairs:
        pairs = yaml.safe_load(options.pairs.read_text(encoding="utf-8"))
        figures["sequences right"] = measure_pairs(interpreter, pairs, options.errors)
    print(f"{figures['ms a sentence']:.1f} ms a sentence, {made_s:.2f} s to start once the model is loaded")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
