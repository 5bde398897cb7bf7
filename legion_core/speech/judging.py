"""Which task a hypothesis names by its words alone: quick enough for every hypothesis, without an embedding."""

from __future__ import annotations

from legion_core.lexicon import Lexicon
from legion_core.speech.corpus import answers
from legion_core.speech.recogniser import Judge
from legion_core.words import spoken, text_of, words_of


def word_judge() -> Judge:
    """The judge by the lexicon's rules; a text of the control words and answers means itself."""
    lexicon, controls = Lexicon(), answers()

    def judge(text: str) -> str | None:
        words = spoken(lexicon.without_courtesies(words_of(text)))
        if text in controls:
            return text_of(words) or text
        reading = lexicon.read(words)
        named = [task for task, rule in lexicon.tasks.items() if reading.judge(rule)]
        return named[0] if len(named) == 1 else None

    return judge
