"""The answer to an operator's sentence: written by the language node, read by `legion say`."""

from __future__ import annotations

import json
from dataclasses import dataclass

ACCEPTED = "understood"
REFUSED = "refused"


@dataclass(frozen=True)
class Reply:
    """Whether `instruction` was accepted, and `text`: the task or the reason."""

    accepted: bool
    instruction: str
    text: str

    def __str__(self) -> str:
        # JSON quoting keeps a sentence with quotes or line breaks in one readable, parseable piece
        verdict = ACCEPTED if self.accepted else REFUSED
        return f"{verdict} {json.dumps(self.instruction, ensure_ascii=False)}: {self.text}"

    @classmethod
    def parse(cls, line: str) -> Reply:
        """The reply that was written as `line`.

        Raises:
            ValueError: it is none.
        """
        verdict, _, rest = line.partition(" ")
        if verdict not in (ACCEPTED, REFUSED):
            raise ValueError(f"a reply begins with {ACCEPTED!r} or {REFUSED!r}: {line!r}")
        instruction, end = json.JSONDecoder().raw_decode(rest)
        return cls(verdict == ACCEPTED, instruction, rest[end:].removeprefix(": "))
