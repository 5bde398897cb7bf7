"""The replay: transitions of the past in a memory-mapped file, with an undo journal that leads back to any checkpoint.

All rows of all tasks lie in one float32 matrix. It is mapped whole from a sparse file whose blocks are claimed chunk by
chunk before they are written: where the disk is full, that is an error and not a signal. The rows of a process that was
killed are in the file; which of them count is known to the checkpoints (`Replay.mark`, `Replay.rewind`). What a loss of
power leaves is not promised: the rows are not forced to the disk.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from legion_core.config import require
from legion_core.errors import ReplayError
from legion_core.learning.journal import Journal
from legion_core.spaces import Float32

FORMAT = "legion-replay"
VERSION = 1
ROWS = "rows.f32"
HEADER_BYTES = 4096
CHUNK_BYTES = 16 * 2**20
"""Claimed of the disk at a time."""
LARGEST_TASK = 2**24 - 1
"""float32 holds every integer up to here."""
SHARED = -1
"""Stands for all tasks together where they share one region."""

Int64 = npt.NDArray[np.int64]
Retention = Literal["uniform", "reservoir"]


@dataclass(frozen=True)
class RowSpec:
    """The columns of a row: how many numbers each field of `Transitions` takes."""

    observation: int = 13
    action: int = 4

    def __post_init__(self) -> None:
        require(self.observation > 0, "observation", self.observation, "> 0")
        require(self.action > 0, "action", self.action, "> 0")

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each field for one transition, in the order of the columns."""
        observation, action = (self.observation,), (self.action,)
        return {
            "observation": observation,
            "action": action,
            "reward": (),
            "next_observation": observation,
            "done": (),
            "label": action,
            "task": (),
            "success": (),
        }

    @cached_property
    def columns(self) -> dict[str, int | slice]:
        """Where each field lies in a row."""
        columns: dict[str, int | slice] = {}
        start = 0
        for name, shape in self.shapes.items():
            width = shape[0] if shape else 1
            columns[name] = slice(start, start + width) if shape else start
            start += width
        return columns

    @cached_property
    def width(self) -> int:
        """Numbers in a row."""
        return sum(shape[0] if shape else 1 for shape in self.shapes.values())


@dataclass(frozen=True)
class Transitions:
    """N steps of some tasks; everything but `task` is float32 (other numbers are converted).

    Raises:
        ReplayError: arrays that do not fit each other, numbers that are not finite (only labels may be NaN), flags that
            are neither 0 nor 1, or task indices out of range.
    """

    observation: Float32
    """(N, observation)"""
    action: Float32
    """(N, action), what was done."""
    reward: Float32
    """(N,)"""
    next_observation: Float32
    """(N, observation), what that step returned: never the first observation of the next episode."""
    done: Float32
    """(N,), 1 where the task has truly ended; a time limit is no end."""
    label: Float32
    """(N, action), what an expert would have done; NaN where none was asked."""
    task: Int64
    """(N,), index in the run's tasks."""
    success: Float32
    """(N,), 1 where the task was done at that step."""

    def __post_init__(self) -> None:
        for field in fields(self):
            kind = np.int64 if field.name == "task" else np.float32
            with np.errstate(over="ignore"):  # becomes infinite, which is refused below
                object.__setattr__(self, field.name, np.asarray(getattr(self, field.name), kind))
        if self.observation.ndim != 2 or self.action.ndim != 2:
            raise ReplayError("observation and action must have shape (N, size)")
        for name, shape in RowSpec(self.observation.shape[1], self.action.shape[1]).shapes.items():
            self._check(name, getattr(self, name), (len(self.task), *shape))

    def __len__(self) -> int:
        return len(self.task)

    @staticmethod
    def concatenate(parts: Sequence[Transitions]) -> Transitions:
        """One after the other.

        Raises:
            ReplayError: no part, or parts with observations or actions of different sizes.
        """
        try:
            columns = {
                field.name: np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(Transitions)
            }
        except ValueError as error:
            raise ReplayError(f"these transitions cannot be put together: {error}") from error
        return Transitions(**columns)

    @staticmethod
    def _check(name: str, array: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
        if array.shape != shape:
            raise ReplayError(f"{name} has shape {array.shape}; expected {shape}")
        wrong = ~np.isfinite(array)
        allowed = "finite numbers"
        if name == "label":
            wrong, allowed = np.isinf(array), "finite numbers or NaN"
        elif name == "task":
            wrong, allowed = (array < 0) | (array > LARGEST_TASK), f"0 to {LARGEST_TASK}"
        elif name in ("done", "success"):
            wrong, allowed = (array != 0) & (array != 1), "0 or 1"
        if wrong.any():
            raise ReplayError(f"{name} holds {array[wrong][0]}; allowed: {allowed}")


class Replay:
    """Transitions kept for learning.

    With `retention` uniform the oldest row goes when there is no room left; with reservoir each row that was ever added
    is kept with the same chance (Vitter 1985, algorithm R). With a `task_budget` each task has that many rows of its
    own, in which the same happens, so that no task is ever pushed out; otherwise all tasks share the capacity.

    Args:
        folder: where the rows are kept; None keeps them in memory, without `mark` and `rewind`. A folder that holds the
            rows of an earlier process can be used after a `rewind`.
        spec: the columns.
        capacity: rows in all.
        retention: what is kept when there is no room left.
        task_budget: rows a task.

    Raises:
        ReplayError: the folder cannot be written, or the file in it is cut short, not ours or of other settings.
        ConfigurationError: settings out of range.
    """

    def __init__(
        self,
        folder: Path | None,
        spec: RowSpec,
        capacity: int,
        retention: Retention = "uniform",
        task_budget: int | None = None,
    ) -> None:
        require(capacity > 0, "capacity", capacity, "> 0")
        require(retention in ("uniform", "reservoir"), "retention", retention, "uniform, reservoir")
        if task_budget is not None:
            require(0 < task_budget <= capacity, "task_budget", task_budget, f"1 to the capacity, {capacity}")
        self._spec, self._capacity, self._budget = spec, capacity, task_budget
        self._place = _reservoir if retention == "reservoir" else _ring
        self._regions: dict[int, _Region] = {}
        self._index = _TaskIndex(capacity)
        self._file: _RowFile | None = None
        self._journal: Journal | None = None
        if folder is None:
            self._rows: Float32 = np.zeros((capacity, spec.width), np.float32)
            return
        header = {
            "format": FORMAT,
            "version": VERSION,
            "row": dict(spec.shapes),
            "capacity": capacity,
            "retention": retention,
            "task_budget": task_budget,
        }
        self._file = _RowFile(folder, header, capacity, spec.width)
        self._rows = self._file.rows
        self._journal = Journal(folder, capacity, spec.width)

    # -- what is in it -----------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Rows held."""
        return sum(region.count for region in self._regions.values())

    def __len__(self) -> int:
        return self.size

    @property
    def counts(self) -> dict[int, int]:
        """Rows held of each task that is present."""
        return self._index.counts()

    def rows_of(self, task: int) -> Transitions:
        """All rows of a task, none if it is not present, in the order in which they lie."""
        return self._gather(np.sort(self._index.rows(task)))

    def latent_rows(self, per_task: int, rng: np.random.Generator) -> Transitions:
        """`per_task` different rows of each task that is present (all, where it has fewer), task by task."""
        chosen = []
        for task, count in self.counts.items():
            rows = self._index.rows(task)
            chosen.append(rows[rng.choice(count, min(per_task, count), replace=False)])
        return self._gather(np.concatenate(chosen) if chosen else np.empty(0, np.int64))

    def sample(self, rng: np.random.Generator, size: int, balance: bool = False) -> Transitions:
        """A batch drawn with replacement: uniformly over the rows, or with `balance` evenly over the tasks present.

        A balanced batch has its rows task by task; what is left after an even division goes to tasks drawn by lot.

        Raises:
            ReplayError: there are no rows yet.
        """
        self._require_rewound()
        if not self.size:
            raise ReplayError("the replay is empty: nothing to sample from")
        return self._gather(self._balanced(rng, size) if balance else self._uniform(rng, size))

    def _uniform(self, rng: np.random.Generator, size: int) -> Int64:
        """Rows of a batch in which each row is equally likely."""
        regions = list(self._regions.values())
        ends = np.cumsum([region.count for region in regions])
        drawn = rng.integers(ends[-1], size=size)
        which = np.searchsorted(ends, drawn, side="right")
        shift = np.array([region.first for region in regions]) - (ends - [region.count for region in regions])
        return np.asarray(drawn + shift[which], np.int64)

    def _balanced(self, rng: np.random.Generator, size: int) -> Int64:
        """Rows of a batch in which each task is equally frequent."""
        counts = self.counts
        share = np.full(len(counts), size // len(counts))
        share[rng.choice(len(counts), size % len(counts), replace=False)] += 1
        drawn = rng.integers(np.repeat(list(counts.values()), share))
        parts = np.split(drawn, np.cumsum(share)[:-1])
        return np.concatenate([self._index.rows(task)[part] for task, part in zip(counts, parts, strict=True)])

    def _gather(self, rows: Int64) -> Transitions:
        """Copies of those rows; the fields are views of one fresh matrix, which torch takes as they are."""
        self._require_rewound()
        block = self._rows.take(rows, axis=0)
        columns: dict[str, Any] = {name: block[:, column] for name, column in self._spec.columns.items()}
        return Transitions(**columns)

    # -- what comes in -----------------------------------------------------------------------------------------

    def add(self, transitions: Transitions, rng: np.random.Generator) -> None:
        """Take in transitions, in their order; `rng` draws what a reservoir keeps.

        Raises:
            ReplayError: they do not fit the columns, there is no room for one more task's budget, or the disk is full;
                the replay is then as it was.
        """
        self._require_rewound()
        incoming = self._matrix(transitions)
        if not len(transitions):
            return
        regions: dict[int, _Region] = {}
        sources, targets = [], []
        for task in np.unique(transitions.task).tolist() if self._budget else [SHARED]:
            region = self._regions.get(task) or self._new_region(task, len(self._regions) + self._unknown(regions))
            mine = np.flatnonzero(transitions.task == task) if self._budget else np.arange(len(transitions))
            source, target = self._place(region.seen, len(mine), region.size, rng)
            sources.append(mine[source])
            targets.append(region.first + target)
            regions[task] = region.with_more(len(mine))
        source, target = np.concatenate(sources), np.concatenate(targets)
        self._claim(regions.values())
        if self._journal is not None:
            self._journal.keep(target, self._rows)
        self._write(target, incoming[source])
        self._regions.update(regions)

    def _write(self, target: Int64, rows: Float32) -> None:
        column = self._spec.columns["task"]
        self._index.remove(target[self._index.holds(target)])
        self._rows[target] = rows
        self._index.append(target, rows[:, column].astype(np.int64))

    def _matrix(self, transitions: Transitions) -> Float32:
        spec = RowSpec(transitions.observation.shape[1], transitions.action.shape[1])
        if spec != self._spec:
            raise ReplayError(f"these transitions have {spec}; the replay holds {self._spec}")
        matrix = np.empty((len(transitions), spec.width), np.float32)
        for name, column in spec.columns.items():
            matrix[:, column] = getattr(transitions, name)
        return matrix

    def _unknown(self, regions: Mapping[int, _Region]) -> int:
        """How many of `regions` are not in the replay yet."""
        return sum(task not in self._regions for task in regions)

    def _new_region(self, task: int, position: int) -> _Region:
        size = self._budget or self._capacity
        if (position + 1) * size > self._capacity:
            raise ReplayError(
                f"no room for task {task}: {position} tasks of {size} rows each fill the capacity of {self._capacity}"
            )
        return _Region(task, position * size, size)

    def _claim(self, regions: Iterable[_Region]) -> None:
        if self._file is not None:
            for region in regions:
                self._file.claim(region.first, region.count, region.size)

    # -- checkpoints -------------------------------------------------------------------------------------------

    def mark(self) -> dict[str, Any]:
        """What a checkpoint has to keep (JSON) so that `rewind` leads back to this moment.

        Rows that are overwritten from now on are kept in a journal until `forget`.

        Raises:
            ReplayError: the replay is in memory, or the disk is full; the earlier marks stay good.
        """
        journal = self._require_journal()
        self._require_rewound()
        # Which row a draw means depends on the order in the index: in file order it is a function of the rows alone.
        self._index.sort()
        number = journal.begin(self._live())
        return {"mark": number, "regions": [[region.task, region.seen] for region in self._regions.values()]}

    def rewind(self, mark: Mapping[str, Any]) -> None:
        """Make the replay what it was at that mark, bit by bit, in this process or after another one was killed.

        Raises:
            ReplayError: not a mark of this replay, or its journal is gone or damaged.
        """
        journal = self._require_journal()
        number, regions = self._parsed(mark)
        journal.undo(number, self._rows)
        self._regions = regions
        if self._file is not None:
            self._file.is_foreign = False
            self._claim(regions.values())
        live = self._live()
        self._index = _TaskIndex(self._capacity)
        self._index.append(live, self._rows[live, self._spec.columns["task"]].astype(np.int64))
        journal.restart(number, live)

    def forget(self, mark: Mapping[str, Any]) -> None:
        """Drop what is needed only to rewind to marks older than this one."""
        self._require_journal().drop_before(self._parsed(mark)[0])

    def _parsed(self, mark: Mapping[str, Any]) -> tuple[int, dict[int, _Region]]:
        regions: dict[int, _Region] = {}
        try:
            number = int(mark["mark"])
            for task, seen in mark["regions"]:
                if (task == SHARED) != (self._budget is None):
                    raise ValueError(f"task {task}")
                regions[int(task)] = self._new_region(int(task), len(regions)).with_more(int(seen))
        except (KeyError, TypeError, ValueError) as error:
            raise ReplayError(f"not a mark of a replay: {mark!r}") from error
        return number, regions

    def _live(self) -> Int64:
        """The rows held, in file order."""
        parts = [np.arange(region.first, region.first + region.count) for region in self._regions.values()]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _require_journal(self) -> Journal:
        if self._journal is None:
            raise ReplayError("a replay in memory has no marks; give it a folder")
        return self._journal

    def _require_rewound(self) -> None:
        if self._file is not None and self._file.is_foreign:
            raise ReplayError(f"{self._file.path} holds rows of an earlier process; rewind to one of its marks first")


@dataclass(frozen=True)
class _Region:
    """Consecutive rows of one task, or of all."""

    task: int
    first: int
    size: int
    seen: int = 0
    """Rows that were ever added."""

    @property
    def count(self) -> int:
        """Rows held: the first ones of the region."""
        return min(self.seen, self.size)

    def with_more(self, seen: int) -> _Region:
        if seen < 0:
            raise ValueError(f"{seen} rows")
        return _Region(self.task, self.first, self.size, self.seen + seen)


def _ring(seen: int, count: int, size: int, rng: np.random.Generator) -> tuple[Int64, Int64]:
    """Which of `count` new rows enter, and where in the region: each takes the place of the oldest."""
    source = np.arange(max(0, count - size), count)
    return source, (seen + source) % size


def _reservoir(seen: int, count: int, size: int, rng: np.random.Generator) -> tuple[Int64, Int64]:
    """As `_ring`, but the n-th row ever takes a place drawn from n, and is dropped if the region has no such place."""
    target = seen + np.arange(count)
    late = target >= size
    target[late] = rng.integers(target[late] + 1)
    # Of the new rows that drew the same place the last one is what algorithm R would leave there.
    places, from_the_end = np.unique(target[::-1], return_index=True)
    kept = places < size
    source = count - 1 - from_the_end[kept]
    order = np.argsort(source)
    return source[order], places[kept][order]


class _TaskIndex:
    """The rows of each task, so that one can be drawn at once; removal fills the gap with a row from the end."""

    def __init__(self, capacity: int) -> None:
        self._rows: dict[int, Int64] = {}
        """By task; longer than what is used."""
        self._count: dict[int, int] = {}
        self._task = np.full(capacity, SHARED, np.int32)
        """Of each row, SHARED where it is not held."""
        self._position = np.zeros(capacity, np.int64)
        """Of each row in the list of its task."""

    def counts(self) -> dict[int, int]:
        return {task: self._count[task] for task in sorted(self._count) if self._count[task]}

    def rows(self, task: int) -> Int64:
        return self._rows.get(task, np.empty(0, np.int64))[: self._count.get(task, 0)]

    def holds(self, rows: Int64) -> npt.NDArray[np.bool_]:
        held: npt.NDArray[np.bool_] = self._task[rows] != SHARED
        return held

    def append(self, rows: Int64, tasks: Int64) -> None:
        """Add rows that are not held."""
        self._task[rows] = tasks
        for task in np.unique(tasks).tolist():
            new = rows[tasks == task]
            start = self._count.get(task, 0)
            end = start + len(new)
            room = self._rows.get(task, np.empty(0, np.int64))
            if end > len(room):
                room = np.concatenate([room[:start], np.empty(max(end, 2 * start) - start, np.int64)])
            room[start:end] = new
            self._rows[task], self._count[task] = room, end
            self._position[new] = np.arange(start, end)

    def remove(self, rows: Int64) -> None:
        """Take out different rows that are held."""
        tasks = self._task[rows]
        self._task[rows] = SHARED
        for task in np.unique(tasks).tolist():
            gone = self._position[rows[tasks == task]]
            end = self._count[task] - len(gone)
            tail = np.ones(len(gone), np.bool_)
            tail[gone[gone >= end] - end] = False
            moved = self._rows[task][end : self._count[task]][tail]
            gaps = gone[gone < end]
            self._rows[task][gaps] = moved
            self._position[moved] = gaps
            self._count[task] = end

    def sort(self) -> None:
        """Bring each task's rows into file order."""
        for task, count in self._count.items():
            rows = self._rows[task][:count]
            rows.sort()
            self._position[rows] = np.arange(count)


class _RowFile:
    """The mapped file: a header that says what it is, then the rows."""

    def __init__(self, folder: Path, header: Mapping[str, Any], capacity: int, width: int) -> None:
        self.path = folder / ROWS
        self._row_bytes = 4 * width
        self._claimed: dict[int, int] = {}
        text = json.dumps(header).encode()
        size = HEADER_BYTES + capacity * self._row_bytes
        try:
            self.is_foreign = self.path.exists()
            """Whether the rows are an earlier process's, of which nothing is known until a rewind."""
            if not self.is_foreign:
                folder.mkdir(parents=True, exist_ok=True)
                _create(self.path, text, size)
            self._stream = self.path.open("r+b", buffering=0)
            _check_header(self.path, self._stream.read(HEADER_BYTES), json.loads(text))
            found = os.fstat(self._stream.fileno()).st_size
            if found != size:
                raise ReplayError(f"{self.path}: {found} bytes; expected {size} for {capacity} rows")
            mapping = mmap.mmap(self._stream.fileno(), size)
        except (OSError, ValueError) as error:
            raise ReplayError(f"cannot use {self.path}: {getattr(error, 'strerror', None) or error}") from error
        self.rows: Float32 = np.frombuffer(mapping, np.float32, offset=HEADER_BYTES).reshape(capacity, width)

    def claim(self, first: int, count: int, size: int) -> None:
        """Make sure that the disk has room for the first `count` of the `size` rows from `first` on.

        Raises:
            ReplayError: it has not.
        """
        claimed = self._claimed.get(first, 0)
        if count <= claimed:
            return
        wanted = min(size, max(count, claimed + CHUNK_BYTES // self._row_bytes))
        start, length = HEADER_BYTES + (first + claimed) * self._row_bytes, (wanted - claimed) * self._row_bytes
        try:
            os.posix_fallocate(self._stream.fileno(), start, length)
        except OSError as error:
            raise ReplayError(f"cannot add {length} bytes to {self.path}: {error.strerror}") from error
        self._claimed[first] = wanted


def _create(path: Path, header: bytes, size: int) -> None:
    """A sparse file with that header; it appears complete or not at all."""
    draft = path.with_suffix(".new")
    with draft.open("wb") as stream:
        stream.write(header.ljust(HEADER_BYTES))
        stream.truncate(size)
    draft.rename(path)


def _check_header(path: Path, content: bytes, expected: Mapping[str, Any]) -> None:
    try:
        header = json.loads(content)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT or len(content) != HEADER_BYTES:
        raise ReplayError(f"{path}: expected a file that begins with a header of format {FORMAT!r}")
    for key, value in expected.items():
        if header.get(key) != value:
            raise ReplayError(f"{path}: {key} is {header.get(key)!r}; expected {value!r}")
