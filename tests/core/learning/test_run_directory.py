"""A run's folder: one process writes, nothing is overwritten, and it rewinds to what it was at any checkpoint."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legion_core.bundle import PolicyBundle
from legion_core.errors import CheckpointError, ConfigurationError, RunError
from legion_core.learning.run_directory import BEST, FINAL, METRICS, RunDirectory, require_free_space, scalars

SETTINGS = {"mode": "lifelong", "tasks": ["reach", "push"], "seed": 3, "order": None, "ratio": 0.1}
TENSORS = {"weights": np.arange(6, dtype=np.float32)}


def new(path: Path) -> RunDirectory:
    return RunDirectory.create(path, SETTINGS, tensorboard=False)


def reopened(path: Path) -> RunDirectory:
    return RunDirectory.open(path, tensorboard=False)


def content(path: Path) -> dict[str, bytes]:
    """Every file of a run but the lock, which holds a process number, and TensorBoard's, which hold times."""
    files = (file for file in sorted(path.rglob("*")) if file.is_file())
    names = {str(file.relative_to(path)): file for file in files}
    return {n: f.read_bytes() for n, f in names.items() if n != "lock" and not n.startswith("tensorboard")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run"


# -- opening ---------------------------------------------------------------------------------------------------


def test_a_new_run_holds_its_settings(path: Path) -> None:
    with new(path) as run:
        assert run.settings == SETTINGS
    assert list(reopened(path).settings.items()) == list(SETTINGS.items())
    assert sorted(file.name for file in path.iterdir()) == ["lock", "run.yaml"]


@pytest.mark.parametrize("what", ["run", "folder", "file"])
def test_what_exists_is_never_overwritten(path: Path, what: str) -> None:
    {"run": lambda p: new(p).close(), "folder": Path.mkdir, "file": Path.touch}[what](path)
    before = content(path.parent)
    with pytest.raises(RunError, match=r"run exists already; choose another folder, or continue .* .--resume"):
        new(path)
    assert content(path.parent) == before


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write .*file/run: Not a directory"):
        new(tmp_path / "file" / "run")


@pytest.mark.parametrize("how", [reopened, RunDirectory.read])
def test_what_is_no_run_is_refused(path: Path, how: Callable[[Path], RunDirectory]) -> None:
    with pytest.raises(RunError, match=r"run: no such folder; expected that of a run"):
        how(path)
    path.mkdir()
    with pytest.raises(RunError, match=r"run is not the folder of a run: run.yaml is missing"):
        how(path)
    (path / "run.yaml").write_text("just words")
    with pytest.raises(ConfigurationError, match=r"run.yaml: expected a mapping"):
        how(path)


def hold(path: Path, ready: Connection) -> None:
    """Work in a run until killed."""
    with RunDirectory.open(path, tensorboard=False):
        ready.send(os.getpid())
        signal.pause()


def test_one_process_at_a_time_until_it_is_killed(path: Path) -> None:
    new(path).close()
    context = multiprocessing.get_context("spawn")
    ready, child_end = context.Pipe(duplex=False)
    process = context.Process(target=hold, args=(path, child_end), daemon=True)
    process.start()
    number = ready.recv()
    with pytest.raises(RunError, match=rf"run is in use by process {number}$"):
        reopened(path)
    RunDirectory.read(path).metrics()
    os.kill(number, signal.SIGKILL)
    process.join()
    with reopened(path), pytest.raises(RunError, match=rf"in use by process {os.getpid()}$"):
        reopened(path)
    reopened(path).close()


def test_a_reader_writes_nothing(path: Path, random_bundle: PolicyBundle) -> None:
    with new(path):
        reader = RunDirectory.read(path)
        for use in (
            lambda: reader.append({"kind": "stage"}),
            lambda: reader.stage("00-reach"),
            lambda: reader.replace_bundle(BEST, random_bundle),
            lambda: reader.save_checkpoint({}, {}, stage_end=False),
            reader.rewind,
        ):
            with pytest.raises(RunError, match="was opened for reading"):
                use()
    assert sorted(content(path)) == ["run.yaml"]


# -- metrics ---------------------------------------------------------------------------------------------------


def test_records_come_back_in_order_as_plain_json(path: Path) -> None:
    run = new(path)
    run.append({"kind": "updates", "update": np.int64(7), "losses": {"actor": np.float32(0.5), "critic": float("nan")}})
    run.append({"kind": "stage", "tasks": ("reach",), "counts": np.arange(2), "name": "öffnen\n"})
    expected = [
        {"kind": "updates", "update": 7, "losses": {"actor": 0.5, "critic": None}},
        {"kind": "stage", "tasks": ["reach"], "counts": [0, 1], "name": "öffnen\n"},
    ]
    assert run.metrics() == RunDirectory.read(path).metrics() == expected
    assert len((path / METRICS).read_text().splitlines()) == 2


def test_a_line_that_is_not_whole_yet_is_left_out_and_cut_off_when_the_run_goes_on(path: Path) -> None:
    run = new(path)
    assert run.metrics() == []
    run.append({"kind": "a"})
    with (path / METRICS).open("a") as stream:
        stream.write('{"kind": "b", "upd')
    assert run.metrics() == [{"kind": "a"}]
    run.close()
    with reopened(path) as again:
        again.append({"kind": "c"})
        assert again.metrics() == [{"kind": "a"}, {"kind": "c"}]


@pytest.mark.parametrize(("line", "message"), [("{]", "not valid JSON"), ("[1]", "expected a mapping, got list")])
def test_a_damaged_line_is_named(path: Path, line: str, message: str) -> None:
    run = new(path)
    run.append({"kind": "a"})
    with (path / METRICS).open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(RunError, match=f"{METRICS}, line 2: {message}"):
        run.metrics()


def test_a_full_disk_leaves_the_earlier_records_whole(
    path: Path, full_beyond: Callable[[int], AbstractContextManager[None]]
) -> None:
    run, count = new(path), 0
    with full_beyond(1000), pytest.raises(RunError, match=f"cannot write .*{METRICS}: (File too large|No space left)"):
        for count in range(1000):
            run.append({"kind": "a", "count": count})
    assert count > 10
    assert (path / METRICS).read_bytes().endswith(b"}\n")
    assert [record["count"] for record in run.metrics()] == list(range(count))


# -- TensorBoard -----------------------------------------------------------------------------------------------


def test_the_numbers_of_a_record_are_scalars_named_after_what_they_are_about() -> None:
    place = {"stage": 0, "round": 2, "update": 40, "env_steps": 90, "wall_s": 1.5}
    losses = {"kind": "updates", **place, "losses": {"actor": 0.5, "critic": None}, "updates_per_s": 12.0}
    assert dict(scalars(losses)) == {"updates/losses/actor": 0.5, "updates/updates_per_s": 12.0}
    collect = {"kind": "collect", **place, "task": "reach", "who": "policy", "episodes": 4, "successes": 3}
    assert dict(scalars(collect)) == {
        "collect/reach/policy/episodes": 4,
        "collect/reach/policy/successes": 3,
        "collect/reach/policy/success": 0.75,
    }
    tasks = {"push": {"episodes": 2, "successes": 1}}
    evaluation = {"kind": "evaluation", **place, "arm": "iiwa7", "actuation": "servo", "tasks": tasks}
    assert dict(scalars(evaluation))["evaluation/iiwa7/servo/tasks/push/success"] == 0.5


def test_tensorboard_shows_each_record_once_also_after_a_rewind(path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with RunDirectory.create(path, SETTINGS) as run:
        run.append({"kind": "updates", "update": 10, "loss": 1.0})
        run.save_checkpoint(TENSORS, {}, stage_end=False)
        run.append({"kind": "updates", "update": 20, "loss": 2.0})
        run.append({"kind": "updates", "update": 30, "loss": 3.0})
    with RunDirectory.open(path) as run:
        run.rewind()
        run.append({"kind": "updates", "update": 20, "loss": 2.5})
    shown = EventAccumulator(str(path / "tensorboard")).Reload().Scalars("updates/loss")
    assert [(event.step, event.value) for event in shown] == [(10, 1.0), (20, 2.5)]


def test_without_tensorboard_installed_it_says_what_to_do_before_anything_is_made(path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="python -m pip install tensorboard"):
        RunDirectory.create(path, SETTINGS)
    assert not path.exists()
    new(path).append({"kind": "updates", "loss": 1.0})
    assert not (path / "tensorboard").exists()


# -- checkpoints -----------------------------------------------------------------------------------------------


def test_the_newest_two_checkpoints_stay_and_each_stage_s_last(path: Path) -> None:
    run = new(path)
    ends = {3, 4, 8}
    for number in range(12):
        assert run.save_checkpoint(TENSORS, {"count": number}, stage_end=number in ends) == f"{number:06d}"
    assert run.checkpoints() == ["000003", "000004", "000008", "000010", "000011"]
    assert run.newest_checkpoint() == "000011"
    assert run.checkpoint_state("000008") == {"count": 8}
    tensors, state = run.load_checkpoint("4")
    np.testing.assert_array_equal(tensors["weights"], TENSORS["weights"])
    assert state == {"count": 4}
    assert [folder.name for folder in (path / "checkpoints").iterdir() if folder.name.startswith(".")] == []


def test_a_damaged_older_checkpoint_does_not_stop_a_run(path: Path) -> None:
    run = new(path)
    for number in range(4):
        run.save_checkpoint(TENSORS, {}, stage_end=False)
        if number == 1:
            (path / "checkpoints" / "000000" / "state.json").write_text("damaged")
    assert run.checkpoints() == ["000000", "000002", "000003"]


def test_an_unknown_checkpoint_is_an_error_that_lists_those_there_are(path: Path) -> None:
    run = new(path)
    with pytest.raises(RunError, match="checkpoints: no checkpoint yet"):
        run.rewind()
    for _ in range(2):
        run.save_checkpoint(TENSORS, {}, stage_end=False)
    for name in ("000007", "-1", "newest", ""):
        with pytest.raises(RunError, match=f"unknown checkpoint '{name}'.*; allowed: 000000, 000001"):
            run.rewind(name)


def work(run: RunDirectory, stage: int, bundle: PolicyBundle) -> None:
    """A stage of a run, with a checkpoint before and after its end."""
    run.append({"kind": "stage", "event": "start", "stage": stage})
    run.save_checkpoint({"weights": np.full(3, stage)}, {"stage": stage, "ended": False}, stage_end=False)
    end(run, stage, bundle)


def end(run: RunDirectory, stage: int, bundle: PolicyBundle) -> None:
    """What a stage leaves: the policy of an even stage is the best so far."""
    run.append({"kind": "updates", "update": stage, "losses": {"actor": stage / 7}})
    folder = run.stage(f"{stage:02d}-reach")
    np.savez(folder / "latents.npz", z=np.full((4, 2), stage))
    bundle = of_stage(bundle, stage)
    bundle.save(folder / "bundle")
    if stage % 2 == 0:
        run.replace_bundle(BEST, bundle)
    run.save_checkpoint({"weights": np.full(3, stage)}, {"stage": stage, "ended": True}, stage_end=True)


def of_stage(bundle: PolicyBundle, stage: int) -> PolicyBundle:
    return dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, training={"stage": stage}))


def test_from_every_checkpoint_a_run_ends_with_the_same_files(path: Path, random_bundle: PolicyBundle) -> None:
    with new(path) as run:
        for stage in range(4):
            work(run, stage, random_bundle)
        run.append({"kind": "evaluation", "when": "final"})
        run.replace_bundle(FINAL, random_bundle)
        names = run.checkpoints()
    expected = content(path)
    assert names == ["000001", "000003", "000005", "000006", "000007"]
    for name in reversed([None, *names]):
        copy = path.with_name(f"from-{name}")
        shutil.copytree(path, copy)
        (copy / ".draft-left-behind").mkdir()
        (copy / "checkpoints" / ".checkpoint-left-behind").mkdir()
        with reopened(copy) as run:
            _, state = run.rewind(name)
            assert run.newest_checkpoint() == (name or names[-1])
            assert not (copy / FINAL).exists()
            assert len(run.stages) == state["stage"] + state["ended"]
            best = PolicyBundle.load(copy / BEST).manifest.training["stage"]
            assert best == (len(run.stages) - 1) // 2 * 2
            if not state["ended"]:
                end(run, state["stage"], random_bundle)
            for stage in range(state["stage"] + 1, 4):
                work(run, stage, random_bundle)
            run.append({"kind": "evaluation", "when": "final"})
            run.replace_bundle(FINAL, random_bundle)
        assert content(copy) == expected


def test_before_there_was_a_best_policy_a_rewind_leaves_none(path: Path, random_bundle: PolicyBundle) -> None:
    with new(path) as run:
        work(run, 0, random_bundle)
        run.rewind("000000")
        assert not (path / BEST).exists()
        assert run.stages == []


def test_metrics_cut_too_short_stop_a_rewind_before_anything_changes(path: Path) -> None:
    run = new(path)
    run.append({"kind": "a"})
    run.save_checkpoint(TENSORS, {}, stage_end=True)
    run.save_checkpoint(TENSORS, {}, stage_end=True)
    os.truncate(path / METRICS, 5)
    before = content(path)
    with pytest.raises(RunError, match=r"metrics.jsonl: 5 bytes; checkpoint 000000 expects at least 14"):
        run.rewind("000000")
    assert content(path) == before


def test_a_damaged_checkpoint_stops_a_rewind_before_anything_changes(path: Path) -> None:
    run = new(path)
    for _ in range(2):
        run.save_checkpoint(TENSORS, {}, stage_end=True)
    tensors = path / "checkpoints" / "000000" / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    before = content(path)
    with pytest.raises(CheckpointError, match=r"000000/tensors.safetensors: .* bytes; manifest.json expects"):
        run.rewind("000000")
    assert content(path) == before


def test_a_checkpoint_that_finds_no_room_leaves_the_others(
    path: Path, full_beyond: Callable[[int], AbstractContextManager[None]]
) -> None:
    run = new(path)
    for _ in range(3):
        run.save_checkpoint(TENSORS, {}, stage_end=False)
    before = content(path)
    with full_beyond(2000), pytest.raises(CheckpointError, match=r"cannot write .*000003: File too large"):
        run.save_checkpoint({"large": np.zeros(1000)}, {}, stage_end=False)
    assert content(path) == before
    run.rewind()


# -- room on the disk ------------------------------------------------------------------------------------------


def test_too_little_room_is_an_error_with_path_needed_and_free(tmp_path: Path) -> None:
    require_free_space(tmp_path, 1)
    place = tmp_path / "not" / "there" / "yet"
    with pytest.raises(RunError, match=f"{place}: 1,000,000,000,000 MB needed, [0-9,]+ MB free"):
        require_free_space(place, 10**18)
    assert not (tmp_path / "not").exists()


def test_the_settings_file_is_plain_yaml(path: Path) -> None:
    new(path).close()
    assert json.loads(json.dumps(SETTINGS)) == RunDirectory.read(path).settings
