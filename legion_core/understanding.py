"""What an operator wants: a control word, a mission, tasks in their order, or something that cannot be done."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from legion_core.bundle import PolicyBundle
from legion_core.control import VOCABULARY, Control, control_of, releases_emergency_stop
from legion_core.embedding import InstructionEncoder
from legion_core.familiarity import Familiarity
from legion_core.intent import NONE, IntentClassifier
from legion_core.language import MARGIN, THRESHOLD, Candidate, Resolution, TaskResolver
from legion_core.lexicon import ELSEWHERE, PLACES, Lexicon, Reading, Rule
from legion_core.mood import NEGATIONS, is_question, is_report
from legion_core.phrases import Phrases
from legion_core.spaces import Float32
from legion_core.spelling import Speller
from legion_core.splitting import in_order, is_reason, joined
from legion_core.timing import Timing
from legion_core.words import Words, spoken, text_of, words_of

MISSION_THRESHOLD = 0.80
"""Least cosine similarity with a phrase of a mission."""
LIKELY = 0.55
"""Least probability of a task that the classifier finds in a sentence or clause where the rules find none; this and
what follows were chosen by leaving writers out."""
DOUBTED = 0.7
"""Least probability of no task, at which a task that only the rules find is refused."""
SURE = 0.8
"""Least probability of the task of a clause among others that the rules understand."""
ONE = 0.9
"""Least probability of a single task, where the rules find several."""
REFUSED = ""
"""In the place of a task's name: a known sentence that means none."""
_PRONOUNS = frozenset({"it", "them", "that", "this", "there"})
_PREPARATIONS = frozenset({"handle", "knob", "lever", "grip", "frame", "edge", "hand", "hold"})
_CONDITIONS = frozenset({"if", "unless"})
_AGAIN = frozenset({"again", "twice", "more"})


@dataclass(frozen=True)
class Tasks:
    """Tasks to do one after the other; `similarity` is that of the least certain one, or its probability.

    `remarks` were said beside them and ask for nothing: an operator should see what was not taken as a command.
    """

    names: tuple[str, ...]
    similarity: float = 1.0
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        remarks = "; taken as a remark: " + ", ".join(map(repr, self.remarks)) if self.remarks else ""
        return f"{', then '.join(self.names)} (similarity {self.similarity:.2f}){remarks}"


@dataclass(frozen=True)
class MissionCall:
    """A mission that was asked for by its name or one of its phrases."""

    name: str

    def __str__(self) -> str:
        return f"mission {self.name}"


@dataclass(frozen=True)
class Refused:
    """Why a sentence cannot be obeyed, and the tasks nearest to it, best first."""

    reason: str
    nearest: tuple[Candidate, ...] = ()

    def __str__(self) -> str:
        offered = "; ".join(f"{c.description!r} ({c.score:.2f})" for c in self.nearest)
        nearest = f"the nearest tasks are: {offered}; what can you do? lists all" if offered else ""
        return "; ".join(filter(None, (self.reason, nearest)))


Outcome = Tasks | MissionCall | Control | Refused


@dataclass(frozen=True)
class _Part:
    """A clause as it was said, and as it is meant once what was left out is filled in."""

    said: Words
    words: Words
    reading: Reading


class Interpreter:
    """Understands sentences for one policy; the same sentence always means the same.

    Args:
        encoder: of the model that the bundle was made with; None: only names and known sentences are understood.
        phrases: further sentences and aliases; those of tasks that the policy does not know are left out.
        missions: phrases by name of mission.
    """

    def __init__(
        self,
        bundle: PolicyBundle,
        encoder: InstructionEncoder | None,
        phrases: Phrases | None = None,
        missions: Mapping[str, Sequence[str]] | None = None,
        threshold: float = THRESHOLD,
        margin: float = MARGIN,
    ) -> None:
        phrases = phrases or Phrases()
        manifest = bundle.manifest
        self._tasks = manifest.tasks
        self._known = frozenset(task.name for task in manifest.tasks)
        self._encoder = encoder
        self._lexicon = Lexicon(phrases.aliases)
        self._timing = Timing(self._lexicon)
        self._encode = lru_cache(maxsize=256)(self._encode_one)
        known = {task.name: (*task.sentences, *phrases.tasks.get(task.name, ())) for task in manifest.tasks}
        calls = {name: (name.replace("_", " "), *said) for name, said in (missions or {}).items()}
        self._exact = {self._key(s): name for name, sentences in known.items() for s in sentences}
        self._exact |= {self._key(s): REFUSED for s in (*manifest.refused, *phrases.refused)}
        self._exact |= {self._key(name.replace("-", " ")): name for name in known}
        self._calls = {self._key(phrase): name for name, said in calls.items() for phrase in said}
        vocabulary = {word for key in (*self._exact, *self._calls) for word in key}
        common = encoder.vocabulary if encoder else frozenset()

        def exists(word: str) -> bool:
            return word in common or (len(word) > 4 and word.removesuffix("s") in common) or self._lexicon.knows(word)

        self._speller = Speller(VOCABULARY | self._lexicon.spellings | vocabulary, exists)
        self._classifier: IntentClassifier | None = None
        if encoder is None:
            return
        self._familiarity = Familiarity(bundle)
        more = {name: encoder.encode(phrases.tasks.get(name, ())) for name in known}
        more[""] = encoder.encode(phrases.refused)
        self._resolver = TaskResolver(bundle, threshold, margin, more, self._lexicon.tasks)
        self._call_names = [name for name, said in calls.items() for _ in said]
        self._call_embeddings = encoder.encode([phrase for said in calls.values() for phrase in said])
        classifier = IntentClassifier.load()
        self._classifier = classifier if classifier.model == manifest.embedding.name else None

    def understand(self, sentence: str) -> Outcome:
        """What the sentence means."""
        words = self.words(sentence)
        if sentence.strip() and not spoken(words):
            return Refused("there is no word in it")
        if releases_emergency_stop(words):
            return Refused("a sentence cannot release the emergency stop: legion stop --clear does")
        if (control := control_of(words)) is not None:
            return control
        wanted = self._lexicon.without_courtesies(words)
        known = spoken(wanted) in self._exact.keys() | self._calls.keys()
        if not known and (hindrance := self._timing.hindrance(wanted)):
            return Refused(f"{hindrance!r}: the arm acts at once and once; it waits for no time and no event")
        if (name := self._mission(wanted)) is not None:
            return MissionCall(name)
        outcome = self._sequence(wanted)
        if spoken(wanted) in self._exact:
            return outcome
        groups = self._groups(wanted)
        parts = [part for group in groups for part in group]
        outcome = self._judged(outcome, words, wanted, parts)
        return self._doubted(outcome, parts, len(groups) > 1) if isinstance(outcome, Tasks) else outcome

    def words(self, sentence: str) -> Words:
        """The words of a sentence, without misspellings, and aliases replaced by what they stand for."""
        return self._lexicon.translated(self._speller.correct(words_of(sentence)))

    def _doubted(self, tasks: Tasks, parts: Sequence[Words], ordered: bool) -> Outcome:
        """The tasks, unless a part of several seems to be left out or done twice.

        Args:
            ordered: one part was said to follow another.
        """
        names = tasks.names
        forgotten = self._forgotten(names, parts) if ordered or len(names) > 1 else None
        if forgotten:
            return Refused(f"{text_of(forgotten)!r} is not understood")
        twice = [name for at, name in enumerate(names) if name in names[: max(at - 1, 0)]]
        if twice and not any(_AGAIN & set(part) for part in parts):
            return Refused(f"{twice[0]} seems to be asked for twice: say 'again' where that is meant")
        return tasks

    def _forgotten(self, names: Sequence[str], parts: Sequence[Words]) -> Words | None:
        """The first part that names a thing which none of the tasks is about."""
        rules = [self._lexicon.tasks.get(name) for name in names]
        meant = {"it", "hand", ELSEWHERE}
        for rule in rules:
            if rule is None:
                return None
            meant |= {rule.thing, *rule.near} | ({"goal", "puck"} if rule.moves else set())
        return next((part for part in parts if self._lexicon.read(part).things - meant), None)

    def _judged(self, outcome: Outcome, words: Words, wanted: Words, parts: Sequence[Words]) -> Outcome:
        """What the rules have made of a sentence, unless the classifier is sure that it means something else.

        Args:
            words: all of them, as the classifier has learned them.
            wanted: those without courtesies.
            parts: what they ask for, part by part.
        """
        names = outcome.names if isinstance(outcome, Tasks) else ()
        classifier = self._classifier
        if classifier is None or not isinstance(outcome, Tasks | Refused) or set(names) - set(classifier.labels):
            return outcome
        contrasts = len(set(map(_forbids, parts))) > 1  # only the rules tell which part is the forbidden one
        if len(spoken(words)) < 2 or (names and contrasts):
            return outcome
        several = self._by_clauses(parts)
        if isinstance(outcome, Refused) and several:
            return several if several.names else outcome
        if several and several.similarity >= SURE:
            return several if len(names) == 1 else outcome
        task, probability = self._opinion(words)
        known = Tasks((task,), probability) if task in self._known else None
        if len(names) > 1:
            return known if known and probability >= ONE else outcome
        if names and (task == NONE or (names != (task,) and probability < SURE)):
            meant = self._learned(wanted, LIKELY)
            unlikely = (task != NONE or probability > DOUBTED) and not (meant and meant.names == names)
            return self._refusal(words, words, self._resolve(words)) if unlikely else outcome
        obeyed = names != (task,) and probability >= LIKELY and not self._asks_for_nothing(parts)
        return known if known and obeyed and (names or not self._asks_for_opposite(task, parts)) else outcome

    def _by_clauses(self, clauses: Sequence[Words]) -> Tasks | None:
        """The tasks, where the classifier takes clauses for different ones; without names if one clause is none."""
        names: list[str] = []
        odds = []
        parts = self._filled(clauses) if len(clauses) > 1 else []
        for part, after in itertools.zip_longest(parts, parts[1:]):
            nothing = not (part.reading.things or part.reading.actions or part.reading.strange)
            if nothing or self._undone(part, after):
                continue
            task, probability = self._opinion(part.words)
            clear = task in self._known and probability >= LIKELY and not _CONDITIONS & set(part.said)
            odds.append(probability if clear else 0.0)
            goes_on = bool(names) and self._carries_on(names[-1], task, part)
            names += [task] if clear and names[-1:] != [task] and not goes_on else []
        if len(set(names)) < 2:
            return None
        return Tasks(tuple(names), min(odds)) if all(odds) else Tasks((), 0.0)

    def _carries_on(self, before: str, task: str, part: _Part) -> bool:
        """Whether a part only says what becomes of what the task before it moves: "... and move it over"."""
        first, second = (self._lexicon.tasks.get(name) for name in (before, task))
        return bool(first and second and first.moves and first.moves == second.moves and _PRONOUNS & set(part.said))

    def _asks_for_nothing(self, parts: Sequence[Words]) -> bool:
        """Whether a sentence is a report, or begins as a prohibition, question or remark and no part is a command."""
        first = parts[0] if parts else ()
        if is_report(first) and len(parts) == 1:
            return True
        if first and not (_forbids(first) or is_question(first) or self._lexicon.begins_as_remark(first)):
            return False
        return not any(self._lexicon.read(part).command and not self._lexicon.is_remark(part) for part in parts)

    def _asks_for_opposite(self, task: str, parts: Sequence[Words]) -> bool:
        """Whether all that is said asks for what that task never does to its thing: "I want the drawer opened"."""
        rule = self._lexicon.tasks.get(task)
        if rule is None or len(parts) != 1:
            return False
        reading = self._lexicon.read(parts[0])
        plain = reading.command and rule.thing in reading.things and not reading.strange
        return plain and reading.mentions(rule.never) and not reading.mentions(rule.does)

    def _groups(self, words: Words) -> list[list[Words]]:
        """The clauses in the order of their execution, each as the parts it joins; a known sentence stays whole."""
        is_action = self._lexicon.is_action
        clauses = in_order(words, is_action)
        return [[clause] if spoken(clause) in self._exact else joined(clause, is_action) for clause in clauses]

    def _key(self, sentence: str) -> Words:
        return spoken(self._lexicon.without_courtesies(words_of(sentence)))

    def _mission(self, words: Words) -> str | None:
        said = spoken(words)
        if said in self._calls or self._encoder is None or not self._calls:
            return self._calls.get(said)
        if said in self._exact or not self._lexicon.read(words).command:
            return None
        scores = self._call_embeddings @ self._encode(text_of(words))
        best = int(np.argmax(scores))
        return self._call_names[best] if scores[best] >= MISSION_THRESHOLD else None

    def _sequence(self, words: Words) -> Outcome:
        """The tasks of a sentence, or the first part of it that is not understood."""
        groups = self._groups(words)
        stops = [control_of(part) is Control.STOP for group in groups for part in group]
        if stops and stops[0]:  # whoever begins with stop wants the rest instead, if it is something to do
            rest = self._sequence(words[len(groups[0][0]) :])
            return rest if isinstance(rest, Tasks) else Control.STOP
        if any(stops):
            return Control.STOP
        parts = self._filled([part for group in groups for part in group])
        pairs = itertools.zip_longest(parts, parts[1:])
        remarks = [part for part, after in pairs if self._leads(part) or self._undone(part, after)]
        if len(remarks) == len(parts):
            remarks = []
        left_out = {id(part) for part in (*remarks, *self._approaches(parts))}
        found: list[Resolution] = []
        last: _Part | None = None
        for group in groups:
            mine, parts = [part for part in parts[: len(group)] if id(part) not in left_out], parts[len(group) :]
            if not mine:
                continue
            resolved = self._clause(mine, words)
            if isinstance(resolved, Refused):
                return resolved
            for part, resolution in resolved:
                done = resolution.task in {each.task for each in found} and self._tells(part)
                if not done and not (last and self._goes_on(last, found[-1], part, resolution)):
                    found.append(resolution)
                last = part
        if not found:
            return self._refusal(words, words, self._resolve(words))
        names, similarity = tuple(str(r.task) for r in found), min(r.score for r in found)
        return Tasks(names, similarity, tuple(text_of(part.said) for part in remarks))

    def _clause(self, parts: Sequence[_Part], sentence: Words) -> list[tuple[_Part, Resolution]] | Refused:
        """The tasks of what "and" and commas join: together one task, or one a part."""
        asked = [part for part in parts if not _says_nothing(part)] or list(parts)
        each = [self._resolve(part.words) for part in asked]
        asked, each = _without_causes(asked, each)
        asked, each = self._without_warnings(asked, each)
        lost = [i for i, resolution in enumerate(each) if resolution.task is None]
        if len(asked) > 1 and all(self._prepares(asked[i]) for i in lost) and not self._several(asked):
            whole = tuple(word for part in asked for word in (*part.said, "and"))[:-1]
            if (together := self._resolve(whole)).task is not None:
                return [(_Part(whole, whole, self._lexicon.read(whole)), together)]
            if all(self._takes_hold(asked[i]) for i in lost) and len(lost) < len(asked):
                kept = [i for i in range(len(asked)) if i not in lost]
                return _merged([asked[i] for i in kept], [each[i] for i in kept])
        if not lost:
            return _merged(asked, each)
        return self._refusal(asked[lost[0]].said, sentence, each[lost[0]])

    def _without_warnings(
        self, parts: Sequence[_Part], each: Sequence[Resolution]
    ) -> tuple[list[_Part], list[Resolution]]:
        """Leave out what only rules out another task, as in "push the puck, do not lift it"."""
        meant = {r.task for r in each} - {None}
        rule = self._lexicon.tasks.get(next(iter(meant))) if len(meant) == 1 else None
        kept = [i for i, part in enumerate(parts) if not (rule and self._warns(part, rule))]
        return [parts[i] for i in kept], [each[i] for i in kept]

    def _warns(self, part: _Part, rule: Rule) -> bool:
        """Whether a part forbids what that task never does anyway: another action, or one at another thing."""
        forbidden = _forbidden(part.words)
        if not forbidden or (part.reading.command and not _forbids(part.words)):
            return False
        reading = self._lexicon.read(forbidden)
        if rule.thing in reading.things:
            return reading.judge(rule) is False and "touch" not in forbidden
        return bool(reading.things - PLACES) and rule.moves not in reading.things

    def _leads(self, part: _Part) -> bool:
        """Whether a part only tells why, or how things are."""
        if _CONDITIONS & set(part.said) or self._learned(part.said, ONE):
            return False
        return is_reason(part.said) or (not self._exact.get(spoken(part.said)) and self._lexicon.is_remark(part.said))

    def _undone(self, part: _Part, after: _Part | None) -> bool:
        """Whether a part only tells a state that the next one ends: "the window is open, close it"."""
        if after is None or part.reading.command or not after.reading.command:
            return False
        ends = [rule for rule in self._lexicon.tasks.values() if after.reading.judge(rule)]
        return any(rule.thing in part.reading.things and part.reading.mentions(rule.never) for rule in ends)

    def _approaches(self, parts: Sequence[_Part]) -> list[_Part]:
        """Parts that only move the hand, or bring it to the thing of the next one: "get over to the drawer"."""
        return [part for part, after in itertools.pairwise(parts) if self._approaches_thing(part, after)]

    def _approaches_thing(self, part: _Part, after: _Part) -> bool:
        """Whether a part is a gesture of the hand, or goes to or takes hold of what the next one is about."""
        reading = self._lexicon.read(part.said)
        things = reading.things - {"it"}
        if not reading.command or not things or "goal" in things or "other" in reading.actions or reading.strange:
            return False
        meant = after.reading.things
        goes = reading.actions <= {"reach", "slide", "up", "down", "put", "start"} and not reading.moved - {"hand"}
        held = _PREPARATIONS & set(part.said) or "puck" not in things  # to lift the puck is a part of its task
        takes = held and reading.actions <= {"reach", "lift"}
        leads_there = (goes or takes) and (things - PLACES <= meant or "it" in meant)
        return things == {"hand"} or bool(leads_there)

    def _goes_on(self, before: _Part, task: Resolution, part: _Part, found: Resolution) -> bool:
        """Whether a part completes the task of the one before it, as "then put it there" does."""
        verbs = {*map(self._lexicon.base, self._lexicon.actions_in(part.said))}
        repeats = verbs & {*map(self._lexicon.base, self._lexicon.actions_in(before.said))}
        if repeats or _AGAIN & set(part.said):
            return False
        if found.task == task.task:
            return True
        another = found.certain and not _PRONOUNS & set(part.said)
        if another or not _PRONOUNS & {*part.said, *before.said}:
            return False
        rule = self._lexicon.tasks.get(str(task.task))
        if rule is None or part.reading.things - PLACES - {rule.thing}:
            return False
        return self._lexicon.read((*before.words, "and", *part.said)).judge(rule) is True

    def _tells(self, part: _Part) -> bool:
        """Whether a part names a state that something is in, as "once the water is running" does, and no action."""
        return not self._lexicon.is_action(part.said[0]) and not _AGAIN & set(part.said)

    def _several(self, parts: Sequence[_Part]) -> bool:
        """Whether the words of the parts, as they were said, name more than one task, or one again, or several
        things."""
        rules = self._lexicon.tasks
        if len({r.thing for r in rules.values()} & set().union(*(p.reading.things - PLACES for p in parts))) > 1:
            return True
        readings = [self._lexicon.read(part.said) for part in parts]
        named = {name for reading in readings for name, rule in rules.items() if reading.judge(rule)}
        return len(named) > 1 or any(_AGAIN & set(part.said) for part in parts)

    def _prepares(self, part: _Part) -> bool:
        """Whether a part that is no task by itself may begin one, as "grab the handle" does."""
        reading = self._lexicon.read(part.said)
        by_its_handle = _PREPARATIONS & set(part.said)
        about = by_its_handle or _PRONOUNS & set(part.said) or reading.things - {"elsewhere"}
        possible = reading.command and "other" not in reading.actions and (by_its_handle or not reading.strange)
        return bool(possible and about)

    def _takes_hold(self, part: _Part) -> bool:
        """Whether a part is but a preparation at the thing's handle, in words that nobody knows: "hook the handle"."""
        return bool(_PREPARATIONS & set(part.said)) and not part.reading.things and not part.reading.actions

    def _filled(self, said: Sequence[Words]) -> list[_Part]:
        """The parts with the thing or the action that they share with a neighbour: "open and then close the window"."""
        readings = [self._lexicon.read(words) for words in said]
        parts = []
        for at, (words, reading) in enumerate(zip(said, readings, strict=True)):
            before, after = range(at - 1, -1, -1), range(at + 1, len(said))
            full = words = words[1:] if words[:1] == ("so",) and not is_reason(words) else words
            if self._exact.get(spoken(words)):
                pass
            elif (
                (reading.actions or "hand" in reading.things)
                and not reading.things - PLACES
                and not self._complete(words, reading)
            ):
                full = self._with_antecedent(words, [said[i] for i in (*before, *after)])
            elif reading.things - PLACES and not reading.actions and not reading.strange:
                verbs = next((v for i in before if (v := self._lexicon.actions_in(said[i]))), ())
                full = (*verbs, *words)
            parts.append(_Part(said[at], full, self._lexicon.read(full)))
        return parts

    def _complete(self, words: Words, reading: Reading) -> bool:
        """Whether nothing was left out: the words name a task, or move the hand."""
        moves_hand = "hand" in reading.things and not _PRONOUNS & set(words)
        return moves_hand or any(reading.judge(rule) for rule in self._lexicon.tasks.values())

    def _with_antecedent(self, words: Words, others: Sequence[Words]) -> Words:
        """The clause with what its pronoun stands for: the first thing around it that makes it a task, or the first."""
        named = [
            each
            for ignored in (PLACES, PLACES - {"goal"}, PLACES - {"hand"})
            for said in others
            for each in self._lexicon.things_in(said, ignored)
        ]
        filled = [_with_thing(words, thing) for thing in named]
        readings = map(self._lexicon.read, filled)
        tasks = [full for full, reading in zip(filled, readings, strict=True) if self._complete(full, reading)]
        return next(iter((*tasks, *filled)), words)

    def _resolve(self, words: Words) -> Resolution:
        said = spoken(words)
        exact = self._exact.get(said)
        if exact:
            description = next(task.description for task in self._tasks if task.name == exact)
            return Resolution(exact, 1.0, (Candidate(exact, description, 1.0),))
        if self._encoder is None:
            return Resolution(None, 0.0, ())
        embedding, reading = self._encode(text_of(words)), self._lexicon.read(words)
        found = self._resolver.resolve(embedding, reading)
        if exact == REFUSED or len(said) < 2:  # one word is too little to go by
            return dataclasses.replace(found, task=None)
        if found.task and not found.certain and self._familiarity.doubts(found.task, embedding):
            return dataclasses.replace(found, task=None)
        return found if found.task else self._guessed(words, reading, found)

    def _guessed(self, words: Words, reading: Reading, found: Resolution) -> Resolution:
        """What the classifier is sure of in a clause that the rules do not understand."""
        if not reading.command or self._lexicon.begins_as_remark(words):
            return found
        learned = self._learned(words, SURE)
        return dataclasses.replace(found, task=learned.names[0], score=learned.similarity) if learned else found

    def _learned(self, words: Words, least: float) -> Tasks | None:
        """The policy's task that the classifier finds in the words with at least that probability."""
        if self._classifier is None:
            return None
        task, probability = self._opinion(words)
        return Tasks((task,), probability) if task in self._known and probability >= least else None

    def _opinion(self, words: Words) -> tuple[str, float]:
        assert self._classifier is not None
        return self._classifier.opinion(self._encode(text_of(words)), words)

    def _encode_one(self, text: str) -> Float32:
        assert self._encoder is not None
        embedding: Float32 = self._encoder.encode([text])[0]
        return embedding

    def _refusal(self, part: Words, whole: Words, resolution: Resolution) -> Refused:
        """What is not understood is named where it is a part of what was said."""
        reason = f"{text_of(part)!r} is not understood" if spoken(part) != spoken(whole) else ""
        return Refused(reason, resolution.nearest)


def _forbids(words: Words) -> bool:
    """Whether it begins with a negation, or asks to leave something alone."""
    return _leaves_alone(words) or words[:2] == ("do", "not") or words[:1] in (("not",), ("never",))


def _leaves_alone(words: Words) -> bool:
    """Whether it asks to leave something alone."""
    return words[:1] == ("leave",) and words[-1:] == ("alone",)


def _forbidden(words: Words) -> Words:
    """What a prohibition forbids: "lift it" in "do not lift it", the puck in "leave the puck alone"; empty if none."""
    if _leaves_alone(words):
        return words[1:-1]
    positive = tuple(word for word in words if word not in NEGATIONS)
    return positive if len(positive) < len(words) else ()


def _says_nothing(part: _Part) -> bool:
    """Whether a part neither names a thing nor asks for more than "go there" does."""
    nothing = not part.reading.things - {"it"} and not part.reading.strange and part.reading.command
    return nothing and (not part.reading.actions or (len(part.said) <= 2 and "reach" in part.reading.actions))


def _without_causes(parts: Sequence[_Part], each: Sequence[Resolution]) -> tuple[list[_Part], list[Resolution]]:
    """Leave out what is no task and has the next part as its consequence: "fresh air, so open the window"."""
    follows = [part.said[0] == "so" for part in parts[1:]]
    kept = [i for i, found in enumerate(each) if found.task or not any(follows[i : i + 1])]
    return [parts[i] for i in kept], [each[i] for i in kept]


def _with_thing(words: Words, thing: str) -> Words:
    """The clause about the thing: in the place of its pronoun, or at its end."""
    at = next((at for at, word in enumerate(words) if word in _PRONOUNS), len(words))
    return (*words[:at], "the", *thing.split(), *words[at + 1 :])


def _merged(parts: Sequence[_Part], each: Sequence[Resolution]) -> list[tuple[_Part, Resolution]]:
    """One resolution for neighbours that mean the same task, unless it is asked for again."""
    kept: list[tuple[_Part, Resolution]] = []
    for part, resolution in zip(parts, each, strict=True):
        if not kept or kept[-1][1].task != resolution.task or _AGAIN & set(part.said):
            kept.append((part, resolution))
    return kept
