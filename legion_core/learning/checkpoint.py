"""A checkpoint: a folder of named arrays and a JSON mapping that is complete, to the last bit, or not there at all.

`manifest.json` says what it is and holds size and sha256 of the other two files: `tensors.safetensors` with the arrays
and `state.json` with everything else. There is no pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from legion_core.errors import CheckpointError

FORMAT = "legion-checkpoint"
VERSION = 1
MANIFEST = "manifest.json"
TENSORS = "tensors.safetensors"
STATE = "state.json"
DRAFT_PREFIX = ".checkpoint-"
"""How the name of a folder begins in which a checkpoint is being written; one that is left behind may be deleted."""

Tensors = dict[str, npt.NDArray[Any]]


def save(folder: Path, tensors: Mapping[str, npt.NDArray[Any]], state: Mapping[str, Any]) -> None:
    """Write the new checkpoint `folder`; it appears complete and on the disk, or not at all.

    Args:
        folder: where to; must not exist.
        tensors: arrays of any numeric type and shape; type, shape and every bit are kept.
        state: what JSON can hold (tuples come back as lists, keys as strings).

    Raises:
        CheckpointError: `folder` exists or cannot be written (a full disk), or something in it cannot be stored.
    """
    files = {TENSORS: _encoded_tensors(folder, tensors), STATE: _encoded_state(folder, state)}
    contents = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    manifest = {"format": FORMAT, "version": VERSION, "files": contents}
    files[MANIFEST] = (json.dumps(manifest, indent=1) + "\n").encode()
    try:
        if folder.exists():
            raise CheckpointError(f"{folder} exists already; a checkpoint is never overwritten")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=DRAFT_PREFIX) as temporary:
            draft = Path(temporary) / folder.name
            draft.mkdir()
            for name, content in files.items():
                _write_to_disk(draft / name, content)
            _sync_folder(draft)
            draft.rename(folder)
        _sync_folder(folder.parent)
    except OSError as error:
        raise CheckpointError(f"cannot write {folder}: {error.strerror}") from error


def load(folder: Path) -> tuple[Tensors, dict[str, Any]]:
    """The arrays and the mapping of the checkpoint `folder`, exactly as they were saved.

    Raises:
        CheckpointError: a file is missing, cut short, changed or of another version; the message names it.
    """
    content = _checked(folder, TENSORS)
    try:
        tensors: Tensors = load_tensors(content)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder / TENSORS}: not a safetensors file of numbers that numpy knows") from error
    return tensors, load_state(folder)


def load_state(folder: Path) -> dict[str, Any]:
    """The mapping of the checkpoint `folder` alone, without reading its arrays.

    Raises:
        CheckpointError: as `load` does.
    """
    return _json_mapping(folder / STATE, _checked(folder, STATE))


def _encoded_tensors(folder: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> bytes:
    # safetensors writes the memory as it lies: a view that is not in C order would come back as other numbers.
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    try:
        return bytes(save_tensors(arrays))
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        kinds = ", ".join(f"{name} {array.dtype}" for name, array in arrays.items())
        raise CheckpointError(f"cannot write {folder}: not all tensors are numbers ({kinds})") from error


def _encoded_state(folder: Path, state: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(state, indent=1) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"cannot write {folder}: the state is not JSON ({error})") from error


def _write_to_disk(path: Path, content: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checked(folder: Path, name: str) -> bytes:
    """The content of a file of the checkpoint, which is what its manifest says."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such checkpoint")
    path = folder / name
    expected = _manifest_files(folder / MANIFEST).get(name)
    if not isinstance(expected, dict):
        raise CheckpointError(f"{folder / MANIFEST}: says nothing about {name}")
    content = _read(path)
    if len(content) != expected.get("bytes"):
        raise CheckpointError(f"{path}: {len(content)} bytes; {MANIFEST} expects {expected.get('bytes')}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected.get("sha256"):
        raise CheckpointError(f"{path}: sha256 is {digest}; {MANIFEST} expects {expected.get('sha256')}")
    return content


def _manifest_files(path: Path) -> dict[str, Any]:
    manifest = _json_mapping(path, _read(path))
    if manifest.get("format") != FORMAT:
        raise CheckpointError(f"{path}: expected a mapping with format {FORMAT!r}")
    if manifest.get("version") != VERSION:
        raise CheckpointError(
            f"{path}: checkpoint version {manifest.get('version')!r}; this program reads version {VERSION}"
        )
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise CheckpointError(f"{path}: files must be a mapping, got {files!r}")
    return files


def _json_mapping(path: Path, content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a mapping, got {type(data).__name__}")
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
