"""A sentence as words: lower case, contractions spelt out, punctuation apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

Words = tuple[str, ...]

PUNCTUATION = frozenset(",;.!?:")
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[,;.!?:]")
_POSSESSIVE = re.compile(r"'s (?=(?:handle|knob|lever|grip|frame|edge|top|side|rim|cap|end)\b)")
"""Of the parts of a thing; any other 's stands for "is"."""
_NUMBER = re.compile(r"(?:^|(?<=\s))(?:step )?\d\s?[).:](?=\s)")
"""Of a list: "1) open the door 2) close the window"."""
_ARROW = re.compile(r"->(?!\s*(?:(?:the|its|red)\s+)*(?:goal|target|dot|marker|mark|spot|point|position)\b)")
"""From one task to the next; to a place it leads elsewhere."""
_APOSTROPHES = str.maketrans("\u2019\u2018\u02bc`", "''''")
_SIGNS = {"&": " and ", " + ": " and ", "w/o ": "without "}
_WHOLE = {
    **{"can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not", "let's": "let us"},
    **{"dont": "do not", "cant": "can not", "wont": "will not", "doesnt": "does not", "didnt": "did not"},
    **{"id": "i would", "im": "i am", "ill": "i will", "lets": "let us", "thats": "that is"},
    **{"gonna": "going to", "wanna": "want to", "gotta": "got to", "gimme": "give me", "lemme": "let me"},
    **{"plase": "please", "plese": "please", "pleese": "please"},
    **{"b4": "before", "u": "you", "ur": "your", "couldya": "could you", "ya": "you", "n": "and"},
}
_ENDINGS = {"n't": " not", "'d": " would", "'ll": " will", "'m": " am", "'re": " are", "'ve": " have", "'s": " is"}


def words_of(sentence: str) -> Words:
    """The words of a sentence and the marks between them: "Don't stop, please!" is do, not, stop, ",", please, "!"."""
    text = sentence.casefold().translate(_APOSTROPHES)
    for sign, meaning in _SIGNS.items():
        text = text.replace(sign, meaning)
    text = _ARROW.sub(" then ", _NUMBER.sub(" ; ", text)).replace("->", " to ")
    text = _POSSESSIVE.sub(" ", text)
    return tuple(word for token in _TOKEN.findall(text) for word in _spelt_out(token))


def text_of(words: Iterable[str]) -> str:
    """The words as a text that reads and encodes like a sentence."""
    text = " ".join(words)
    return re.sub(r" ([,;.!?:])", r"\1", text).strip(" ,;.!?:")


def spoken(words: Iterable[str]) -> Words:
    """The words without punctuation."""
    return tuple(word for word in words if word not in PUNCTUATION)


def phrases_in(entries: Iterable[str]) -> tuple[Words, ...]:
    """The phrases of a list whose items may hold several, separated by commas."""
    return tuple(tuple(phrase.split()) for item in entries for phrase in item.split(","))


def find(words: Sequence[str], phrase: Sequence[str], start: int = 0) -> int:
    """Where `phrase` begins in `words`, from `start` on; -1 if it does not occur."""
    size = len(phrase)
    return next((i for i in range(start, len(words) - size + 1) if tuple(words[i : i + size]) == tuple(phrase)), -1)


def _spelt_out(token: str) -> Iterator[str]:
    if token in _WHOLE:
        yield from _WHOLE[token].split()
        return
    for ending, full in _ENDINGS.items():
        if token.endswith(ending) and token != ending:
            yield from (token[: -len(ending)] + full).split()
            return
    yield token.replace("'", "")
