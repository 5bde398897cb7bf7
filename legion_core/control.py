"""The words that steer instead of naming a task: stop, pause, continue. Decided by words alone, before any model."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from legion_core.config import load_yaml
from legion_core.words import Words, find, phrases_in, spoken

CONTROL_FILE = Path(__file__).parent / "data" / "control.yaml"


class Control(Enum):
    """What an operator may say about the running task or mission."""

    EMERGENCY_STOP = "emergency stop"
    STOP = "stop"
    PAUSE = "pause"
    CONTINUE = "continue"
    AGAIN = "again"
    SKIP = "skip"
    HELP = "help"


_DATA = load_yaml(CONTROL_FILE)
_FILLERS = frozenset(word for (word,) in phrases_in(_DATA["fillers"]))
_LOOKUP = {phrase: Control(name) for name, listed in _DATA["phrases"].items() for phrase in phrases_in(listed)}
_QUESTIONS, _EMERGENCIES = phrases_in(_DATA["questions"]), phrases_in(_DATA["emergencies"])
_RELEASES = frozenset(word for (word,) in phrases_in(_DATA["releases"]))
_HALTS = frozenset({"stop", "halt", "abort", "freeze"})
_URGES = frozenset({"now", "it", "please", "right"}) | _HALTS

VOCABULARY = _FILLERS.union(*_LOOKUP, *_QUESTIONS, *_EMERGENCIES)
"""Every word of these phrases: what a typing error may have meant."""


def control_of(words: Words) -> Control | None:
    """The control that a whole sentence means, if it means one; nothing said at all means stop.

    "stop" counts with anything that does not change it, as in "please stop now" or "stop pushing!";
    "stop the faucet from running" is another matter.
    """
    said = spoken(words)
    if not said:
        return Control.STOP
    if _mentions(said, _EMERGENCIES) and not _RELEASES & set(said):
        return Control.EMERGENCY_STOP
    if _mentions(said, _QUESTIONS):
        return Control.HELP
    meaning = _meaning(said)
    if meaning is None and said[0] in _HALTS and (said[1] in _URGES or said[1].endswith("ing")):
        return Control.STOP
    return meaning


def releases_emergency_stop(words: Words) -> bool:
    """Whether a sentence wants the emergency stop released, which no sentence can do."""
    said = spoken(words)
    return bool(_RELEASES & set(said)) and _mentions(said, _EMERGENCIES)


def _mentions(said: Words, phrases: Iterable[Words]) -> bool:
    return any(find(said, phrase) >= 0 for phrase in phrases)


def _meaning(said: Words) -> Control | None:
    """The control whose phrase it is, with fillers or without."""
    said = _without_repeats(said)
    return _LOOKUP.get(said) or _LOOKUP.get(_without_repeats(word for word in said if word not in _FILLERS))


def _without_repeats(words: Iterable[str]) -> Words:
    kept: list[str] = []
    for word in words:
        if not kept or kept[-1] != word:
            kept.append(word)
    return tuple(kept)
