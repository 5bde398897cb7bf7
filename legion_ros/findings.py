"""What `legion doctor` found: one line each, with the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GOOD, ADVICE, WRONG = "ok", "note", "WRONG"


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, how it is, and how to mend it."""

    state: str
    what: str
    detail: str
    mend: str = ""


def judged(fits: bool, what: str, detail: str, mend: str, otherwise: str = WRONG) -> Finding:
    """A finding that is good, or `otherwise` with the remedy."""
    return Finding(GOOD, what, detail) if fits else Finding(otherwise, what, detail, mend)


def report(findings: Sequence[Finding]) -> int:
    """Print them. Returns how many are wrong; notes are no faults."""
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        print(f"{finding.state:<5}  {finding.what:<{width}}  {finding.detail}")
        if finding.mend:
            print(f"{'':<{width + 9}}-> {finding.mend}")
    wrong = sum(finding.state == WRONG for finding in findings)
    print("nothing is wrong" if not wrong else f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong")
    return wrong
