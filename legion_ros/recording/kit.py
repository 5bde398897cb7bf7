"""What a recording carries besides messages, so that a replay needs nothing else: robot profile with its files, policy.

The profile's files are rewritten to lie beside it, and its model is the expanded description.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import yaml

from legion_core.bundle import DEFAULT_BUNDLE, MANIFEST, TENSOR_FILES, PolicyBundle, read_bytes
from legion_core.errors import ConfigurationError, RecordingError
from legion_sim2real.robot import RobotProfile, config_file, load_profile

ROBOT_FILE, MODEL_FILE = "robot/profile.yaml", "robot/description.urdf"
NAMED_FILES = ("calibration", "camera", "safety")
"""Keys of a profile that name files."""
EXPRESSIONS = (b"${", b"$(", b"xacro:")
"""What xacro would compute or fetch."""
POLICY = "policy"
HINT = "legion record writes both while the graph runs on the same machine"
MEDIA_TYPES = {".yaml": "application/yaml", ".urdf": "application/xml", ".json": "application/json"}


def media_type(name: str) -> str:
    """The media type of one of the files."""
    return MEDIA_TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")


def robot_files(profile: RobotProfile) -> dict[str, bytes]:
    """The profile and every file that it names.

    Raises:
        LegionError: one of them cannot be read.
    """
    data = json.loads(json.dumps(dataclasses.asdict(profile)))
    files = {MODEL_FILE: profile.description().urdf.encode()}
    data["model"] = PurePosixPath(MODEL_FILE).name
    for key in NAMED_FILES:
        if data[key] is not None:
            files[f"robot/{key}.yaml"] = _read(config_file(data[key]))
            data[key] = f"{key}.yaml"
    return {ROBOT_FILE: yaml.safe_dump(data, sort_keys=False).encode(), **files}


def policy_files(folder: Path | None) -> dict[str, bytes]:
    """The policy bundle in `folder`; None: the one that comes with the package.

    Raises:
        BundleError: a file of it cannot be read.
    """
    chosen = folder or DEFAULT_BUNDLE
    return {f"{POLICY}/{name}": read_bytes(chosen / name) for name in (MANIFEST, *TENSOR_FILES)}


def digest(files: Mapping[str, bytes]) -> str:
    """The sha256 of a policy's manifest, which holds those of its other files."""
    return hashlib.sha256(files[f"{POLICY}/{MANIFEST}"]).hexdigest()


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the robot's and the policy's files into a folder; names that would lead out of it are left alone."""
    for name, content in files.items():
        path = PurePosixPath(name)
        if len(path.parts) == 2 and path.parts[0] in ("robot", POLICY) and path.name not in ("", "..", "."):
            target = folder / path.parts[0] / path.name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)


def load_robot(folder: Path) -> RobotProfile:
    """The profile in a folder that was unpacked.

    A recording may come from anybody: what it names must lie in it, and its description must have been expanded.

    Raises:
        RecordingError: there is none, or it is not self-contained.
        LegionError: it is malformed.
    """
    if not (folder / ROBOT_FILE).is_file():
        raise RecordingError(f"it holds no robot profile; {HINT}")
    profile = load_profile(str(folder / ROBOT_FILE))
    for key in ("model", *NAMED_FILES):
        named = getattr(profile, key)
        if named is not None and Path(named).parent != (folder / ROBOT_FILE).resolve().parent:
            raise RecordingError(f"{ROBOT_FILE} names {key} {named!r}, which is not in it")
    text = (folder / MODEL_FILE).read_bytes()
    if any(mark in text for mark in EXPRESSIONS):
        raise RecordingError(f"{MODEL_FILE} is to be expanded, which nobody but its author should do")
    return profile


def load_policy(folder: Path) -> PolicyBundle:
    """The policy in a folder that was unpacked.

    Raises:
        RecordingError: there is none.
        BundleError: it is damaged.
    """
    if not (folder / POLICY / MANIFEST).is_file():
        raise RecordingError(f"it holds no policy; {HINT}")
    return PolicyBundle.load(folder / POLICY)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
