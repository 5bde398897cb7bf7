"""A sentence with several tasks as clauses, in the order in which they are to be done."""

from __future__ import annotations

from collections.abc import Callable

from legion_core.words import PUNCTUATION, Words, find, words_of

IsAction = Callable[[str], bool]
"""Whether a word is the name of an action, in base form."""

_THEN = tuple(
    tuple(text.split())
    for text in (
        *("after that", "after this", "after which", "afterwards", "afterward", "followed by", "subsequently"),
        *("once that is done", "once this is done", "when that is done", "once done", "when done", "thereafter"),
        *("once you are done", "when you are done", "once it is done", "when it is done", "once finished", "then"),
        *("when finished", "later on", "and later", "and finally", "and lastly", "finally", "lastly", "and next"),
        *(";", ".", "!", "?", ":"),
    )
)
"""What stands between a clause and the one that is done after it."""
_BEFORE_THAT = tuple(
    tuple(text.split()) for text in ("before that", "before this", "but first", "but before", "first though")
)
_AFTER = frozenset({"after", "once", "when", "having"})
_BECAUSE = frozenset({"because", "since", "as"})
_REASONS = tuple(
    tuple(text.split())
    for text in (
        *("because", "since", "so it", "so i", "so we", "so the", "in order to", "due to", "otherwise"),
        *("as it", "as i", "as we", "as there", "as the", "in case"),
    )
)
_JOINTS = frozenset({",", "and", "but", "plus", "also"})
_EDGES = (
    PUNCTUATION
    | _JOINTS
    | frozenset(
        words_of("then next first firstly second secondly third thirdly finally lastly afterwards afterward too")
    )
)
_SUBJECTS = frozenset({"you", "we", "i", "have", "has", "having", "to"})


def in_order(words: Words, is_action: IsAction) -> list[Words]:
    """The clauses of a sentence in the order of their execution.

    Words such as then, before and after, and the marks that end a sentence, separate them; what "and" and commas join
    stays together (see `joined`).
    """
    words = _trimmed(words)
    if not words:
        return []
    rest = words[1:]
    if words[0] in _AFTER | {"before"} | _BECAUSE and (cut := _end_of_subordinate(words, is_action)):
        inner, main = in_order(words[1:cut], is_action), in_order(words[cut:], is_action)
        if words[0] in _BECAUSE:
            return main
        return main + inner if words[0] == "before" else inner + main
    if words[0] in _AFTER | {"before"} and rest[:1] in (("that",), ("this",)):
        return in_order(rest[1:], is_action)
    for phrase in _BEFORE_THAT:
        if (at := find(words, phrase)) > 0:
            return in_order(words[at + len(phrase) :], is_action) + in_order(words[:at], is_action)
    if "but" in words and words[-1] == "first":
        at = words.index("but")
        return in_order(words[at:-1], is_action) + in_order(words[:at], is_action)
    return _around_connective(words, is_action)


def joined(clause: Words, is_action: IsAction) -> list[Words]:
    """What "and", "but" and commas join, without the reasons that are given."""
    parts: list[list[str]] = [[]]
    words = without_reason(clause)
    for at, word in enumerate(words):
        if word in _JOINTS or (word == "so" and is_action("".join(words[at + 1 : at + 2]))):
            parts.append([])
        else:
            parts[-1].append(word)
    return [trimmed for part in parts if (trimmed := _trimmed(tuple(part)))]


def without_reason(clause: Words) -> Words:
    """The clause up to its "because"."""
    cuts = [at for reason in _REASONS if (at := find(clause, reason)) > 0]
    return clause[: min(cuts)] if cuts else clause


def _around_connective(words: Words, is_action: IsAction) -> list[Words]:
    """Split at the first word that tells an order."""
    found = [(at, -len(phrase), phrase) for phrase in _THEN if (at := find(words, phrase)) > 0]
    found += [(at, -1, (word,)) for word in ("before", "after", "once", "when") if (at := find(words, (word,))) > 0]
    if not found:
        return [words]
    at, _, phrase = min(found)
    left, right = in_order(words[:at], is_action), in_order(words[at + len(phrase) :], is_action)
    return right + left if phrase[0] in _AFTER and phrase not in _THEN else left + right


def _end_of_subordinate(words: Words, is_action: IsAction) -> int | None:
    """Where the main clause begins after "before closing the window": at the comma, or at the next command."""
    if "," in words:
        return words.index(",")
    for at in range(2, len(words)):
        if is_action(words[at]) and words[at - 1] not in _SUBJECTS and at > 2:
            return at
    return None


def _trimmed(words: Words) -> Words:
    """Without what only links it to its neighbours."""
    start, end = 0, len(words)
    while start < end and words[start] in _EDGES:
        start += 1
    while end > start and words[end - 1] in _EDGES:
        end -= 1
    return words[start:end]
