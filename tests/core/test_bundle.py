"""A bundle survives a round trip unchanged; any damage to it is one error that names the file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from legion_core.bundle import EMBEDDINGS, KNOWLEDGE, MANIFEST, TENSOR_FILES, WEIGHTS, PolicyBundle
from legion_core.errors import BundleError, TaskError
from legion_core.policy import LegionPolicy


@pytest.fixture
def folder(random_bundle: PolicyBundle, tmp_path: Path) -> Path:
    random_bundle.save(tmp_path / "bundle")
    return tmp_path / "bundle"


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(folder: Path, file: str, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    """Change tensors and make the digest right again, so that only the content can be at fault."""
    tensors = load_file(folder / file)
    change(tensors)
    save_file(tensors, folder / file)
    digests = json.loads((folder / MANIFEST).read_text())["sha256"]
    edit_manifest(folder, sha256=digests | {file: hashlib.sha256((folder / file).read_bytes()).hexdigest()})


def test_round_trip(random_bundle: PolicyBundle, folder: Path) -> None:
    loaded = PolicyBundle.load(folder)
    assert dataclasses.replace(loaded.manifest, sha256={}) == random_bundle.manifest
    assert sorted(loaded.manifest.sha256) == sorted(TENSOR_FILES)
    observation, embedding = np.linspace(-1, 1, 13), random_bundle.embedding("push")
    before, after = (
        LegionPolicy(random_bundle).act(observation, embedding),
        LegionPolicy(loaded).act(observation, embedding),
    )
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(loaded.refused, random_bundle.refused)


def test_a_bundle_holds_nothing_but_its_four_files(folder: Path) -> None:
    assert sorted(f.name for f in folder.iterdir()) == sorted((MANIFEST, *TENSOR_FILES))
    assert [f.name for f in folder.parent.iterdir()] == [folder.name]


def test_save_does_not_overwrite(random_bundle: PolicyBundle, folder: Path) -> None:
    with pytest.raises(BundleError, match="exists already"):
        random_bundle.save(folder)


def test_an_unwritable_place_is_one_error(random_bundle: PolicyBundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot write"):
        random_bundle.save(tmp_path / "file" / "bundle")


def test_unknown_task(random_bundle: PolicyBundle) -> None:
    with pytest.raises(TaskError, match=r"unknown task 'dance'.*reach"):
        random_bundle.embedding("dance")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere.*manifest\.json"):
        PolicyBundle.load(tmp_path / "nowhere")


@pytest.mark.parametrize("file", [MANIFEST, *TENSOR_FILES])
def test_missing_file(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(BundleError, match=f"cannot read .*{file}"):
        PolicyBundle.load(folder)


@pytest.mark.parametrize("file", TENSOR_FILES)
def test_wrong_hash(folder: Path, file: str) -> None:
    content = bytearray((folder / file).read_bytes())
    content[-1] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(BundleError, match=f"{file}: sha256 is .*expects"):
        PolicyBundle.load(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("\xff", "format"),
        ("[]", "format"),
        ("{}", "format"),
        ('{"format": "legion-policy-bundle", "version": 99}', "version 99; this program reads version 1"),
        ('{"format": "legion-policy-bundle", "version": 1}', "missing observation"),
    ],
)
def test_broken_manifest(folder: Path, text: str, message: str) -> None:
    (folder / MANIFEST).write_text(text if text != "\xff" else '"\xff"')
    with pytest.raises(BundleError, match=rf"manifest\.json.*{message}"):
        PolicyBundle.load(folder)


def test_manifest_that_is_not_text(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match=r"manifest\.json: not valid JSON"):
        PolicyBundle.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observation": ["hand_x", "elbow"]}, "elbow"),
        ({"observation": ["hand_x"] * 13}, "twice"),
        ({"action": ["dx"]}, "action"),
        ({"tasks": []}, "tasks"),
        ({"components": ["dance"]}, "components"),
        ({"embedding": {"name": "x", "size": "large"}}, "size"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_manifest_that_says_something_wrong(folder: Path, changes: dict[str, object], message: str) -> None:
    edit_manifest(folder, **changes)
    with pytest.raises(BundleError, match=rf"manifest\.json.*{message}"):
        PolicyBundle.load(folder)


def drop(name: str) -> Callable[[dict[str, np.ndarray]], object]:
    return lambda tensors: tensors.pop(name)


def put(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, np.ndarray]], object]:
    return lambda tensors: tensors.update({name: np.ascontiguousarray(change(tensors[name]))})


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (WEIGHTS, drop("encoder.trunk.0.weight"), r"'encoder.trunk.0.weight' is missing; expected shape \(400, 397\)"),
        (WEIGHTS, put("actor.model.9.bias", lambda a: a[:4]), r"actor.model.9.bias .*expected float32 \(8,\)"),
        (WEIGHTS, put("actor.model.3.weight", lambda a: a.astype(np.float64)), "float64.*expected float32"),
        (WEIGHTS, put("actor.model.3.bias", lambda a: a * np.float32(np.nan)), "actor.model.3.bias .*not finite"),
        (WEIGHTS, put("observation_scale", lambda a: a * 0), "observation_scale must be positive"),
        (WEIGHTS, lambda tensors: tensors.update(extra=np.zeros(1, np.float32)), "unknown tensor 'extra'"),
        (KNOWLEDGE, put("means", lambda a: a[:, :9]), r"means .*expected float32 \(10, 10\)"),
        (KNOWLEDGE, put("variances", lambda a: -a), "variances"),
        (KNOWLEDGE, put("weights", lambda a: a * 2), "sum to 1"),
        (EMBEDDINGS, drop("task.reach"), "task.reach"),
        (EMBEDDINGS, put("refused", lambda a: a[:1]), r"refused .*expected float32 \(2, 384\)"),
    ],
)
def test_tensors_that_do_not_fit(
    folder: Path, file: str, change: Callable[[dict[str, np.ndarray]], object], message: str
) -> None:
    edit_tensors(folder, file, change)
    with pytest.raises(BundleError, match=rf"(?s){folder}.*{message}"):
        PolicyBundle.load(folder)


def test_not_safetensors(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"PK\x03\x04 a pickle in a zip")
    digests = json.loads((folder / MANIFEST).read_text())["sha256"]
    digests[WEIGHTS] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    edit_manifest(folder, sha256=digests)
    with pytest.raises(BundleError, match=r"weights\.safetensors: not a safetensors file"):
        PolicyBundle.load(folder)


@given(
    file=st.sampled_from([MANIFEST, KNOWLEDGE]),
    where=st.floats(0, 1, exclude_max=True),
    damage=st.sampled_from(["flip", "cut", "insert"]),
    byte=st.integers(1, 255),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_damage_is_a_bundle_error_or_harmless(
    folder: Path, random_bundle: PolicyBundle, file: str, where: float, damage: str, byte: int
) -> None:
    broken = folder.parent / "broken"
    shutil.rmtree(broken, ignore_errors=True)
    shutil.copytree(folder, broken)
    content = bytearray((broken / file).read_bytes())
    position = int(where * len(content))
    if damage == "flip":
        content[position] ^= byte
    elif damage == "cut":
        del content[position:]
    else:
        content.insert(position, byte)
    (broken / file).write_bytes(content)
    try:
        loaded = PolicyBundle.load(broken)
    except BundleError as error:
        assert str(broken) in str(error)
    else:
        assert file == MANIFEST, "a damaged tensor file was accepted"
        np.testing.assert_array_equal(loaded.embedding("push"), random_bundle.embedding("push"))
