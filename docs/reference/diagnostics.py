"""Every problem and intervention with its remedy."""

from __future__ import annotations

from legion_ros.mending import GUARD, Problem
from reference.markdown import code, table


def problems() -> str:
    """What a node can report."""
    return table(
        ("kind", "what it means", "how to mend it"), ((code(each.value), each.means, each.mend) for each in Problem)
    )


def interventions() -> str:
    """What the guard can do to a command."""
    rows = ((code(each.value), each.level.value, advice.means, advice.mend) for each, advice in GUARD.items())
    return table(("intervention", "level", "what it means", "how to mend it, where it lasts"), rows)
