"""How words are pronounced: what the recogniser's dictionary says, and as a Briton says it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

VOWELS = frozenset(["AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"])
_CENTRING = frozenset({"IH", "IY", "EH", "UH", "UW"})


def pronunciations(dictionary: Path, wanted: Iterable[str]) -> dict[str, list[str]]:
    """Every pronunciation of those of the words that the dictionary in CMU's format holds, British ones last."""
    words = set(wanted)
    found: dict[str, list[str]] = {}
    with dictionary.open(encoding="utf-8") as lines:
        for line in lines:
            word, _, phones = line.strip().partition(" ")
            word = word.partition("(")[0]
            if word in words:
                found.setdefault(word, []).append(phones)
    return {word: list(dict.fromkeys([*said, *map(british, said)])) for word, said in found.items()}


def british(phones: str) -> str:
    """An American pronunciation without the r's that are not spoken in England: those before no vowel.

    What is left of the syllable is long (door: D AO), or ends in a schwa (here: HH IH AH; water: W AO T AH). The vowel
    of stop is rounded (S T AO P), unless an r stood behind it (arm: AA M).
    """
    said: list[str] = []
    sequence = phones.split()
    for phone, following in zip(sequence, [*sequence[1:], ""], strict=True):
        silent = following not in VOWELS
        if phone == "ER" and silent:
            said.append("AH")
        elif phone == "AA" and following != "R":
            said.append("AO")
        elif phone == "R" and silent and said and said[-1] in VOWELS:
            said += ["AH"] if said[-1] in _CENTRING else []
        else:
            said.append(phone)
    return " ".join(said)
