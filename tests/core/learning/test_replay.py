"""The replay against a plain model in memory: what it keeps, what it draws, and that it finds back to every mark."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legion_core.errors import ConfigurationError, LegionError, ReplayError
from legion_core.learning.replay import HEADER_BYTES, ROWS, Replay, RowSpec, Transitions

SPEC = RowSpec(observation=3, action=2)
FIELDS = ("observation", "action", "reward", "next_observation", "done", "label", "task", "success")
Full = Callable[[int], AbstractContextManager[None]]


def numbered(numbers: Any, tasks: Any, spec: RowSpec = SPEC) -> Transitions:
    """A transition for each number, from which everything in it follows; odd ones have no label."""
    number = np.asarray(numbers, np.float32)
    column = number[:, None]
    label = np.where(column % 2 == 1, np.nan, column + np.arange(spec.action) / 4)
    return Transitions(
        observation=column + np.arange(spec.observation) / 8,
        action=-column - np.arange(spec.action) / 8,
        reward=number,
        next_observation=-column * np.arange(1, spec.observation + 1),
        done=number % 3 == 0,
        label=label,
        task=np.asarray(tasks),
        success=number % 5 == 0,
    )


def assert_same(found: Transitions, expected: Transitions) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def fingerprint(replay: Replay) -> str:
    """A digest of all rows by task, and of what would be drawn next."""
    parts = [replay.rows_of(task) for task in replay.counts]
    if replay.size:
        parts += [replay.sample(np.random.default_rng(7), 40, balance) for balance in (False, True)]
        parts.append(replay.latent_rows(5, np.random.default_rng(7)))
    digest = hashlib.sha256(json.dumps(replay.counts).encode())
    for part, name in itertools.product(parts, FIELDS):
        digest.update(getattr(part, name).tobytes())
    return digest.hexdigest()


class Model:
    """What a replay is to do, row by row in plain lists."""

    def __init__(self, capacity: int, retention: str, budget: int | None) -> None:
        self._size, self._retention, self._per_task = budget or capacity, retention, budget is not None
        self._regions: dict[int, tuple[list[tuple[int, int]], int]] = {}
        """By task, or under 0 for all: number and task of each row, and how many were ever added."""

    def add(self, numbers: list[int], tasks: list[int], rng: np.random.Generator) -> None:
        for key in sorted(set(tasks)) if self._per_task else [0]:
            mine = [row for row in zip(numbers, tasks, strict=True) if not self._per_task or row[1] == key]
            rows, seen = self._regions.get(key, ([], 0))
            total = [seen + i + 1 for i in range(len(mine))]
            late = [n for n in total if n > self._size]
            draws = iter(rng.integers(np.array(late, np.int64)) if self._retention == "reservoir" else ())
            for row, n in zip(mine, total, strict=True):
                if n <= self._size:
                    rows.append(row)
                else:
                    place = next(draws) if self._retention == "reservoir" else (n - 1) % self._size
                    if place < self._size:
                        rows[place] = row
            self._regions[key] = (rows, seen + len(mine))

    def numbers(self) -> dict[int, list[int]]:
        """The numbers held of each task, in the order in which they lie."""
        held: dict[int, list[int]] = {}
        for rows, _ in self._regions.values():
            for number, task in rows:
                held.setdefault(task, []).append(number)
        return dict(sorted(held.items()))


def assert_holds(replay: Replay, model: Model) -> None:
    expected = model.numbers()
    assert replay.counts == {task: len(numbers) for task, numbers in expected.items()}
    assert replay.size == len(replay) == sum(map(len, expected.values()))
    for task, numbers in expected.items():
        assert_same(replay.rows_of(task), numbered(numbers, [task] * len(numbers)))


ADD = st.tuples(st.just("add"), st.lists(st.integers(0, 3), max_size=25))
OPERATIONS = st.lists(
    ADD | ADD | st.tuples(st.sampled_from(["mark", "rewind", "killed", "forget"]), st.integers(0, 9)), max_size=25
)
KINDS = st.tuples(st.integers(12, 40), st.sampled_from(["uniform", "reservoir"]), st.none() | st.integers(1, 3))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@settings(max_examples=150)
@given(KINDS, OPERATIONS)
def test_any_sequence_of_operations_does_what_the_model_does(kind: Any, operations: list[Any]) -> None:
    with temporary_folder() as folder:
        make = lambda: Replay(folder, SPEC, *kind)  # noqa: E731
        replay, model, numbers = make(), Model(*kind), itertools.count()
        marks = [(replay.mark(), copy.deepcopy(model), fingerprint(replay))]
        for seed, (what, value) in enumerate(operations):
            if what == "add":
                new = [next(numbers) for _ in value]
                replay.add(numbered(new, value), np.random.default_rng(seed))
                model.add(new, value, np.random.default_rng(seed))
            elif what == "mark":
                marks.append((json.loads(json.dumps(replay.mark())), copy.deepcopy(model), fingerprint(replay)))
            elif what == "forget":
                del marks[: value % len(marks)]
                replay.forget(marks[0][0])
            else:
                replay = make() if what == "killed" else replay
                del marks[value % len(marks) + 1 :]
                mark, kept, drawn = marks[-1]
                replay.rewind(mark)
                model = copy.deepcopy(kept)
                assert fingerprint(replay) == drawn
            assert_holds(replay, model)


@settings(max_examples=100)
@given(KINDS, st.lists(st.lists(st.integers(0, 3), max_size=60), max_size=8))
def test_in_memory_it_does_the_same(kind: Any, batches: list[list[int]]) -> None:
    replay, model, numbers = Replay(None, SPEC, *kind), Model(*kind), itertools.count()
    for seed, tasks in enumerate(batches):
        new = [next(numbers) for _ in tasks]
        replay.add(numbered(new, tasks), np.random.default_rng(seed))
        model.add(new, tasks, np.random.default_rng(seed))
        assert_holds(replay, model)


# -- what is kept ----------------------------------------------------------------------------------------------


def test_uniform_keeps_the_newest_rows() -> None:
    replay, rng = Replay(None, SPEC, 10), np.random.default_rng(0)
    for start in range(0, 35, 7):
        replay.add(numbered(range(start, start + 7), [0] * 7), rng)
    assert sorted(replay.rows_of(0).reward) == list(range(25, 35))


@pytest.mark.parametrize("budget", [None, 20])
def test_a_reservoir_keeps_each_row_with_the_same_chance(budget: int | None) -> None:
    rows, kept, repeats, rng = 60, 20, 1000, np.random.default_rng(0)
    times = np.zeros(rows)
    for _ in range(repeats):
        replay = Replay(None, SPEC, kept, "reservoir", budget)
        for start in range(0, rows, 15):
            replay.add(numbered(range(start, start + 15), [0] * 15), rng)
        times[replay.rows_of(0).reward.astype(int)] += 1
    chance = kept / rows
    statistic = ((times - repeats * chance) ** 2).sum() / (repeats * chance * (1 - chance))
    assert times.sum() == repeats * kept
    assert statistic < 95  # chi-square with about 59 degrees of freedom: 0.2 % are larger


@pytest.mark.parametrize("retention", ["uniform", "reservoir"])
def test_a_budget_protects_every_task(retention: Any) -> None:
    replay, rng = Replay(None, SPEC, 30, retention, 10), np.random.default_rng(0)
    replay.add(numbered(range(10), [2] * 10), rng)
    for start in range(10, 1000, 90):
        replay.add(numbered(range(start, start + 90), [0, 1] * 45), rng)
    assert replay.counts == {0: 10, 1: 10, 2: 10}
    np.testing.assert_array_equal(replay.rows_of(2).reward, range(10))


def test_a_task_too_many_for_the_budgets_changes_nothing() -> None:
    replay, rng = Replay(None, SPEC, 25, "uniform", 10), np.random.default_rng(0)
    replay.add(numbered([1], [0]), rng)
    with pytest.raises(ReplayError, match="no room for task 7: 2 tasks of 10 rows each fill the capacity of 25"):
        replay.add(numbered([2, 3, 4], [0, 5, 7]), rng)
    assert replay.counts == {0: 1}
    replay.add(numbered([5], [5]), rng)
    assert replay.counts == {0: 1, 5: 1}


# -- what is drawn ---------------------------------------------------------------------------------------------


def unequal() -> Replay:
    """Of the tasks 1, 4 and 6 there are 300, 60 and 6 rows."""
    replay, rng = Replay(None, SPEC, 1000), np.random.default_rng(0)
    tasks = np.repeat([1, 4, 6], [300, 60, 6])
    replay.add(numbered(range(len(tasks)), tasks), rng)
    return replay


def test_an_unbalanced_batch_draws_every_row_alike() -> None:
    replay = unequal()
    drawn = replay.sample(np.random.default_rng(0), 366 * 200).reward.astype(int)
    times = np.bincount(drawn, minlength=366)
    assert ((times - 200) ** 2 / 200).sum() < 450  # chi-square with 365 degrees of freedom: 0.2 % are larger


def test_a_balanced_batch_has_every_task_equally_often_and_its_rows_alike() -> None:
    replay, rng = unequal(), np.random.default_rng(0)
    batches = [replay.sample(rng, 32, balance=True) for _ in range(600)]
    counts = np.array([np.bincount(batch.task, minlength=7)[[1, 4, 6]] for batch in batches])
    assert set(counts.ravel().tolist()) == {10, 11}
    assert (abs(counts.mean(axis=0) - 32 / 3) < 0.1).all()
    times = np.bincount(np.concatenate([b.reward[b.task == 6] for b in batches]).astype(int))[360:]
    assert ((times - times.mean()) ** 2 / times.mean()).sum() < 20  # 5 degrees of freedom


def test_a_batch_smaller_than_the_number_of_tasks_still_works() -> None:
    assert len(set(unequal().sample(np.random.default_rng(0), 2, balance=True).task.tolist())) == 2


def test_torch_takes_a_batch_without_a_copy() -> None:
    torch = pytest.importorskip("torch")
    batch = unequal().sample(np.random.default_rng(0), 16)
    for name in FIELDS:
        array = getattr(batch, name)
        assert array.dtype == (np.int64 if name == "task" else np.float32)
        assert torch.from_numpy(array).data_ptr() == array.ctypes.data


def test_a_batch_is_a_copy() -> None:
    replay = unequal()
    replay.sample(np.random.default_rng(0), 64).observation[...] = 99
    assert_same(replay.rows_of(6), numbered(range(360, 366), [6] * 6))


def test_latent_rows_are_different_rows_of_each_task() -> None:
    rows = unequal().latent_rows(10, np.random.default_rng(0))
    assert np.bincount(rows.task, minlength=7)[[1, 4, 6]].tolist() == [10, 10, 6]
    assert len(set(rows.reward.tolist())) == 26


def test_an_empty_replay_draws_nothing() -> None:
    replay = Replay(None, SPEC, 10)
    replay.add(numbered([], []), np.random.default_rng(0))
    assert len(replay.rows_of(0)) == len(replay.latent_rows(3, np.random.default_rng(0))) == replay.size == 0
    for balance in (False, True):
        with pytest.raises(ReplayError, match="empty"):
            replay.sample(np.random.default_rng(0), 4, balance)


# -- marks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retention", ["uniform", "reservoir"])
def test_drawing_goes_on_the_same_after_a_mark_and_after_a_rewind_to_it(tmp_path: Path, retention: Any) -> None:
    def go_on(replay: Replay) -> list[str]:
        seen = []
        for step in range(12):
            rng = np.random.default_rng(step)
            replay.add(numbered(range(1000 + 40 * step, 1040 + 40 * step), rng.integers(0, 4, 40)), rng)
            seen.append(fingerprint(replay))
            if step % 5 == 4:
                replay.mark()
        return seen

    replay = Replay(tmp_path, SPEC, 100, retention)
    for step in range(5):
        rng = np.random.default_rng([1, step])
        replay.add(numbered(range(40 * step, 40 * step + 40), rng.integers(0, 4, 40)), rng)
    mark = replay.mark()
    uninterrupted = go_on(replay)
    again = Replay(tmp_path, SPEC, 100, retention)
    again.rewind(mark)
    assert go_on(again) == uninterrupted


def add_until_killed(folder: Path, kind: tuple[Any, ...], reports: Connection) -> None:
    """Add and mark without an end; tell each mark and what it stands for."""
    replay, step = Replay(folder, SPEC, *kind), 0
    while True:
        step = add_some(replay, step)
        reports.send((replay.mark(), fingerprint(replay), step))


def add_some(replay: Replay, step: int) -> int:
    """Twenty batches that depend on the step alone."""
    for _ in range(20):
        rng = np.random.default_rng(step)
        count = int(rng.integers(1, 60))
        replay.add(numbered(rng.integers(0, 2**20, count), rng.integers(0, 4, count)), rng)
        step += 1
    return step


@pytest.mark.parametrize("kind", [(500, "uniform"), (500, "reservoir"), (500, "uniform", 120), (500, "reservoir", 120)])
def test_after_kill_9_every_mark_can_be_reached_and_gone_on_from(tmp_path: Path, kind: tuple[Any, ...]) -> None:
    context = multiprocessing.get_context("spawn")
    reports, child_end = context.Pipe(duplex=False)
    process = context.Process(target=add_until_killed, args=(tmp_path, kind, child_end), daemon=True)
    process.start()
    told = [reports.recv() for _ in range(4)]
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    while reports.poll():
        told.append(reports.recv())
    for index in (len(told) - 1, 1, 0):
        replay = Replay(tmp_path, SPEC, *kind)
        for mark, expected, step in (told[index], told[index]):  # a second time: nothing is left of the first
            replay.rewind(mark)
            assert fingerprint(replay) == expected
            add_some(replay, step)
            replay.mark()
        if index + 1 < len(told):
            assert fingerprint(replay) == told[index + 1][1]


def marked(folder: Path) -> list[dict[str, Any]]:
    """Three marks of a ring that has been overwritten between them."""
    replay, marks = Replay(folder, SPEC, 50), []
    for start in range(0, 180, 60):
        replay.add(numbered(range(start, start + 60), [0] * 60), np.random.default_rng(0))
        marks.append(replay.mark())
    replay.add(numbered(range(7), [0] * 7), np.random.default_rng(0))
    return marks


@pytest.mark.parametrize("cut", [1, 20, 44])
def test_a_record_of_the_journal_that_was_not_written_whole_is_left_out(tmp_path: Path, cut: int) -> None:
    """The row that it was for has not been touched: records come first."""
    marks = marked(tmp_path)
    newest = tmp_path / "undo-000003.bin"
    whole = newest.read_bytes()
    newest.write_bytes(whole + whole[:cut])
    replay = Replay(tmp_path, SPEC, 50)
    replay.rewind(marks[2])
    np.testing.assert_array_equal(np.sort(replay.rows_of(0).reward), range(130, 180))


def test_forgotten_marks_free_their_journals(tmp_path: Path) -> None:
    marks = marked(tmp_path)
    replay = Replay(tmp_path, SPEC, 50)
    replay.rewind(marks[2])
    replay.forget(marks[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == [ROWS, "undo-000002.bin", "undo-000003.bin"]
    with pytest.raises(ReplayError, match=r"cannot read .*undo-000001.bin: No such file"):
        replay.rewind(marks[0])
    np.testing.assert_array_equal(np.sort(replay.rows_of(0).reward), range(130, 180))
    replay.rewind(marks[1])
    np.testing.assert_array_equal(np.sort(replay.rows_of(0).reward), range(70, 120))


# -- bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bytes_left", "whole"), [(-1, False), (-64, False), (0, True)])
def test_a_journal_cut_short_is_an_error_and_changes_nothing(tmp_path: Path, bytes_left: int, whole: bool) -> None:
    marks = marked(tmp_path)
    os.truncate(tmp_path / "undo-000002.bin", (tmp_path / "undo-000002.bin").stat().st_size + bytes_left)
    before = (tmp_path / ROWS).read_bytes()
    replay = Replay(tmp_path, SPEC, 50)
    if whole:
        replay.rewind(marks[0])
        return
    with pytest.raises(ReplayError, match=r"undo-000002.bin is cut short; expected a closing record"):
        replay.rewind(marks[0])
    assert (tmp_path / ROWS).read_bytes() == before


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    marks = marked(tmp_path)
    for number in (2, 3):
        (tmp_path / f"undo-{number:06d}.bin").unlink()
    with pytest.raises(ReplayError, match=r"undo-000003.bin is missing: no rewinding to mark 3"):
        Replay(tmp_path, SPEC, 50).rewind(marks[2])


@pytest.mark.parametrize(
    "mark", [{}, {"mark": 1}, {"mark": 1, "regions": [[0, 5]]}, {"mark": "x", "regions": []}, {"mark": 1, "regions": 3}]
)
def test_what_is_no_mark_is_refused(tmp_path: Path, mark: dict[str, Any]) -> None:
    marked(tmp_path)
    with pytest.raises(ReplayError, match="not a mark"):
        Replay(tmp_path, SPEC, 50).rewind(mark)


def test_rows_of_an_earlier_process_need_a_rewind_first(tmp_path: Path) -> None:
    marks, rng = marked(tmp_path), np.random.default_rng(0)
    replay = Replay(tmp_path, SPEC, 50)
    for use in (
        lambda: replay.add(numbered([1], [0]), rng),
        lambda: replay.sample(rng, 3),
        lambda: replay.latent_rows(3, rng),
        lambda: replay.rows_of(0),
        replay.mark,
    ):
        with pytest.raises(ReplayError, match=f"{ROWS} holds rows of an earlier process; rewind to one of its marks"):
            use()
    replay.rewind(marks[2])
    replay.add(numbered([1], [0]), rng)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((RowSpec(4, 2), 50), "row is .*; expected .*'observation': \\[4\\]"),
        ((SPEC, 51), "capacity is 50; expected 51"),
        ((SPEC, 50, "reservoir"), "retention is 'uniform'; expected 'reservoir'"),
        ((SPEC, 50, "uniform", 10), "task_budget is None; expected 10"),
    ],
)
def test_a_file_made_with_other_settings_is_refused(tmp_path: Path, settings: tuple[Any, ...], message: str) -> None:
    marked(tmp_path)
    with pytest.raises(ReplayError, match=f"{ROWS}: {message}"):
        Replay(tmp_path, *settings)


@pytest.mark.parametrize("size", [0, 100, HEADER_BYTES, HEADER_BYTES + 40])
def test_a_file_cut_short_is_refused(tmp_path: Path, size: int) -> None:
    marked(tmp_path)
    os.truncate(tmp_path / ROWS, size)
    message = f"{size} bytes; expected {HEADER_BYTES + 50 * 4 * SPEC.width} for 50 rows"
    with pytest.raises(ReplayError, match=message if size >= HEADER_BYTES else "header of format 'legion-replay'"):
        Replay(tmp_path, SPEC, 50)


@pytest.mark.parametrize("content", [b"", b"something else", b"\x00" * 9000, b"[1]".ljust(9000)])
def test_a_file_that_is_not_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ROWS).write_bytes(content)
    with pytest.raises(ReplayError, match=f"{ROWS}: expected a file that begins with a header"):
        Replay(tmp_path, SPEC, 50)
    assert (tmp_path / ROWS).read_bytes() == content


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ReplayError, match=f"cannot use .*file/{ROWS}: (File exists|Not a directory)"):
        Replay(tmp_path / "file", SPEC, 50)


def test_a_full_file_system_is_an_error_before_a_row_is_touched(tiny_disk: Path) -> None:
    spec, rng = RowSpec(1000, 2), np.random.default_rng(0)
    replay = Replay(tiny_disk, spec, 100_000)
    with pytest.raises(ReplayError, match=f"cannot add [0-9]+ bytes to .*{ROWS}: No space left on device"):
        replay.add(numbered(range(200), [0] * 200, spec), rng)
    assert replay.size == 0


def test_growth_stops_at_a_full_file_system_with_all_rows_whole(tiny_disk: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("legion_core.learning.replay.CHUNK_BYTES", 100_000)
    replay, rng, added = Replay(tiny_disk, RowSpec(100, 2), 100_000), np.random.default_rng(0), 0
    with pytest.raises(ReplayError, match="No space left on device"):
        for added in itertools.count(step=50):
            replay.add(numbered(range(added, added + 50), [0] * 50, RowSpec(100, 2)), rng)
    assert replay.size == added > 500
    assert_same(replay.rows_of(0), numbered(range(added), [0] * added, RowSpec(100, 2)))


def test_a_disk_too_full_to_grow_on_is_an_error_before_a_row_is_touched(tmp_path: Path, monkeypatch: Any) -> None:
    replay = Replay(tmp_path, SPEC, 100)

    def fail(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with pytest.raises(ReplayError, match=f"cannot add 5600 bytes to .*{ROWS}: No space left on device"):
        replay.add(numbered([1], [0]), np.random.default_rng(0))
    assert replay.size == 0


def test_a_journal_that_cannot_grow_is_an_error_before_a_row_is_touched(tmp_path: Path, full_beyond: Full) -> None:
    rng, replay = np.random.default_rng(0), Replay(tmp_path, SPEC, 50)
    replay.add(numbered(range(50), [0] * 50), rng)
    mark = replay.mark()
    with full_beyond(2000), pytest.raises(ReplayError, match=r"undo-000001.bin: File too large"):
        for start in range(100, 200, 10):
            replay.add(numbered(range(start, start + 10), [0] * 10), rng)
    expected = [*range(100, start), *range(start - 100, 50)]
    np.testing.assert_array_equal(replay.rows_of(0).reward, expected)
    replay.add(numbered(range(start, start + 10), [0] * 10), rng)
    replay.mark()
    replay.rewind(mark)
    assert_same(replay.rows_of(0), numbered(range(50), [0] * 50))


def test_a_replay_in_memory_has_no_marks() -> None:
    replay = Replay(None, SPEC, 10)
    for use in (replay.mark, lambda: replay.rewind({}), lambda: replay.forget({})):
        with pytest.raises(ReplayError, match="in memory has no marks"):
            use()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0,), "capacity = 0"),
        ((10, "newest"), "retention = 'newest'; allowed: uniform, reservoir"),
        ((10, "uniform", 0), "task_budget = 0; allowed: 1 to the capacity, 10"),
        ((10, "uniform", 11), "task_budget = 11; allowed: 1 to the capacity, 10"),
    ],
)
def test_settings_out_of_range_are_named(settings: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Replay(None, SPEC, *settings)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("observation", np.zeros((4, 4)), "next_observation has shape"),
        ("observation", np.zeros(4), "shape .N, size"),
        ("action", np.zeros((3, 2)), r"action has shape \(3, 2\); expected \(4, 2\)"),
        ("reward", np.zeros((4, 1)), r"reward has shape \(4, 1\); expected \(4,\)"),
        ("reward", np.array([0, 1, np.nan, 3]), "reward holds nan; allowed: finite numbers"),
        ("reward", np.array([0, 1e300, 2, 3]), "reward holds inf; allowed: finite numbers"),
        ("label", np.full((4, 2), np.inf), "label holds inf; allowed: finite numbers or NaN"),
        ("done", np.full(4, 0.5), "done holds 0.5; allowed: 0 or 1"),
        ("success", np.full(4, np.nan), "success holds nan; allowed: 0 or 1"),
        ("task", np.array([0, 1, -1, 2]), "task holds -1; allowed: 0 to 16777215"),
        ("task", np.array([0, 1, 2**24, 2]), "task holds 16777216; allowed"),
    ],
)
def test_transitions_that_do_not_fit_are_refused(field: str, value: np.ndarray, message: str) -> None:
    good = numbered(range(4), [0, 1, 2, 3])
    with pytest.raises(ReplayError, match=message):
        Transitions(**{**{name: getattr(good, name) for name in FIELDS}, field: value})


def test_transitions_of_another_size_are_refused() -> None:
    replay = Replay(None, SPEC, 10)
    with pytest.raises(
        ReplayError, match=r"RowSpec\(observation=4, action=2\); the replay holds RowSpec\(observation=3"
    ):
        replay.add(numbered([1], [0], RowSpec(4, 2)), np.random.default_rng(0))


def test_transitions_are_put_together_in_order() -> None:
    parts = [numbered([1, 2], [0, 3]), numbered([], []), numbered([3], [1])]
    assert_same(Transitions.concatenate(parts), numbered([1, 2, 3], [0, 3, 1]))
    for wrong in ([], [numbered([1], [0]), numbered([1], [0], RowSpec(4, 2))]):
        with pytest.raises(LegionError, match="cannot be put together"):
            Transitions.concatenate(wrong)
