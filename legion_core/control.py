"""The words that steer instead of naming a task: stop, pause, continue. Decided by words alone, before any model."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from legion_core.words import Words, find, spoken, words_of


class Control(Enum):
    """What an operator may say about the running task or mission."""

    EMERGENCY_STOP = "emergency stop"
    STOP = "stop"
    PAUSE = "pause"
    CONTINUE = "continue"
    AGAIN = "again"
    SKIP = "skip"
    HELP = "help"


_FILLERS = frozenset(
    words_of(
        "a an the it that this these there please kindly now right immediately at once just hey ok okay robot "
        "legion arm everything all moving motion movement movements work working action activity job task "
        "mission step sequence one so then and oh no yes yeah well man guys for me you us thanks thank your "
        "current running last same legion's"
    )
)
"""Words that say nothing beside one of the phrases below."""

_PHRASES = {
    Control.STOP: (
        *("stop", "halt", "freeze", "abort", "cancel", "quit", "cease", "enough", "terminate", "whoa", "basta"),
        *("do not move", "stand still", "hold still", "keep still", "stay still", "stay put", "stand down", "be still"),
        *("stop doing", "stop what are doing", "call off", "break off", "cut out", "knock off", "never mind"),
        *("nevermind", "forget", "forget about", "that is enough", "is enough", "stop here", "give up", "end"),
    ),
    Control.PAUSE: (
        *("pause", "wait", "hold", "hold on", "hang on", "hold up", "wait up", "pause for moment", "pause moment"),
        *("moment", "second", "minute", "wait moment", "wait second", "wait minute", "wait bit", "wait for moment"),
        *("wait for second", "wait for minute", "hold on moment", "hold on second", "hang on second", "take break"),
        *("hang on moment", "pause for second", "take pause", "make pause", "give moment", "give second", "sec"),
        *("wait sec", "hold on sec", "hang on sec", "wait little", "wait here", "pause here", "hold position"),
    ),
    Control.CONTINUE: (
        *("continue", "go on", "carry on", "resume", "proceed", "keep going", "unpause", "go ahead", "keep on"),
        *(
            "do not stop",
            "continue with",
            "go on with",
            "carry on with",
            "get on with",
            "continue please",
            "continue on",
        ),
        *("can continue", "may continue", "can go on", "may go on", "can proceed", "may proceed", "can carry on"),
        *("can resume", "continue where left off", "pick up where left off", "go on where left off", "keep on going"),
    ),
    Control.AGAIN: (
        *(
            "again",
            "once more",
            "more time",
            "repeat",
            "do again",
            "do once more",
            "do more time",
            "same again",
            "redo",
        ),
        *("encore", "try again", "retry", "another time", "try once more", "another go", "and again", "do over"),
        *(
            "repeat what did",
            "do what did again",
            "time again",
            "give another try",
            "give another go",
            "have another go",
        ),
        *("can do again", "can repeat", "could do again", "could repeat", "will do again", "run again", "start over"),
    ),
    Control.SKIP: (
        *("skip", "next", "go to next", "move on", "move on to next", "skip to next", "on to next", "leave out"),
        *("continue with next", "go on to next", "go on with next", "jump to next", "proceed to next", "pass"),
    ),
    Control.HELP: (
        *("help", "list tasks", "list", "options", "menu", "commands", "show commands", "list commands", "tasks"),
        *("need help", "show tasks", "show options", "list options", "help out", "can help", "what now", "list skills"),
    ),
}
_HELP_ANYWHERE = tuple(
    words_of(phrase)
    for phrase in (
        *("what can you do", "what you can do", "what are you able to do", "what you are able to do"),
        *("what do you know", "what do you understand", "what can i say", "what can i ask", "what can i tell you"),
        *("what should i say", "what may i say", "what are my options", "what tasks", "which tasks", "what commands"),
        *("which commands", "what skills", "which skills", "what are your skills", "what are your capabilities"),
        *("your abilities", "your capabilities", "what else can you do", "what could you do", "what do you do"),
        *("tell me your tasks", "show me your tasks", "how can you help", "how do i use you", "how do you work"),
        *("what things can you do", "what is it you can do", "what have you learned", "what did you learn"),
        *("what are you capable of", "what kinds of things", "what sort of things", "what actions can"),
    )
)
_LOOKUP = {tuple(phrase.split()): control for control, phrases in _PHRASES.items() for phrase in phrases}
_HALTS = frozenset({"stop", "halt", "abort", "freeze"})
_EMERGENCIES = tuple(words_of(text) for text in ("emergency stop", "emergency halt", "e stop", "estop", "kill switch"))
_RELEASES = frozenset(words_of("clear release reset lift undo unlock cancel end leave disengage off"))

VOCABULARY = frozenset(
    word
    for phrases in ((tuple(phrase) for phrase in _LOOKUP), _HELP_ANYWHERE, _EMERGENCIES, (tuple(_FILLERS),))
    for phrase in phrases
    for word in phrase
)
"""Every word of these phrases: what a typing error may have meant."""


def control_of(words: Words) -> Control | None:
    """The control that a whole sentence means, if it means one; nothing said at all means stop.

    "stop" counts with anything that does not change it, as in "please stop now" or "stop pushing!", and before a mark,
    as in "stop, you are too close"; "stop the faucet from running" is another matter.
    """
    said = spoken(words)
    if not said:
        return Control.STOP
    if _asks_for_emergency_stop(said):
        return Control.EMERGENCY_STOP
    if any(find(said, phrase) >= 0 for phrase in _HELP_ANYWHERE):
        return Control.HELP
    exact = _meaning(said)
    if exact or said[0] not in _HALTS:
        return exact
    follows = words[words.index(said[0]) + 1 :]
    gerund = follows[:1] and follows[0].endswith("ing")
    return Control.STOP if gerund or follows[0] in {"now", "it", "please", "right", *_HALTS} else None


def releases_emergency_stop(words: Words) -> bool:
    """Whether a sentence wants the emergency stop released, which no sentence can do."""
    said = spoken(words)
    return bool(_RELEASES & set(said)) and any(find(said, phrase) >= 0 for phrase in _EMERGENCIES)


def _asks_for_emergency_stop(said: Words) -> bool:
    if said in (("emergency",), ("panic",), ("mayday",)):
        return True
    return any(find(said, phrase) >= 0 for phrase in _EMERGENCIES) and not _RELEASES & set(said)


def _meaning(said: Words) -> Control | None:
    for words in (said, tuple(word for word in said if word not in _FILLERS)):
        if (control := _LOOKUP.get(_without_repeats(words))) is not None:
            return control
    return None


def _without_repeats(words: Iterable[str]) -> Words:
    kept: list[str] = []
    for word in words:
        if not kept or kept[-1] != word:
            kept.append(word)
    return tuple(kept)
