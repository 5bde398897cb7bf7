"""What a sentence asks for at a time, on an event, or again and again: the arm acts at once, and once.

`data/timing.yaml` holds how such things are said. What only tells when something is so ("it is cold at night, close the
window") asks for nothing, and what can be done first ("once the drawer is shut, ...") needs no waiting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from legion_core.config import load_yaml
from legion_core.lexicon import DIRECTIONS, ELSEWHERE, OTHER, Lexicon
from legion_core.mood import DETERMINERS, PERSONS, is_statement
from legion_core.splitting import is_reason
from legion_core.words import PUNCTUATION, Words

TIMING_FILE = Path(__file__).parent / "data" / "timing.yaml"

_SAME_AS_ONCE = re.compile(r"\bas soon as\b")
_EVENT = re.compile(
    r"(?<!\S)(when|once|after|not before|as long as|so long as|until|till) (?!and\b|that\b|this\b|which\b)"
)
_DONE = frozenset({"done", "finished", "ready", "complete", "completed", "through", "over"})
_AUXILIARIES = frozenset(
    {"is", "are", "was", "were", "be", "being", "has", "been", "have", "had", "got", "you", "both"}
)
_FAINT = frozenset({"start", "reach", OTHER})
"""Actions that "it gets dark" and "it comes to rain" seem to name as well."""
_ENDS = PUNCTUATION - {","}
_LINKS = frozenset({",", "and", "but"})
_SO_BRIEF = 2


class Timing:
    """Finds what no arm can do that acts at once and once."""

    def __init__(self, lexicon: Lexicon, file: Path = TIMING_FILE) -> None:
        data = load_yaml(file)
        named = {name: f"(?:{'|'.join(map(str, words))})" for name, words in data["words"].items()}

        def any_of(patterns: Sequence[str]) -> re.Pattern[str]:
            filled = (re.sub(r"<(\w+)>", lambda found: named[found[1]], pattern) for pattern in patterns)
            return re.compile(rf"(?<!\S)(?:{'|'.join(filled)})(?!\S)")

        self._lexicon = lexicon
        self._harmless = any_of(data["harmless"])
        self._times, self._conditions = any_of([*data["times"], *data["repetitions"]]), any_of(data["conditions"])
        self._things = {rule.thing for rule in lexicon.tasks.values()}

    def hindrance(self, words: Words) -> str:
        """The words that ask for another time than now, an event or a repetition; empty if none do.

        Args:
            words: of a sentence, without courtesies.
        """
        words = tuple(self._harmless.sub(" ", _SAME_AS_ONCE.sub("once", " ".join(words))).split())
        return next(filter(None, map(self._hindrance_in, _asked(words))), "")

    def _hindrance_in(self, part: Words) -> str:
        text, tells = " ".join(part), self._tells(part)
        for pattern in (self._times, self._conditions):
            found = pattern.search(text)
            if found and not (tells and found.start()):
                return found[0] if pattern is self._times else self._from(found)
        return "" if tells else self._event_in(text)

    def _tells(self, part: Words) -> bool:
        """Whether a part tells how things are: what is so at noon hinders nothing."""
        return is_statement(part) or (part[0] in DETERMINERS | PERSONS and self._lexicon.is_remark(part))

    def _event_in(self, text: str) -> str:
        """The first event to wait for that is no task to be done before."""
        for found in _EVENT.finditer(text):
            clause = self._clause(found)
            if not (self._results(clause) if found[1] in ("until", "till") else self._is_task(clause)):
                return self._from(found)
        return ""

    def _from(self, found: re.Match[str]) -> str:
        """What was found, and its clause."""
        return " ".join((found[0].strip(), *self._clause(found)))

    def _clause(self, found: re.Match[str]) -> Words:
        """The words behind it, up to the next command where it leads: "the bell rings" of "... open the window"."""
        words = found.string[found.end() :].split()
        ends = (
            at
            for at in range(_SO_BRIEF, len(words) if found.start() == 0 else 0)
            if self._lexicon.is_action(words[at])
            and words[at] not in DIRECTIONS
            and words[at - 1] not in _AUXILIARIES
            and {"it", "for", "to", *DETERMINERS} & set(words[at + 1 : at + 2])
        )
        return tuple(words[: next(ends, len(words))])

    def _is_task(self, clause: Words) -> bool:
        """Whether an event is brought about by a task: "the drawer is closed", "you have pressed it"."""
        if clause[0] in PERSONS - {"you", "it", "they"} or _DONE & set(clause):
            return bool(_DONE & set(clause))
        reading = self._lexicon.read(tuple(word for word in clause if word not in _AUXILIARIES))
        if {"it", "they", "both"} & set(clause) and not reading.things & self._things:
            return bool(reading.actions - _FAINT)
        there = "goal" in reading.things and not reading.strange
        verdicts = [reading.judge(rule) for rule in self._lexicon.tasks.values() if rule.thing in reading.things]
        return True in verdicts or (there and None in verdicts)

    def _results(self, clause: Words) -> bool:
        """Whether it tells how far to go: "until it clicks", but not "until the bell rings"."""
        reading = self._lexicon.read(clause)
        if {"it", "its", "you", "no", "nothing", "gap"} & set(clause) or reading.things - {ELSEWHERE}:
            return True
        return ELSEWHERE not in reading.things and not reading.strange


def _asked(words: Words) -> Iterator[Words]:
    """The parts of a sentence that may ask for something: no reasons, nor what "so" draws a conclusion from."""
    for sentence in _split(words, _ENDS):
        conclusions = [
            at for at in range(1, len(sentence) - 1) if sentence[at - 1] in _LINKS and _concludes(sentence[at:])
        ]
        for part in _split(sentence[max(conclusions, default=0) :], _LINKS):
            reasons = (
                at for at in range(1, len(part)) if "as" not in part[max(at - 2, 0) : at] and is_reason(part[at:])
            )
            if part[0] == "in" or not is_reason(part):  # "in case it rains, ..." comes first where it is a condition
                yield part[: next(reasons, len(part))]


def _concludes(words: Words) -> bool:
    return words[0] == "so" and not is_reason(words)


def _split(words: Words, marks: frozenset[str]) -> Iterator[Words]:
    """The words between marks; "and" is one only before somebody or something else: not in "again and again"."""
    part: list[str] = []
    for word, after in zip(words, (*words, "")[1:], strict=True):
        if word in marks and (word != "and" or after in PERSONS | {"the", "so"}):
            yield from [tuple(part)] if part else []
            part = []
        else:
            part.append(word)
    yield from [tuple(part)] if part else []
