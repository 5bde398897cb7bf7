"""Sound as this package has it: 16 kHz, one channel, 16 bits."""

from __future__ import annotations

import warnings
from math import ceil, gcd, log10
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.io import wavfile
from scipy.signal import resample_poly

from legion_core.errors import ConfigurationError

RATE_HZ = 16_000
LOWEST_HZ, HIGHEST_HZ = 4_000, 384_000
"""Rates at which speech is recorded; what claims another one is damaged."""
Pcm: TypeAlias = npt.NDArray[np.int16]


def resampled(samples: npt.ArrayLike, rate_hz: int) -> Pcm:
    """Samples (N,) in int16's range and of any rate as 16 kHz."""
    values = np.asarray(samples, np.float64)
    if rate_hz != RATE_HZ:
        common = gcd(rate_hz, RATE_HZ)
        values = resample_poly(values, RATE_HZ // common, rate_hz // common)
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16)


def level_db(samples: Pcm) -> float:
    """How loud the samples are: decibels of full scale, at most 0, and -100 for nothing."""
    power = float(np.mean((samples / 32768.0) ** 2)) if len(samples) else 0.0
    return 10 * log10(max(power, 1e-10))


class Resampler:
    """Samples of any rate as 16 kHz, piece by piece: a little later, what `resampled` makes of the whole."""

    def __init__(self, rate_hz: int) -> None:
        common = gcd(rate_hz, RATE_HZ)
        self._rate_hz, self._up, self._down = rate_hz, RATE_HZ // common, rate_hz // common
        # the filter of resample_poly reaches ten samples of the lower rate to each side
        self._context = self._down * ceil(11 / min(self._up, self._down))
        self._waiting = np.zeros(self._context, np.int16)

    def feed(self, samples: Pcm) -> Pcm:
        """The samples at 16 kHz that these complete."""
        if self._rate_hz == RATE_HZ:
            return samples
        waiting = np.concatenate([self._waiting, samples])
        whole = max(0, len(waiting) // self._down * self._down - 2 * self._context)
        self._waiting = waiting[whole:]
        edge = self._context // self._down * self._up
        used = resampled(waiting[: whole + 2 * self._context], self._rate_hz)
        return used[edge : edge + whole // self._down * self._up]


def read_wav(path: Path | str) -> Pcm:
    """A WAV file of any number of channels, of integers of 8 to 64 bits or floating point, as 16 kHz mono.

    Raises:
        ConfigurationError: the file cannot be read, or is no such WAV file.
    """
    try:
        with warnings.catch_warnings():  # of chunks that hold no sound, and of an end that comes too early
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            rate_hz, samples = wavfile.read(path)
        if not LOWEST_HZ <= rate_hz <= HIGHEST_HZ:
            raise ValueError(f"it claims {rate_hz} samples a second")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # a damaged file makes the library raise whatever it stumbles over
        why = f": {error}" if isinstance(error, ValueError) else ""
        raise ConfigurationError(f"{path} is no WAV file of sound{why}") from error
    return resampled(np.atleast_2d(_as_int16(samples).T).mean(axis=0), rate_hz)


def _as_int16(samples: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Samples of any type in int16's range; bytes have no sign."""
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128) * 256
    if samples.dtype.kind == "f":
        return np.nan_to_num(samples.astype(np.float64)) * 32768
    return samples / 2.0 ** (8 * samples.dtype.itemsize - 16)
