"""A sentence with several tasks as clauses, in the order in which they are to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from legion_core.mood import is_statement
from legion_core.words import PUNCTUATION, Words, find, spoken, words_of

IsAction = Callable[[str], bool]
"""Whether a word is the name of an action, in base form."""

_THEN = tuple(
    tuple(text.split())
    for text in (
        *("after that", "after this", "after which", "afterwards", "afterward", "followed by", "subsequently"),
        *("once that is done", "once this is done", "when that is done", "once done", "when done", "thereafter"),
        *("once you are done", "when you are done", "once it is done", "when it is done", "once finished", "then"),
        *("only then", "and only later", "and at last", "and in the end"),
        *("when all that is done", "once all that is done", "when all this is done", "once all this is done"),
        *("when finished", "later on", "and later", "and finally", "and lastly", "finally", "lastly", "and next"),
        *(";", ".", "!", "?", ":"),
    )
)
"""What stands between a clause and the one that is done after it."""
_ENDS = ((";",), (".",), ("!",), ("?",))
_ONCE = tuple(("once", word) for word in ("and", "then", ",", ".", "!"))
_DONE = tuple(
    (word, *rest)
    for word in ("when", "once", "after")
    for rest in (
        ("you", "are", "done"),
        ("you", "are", "finished"),
        ("done",),
        ("finished",),
        ("you", "have", "finished"),
    )
)
_BEFORE_THAT = tuple(
    tuple(text.split()) for text in ("before that", "before this", "but first", "but before", "first though")
)
_BEFOREHAND = tuple(
    tuple(text.split()) for text in ("first", "beforehand", "before that", "before this", "before you do that")
)
_AFTER = frozenset({"after", "once", "when", "having"})
_BECAUSE = frozenset({"because", "since", "as"})
_SUBORDINATING = _AFTER | _BECAUSE | {"before"}
_AUXILIARIES = frozenset({"is", "are", "was", "has", "been", "have", "had", "you"})
_OTHERS = frozenset({"i", "he", "she", "they", "we", "somebody", "someone", "anybody"})
_STATES = frozenset(
    {"open", "opened", "opens", "closed", "closes", "shut", "shuts", "out", "in", "on", "down", "pressed", "unplugged"}
)
_SAME_AS = (
    (("as", "soon", "as"), "once"),
    (("prior", "to"), "before"),
    (("ahead", "of"), "before"),
    (("right", "after"), "after"),
    (("just", "before"), "before"),
    (("but", "not", "before"), "after"),
    (("having", "first"), "after"),
    (("preceded", "by"), "after"),
    (("last", "of", "all"), "finally"),
    (("to", "begin", "with"), "first"),
    (("before", "anything", "else"), "first"),
    (("before", "everything", "else"), "first"),
    (("no", "lifting"), "without lifting"),
)
_REASONS = tuple(
    tuple(text.split())
    for text in (
        *("because", "since", "in order to", "due to", "otherwise", "in case"),
        *(f"so {who}" for who in ("that", "it", "i", "we", "the", "you", "they", "he", "she", "my", "our", "there")),
        *(f"so {who}" for who in ("a", "some", "nobody", "no one", "nothing", "everyone", "everybody", "people", "as")),
        *("as it", "as i", "as we", "as there", "as the"),
    )
)
_GOING_ON = frozenset(
    {"to", "onto", "into", "towards", "toward", "until", "till", "from", "with", "without", "by", "at"}
)
_JOINTS = frozenset({",", "and", "but", "plus", "also"})
_EDGES = (
    PUNCTUATION
    | _JOINTS
    | frozenset(
        words_of("then next first firstly second secondly third thirdly finally lastly afterwards afterward too")
    )
)
_SUBJECTS = frozenset({"you", "we", "i", "have", "has", "having", "to", "is", "are", "was", "were"})


def in_order(words: Words, is_action: IsAction) -> list[Words]:
    """The clauses of a sentence in the order of their execution.

    Words such as then, before and after, and the marks that end a sentence, separate them; what "and" and commas join
    stays together (see `joined`).
    """
    words = _with_gerunds(tuple(word for at, word in enumerate(words) if not _is_adverb(words, at)))
    for phrase, word in _SAME_AS:
        while (at := find(words, phrase)) >= 0:
            words = (*words[:at], *word.split(), *words[at + len(phrase) :])
    return _ordered(words, is_action)


def _is_adverb(words: Words, at: int) -> bool:
    """Whether it is the once of "press it once and then ..."."""
    return (words[at] == "once" and at > 0 and not words[at + 1 : at + 2]) or words[at : at + 2] in _ONCE


def _with_gerunds(words: Words) -> Words:
    """The words with "after" for the beginning of "when you are done pushing the puck"."""
    for phrase in _DONE:
        at = find(words, phrase)
        if at >= 0 and words[at + len(phrase) :] and words[at + len(phrase)].endswith("ing"):
            words = (*words[:at], "after", *words[at + len(phrase) :])
    return words


def _ordered(words: Words, is_action: IsAction) -> list[Words]:
    said = spoken(words)
    beforehand = next((len(phrase) for phrase in _BEFOREHAND if said[-len(phrase) :] == phrase), 0)
    if "but" in said and beforehand:  # "press it, but open the window first"
        at, end = words.index("but"), len(_without_end(words)) - beforehand
        return _ordered(_trimmed(words[at:end]), is_action) + _ordered(words[:at], is_action)
    words = _trimmed(words)
    if not words:
        return []
    for phrase in _BEFORE_THAT:
        if (at := find(words, phrase)) > 0:
            return _ordered(words[at + len(phrase) :], is_action) + _ordered(words[:at], is_action)
    if words[0] in _SUBORDINATING:
        if words[1:2] in (("that",), ("this",)):
            return _ordered(words[2:], is_action)
        if cut := _end_of_subordinate(words, is_action):
            return _with_subordinate(words[0], words[1:cut], words[cut:], is_action)
    return _around_connective(words, is_action)


def _with_subordinate(word: str, clause: Words, main: Words, is_action: IsAction) -> list[Words]:
    """Before, after or because of `clause`, `main`."""
    if word in _BECAUSE:
        return _ordered(main, is_action)
    if is_statement(main) or (
        word != "before" and clause[:1] and clause[0] in _OTHERS
    ):  # nothing that could be done first
        return [(*_trimmed(main), word, *clause)]
    # "once the drawer is closed" asks for it to be closed
    wanted = _ordered(tuple(each for each in clause if each not in _AUXILIARIES), is_action)
    then = _ordered(main, is_action)
    return then + wanted if word == "before" else wanted + then


def joined(clause: Words, is_action: IsAction) -> list[Words]:
    """What "and", "but" and commas join; a reason is a part of its own, and what follows from one begins with "so"."""
    parts: list[list[str]] = [[]]
    reason = False
    for at, word in enumerate(clause):
        begins = is_action("".join(clause[at + 1 : at + 2]))
        if at > 0 and is_reason(clause[at:]):
            reason = True
            parts.append([word])
        elif word in _JOINTS and "".join(clause[at + 1 : at + 2]) in _GOING_ON and parts[-1]:
            continue  # "lift it off the table and to the goal"
        elif word in _JOINTS and (not reason or (begins and word == ",")):
            reason = False
            parts.append([])
        elif word == "so" and begins:
            reason = False
            parts.append([word])
        else:
            parts[-1].append(word)
    return [trimmed for part in parts if (trimmed := _trimmed(tuple(part)))]


def is_reason(part: Words) -> bool:
    """Whether it tells why: "because it is cold", "so that I can see", but not the result: "so that it is shut"."""
    result = part[0] == "so" and {"is", "it"} & set(part) and part[-1] in _STATES
    return not result and any(part[: len(reason)] == reason for reason in _REASONS)


def _around_connective(words: Words, is_action: IsAction) -> list[Words]:
    """Split at the first mark that ends a sentence, or else at the first word that tells an order."""
    found = _occurrences(words, _ENDS) or _occurrences(words, (*_THEN, ("before",), ("after",), ("once",), ("when",)))
    if not found:
        return [words]
    at, _, phrase = min(found)
    left, right = words[:at], words[at + len(phrase) :]
    if phrase in _THEN:
        return _ordered(left, is_action) + _ordered(right, is_action)
    if left[-1] in _JOINTS and "," in right:  # "open the tap and, once it runs, close the door"
        return _ordered(left, is_action) + _ordered(words[at:], is_action)
    end = next((i for i, mark in enumerate(right) if mark == "," and _begins(right[i:], is_action)), len(right))
    return _with_subordinate(phrase[0], right[:end], left, is_action) + _ordered(right[end:], is_action)


def _occurrences(words: Words, phrases: Iterable[Words]) -> list[tuple[int, int, Words]]:
    """Where each of the phrases first occurs but at the beginning, and its length counted down: the longest first."""
    return [(at, -len(phrase), phrase) for phrase in phrases if (at := find(words, phrase)) > 0]


def _begins(words: Words, is_action: IsAction) -> bool:
    """Whether they begin a command of their own."""
    rest = _trimmed(words)
    return bool(rest) and is_action(rest[0])


def _end_of_subordinate(words: Words, is_action: IsAction) -> int | None:
    """Where the main clause begins after "before closing the window": at the comma, or at the next command."""
    if "," in words:
        return words.index(",")
    for at in range(2, len(words)):
        if is_action(words[at]) and words[at - 1] not in _SUBJECTS and at > 2:
            return at
    return None


def _without_end(words: Words) -> Words:
    """Without the marks at the end."""
    return _without_end(words[:-1]) if words and words[-1] in PUNCTUATION else words


def _trimmed(words: Words) -> Words:
    """Without what only links it to its neighbours."""
    start, end = 0, len(words)
    while start < end and words[start] in _EDGES:
        start += 1
    while end > start and words[end - 1] in _EDGES:
        end -= 1
    return words[start:end]
