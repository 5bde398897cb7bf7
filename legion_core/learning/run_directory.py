"""A run's folder: settings, metrics, checkpoints, stages and bundles, with one process at a time that writes.

run.yaml              the settings                        checkpoints/000042/  the newest two, and each stage's last
metrics.jsonl         one record a line                   stages/00-reach/     what a stage left: bundle, latents
tensorboard/          the same numbers as scalars         best/  bundle/       the best policy so far; the last one
replay/               the transitions                     lock                 held by the process at work
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib.util
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import yaml

from legion_core.config import load_yaml
from legion_core.errors import CheckpointError, ConfigurationError, RunError, unknown
from legion_core.learning import checkpoint

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

    from legion_core.bundle import PolicyBundle

SETTINGS = "run.yaml"
METRICS = "metrics.jsonl"
LOCK = "lock"
CHECKPOINTS = "checkpoints"
STAGES = "stages"
BEST = "best"
FINAL = "bundle"
DRAFT_PREFIX = ".draft-"
"""How the name of a folder begins in which a bundle is being written."""
KEPT = 2
"""The newest checkpoints that stay, beside those at a stage's end."""
PROGRESS = ("kind", "stage", "round", "update", "env_steps", "wall_s")
"""Of a record: when it was made, which is no scalar."""
NAMES = ("task", "who", "arm", "actuation")
"""Of a record: what its numbers are about, which becomes part of a scalar's tag."""


class RunDirectory:
    """A run's folder, opened by `create`, `open` or `read`; a context manager that gives the lock back.

    Args:
        path: an existing run.
        lock: the locked file, None to read only.
        tensorboard: also write scalars for TensorBoard.
    """

    def __init__(self, path: Path, lock: IO[str] | None, tensorboard: bool) -> None:
        self.path = path
        self.settings = load_yaml(path / SETTINGS)
        self._lock, self._tensorboard = lock, tensorboard
        self._writer: SummaryWriter | None = None

    @classmethod
    def create(cls, path: Path | str, settings: Mapping[str, Any], *, tensorboard: bool = True) -> RunDirectory:
        """A new run of those settings (what YAML can hold).

        Raises:
            RunError: `path` exists, or cannot be written.
            ConfigurationError: TensorBoard is wanted and not installed.
        """
        folder = Path(path)
        _require_tensorboard(tensorboard)
        text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
        try:
            folder.mkdir(parents=True)
            lock = _locked(folder)
            draft = folder / f"{SETTINGS}.new"
            draft.write_text(text, encoding="utf-8")
            draft.rename(folder / SETTINGS)
        except FileExistsError as error:
            raise RunError(
                f"{folder} exists already; choose another folder, or continue that run (--resume)"
            ) from error
        except OSError as error:
            raise RunError(f"cannot write {folder}: {error.strerror}") from error
        return cls(folder, lock, tensorboard)

    @classmethod
    def open(cls, path: Path | str, *, tensorboard: bool = True) -> RunDirectory:
        """The run in that folder, to be continued after a `rewind`.

        Raises:
            RunError: there is no run, or another process works in it; the message has its number.
            ConfigurationError: TensorBoard is wanted and not installed.
        """
        folder = _existing_run(path)
        _require_tensorboard(tensorboard)
        try:
            lock = _locked(folder)
            metrics = folder / METRICS
            if metrics.exists():  # a process that was killed may have left part of a line
                os.truncate(metrics, len(_complete_lines(metrics)))
            return cls(folder, lock, tensorboard)
        except OSError as error:
            raise RunError(f"cannot write {folder}: {error.strerror}") from error

    @classmethod
    def read(cls, path: Path | str) -> RunDirectory:
        """The run in that folder, to be looked at, even while a process works in it.

        Raises:
            RunError: there is no run.
        """
        return cls(_existing_run(path), None, False)

    def close(self) -> None:
        """Write what is left to write, and give the lock back."""
        self._close_tensorboard()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- places ------------------------------------------------------------------------------------------------

    @property
    def replay(self) -> Path:
        """Where the replay keeps its rows."""
        return self.path / "replay"

    @property
    def stages(self) -> list[Path]:
        """The folders of the stages that have ended, in their order."""
        return _folders(self.path / STAGES)

    def stage(self, name: str) -> Path:
        """The folder for what a stage leaves, made if it is not there; `name` begins with its number: 00-reach."""
        self._require_lock()
        folder = self.path / STAGES / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot write {folder}: {error.strerror}") from error
        return folder

    def replace_bundle(self, name: str, bundle: PolicyBundle) -> None:
        """Save a policy as BEST or FINAL, in the place of an earlier one.

        Raises:
            BundleError: it cannot be written; the earlier one stays.
            RunError: the disk is full, or the folder was opened for reading.
        """
        self._require_lock()
        try:
            with tempfile.TemporaryDirectory(dir=self.path, prefix=DRAFT_PREFIX) as temporary:
                bundle.save(Path(temporary) / name)
                _replace(self.path / name, Path(temporary) / name)
        except OSError as error:
            raise RunError(f"cannot write {self.path / name}: {error.strerror}") from error

    # -- metrics -----------------------------------------------------------------------------------------------

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record to metrics.jsonl and its numbers to TensorBoard; numbers that are not finite become null.

        Raises:
            RunError: the disk is full (no part of the record is written), or the folder was opened for reading.
        """
        self._require_lock()
        plain = _plain(record)
        line = (json.dumps(plain, allow_nan=False) + "\n").encode()
        path = self.path / METRICS
        try:
            with path.open("ab", buffering=0) as stream:
                before = stream.tell()
                if stream.write(line) != len(line):
                    stream.truncate(before)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}") from error
        if self._tensorboard:
            self._write_scalars(plain)

    def metrics(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl; a last line that is not complete yet is left out.

        Raises:
            RunError: the file cannot be read, or a line is no record.
        """
        path, records = self.path / METRICS, []
        for number, line in enumerate(_complete_lines(path).splitlines(), 1):
            try:
                record = json.loads(line)
            except ValueError as error:
                raise RunError(f"{path}, line {number}: not valid JSON ({error})") from error
            if not isinstance(record, dict):
                raise RunError(f"{path}, line {number}: expected a mapping, got {type(record).__name__}")
            records.append(record)
        return records

    def _write_scalars(self, record: Mapping[str, Any]) -> None:
        writer = self._summary_writer()
        for tag, value in scalars(record):
            writer.add_scalar(tag, value, record.get("update", 0))
        writer.flush()

    def _summary_writer(self) -> SummaryWriter:
        if self._writer is None:
            from torch.utils.tensorboard.writer import SummaryWriter  # takes seconds, and pulls in torch

            earlier = [record.get("update", 0) for record in self.metrics()[:-1]]
            self._writer = SummaryWriter(  # type: ignore[no-untyped-call]
                str(self.path / "tensorboard"), purge_step=max(earlier, default=-1) + 1
            )
        return self._writer

    def _close_tensorboard(self) -> None:
        if self._writer is not None:
            self._writer.close()  # type: ignore[no-untyped-call]
            self._writer = None

    # -- checkpoints -------------------------------------------------------------------------------------------

    def checkpoints(self) -> list[str]:
        """The numbers (000042) of the checkpoints that are there, oldest first."""
        return [folder.name for folder in _folders(self.path / CHECKPOINTS) if folder.name.isdigit()]

    def newest_checkpoint(self) -> str:
        """Number of the newest checkpoint.

        Raises:
            RunError: there is none.
        """
        numbers = self.checkpoints()
        if not numbers:
            raise RunError(f"{self.path / CHECKPOINTS}: no checkpoint yet; start the run again in another folder")
        return numbers[-1]

    def save_checkpoint(
        self, tensors: Mapping[str, npt.NDArray[Any]], state: Mapping[str, Any], *, stage_end: bool
    ) -> str:
        """Keep a new checkpoint and drop those no longer needed; returns its number.

        Raises:
            CheckpointError: it cannot be written; all earlier ones stay.
            RunError: the folder was opened for reading.
        """
        self._require_lock()
        numbers = self.checkpoints()
        number = f"{int(numbers[-1]) + 1 if numbers else 0:06d}"
        place = {
            "stage_end": stage_end,
            "metrics_bytes": _size(self.path / METRICS),
            "stages": [folder.name for folder in self.stages],
            "best": _bundle_digest(self.path / BEST),
        }
        checkpoint.save(self.path / CHECKPOINTS / number, tensors, {"run": place, "state": dict(state)})
        for old in self.checkpoints()[:-KEPT]:
            with suppress(OSError, CheckpointError):  # one that is damaged stays, for somebody to look at
                if not self._envelope(old)["run"]["stage_end"]:
                    _discard(self.path / CHECKPOINTS / old)
        return number

    def load_checkpoint(self, number: str) -> tuple[checkpoint.Tensors, dict[str, Any]]:
        """Arrays and state of that checkpoint.

        Raises:
            RunError: there is none of that number; the message lists those there are.
            CheckpointError: it is damaged.
        """
        tensors, envelope = checkpoint.load(self._checkpoint_folder(number))
        return tensors, envelope["state"]

    def checkpoint_state(self, number: str) -> dict[str, Any]:
        """State of that checkpoint, without its arrays. Raises as `load_checkpoint` does."""
        state: dict[str, Any] = self._envelope(number)["state"]
        return state

    def rewind(self, number: str | None = None) -> tuple[checkpoint.Tensors, dict[str, Any]]:
        """Make the folder what it was at a checkpoint, by default the newest; returns its arrays and state.

        Newer metrics, checkpoints, stages and bundles go; the replay has its own `rewind`.

        Raises:
            RunError: there is no such checkpoint, or metrics.jsonl is shorter than it was then; nothing has changed.
            CheckpointError: it is damaged; nothing has changed.
        """
        self._require_lock()
        number = self.newest_checkpoint() if number is None else self._checkpoint_folder(number).name
        tensors, state = self.load_checkpoint(number)
        place = self._envelope(number)["run"]
        metrics, size = self.path / METRICS, place["metrics_bytes"]
        if _size(metrics) < size:
            raise RunError(f"{metrics}: {_size(metrics)} bytes; checkpoint {number} expects at least {size}")
        best = self._bundle_of(place["best"])
        self._close_tensorboard()
        try:
            for pattern in (f"{DRAFT_PREFIX}*", f"{CHECKPOINTS}/.*", f"{STAGES}/.*"):
                for left_behind in self.path.glob(pattern):
                    shutil.rmtree(left_behind)
            # The newest go first: killed at any point, the folder can still be rewound to the newest that is left.
            for newer in reversed(self.checkpoints()):
                if int(newer) > int(number):
                    _discard(self.path / CHECKPOINTS / newer)
            if metrics.exists():
                os.truncate(metrics, size)
            self._restore_bundles(best)
            for folder in self.stages:
                if folder.name not in place["stages"]:
                    _discard(folder)
        except OSError as error:
            raise RunError(f"cannot write {error.filename or self.path}: {error.strerror}") from error
        return tensors, state

    def _checkpoint_folder(self, number: str) -> Path:
        numbers = self.checkpoints()
        known = {int(n): n for n in numbers}
        if not number.isdecimal() or int(number) not in known:
            raise RunError(f"{self.path}: " + unknown("checkpoint", number, numbers))
        return self.path / CHECKPOINTS / known[int(number)]

    def _envelope(self, number: str) -> dict[str, Any]:
        return checkpoint.load_state(self._checkpoint_folder(number))

    def _bundle_of(self, digest: str | None) -> Path | None:
        """Where a bundle lies that was BEST: each came from a stage."""
        if digest is None:
            return None
        for folder in (self.path / BEST, *(stage / "bundle" for stage in self.stages)):
            if _bundle_digest(folder) == digest:
                return folder
        raise RunError(f"{self.path}: the bundle that was {BEST} at that checkpoint is in no stage's folder any more")

    def _restore_bundles(self, best: Path | None) -> None:
        shutil.rmtree(self.path / FINAL, ignore_errors=True)
        if best is None:
            shutil.rmtree(self.path / BEST, ignore_errors=True)
        elif best != self.path / BEST:
            with tempfile.TemporaryDirectory(dir=self.path, prefix=DRAFT_PREFIX) as temporary:
                _replace(self.path / BEST, shutil.copytree(best, Path(temporary) / BEST))

    def _require_lock(self) -> None:
        if self._lock is None:
            raise RunError(f"{self.path} was opened for reading")


def require_free_space(path: Path | str, needed: int) -> None:
    """Make sure that `needed` bytes are free where `path` is or will be.

    Raises:
        RunError: they are not; the message has path, needed and free.
    """
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise RunError(f"{path}: {needed / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free")


def scalars(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Tag and value of each number in a record of metrics.jsonl; beside episodes and successes comes their ratio."""
    names = [str(record[name]) for name in NAMES if name in record]
    values = {name: value for name, value in record.items() if name not in (*PROGRESS, *NAMES)}
    yield from _numbers("/".join([str(record.get("kind", "record")), *names]), values)


def _numbers(tag: str, values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(f"{tag}/{name}", value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{tag}/{name}", float(value)
    if values.get("episodes") and "successes" in values:
        yield f"{tag}/success", values["successes"] / values["episodes"]


def _plain(value: Any) -> Any:
    """The same in JSON's own types."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _existing_run(path: Path | str) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; expected that of a run")
    if not (folder / SETTINGS).is_file():
        raise RunError(f"{folder} is not the folder of a run: {SETTINGS} is missing")
    return folder


def _locked(folder: Path) -> IO[str]:
    """The lock of that run, held until it is closed or the process ends."""
    stream = (folder / LOCK).open("a+", encoding="ascii")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.seek(0)
        owner = stream.read().strip() or "unknown"
        stream.close()
        raise RunError(f"{folder} is in use by process {owner}") from error
    stream.truncate(0)
    stream.write(f"{os.getpid()}\n")
    stream.flush()
    return stream


def _require_tensorboard(wanted: bool) -> None:
    if wanted and importlib.util.find_spec("tensorboard") is None:
        raise ConfigurationError(
            "tensorboard is not installed: python -m pip install tensorboard (or switch it off: tensorboard: false)"
        )


def _replace(folder: Path, draft: Path) -> None:
    """Put `draft` in the place of `folder`, which goes where the draft was: into a temporary folder."""
    if folder.exists():
        folder.rename(draft.with_name("earlier"))
    draft.rename(folder)


def _discard(folder: Path) -> None:
    """Remove a folder; a process that is killed meanwhile leaves none of that name that is half there."""
    hidden = folder.with_name(f".{folder.name}")
    shutil.rmtree(hidden, ignore_errors=True)
    folder.rename(hidden)
    shutil.rmtree(hidden)


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _complete_lines(path: Path) -> bytes:
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    return content[: content.rfind(b"\n") + 1]


def _bundle_digest(folder: Path) -> str | None:
    """What tells bundles apart: the digest of the manifest, which holds those of the other files."""
    manifest = folder / "manifest.json"
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else None
