"""What the words of a clause say by themselves: which thing, which action, and whether it is a command at all.

Sentence embeddings place "close the drawer" beside "open the drawer", and "do not press the button" beside "press the
button". Words tell them apart. `data/lexicon.yaml` holds them; a task that it does not name is judged as neutral.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from legion_core.config import from_mapping, load_yaml
from legion_core.errors import ConfigurationError, unknown
from legion_core.words import PUNCTUATION, Words, find, phrases_in, spoken, words_of

LEXICON_FILE = Path(__file__).parent / "data" / "lexicon.yaml"
ELSEWHERE = "elsewhere"
OTHER = "other"
PLACES = frozenset({"goal", "hand", "it"})
"""Things that may be named beside the one a task is about."""

NEGATIONS = frozenset(
    words_of("not never no nothing none nobody neither nor without instead avoid refrain unless hardly")
)
_QUESTIONS = frozenset(words_of("is are was were am did does has had who what where when why how which whose whether"))
_ASKED = frozenset({"do", "have", "should", "shall", "may", "must"})
_PERSONS = frozenset(
    words_of("i he she they we you it there somebody someone nobody everybody everyone my his her their")
)
_DETERMINERS = frozenset(words_of("the that this a an your my our its"))
_COPULAS = frozenset(words_of("is are was were looks seems stays"))
_WISHES = frozenset(words_of("should must ought needs need be want wants"))
_MANNERS = (("without",), ("from", "where"))
_STATES = frozenset({"open", "close"})
_RELATIVES = frozenset({"that", "which", "where", "what"})
_REMAINS = frozenset({"leave", "keep"})
_KEPT = frozenset({"open", "opened", "closed", "shut"})


@dataclass(frozen=True)
class Rule:
    """When words mean a task: it is about `thing` and `does` one of these, and `never` one of those.

    An alternative of several words asks for all of them. `alone` are actions that need no thing; `near` are things
    that may be named as well.
    """

    thing: str
    does: tuple[str, ...]
    never: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    near: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What a clause mentions, `strange` words that the lexicon does not know, and whether it is a `command`."""

    things: frozenset[str]
    actions: frozenset[str]
    strange: Words
    command: bool
    verb_known: bool = True
    """Whether the lexicon knows the first word, which says what to do if it is a command."""

    def judge(self, rule: Rule) -> bool | None:
        """True: the clause means that task; False: it cannot; None: the words do not tell."""
        others = self.things - {rule.thing} - PLACES - set(rule.near)
        if not self.command or OTHER in self.actions or others or self._any(rule.never):
            return False
        moves_something_else = rule.thing in PLACES and self.strange and "hand" not in self.things
        if not self.verb_known or moves_something_else:
            return None
        if self._any(rule.alone) and not self.strange and not self.things - {rule.thing, "it"} - set(rule.near):
            return True
        return True if rule.thing in self.things and self._any(rule.does) else None

    def _any(self, alternatives: Iterable[str]) -> bool:
        mentioned = self.actions | self.things
        return any(mentioned.issuperset(alternative.split()) for alternative in alternatives)


class Lexicon:
    """The words of `data/lexicon.yaml`, with `aliases` that stand for one of them.

    Raises:
        ConfigurationError: a rule or an alias names what the lexicon does not hold.
    """

    def __init__(self, aliases: Mapping[str, str] | None = None, file: Path = LEXICON_FILE) -> None:
        data = load_yaml(file)
        things, actions = _concepts(data["things"]), _concepts(data["actions"])
        self.tasks = {name: from_mapping(Rule, rule, f"{file}: {name}") for name, rule in data["tasks"].items()}
        known = {concept for concepts in (*things.values(), *actions.values()) for concept in concepts}
        for name, rule in self.tasks.items():
            for word in " ".join((rule.thing, *rule.does, *rule.never, *rule.alone, *rule.near)).split():
                if word not in known:
                    raise ConfigurationError(f"{file}: {name}: " + unknown("concept", word, sorted(known)))
        self._things, self._actions = things, actions
        self._forms: dict[str, str] = data["forms"]
        self._plain = {word for (word,) in phrases_in(data["plain"])}
        self._remarks = phrases_in(data["remarks"])
        self._wishes = {words_of(wish) for wish in data["wishes"]}
        courtesies = {words_of(courtesy) for courtesy in data["courtesies"]}
        self._courtesies = sorted(courtesies | self._wishes, key=lambda words: (-len(words), words))
        self._longest = max(map(len, (*things, *actions)))
        self._base = cache(self._find_base)
        self.aliases = {alias: word.split() for alias, word in (aliases or {}).items()}
        listed = (*things, *actions, *self._courtesies, tuple(self._plain), tuple(self._forms), tuple(self.aliases))
        self.vocabulary: frozenset[str] = frozenset(word for phrase in listed for word in phrase)
        self.spellings: frozenset[str] = self.vocabulary.union(*(_inflected(phrase) for phrase in actions))

    def knows(self, word: str) -> bool:
        """Whether it is a word of the lexicon, in any of its forms."""
        return self.base(word) in self.vocabulary

    def base(self, word: str) -> str:
        """The base form of a known word: closing, closes and closed are close; an unknown word stays as it is."""
        return self._base(word)

    def without_courtesies(self, words: Words) -> Words:
        """The words that say what is wanted. A clause of courtesies alone stays as it is."""
        left = words
        for courtesy in self._courtesies:
            at = -1
            while (at := find(left, courtesy, at + 1)) >= 0:
                rest = left[at + len(courtesy) :]
                if courtesy not in self._wishes or self._names_something(rest):
                    left = left[:at] + rest
                    at -= 1
        return left if spoken(left) else words

    def _names_something(self, words: Words) -> bool:
        """Whether a thing or an action occurs before the next mark."""
        end = next((at for at, word in enumerate(words) if word in PUNCTUATION), len(words))
        bases = [(self.base(word),) for word in words[:end]]
        named = frozenset().union(*(table.get(base, ()) for base in bases for table in (self._things, self._actions)))
        return bool(named - {OTHER, ELSEWHERE})

    def translated(self, words: Words) -> Words:
        """The words with aliases replaced by what they stand for."""
        return tuple(meant for word in words for meant in self.aliases.get(word, (word,)))

    def is_action(self, word: str) -> bool:
        """Whether the word is an action in its base form: how a command begins."""
        return (word,) in self._actions

    def thing_in(self, words: Words, ignored: frozenset[str] = PLACES) -> str | None:
        """The words that name the first thing a task is about."""
        phrases = self._phrases(tuple(map(self.base, words)))
        return next((" ".join(each) for _, each in phrases if self._things.get(each, ignored) - ignored), None)

    def is_remark(self, words: Words) -> bool:
        """Whether the clause only leads to what is asked for: "it is cold", "see that button", "the rain comes in"."""
        if is_statement(words) or any(words[: len(remark)] == remark for remark in self._remarks):
            return True
        if words[0] not in _DETERMINERS | _PERSONS or len(words) < 3:
            return False
        own = words[0] in ("i", "we")  # "I want to fill a bucket" is what the operator does then
        wished = not own and _WISHES & set(words)
        reading = self.read(words)
        complains = reading.strange and not reading.actions and ELSEWHERE not in reading.things
        return not wished and bool(complains or not reading.things - ({ELSEWHERE} if own else set()))

    def actions_in(self, words: Words) -> Words:
        """The words that say what is to be done."""
        return tuple(word for word in words if (self.base(word),) in self._actions)

    def read(self, clause: Sequence[str]) -> Reading:
        """What the words of one clause, courtesies left out, mention."""
        bases = self._without_purpose(tuple(self.base(word) for word in _without_manner(spoken(clause))))
        words = self._without_moves_of_hand(self._without_descriptions(bases))
        if not any((word,) in self._actions for word in words):
            words = bases  # "an open window, please" wants what it describes
        things: set[str] = set()
        actions: set[str] = set()
        strange = []
        for at, phrase in self._phrases(words):
            things |= self._things.get(phrase, frozenset())
            actions |= self._actions.get(phrase, frozenset())
            unknown = not self._means(phrase) and phrase[0] not in self._plain | NEGATIONS
            if unknown and (at == 0 or not self._describes(words[at : at + 2])):
                strange.append(phrase[0])
        if things - {"goal", "it"}:
            things.discard("it")  # it is what was named
        command = is_command(_without_manner(spoken(clause)))
        return Reading(frozenset(things), frozenset(actions), tuple(strange), command, strange[:1] != [*words[:1]])

    def _phrases(self, words: Words) -> Iterator[tuple[int, Words]]:
        """The longest phrases with a meaning, and the words between them, with their places."""
        at = 0
        while at < len(words):
            size = next((n for n in range(self._longest, 0, -1) if self._means(words[at : at + n])), 1)
            yield at, words[at : at + size]
            at += size

    def _without_descriptions(self, words: Words) -> Words:
        """Leave out what only tells which thing is meant: the open in "the open drawer", "the door that is closed"."""
        kept = list(words)
        for at in range(len(words) - 1, 0, -1):
            if at >= len(kept):
                continue
            thing = self._things.get(tuple(kept[at + 1 : at + 2]), PLACES)
            described = not thing & {"goal", "it"} and (kept[at],) not in self._things
            if kept[at - 1] in _DETERMINERS and described and (kept[at],) in self._actions:
                del kept[at]
            elif at >= 2 and kept[at - 2] in ("that", "which") and kept[at - 1] in ("is", "was"):
                del kept[at - 2 : at + 1 if kept[at] in _STATES | self._plain else at]
        return tuple(kept)

    def _without_moves_of_hand(self, words: Words) -> Words:
        """The words with "reach" for what moves but the hand, as "bring your hand" does: it moves nothing else."""
        moves = list(words)
        for at, word in enumerate(words[:-2]):
            behind = next((n for n in range(at + 1, len(words)) if words[n] not in self._plain), at)
            hand = self._things.get(words[behind : behind + 1]) == frozenset({"hand"}) and words[at + 1] in _DETERMINERS
            if hand and self._actions.get((word,), frozenset()) & {"lift", "put"}:
                moves[at] = "reach"
        return tuple(moves)

    def _without_purpose(self, words: Words) -> Words:
        """Leave out the end of "turn on the tap to rinse a cup": what the operator does then."""
        for at in range(3, len(words) - 1):
            if words[at] == "to" and self._actions.get(words[at + 1 : at + 2]) == frozenset({OTHER}):
                before, after = self._about(words[:at]), self._about(words[at:])
                if before and after <= before:
                    return words[:at]
        return words

    def _about(self, words: Words) -> frozenset[str]:
        """The things tasks are about that the words name."""
        named = (self._things.get((word,), frozenset()) for word in words)
        return frozenset().union(*named) - PLACES - {ELSEWHERE}

    def _describes(self, words: Words) -> bool:
        """Whether an unknown word is but an adverb, or an adjective of the known thing after it."""
        return words[0].endswith("ly") or words[1:] in self._things

    def _means(self, phrase: Words) -> bool:
        return phrase in self._things or phrase in self._actions

    def _find_base(self, word: str) -> str:
        form = next((form for form in _base_forms(word) if form in self.vocabulary), word)
        return self._forms.get(form, form)


def is_command(words: Words) -> bool:
    """Whether the clause asks for something to be done: no negation, no question, no report, no condition."""
    if not words or NEGATIONS & set(words) or "if" in words:
        return False
    first, second = words[0], words[1] if len(words) > 1 else ""
    if first in _REMAINS and words[-1] in _KEPT:
        return False
    if first in _QUESTIONS or (first in _ASKED and second in _PERSONS):
        return False
    return not is_statement(words)


def is_statement(words: Words) -> bool:
    """Whether the clause tells how things are: "it is cold", "the drawer is open", "I opened the window"."""
    if not words or _WISHES & set(words):
        return False
    if words[0] in _PERSONS and words[0] != "you":
        return words[0] != "it" or words[1:2] == () or words[1] in _COPULAS or words[1].endswith("s")
    if words[0] in ("to", "no") or words[:2] == ("let", "me"):
        return True
    if words[0] not in _DETERMINERS:
        return False
    verbs = [at for at, word in enumerate(words[:-1]) if word in _COPULAS and words[at - 1] not in _RELATIVES]
    return any(at < 6 for at in verbs) or (words[-1] in _COPULAS and len(words) <= 4)


def _without_manner(words: Words) -> Words:
    """Without a trailing "without lifting it" or "from where it is": how and whence do not say what."""
    cuts = [at for marker in _MANNERS if (at := find(words, marker)) > 0]
    return words[: min(cuts)] if cuts else words


def _base_forms(word: str) -> Iterable[str]:
    """What the word could be a form of, the word itself first."""
    yield word
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        yield word[:-1]
        if word.endswith("es"):
            yield word[:-2]
    if word.endswith(("ies", "ied")):
        yield word[:-3] + "y"
    for ending in ("ing", "ed", "d"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= 2:
            yield stem
            yield stem + "e"
            if stem[-1] == stem[-2]:
                yield stem[:-1]


def _inflected(phrase: Words) -> Words:
    """The -ing and -ed forms of an action of one word."""
    stem = phrase[0].removesuffix("e")
    if len(phrase) > 1 or len(stem) < 3:
        return ()
    doubled = stem + stem[-1] if stem[-1] in "bdgmnpt" and stem[-2] in "aeiou" and stem[-3] not in "aeiou" else stem
    return (f"{doubled}ing", f"{doubled}ed")


def _concepts(table: Mapping[str, Sequence[str]]) -> dict[Words, frozenset[str]]:
    """For each word or phrase the concepts that it stands for."""
    found: dict[Words, frozenset[str]] = {}
    for concept, entries in table.items():
        for phrase in phrases_in(entries):
            found[phrase] = found.get(phrase, frozenset()) | {concept}
    return found
