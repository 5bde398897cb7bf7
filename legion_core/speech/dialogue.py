"""What is done with what was heard: obeyed at once where it is sure, asked back where it is not."""

from __future__ import annotations

from dataclasses import dataclass

from legion_core.speech.recogniser import Heard

YES, NO = (
    frozenset({"yes", "yes please", "please yes", "yes thank you"}),
    frozenset({"no", "no please", "no thank you"}),
)
STOP = "stop"
THRESHOLD = 0.5
"""Least confidence that is obeyed without a question: less than one sentence in a hundred is then obeyed wrongly."""


@dataclass(frozen=True)
class Turn:
    """An entry of the transcript; `instruction` is what the robot is told then, None for nothing."""

    text: str
    confidence: float
    state: str
    final: bool = True
    instruction: str | None = None
    question: str = ""


class Dialogue:
    """Obeys what was heard surely and asks about the rest; an answer counts for `patience_s`."""

    def __init__(self, threshold: float, patience_s: float) -> None:
        self._threshold, self._patience_s = threshold, patience_s
        self._asked: Heard | None = None
        self._until_s = 0.0

    def stop(self) -> Turn:
        """The word was heard: nothing else counts any more."""
        self._asked = None
        return Turn(STOP, 1.0, "stop", instruction=STOP)

    def heard(self, heard: Heard, now_s: float) -> Turn | None:
        """The turn after an utterance; None where there were no words."""
        if not heard.text:
            return None
        if STOP in heard.text.split() and len(heard.text.split()) <= 3:
            return self.stop()
        asked, self._asked = self._asked, None
        if asked and heard.text in YES:
            return Turn(asked.text, asked.confidence, "confirmed", instruction=asked.text)
        if asked and heard.text in NO:
            return Turn(asked.text, asked.confidence, "dropped")
        if heard.text in YES | NO:
            return Turn(heard.text, heard.confidence, "dropped")
        if heard.confidence >= self._threshold:
            return Turn(heard.text, heard.confidence, "heard", instruction=heard.text)
        self._asked, self._until_s = heard, now_s + self._patience_s
        question = f"did you say {heard.text!r}? say yes or no"
        return Turn(heard.text, heard.confidence, "asking", final=False, question=question)

    def waited(self, now_s: float) -> Turn | None:
        """The turn when nobody answers in time."""
        if self._asked is None or now_s < self._until_s:
            return None
        asked, self._asked = self._asked, None
        return Turn(asked.text, asked.confidence, "dropped")
