"""Nothing that a node or the guard can report is without a remedy."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from legion_ros.mending import GUARD, Problem
from legion_sim2real.interventions import Intervention

PACKAGE = Path(__file__).resolve().parents[2] / "legion_ros"
REPORTING = ("warn", "error")


def kinds_reported() -> list[tuple[str, str]]:
    """Where a node reports a problem, and the kind that it names there."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            called = [call.func, *call.args[:1]]  # functools.partial(diagnostics.error, kind=...) reports, too
            if any(
                isinstance(f, ast.Attribute) and f.attr in REPORTING and ast.unparse(f.value).endswith("_diagnostics")
                for f in called
            ):
                kind = next((k.value for k in call.keywords if k.arg == "kind"), call.args[-1])
                found.append((f"{file.name}:{call.lineno}", ast.unparse(kind)))
    return found


def test_every_problem_that_a_node_reports_is_in_the_table() -> None:
    reported = kinds_reported()
    assert len(reported) >= 10
    assert {kind for _, kind in reported} <= {f"Problem.{problem.name}" for problem in Problem}, reported


def test_every_intervention_of_the_guard_is_explained() -> None:
    assert list(GUARD) == list(Intervention)


@pytest.mark.parametrize(
    "text", [t for p in Problem for t in (p.means, p.mend)] + [t for a in GUARD.values() for t in a]
)
def test_texts_are_plain_sentences(text: str) -> None:
    assert text[0].isupper() or text.startswith("sim2real_node")
    assert text.endswith(".")
    assert len(text) < 130
