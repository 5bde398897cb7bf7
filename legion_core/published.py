"""Reading the files that LEGION's authors publish: numbers and names only, whatever else may be in them."""

from __future__ import annotations

import io
import json
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import mode
from typing import Any

import numpy as np
import numpy.typing as npt

from legion_core.bundle import read_bytes
from legion_core.errors import BundleError
from legion_core.spaces import Float32

PATTERNS = {
    "actor": ("actor_*.pt",),
    "encoder": ("vae_*.pt", "encoder_*.pt"),
    "task_encoder": ("task_encoder_*.pt",),
    "embeddings": ("*.json",),
    "latents": ("latent_*.npz",),
}
"""Under which names the authors' code and repository keep each file."""
MIXTURE = {"z": "f", "env_name": "U", "cluster_label": "iu", "cluster_mu": "f", "cluster_var": "f"}
"""The arrays that describe a mixture, with the kinds of numpy types that each may have."""
KINDS = {"f": "floats", "U": "text", "iu": "integers"}
LISTED = 8


@dataclass(frozen=True)
class PublishedFiles:
    """What one published policy consists of."""

    actor: Path
    """State dict of the actor: [observation, z] -> mean and log standard deviation of the action."""
    encoder: Path
    """State dict of the task inference: [observation, embedding] -> mean and log variance of z."""
    task_encoder: Path
    """State dict with the table of embeddings, a row a task."""
    embeddings: Path
    """JSON: the same embeddings by the task's Meta-World name."""
    latents: Path
    """npz: latents, the task and the mixture component of each, and that component's mean and variance."""

    @classmethod
    def find(cls, folder: Path | None = None, **given: Path | None) -> PublishedFiles:
        """The files that are `given` by name, and for the others those that `folder` holds.

        Raises:
            BundleError: a file that is not there, or of which there are several; the message names it.
        """
        return cls(**{f.name: _find(f.name, folder, given.get(f.name)) for f in fields(cls)})


def stem(environment: str) -> str:
    """Meta-World's name of a task without its version: reach for reach-v1, reach-v2 and reach-v3."""
    return re.sub(r"-v\d+$", "", environment)


def load_state_dict(path: Path) -> dict[str, Float32]:
    """The float32 tensors of a torch state dict. Nothing else is unpickled, so that no code in the file can run.

    Raises:
        BundleError: the file cannot be read, holds anything but float32 tensors by name, or is damaged.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's are about files that end in an error here
            state = torch.load(io.BytesIO(read_bytes(path)), map_location="cpu", weights_only=True)
    except BundleError:
        raise
    except Exception as error:  # a damaged file can fail anywhere in torch
        if isinstance(error, pickle.UnpicklingError) or "TorchScript" in str(error):
            raise BundleError(
                f"{path}: refused: it holds more than tensors, and reading that could run code; "
                "save the state dict alone: torch.save(module.state_dict(), FILE)"
            ) from error
        raise BundleError(f"{path}: not a file of torch.save, or damaged ({type(error).__name__})") from error
    if not isinstance(state, Mapping):
        raise BundleError(f"{path}: expected a state dict, found {type(state).__name__}")
    tensors: dict[str, Float32] = {}
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            raise BundleError(f"{path}: {name} is {type(tensor).__name__}; expected a tensor")
        kind = (tensor.dtype, tensor.layout, tensor.device.type)
        if kind != (torch.float32, torch.strided, "cpu"):
            found = ", ".join(map(str, kind))
            raise BundleError(f"{path}: {name} is {tuple(tensor.shape)}, {found}; expected torch.float32, strided")
        tensors[str(name)] = np.array(tensor.detach().numpy(), np.float32, order="C")
    return tensors


def load_embeddings(path: Path) -> tuple[list[str], Float32]:
    """The names of the tasks, as published, and their embeddings (T, E).

    Raises:
        BundleError: the file cannot be read, or is no JSON mapping from names to equally long lists of finite numbers.
    """
    try:
        data = json.loads(read_bytes(path), parse_int=float)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(data, dict) or not data:
        raise BundleError(f"{path}: expected a mapping from task names to embeddings")
    for name, vector in data.items():
        if not (isinstance(vector, list) and vector and all(type(number) is float for number in vector)):
            raise BundleError(f"{path}: {name}: expected a list of numbers")
    size = mode(map(len, data.values()))
    for name, vector in data.items():
        if len(vector) != size:
            raise BundleError(f"{path}: {name} has {len(vector)} numbers; expected {size}, as the others")
    with np.errstate(over="ignore"):  # too large for float32 is not finite either
        vectors = np.array(list(data.values())).astype(np.float32)
    for name, vector in zip(data, vectors, strict=True):
        if not np.isfinite(vector).all():
            raise BundleError(f"{path}: {name} holds numbers that are not finite")
    return list(data), vectors


def load_mixture(path: Path, latent: int) -> dict[str, npt.NDArray[Any]]:
    """The arrays of MIXTURE for N > 0 latents: names and labels (N,), the others (N, latent).

    Raises:
        BundleError: the file cannot be read, or an array is missing, misshapen, of another type or not finite.
    """
    try:
        archive = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
        held = archive.files
        arrays = {name: archive[name] for name in MIXTURE if name in held}
    except BundleError:
        raise
    except Exception as error:  # a damaged file can fail anywhere in zipfile, zlib or numpy
        raise BundleError(f"{path}: not an npz file of plain arrays, or damaged ({error})") from error
    missing = [name for name in MIXTURE if name not in arrays]
    if missing:
        raise BundleError(f"{path}: lacks {', '.join(missing)}; the file holds {listed(held)}")
    count = mode(len(array) if array.ndim else 0 for array in arrays.values())
    for name, kinds in MIXTURE.items():
        array, shape = arrays[name], (count, latent) if kinds == "f" else (count,)
        if array.shape != shape or array.dtype.kind not in kinds:
            raise BundleError(f"{path}: {name} is {array.dtype} {array.shape}; expected {KINDS[kinds]} {shape}")
        if kinds == "f" and not np.isfinite(array).all():
            raise BundleError(f"{path}: {name} holds numbers that are not finite")
    if not count:
        raise BundleError(f"{path}: no latents")
    return {name: arrays[name] for name in MIXTURE}


def listed(names: Iterable[str]) -> str:
    """The first of the names, for a message."""
    every = list(names)
    return ", ".join(every[:LISTED]) + (f" and {len(every) - LISTED} more" if len(every) > LISTED else "") or "nothing"


def _find(part: str, folder: Path | None, given: Path | None) -> Path:
    words, option = part.replace("_", " "), f"--{part.replace('_', '-')}"
    if given is not None:
        return given
    if folder is None:
        raise BundleError(f"the published {words} is missing: name its file with {option}, or a folder with --folder")
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such folder; expected the published files")
    found = sorted(path for pattern in PATTERNS[part] for path in folder.glob(pattern))
    if len(found) == 1:
        return found[0]
    what = f"found {listed(path.name for path in found)}" if found else "no such file"
    raise BundleError(f"{folder}: {words} ({' or '.join(PATTERNS[part])}): {what}; name the file with {option}")
