"""Further phrasings, refused sentences and aliases, in YAML: new words for tasks that the policy knows, no training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from legion_core.config import from_mapping, load_yaml
from legion_core.errors import ConfigurationError, unknown
from legion_core.tasks import fifty_tasks, task_names
from legion_core.words import spoken, words_of

SHIPPED_FILE = Path(__file__).parent / "data" / "phrases.yaml"


@dataclass(frozen=True)
class Phrases:
    """Sentences by task, sentences that are `refused`, and `aliases`: words that stand for others.

    Raises:
        ConfigurationError: a sentence without words, or an alias of more than one word.
    """

    tasks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, sentences in (*self.tasks.items(), ("refused", self.refused)):
            for sentence in sentences:
                if not spoken(words_of(sentence)):
                    raise ConfigurationError(f"{key}: {sentence!r}; allowed: sentences with at least one word")
        for alias, meaning in self.aliases.items():
            if len(spoken(words_of(alias))) != 1 or not spoken(words_of(meaning)):
                raise ConfigurationError(
                    f"aliases: {alias}: {meaning!r}; allowed: one word, and the words it stands for"
                )

    def __add__(self, other: Phrases) -> Phrases:
        """Both; where an alias is in both, the other's."""
        tasks = {
            name: (*self.tasks.get(name, ()), *other.tasks.get(name, ())) for name in {**self.tasks, **other.tasks}
        }
        return Phrases(tasks, (*self.refused, *other.refused), {**self.aliases, **other.aliases})


def phrases_for(bundle_tasks: Iterable[str], files: Iterable[Path | str] = ()) -> Phrases:
    """What comes with the package and what the files add, for a policy of those tasks.

    The package's refused sentences mean none of the ten tasks; a policy that knows others may well understand them.

    Raises:
        ConfigurationError: see `load_phrases`.
    """
    names = tuple(bundle_tasks)
    known = {*names, *(task.name for task in fifty_tasks())}
    phrases = load_phrases(SHIPPED_FILE)
    if not set(names) <= set(task_names()):
        phrases = dataclasses.replace(phrases, refused=())
    return sum((load_phrases(file, known) for file in files), phrases)


def load_phrases(file: Path | str, known: Iterable[str] | None = None) -> Phrases:
    """The phrases in a YAML file: tasks by name, `refused` and `aliases`.

    Args:
        known: the names of tasks that may be used, by default all fifty.

    Raises:
        ConfigurationError: the file is malformed, or names an unknown task; the message names file, key and value.
    """
    data = load_yaml(file)
    names = sorted(known) if known is not None else [task.name for task in fifty_tasks()]
    extra = {key: value for key, value in data.items() if key in ("refused", "aliases")}
    tasks = {key: value for key, value in data.items() if key not in extra}
    for key in tasks:
        if key not in names:
            raise ConfigurationError(f"{file}: " + unknown("key", key, ("refused", "aliases", *names)))
    return from_mapping(Phrases, {"tasks": tasks, **extra}, str(file))
