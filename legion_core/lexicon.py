"""What the words of a clause say by themselves: which thing, which action, and whether it is a command at all.

Sentence embeddings place "close the drawer" beside "open the drawer", and "do not press the button" beside "press the
button". Words tell them apart. `data/lexicon.yaml` holds them; a task that it does not name is judged as neutral.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from legion_core.asking import Asking
from legion_core.config import from_mapping, load_yaml
from legion_core.errors import ConfigurationError, unknown
from legion_core.mood import DETERMINERS, NEGATIONS, PERSONS, has_copula, is_command, is_statement, wishes
from legion_core.words import PUNCTUATION, Words, find, phrases_in, spoken, words_of

LEXICON_FILE = Path(__file__).parent / "data" / "lexicon.yaml"
ELSEWHERE = "elsewhere"
OTHER = "other"
PLACES = frozenset({"goal", "hand", "it"})
"""Things that may be named beside the one a task is about."""

_STATES = frozenset({"open", "close"})
_DEFINITE = DETERMINERS - {"a", "an"}
_FORBIDDING = frozenset(words_of("do not never no without stop"))
_NO_REMARK = frozenset(words_of("if unless again twice more repeat"))
_MANNERS = (("without",), ("from", "where"))
DIRECTIONS = frozenset({"up", "down", "out", "in", "off", "away", "back", "on"})
_LIGHT = frozenset({"start", "reach", "on", *DIRECTIONS})
"""Actions that fit anything: they do not say that a task is not meant."""
_PREPOSITIONS = frozenset(
    words_of(
        "to of onto at by with from for over across along through towards toward above below under between against into"
    )
    + words_of("around within upon near beside behind beyond past until till where so that which and")
)
_MOTIONS = frozenset({"push", "slide", "lift", "put", "pull"})


@dataclass(frozen=True)
class Rule:
    """When words mean a task: it is about `thing` and `does` one of these, and `never` one of those.

    An alternative of several words asks for all of them. `alone` are actions that need no thing; `near` are things
    that may be named as well. `moves` is what a task carries about: whoever moves something else means another. In
    `never`, several words are about what is done to the thing with something else, as "put in" is.
    """

    thing: str
    does: tuple[str, ...]
    never: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    moves: str = ""


@dataclass(frozen=True)
class Reading:
    """What a clause mentions, `strange` words that the lexicon does not know, and whether it is a `command`."""

    things: frozenset[str]
    actions: frozenset[str]
    strange: Words
    command: bool
    verb_known: bool = True
    """Whether the lexicon knows the first word, which says what to do if it is a command."""
    moved: frozenset[str] = frozenset()
    """Things that are the object of a verb of motion."""

    def judge(self, rule: Rule) -> bool | None:
        """True: the clause means that task; False: it cannot; None: the words do not tell."""
        never = [each for each in rule.never if " " not in each or rule.thing not in self.moved]
        others = self.things - {rule.thing} - PLACES - set(rule.near)
        moves_another = rule.moves and self.moved - {rule.moves, "it"}
        if not self.command or OTHER in self.actions or others or moves_another or self.mentions(never):
            return False
        whereto_unknown = (
            rule.moves and self.strange and not self.things & ({"hand"} if rule.thing in PLACES else {"goal"})
        )
        if not self.verb_known or whereto_unknown:
            return None
        if self.mentions(rule.alone) and not self.strange and not self.things - {rule.thing, "it"} - set(rule.near):
            return True
        if rule.thing not in self.things:
            return None
        if self.mentions(rule.does):
            return True
        return False if self.actions - _LIGHT else None

    def mentions(self, alternatives: Iterable[str]) -> bool:
        """Whether all concepts of one of the alternatives occur."""
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
            for word in " ".join((rule.thing, *rule.does, *rule.never, *rule.alone, *rule.near, rule.moves)).split():
                if word not in known:
                    raise ConfigurationError(f"{file}: {name}: " + unknown("concept", word, sorted(known)))
        self._things, self._actions = things, actions
        self._forms: dict[str, str] = data["forms"]
        self._plain = {word for (word,) in phrases_in(data["plain"])}
        self._remarks = phrases_in(data["remarks"])
        self._surroundings = {word for (word,) in phrases_in(data["surroundings"])}
        self._verbs = {word for (word,) in phrases_in(data["verbs"])}
        self._plain |= self._surroundings | self._verbs
        self._asking = Asking()
        self._longest = max(map(len, (*things, *actions)))
        self._base = cache(self._find_base)
        self.aliases = {alias: word.split() for alias, word in (aliases or {}).items()}
        listed = (*things, *actions, self._asking.vocabulary, self._plain, self._forms, self.aliases)
        self.vocabulary: frozenset[str] = frozenset(word for words in listed for word in words)
        self.spellings: frozenset[str] = self.vocabulary.union(*(_inflected(phrase) for phrase in actions))

    def knows(self, word: str) -> bool:
        """Whether it is a word of the lexicon, in any of its forms."""
        return self.base(word) in self.vocabulary

    def base(self, word: str) -> str:
        """The base form of a known word: closing, closes and closed are close; an unknown word stays as it is."""
        return self._base(word)

    def without_courtesies(self, words: Words) -> Words:
        """The words that say what is wanted. A clause of courtesies alone stays as it is."""
        return self._asking.stripped(words, self._names_something)

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

    def things_in(self, words: Words, ignored: frozenset[str] = PLACES) -> list[str]:
        """The words that name things, in their order."""
        phrases = self._phrases(tuple(map(self.base, words)))
        return [" ".join(each) for _, each in phrases if self._things.get(each, ignored) - ignored]

    def begins_as_remark(self, words: Words) -> bool:
        """Whether it begins as listed remarks do: "see", "notice", ..."""
        return any(words[: len(remark)] == remark for remark in self._remarks)

    def is_remark(self, words: Words) -> bool:
        """Whether the clause only leads to what is asked for: "it is cold", "see that button", "the rain comes in"."""
        if is_statement(words) or self.begins_as_remark(words):
            return True
        if self._is_idle(words):
            return True
        if has_copula(words) and self._begins_with_a_name(words):
            return True
        if words[0] in ("is", "are") or (NEGATIONS & set(words) and words[0] in DETERMINERS):
            return True  # "window must be open, is too hot", "the plug should not be in there, pull it"
        if words[0] not in DETERMINERS | PERSONS or len(words) < 3:
            return False
        reading = self.read(words)
        if words[0] in ("i", "we", "my", "our"):  # "I want to fill a bucket" is what the operator does then
            return not any(reading.judge(rule) for rule in self.tasks.values())
        complains = reading.strange and not reading.actions and ELSEWHERE not in reading.things
        return not wishes(words) and bool(complains or not reading.things)

    def _is_idle(self, words: Words) -> bool:
        """Whether there is nothing in it that an arm could do: "too noisy outside", "the camera takes its picture"."""
        if words[0] in _FORBIDDING or _NO_REMARK & set(words):
            return False
        reading = self.read(words)
        if reading.things == {ELSEWHERE} and words[0] in DETERMINERS:
            return not wishes(words)
        refers = reading.things <= {"it"} and not reading.command
        return (not reading.things or refers) and reading.actions <= DIRECTIONS

    def actions_in(self, words: Words) -> Words:
        """The words that say what is to be done."""
        return tuple(word for word in words if (self.base(word),) in self._actions)

    def read(self, clause: Sequence[str]) -> Reading:
        """What the words of one clause, courtesies left out, mention."""
        said = _without_manner(spoken(clause))
        command = is_command(said) and not (has_copula(said) and self._begins_with_a_name(said))
        return self._scan(self._without_purpose(tuple(map(self.base, said))), command)

    def _scan(self, bases: Words, command: bool = True) -> Reading:
        """What words in base form mention."""
        words = self._without_moves_of_hand(self._without_descriptions(bases))
        if not any((word,) in self._actions for word in words):
            words = bases  # "an open window, please" wants what it describes
        objects = dict(self._objects(words))
        things: set[str] = set()
        actions: set[str] = set()
        strange = []
        for at, phrase in self._phrases(words):
            things |= self._things.get(phrase, frozenset())
            if not (phrase in self._things and at and words[at - 1] in _DEFINITE):  # "the tap" is no press
                actions |= self._actions.get(phrase, frozenset())
            unknown = not self._means(phrase) and phrase[0] not in self._plain | NEGATIONS
            if unknown and (at == 0 or not self._describes(words[at : at + 2])):
                strange.append(phrase[0])
        things |= {ELSEWHERE} & set().union(*objects.values())
        if things - {"goal", "it"}:
            things.discard("it")  # it is what was named
        moved = frozenset().union(*(named for verb, named in objects.items() if self._actions[(verb,)] & _MOTIONS))
        known = strange[:1] != [*words[:1]]
        return Reading(frozenset(things), frozenset(actions), tuple(strange), command, known, moved)

    def _objects(self, words: Words) -> Iterator[tuple[str, frozenset[str]]]:
        """Each action and what follows it at once, as its object does: the marker in "move the red marker away"."""
        for at, word in enumerate(words):
            if (word,) not in self._actions or word in _PREPOSITIONS | DIRECTIONS:
                continue
            start = next((i for i in range(at + 1, len(words)) if words[i] not in DIRECTIONS), len(words))
            end = next((i for i in range(start, len(words)) if words[i] in _PREPOSITIONS | DIRECTIONS), len(words))
            named = [self._things[each] for _, each in self._phrases(words[start:end]) if each in self._things]
            if named:
                yield word, named[-1]
            elif self._surroundings & set(words[start:end]):
                yield word, frozenset({ELSEWHERE})

    def _begins_with_a_name(self, words: Words) -> bool:
        """Whether no verb comes first: "papers" in "papers are blowing around"."""
        return words[0] not in self._verbs and not self.is_action(words[0]) and not wishes(words)

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
            if kept[at - 1] in DETERMINERS and described and (kept[at],) in self._actions:
                del kept[at]
            elif at >= 2 and kept[at - 2] in ("that", "which") and kept[at - 1] in ("is", "was"):
                del kept[at - 2 : at + 1 if kept[at] in _STATES | self._plain else at]
        return tuple(kept)

    def _without_moves_of_hand(self, words: Words) -> Words:
        """The words with "reach" for what moves but the hand, as "bring your hand" does: it moves nothing else."""
        moves = list(words)
        for at, word in enumerate(words[:-2]):
            behind = next((n for n in range(at + 1, len(words)) if words[n] not in self._plain), at)
            hand = self._things.get(words[behind : behind + 1]) == frozenset({"hand"}) and words[at + 1] in DETERMINERS
            if hand and self._actions.get((word,), frozenset()) & {"lift", "put"}:
                moves[at] = "reach"
        return tuple(moves)

    def _without_purpose(self, words: Words) -> Words:
        """Leave out the end of "turn on the tap to rinse a cup": what the operator does then."""
        ends = (at for at in range(2, len(words) - 1) if self._is_purpose(words[:at], words[at:]))
        return words[: next(ends, len(words))]

    def _is_purpose(self, before: Words, words: Words) -> bool:
        """Whether the words behind a complete command only tell what it is good for."""
        first, second = words[:2]
        no_verb = (second,) in self._things.keys() - self._actions or second in DETERMINERS | self._plain - self._verbs
        if first not in ("to", "for") or (first == "to" and no_verb):
            return False
        purpose, reading = self._scan(words), self._scan(before)

        def apart(rule: Rule) -> bool:
            """Whether the purpose is about something else than the task, and does not say where to move what."""
            whereto = rule.moves and "goal" not in reading.things
            undoes = purpose.mentions(set(rule.never) - DIRECTIONS)
            return not whereto and not undoes and not purpose.things & {rule.thing, "it", "goal"}

        return any(reading.judge(rule) and apart(rule) for rule in self.tasks.values())

    def _describes(self, words: Words) -> bool:
        """Whether an unknown word is but an adverb, or an adjective of the known thing after it."""
        return words[0].endswith("ly") or words[1:] in self._things

    def _means(self, phrase: Words) -> bool:
        return phrase in self._things or phrase in self._actions

    def _find_base(self, word: str) -> str:
        form = next((form for form in _base_forms(word) if form in self.vocabulary), word)
        return self._forms.get(form, form)


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
