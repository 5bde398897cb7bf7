"""Nothing that a node or the guard can report is without a remedy."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from legion_ros.mending import GUARD, Problem
from legion_sim2real.interventions import Intervention

PACKAGE = Path(__file__).resolve().parents[2] / "legion_ros"
REPORTING = ("warn", "error")


def expressions() -> Iterator[ast.AST]:
    """Everything in the source of the package but the table itself."""
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.name != "mending.py":
            yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def test_every_problem_is_in_the_table_and_reported_somewhere() -> None:
    """That a node names a `Problem` and nothing else is checked by mypy."""
    used = {
        each.attr for each in expressions() if isinstance(each, ast.Attribute) and ast.unparse(each.value) == "Problem"
    }
    assert used == {problem.name for problem in Problem}


def test_no_node_makes_a_kind_up() -> None:
    calls = [call for call in expressions() if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)]
    reports = [c for c in calls if c.func.attr in REPORTING and ast.unparse(c.func.value).endswith("_diagnostics")]
    assert len(reports) >= 10
    for call in reports:
        kind = next((each.value for each in call.keywords if each.arg == "kind"), call.args[-1])
        assert not isinstance(kind, (ast.Constant, ast.JoinedStr)), ast.unparse(call)


def test_every_intervention_of_the_guard_is_explained() -> None:
    assert list(GUARD) == list(Intervention)


@pytest.mark.parametrize(
    "text", [t for p in Problem for t in (p.means, p.mend)] + [t for a in GUARD.values() for t in a]
)
def test_texts_are_plain_sentences(text: str) -> None:
    assert text[0].isupper() or text.startswith("sim2real_node")
    assert text.endswith(".")
    assert len(text) < 130
