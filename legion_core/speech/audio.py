"""Sound as this package has it: 16 kHz, one channel, 16 bits."""

from __future__ import annotations

import wave
from math import ceil, gcd, log10
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from legion_core.errors import ConfigurationError

RATE_HZ = 16_000
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
    """A WAV file of any rate, number of channels and width of 8 to 32 bits as 16 kHz mono.

    Raises:
        ConfigurationError: the file cannot be read or is no PCM in WAV.
    """
    try:
        with wave.open(str(path), "rb") as file:
            rate_hz, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            raw = file.readframes(file.getnframes())
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (wave.Error, EOFError) as error:
        raise ConfigurationError(f"{path} is no WAV file of PCM samples: {error}") from error
    whole = len(raw) // (width * channels) * width * channels
    return resampled(_values(raw[:whole], width).reshape(-1, channels).mean(axis=1), rate_hz)


def _values(raw: bytes, width: int) -> npt.NDArray[np.float64]:
    """Little-endian samples of so many bytes in int16's range; those of one byte have no sign."""
    if width == 1:
        return (np.frombuffer(raw, np.uint8).astype(np.float64) - 128) * 256
    if width == 3:
        padded = np.zeros((len(raw) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return padded.view("<i4")[:, 0] / 65536
    return np.frombuffer(raw, f"<i{width}") / float(256 ** (width - 2))
