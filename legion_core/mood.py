"""The mood of a clause by its words: whether it asks for something to be done, or asks, tells, or forbids."""

from __future__ import annotations

from legion_core.words import Words, find, words_of

NEGATIONS = frozenset(
    words_of("not never no nothing none nobody neither nor without instead avoid refrain unless hardly")
)
PERSONS = frozenset(
    words_of("i he she they we you it there somebody someone nobody everybody everyone my his her their")
)
DETERMINERS = frozenset(words_of("the that this a an your my our its"))
WISHES = frozenset(words_of("should must ought needs need be want wants shall"))
_INVERTED = frozenset(words_of("is are was were am did does has had"))
_QUESTIONS = _INVERTED | frozenset(words_of("who what where when why how which whose whether"))
_ASKED = frozenset({"do", "have", "should", "shall", "may", "must", "can", "could"})
_COPULAS = frozenset(words_of("is are was were looks seems stays smells has have"))
_RELATIVES = frozenset({"that", "which", "where", "what", "who"})
_REMAINS = frozenset(words_of("leave left keep keeps kept stay stays remain remains"))
_STATES = frozenset(words_of("open opened close closed shut on off in out"))
_UNFULFILLED = frozenset(words_of("should could would must might may"))
_FIRST_WORDS = 6
"""So early the verb of a short statement comes."""


def is_command(words: Words) -> bool:
    """Whether the clause asks for something to be done: no negation, no question, no report, no condition."""
    if not words or NEGATIONS & set(words) or "if" in words:
        return False
    asks = words[0] in _ASKED and words[1:2] and words[1] in PERSONS and words[:2] != ("do", "it")
    if words[0] in _QUESTIONS or asks:
        return False
    return not (is_statement(words) or _remains(words))


def is_question(words: Words) -> bool:
    """Whether it asks how things are, or were: "is the window open", "has somebody opened it"."""
    return words[:1] != () and words[0] in _INVERTED


def is_report(words: Words) -> bool:
    """Whether it tells in few words which state something is in: "the window is open now"."""
    return len(words) <= _FIRST_WORDS and bool(_STATES & set(words[-2:])) and has_copula(words) and not wishes(words)


def is_statement(words: Words) -> bool:
    """Whether the clause tells how things are: "it is cold", "the drawer is open", "I opened the window"."""
    if not words:
        return False
    if words[:2] == ("there", "is") or (words[0] in PERSONS - {"it"} and _is_past(words[1:4])):
        return True
    if words[:3] == ("it", "would", "be"):  # wrong, a pity, ...; that it would be nice is a courtesy
        return True
    if wishes(words):
        return False
    if words[0] in PERSONS and words[0] != "you":
        return words[0] != "it" or words[1:2] == () or words[1] in _COPULAS | {"would"} or words[1].endswith("s")
    if words[0] in ("no", "nothing") or words[:2] == ("let", "me"):
        return True
    if words[0] == "to":  # "to rinse a cup", but not "to the goal"
        return not DETERMINERS & set(words[1:2])
    if words[0] not in DETERMINERS:
        return False
    return has_copula(words) or (words[-1] in _COPULAS and len(words) <= 4)


def wishes(words: Words) -> bool:
    """Whether something ought to be otherwise: "the door should be open", "the peg has to come out"."""
    return bool(WISHES & set(words)) or any(find(words, each) >= 0 for each in (("has", "to"), ("have", "to")))


def has_copula(words: Words) -> bool:
    """Whether something is said of the first thing that is named: "papers are blowing around"."""
    verbs = (at for at, word in enumerate(words[:-1]) if word in _COPULAS)
    first = next(verbs, _FIRST_WORDS)
    return 0 < first < _FIRST_WORDS and not _RELATIVES & set(words[1:first])


def _is_past(verb: Words) -> bool:
    """Whether somebody did something, or could have done it."""
    if not verb:
        return False
    past = (verb[0] == "have" and verb[1:2] != ("to",)) or (verb[0].endswith("ed") and verb[0] not in WISHES)
    return past or (verb[0] in _UNFULFILLED and "have" in verb)


def _remains(words: Words) -> bool:
    """Whether something is to stay as it is: "leave the door open", "the window must stay closed"."""
    return bool(_REMAINS & set(words)) and words[-1] in _STATES and not {"until", "till", "to"} & set(words)
