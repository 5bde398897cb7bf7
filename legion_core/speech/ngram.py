"""A small trigram language model of what operators say, in the ARPA format that recognisers read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import log10

START, END = "<s>", "</s>"
ORDER = 3
NEVER = -99.0
"""Log10 of the probability of what cannot be."""
BARRED = -20.0
"""Log10 of the back-off weight after the end: without it a recogniser goes on behind the end of a sentence."""

Gram = tuple[str, ...]


class NgramModel:
    """Trigram probabilities from weighted sentences, smoothed by Witten and Bell's rule.

    Args:
        sentences: words separated by blanks, and how often the sentence counts as said.
    """

    def __init__(self, sentences: Iterable[tuple[str, float]]) -> None:
        self._counts: Counter[Gram] = Counter()
        for sentence, weight in sentences:
            words = (START, *sentence.split(), END)
            for size in range(1, ORDER + 1):
                for at in range(len(words) - size + 1):
                    self._counts[words[at : at + size]] += weight  # type: ignore[assignment]
        del self._counts[(START,)]
        self._followed: Counter[Gram] = Counter()
        self._followers: Counter[Gram] = Counter()
        for gram, count in self._counts.items():
            self._followed[gram[:-1]] += count
            self._followers[gram[:-1]] += 1
        self.words = sorted({gram[0] for gram in self._counts if len(gram) == 1})

    def probability(self, gram: Gram) -> float:
        """Probability of the last word after those before it, of which there are at most two."""
        history = gram[:-1]
        lower = self.probability(gram[1:]) if history else 1 / len(self.words)
        followed, followers = self._followed[history], self._followers[history]
        return (self._counts[gram] + followers * lower) / (followed + followers) if followed else lower

    def arpa(self) -> str:
        """The model as an ARPA file."""
        grams = [sorted(gram for gram in self._counts if len(gram) == size) for size in range(1, ORDER + 1)]
        grams[0].insert(0, (START,))
        lines = ["\\data\\", *(f"ngram {size}={len(of_size)}" for size, of_size in enumerate(grams, 1))]
        for size, of_size in enumerate(grams, 1):
            lines += ["", f"\\{size}-grams:", *(self._line(gram) for gram in of_size)]
        return "\n".join([*lines, "", "\\end\\", ""])

    def _line(self, gram: Gram) -> str:
        probability = NEVER if gram == (START,) else log10(self.probability(gram))
        backoff = "" if len(gram) == ORDER else f" {self._backoff(gram):.4f}"
        return f"{probability:.4f} {' '.join(gram)}{backoff}"

    def _backoff(self, history: Gram) -> float:
        """Log10 of the weight of the shorter history where the longer one was not seen with a word."""
        if history[-1] == END:
            return BARRED
        followed, followers = self._followed[history], self._followers[history]
        return log10(followers / (followed + followers)) if followed else 0.0
