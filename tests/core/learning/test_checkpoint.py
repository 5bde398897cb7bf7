"""A checkpoint comes back bit by bit; any damage is one error that names the file; a failed save leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from legion_core.errors import CheckpointError
from legion_core.learning.checkpoint import MANIFEST, STATE, TENSORS, load, load_state, save

FILES = (MANIFEST, TENSORS, STATE)
ARRAYS = {
    "weights": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "means": np.array([np.pi, np.nan, -np.inf]),
    "steps": np.array([2**62, -1]),
    "generator": np.arange(256, dtype=np.uint8),
}
MAPPING = {"stage": 3, "replay": {"mark": 2, "regions": [[-1, 600]]}, "generator": 2**127 + 1, "best": 0.1 + 0.2}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda item: st.lists(item) | st.dictionaries(st.text(), item),
    max_leaves=10,
)
KINDS = (np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "000001", ARRAYS, MAPPING)
    return tmp_path / "000001"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def assert_same_bits(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda name: name != "__metadata__"),
        st.sampled_from(KINDS).flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, min_side=0))),
        max_size=4,
    ),
    st.dictionaries(st.text(), JSON, max_size=4),
)
def test_any_arrays_and_state_come_back_bit_by_bit(tensors: dict[str, np.ndarray], state: dict[str, Any]) -> None:
    with temporary_folder() as parent:
        save(parent / "a", tensors, state)
        found, found_state = load(parent / "a")
    assert_same_bits(found, tensors)
    assert json.dumps(found_state) == json.dumps(state)


def test_views_are_stored_as_they_look(tmp_path: Path) -> None:
    array = np.arange(24).reshape(4, 6)
    views = {"transposed": array.T, "strided": array[::2, 1::3], "reversed": array[::-1]}
    save(tmp_path / "a", views, {})
    for name, found in load(tmp_path / "a")[0].items():
        np.testing.assert_array_equal(found, views[name])


def test_what_is_loaded_can_be_written_to(folder: Path) -> None:
    for array in load(folder)[0].values():
        array[...] = 0


def test_a_checkpoint_is_three_files_and_nothing_beside_it(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert list(folder.parent.iterdir()) == [folder]
    assert load_state(folder) == MAPPING


def test_a_checkpoint_is_never_overwritten(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="000001 exists already"):
        save(folder, {}, {})
    assert_same_bits(load(folder)[0], ARRAYS)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}: No such file"):
        load(folder)


def test_a_missing_folder_is_named(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="000002: no such checkpoint"):
        load(folder.with_name("000002"))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_cut_short_is_named(folder: Path, name: str, share: float) -> None:
    os.truncate(folder / name, int(share * (folder / name).stat().st_size))
    with pytest.raises(CheckpointError, match=name):
        load(folder)


@settings(max_examples=60)
@given(st.sampled_from(FILES), st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_found_or_has_no_meaning(name: str, place: int, change: int) -> None:
    with temporary_folder() as parent:
        save(parent / "a", ARRAYS, MAPPING)
        content = bytearray((parent / "a" / name).read_bytes())
        content[place % len(content)] ^= change
        (parent / "a" / name).write_bytes(content)
        if name != MANIFEST:
            with pytest.raises(CheckpointError, match=f"{name}: sha256 is"):
                load(parent / "a")
            return
        try:
            tensors, state = load(parent / "a")
        except CheckpointError as error:
            assert str(parent / "a") in str(error)
        else:  # white space
            assert_same_bits(tensors, ARRAYS)
            assert state == MAPPING


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 2, "version 2; this program reads version 1"),
        ("format", "legion-policy-bundle", "expected a mapping with format 'legion-checkpoint'"),
        ("files", [], "files must be a mapping"),
        ("files", {}, "says nothing about tensors.safetensors"),
    ],
)
def test_another_version_or_kind_is_named(folder: Path, key: str, value: object, message: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(CheckpointError, match=f"{MANIFEST}: .*{message}"):
        load(folder)


@pytest.mark.parametrize(
    ("tensors", "state", "message"),
    [
        ({"names": np.array(["reach"])}, {}, "not all tensors are numbers .names <U5"),
        ({"objects": np.array([None])}, {}, "not all tensors are numbers .objects object"),
        ({}, {"path": Path("x")}, "the state is not JSON"),
    ],
)
def test_what_cannot_be_stored_is_refused(tmp_path: Path, tensors: Any, state: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        save(tmp_path / "a", tensors, state)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_earlier_checkpoints_and_nothing_else(
    folder: Path, full_beyond: Callable[[int], AbstractContextManager[None]]
) -> None:
    with full_beyond(4096), pytest.raises(CheckpointError, match=r"cannot write .*000002: File too large"):
        save(folder.with_name("000002"), {"large": np.zeros(10_000)}, {})
    assert list(folder.parent.iterdir()) == [folder]
    assert_same_bits(load(folder)[0], ARRAYS)


def test_a_full_file_system_leaves_the_earlier_checkpoints_and_nothing_else(tiny_disk: Path) -> None:
    first = tiny_disk / "000001"
    save(first, ARRAYS, MAPPING)
    with pytest.raises(CheckpointError, match=r"cannot write .*000002: No space left on device"):
        save(tiny_disk / "000002", {"large": np.zeros(200_000)}, {})
    assert list(tiny_disk.iterdir()) == [first]
    assert_same_bits(load(first)[0], ARRAYS)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CheckpointError, match=r"cannot write .*file/000001: (File exists|Not a directory)"):
        save(tmp_path / "file" / "000001", {}, {})


def test_no_right_to_write(tmp_path: Path) -> None:
    place = tmp_path / "closed"
    place.mkdir()
    place.chmod(0o500)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # root may write anywhere
        with pytest.raises(CheckpointError, match=r"cannot write .*000001: Permission denied"):
            save(place / "000001", {}, {})
    finally:
        os.seteuid(user)
    assert list(place.iterdir()) == []


def test_a_draft_left_by_a_killed_process_is_no_checkpoint(folder: Path) -> None:
    half = folder.with_name(".checkpoint-abc") / "000002"
    shutil.copytree(folder, half)
    os.truncate(half / TENSORS, 10)
    save(folder.with_name("000002"), ARRAYS, MAPPING)
    assert_same_bits(load(folder.with_name("000002"))[0], ARRAYS)
