"""Where sound comes from: a microphone, a file, or pieces that somebody else hands over."""

from __future__ import annotations

import queue
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from legion_core.errors import LegionError
from legion_core.speech.audio import RATE_HZ, Pcm, read_wav
from legion_core.speech.sphinx import INSTALL_HINT

CHUNK_S = 0.1
TAIL_S = 1.0
"""Silence behind a file, so that its last utterance ends."""
_CHUNK = round(CHUNK_S * RATE_HZ)


class AudioError(LegionError):
    """There is no sound to be had, now; later there may be."""


class AudioSource(Protocol):
    """Gives sound piece by piece."""

    def read(self, timeout_s: float) -> Pcm | None:
        """The next samples, or None if there are none in that time.

        Raises:
            AudioError: the device is gone.
            EOFError: nothing comes any more.
        """
        ...

    def close(self) -> None:
        """Give the device back."""
        ...


class WavSource:
    """The samples of a WAV file, then silence, then the end; `paced` as a microphone gives them."""

    def __init__(self, path: Path | str, paced: bool = False) -> None:
        self._samples = np.concatenate([read_wav(path), np.zeros(round(TAIL_S * RATE_HZ), np.int16)])
        self._at = 0
        self._paced, self._began_s = paced, 0.0

    def read(self, timeout_s: float) -> Pcm | None:
        """The next tenth of a second."""
        if self._at >= len(self._samples):
            raise EOFError
        if self._paced:
            self._began_s = self._began_s or time.monotonic()
            time.sleep(max(0.0, self._began_s + (self._at + _CHUNK) / RATE_HZ - time.monotonic()))
        self._at += _CHUNK
        return self._samples[self._at - _CHUNK : self._at]

    def close(self) -> None:
        """Nothing to give back."""


class PushedSource:
    """Bytes that somebody pushes from another thread: s16le, in pieces of any size."""

    LIMIT = 300
    """Pieces that wait at most; the oldest are lost."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes] = queue.Queue(self.LIMIT)
        self._odd = b""

    def push(self, piece: bytes) -> bool:
        """Take a piece. False: another one was lost, as nobody reads fast enough."""
        lost = self._pieces.full()
        if lost:
            self._pieces.get_nowait()
        self._pieces.put_nowait(piece)
        return not lost

    def read(self, timeout_s: float) -> Pcm | None:
        """The next piece; half a sample waits for its other half."""
        try:
            raw = self._odd + self._pieces.get(timeout=timeout_s)
        except queue.Empty:
            return None
        whole = len(raw) // 2 * 2
        self._odd = raw[whole:]
        return np.frombuffer(raw[:whole], "<i2").astype(np.int16)

    def close(self) -> None:
        """Nothing to give back."""


class Microphone:
    """The microphone of this machine through PortAudio (ALSA, PulseAudio).

    Args:
        device: a device's name or part of it; empty: the system's default.

    Raises:
        AudioError: sounddevice or PortAudio is missing, or there is no such device.
    """

    SILENT_S = 2.0
    """A device that gives nothing for so long was unplugged."""

    def __init__(self, device: str = "") -> None:
        try:
            import sounddevice
        except ImportError as error:
            raise AudioError(f"sounddevice is missing; {INSTALL_HINT}") from error
        except OSError as error:
            raise AudioError("the PortAudio library is missing: apt-get install libportaudio2") from error
        self._pieces = PushedSource()
        self._silent_s = 0.0
        try:
            self._stream = sounddevice.RawInputStream(
                samplerate=RATE_HZ,
                blocksize=_CHUNK,
                dtype="int16",
                channels=1,
                device=device or None,
                callback=self._take,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise AudioError(f"no microphone {device!r}: {error}") from error

    def _take(self, samples: Any, frames: int, time: Any, status: Any) -> None:
        self._pieces.push(bytes(samples))

    def read(self, timeout_s: float) -> Pcm | None:
        """The next tenth of a second."""
        samples = self._pieces.read(timeout_s)
        self._silent_s = 0.0 if samples is not None else self._silent_s + timeout_s
        if not self._stream.active or self._silent_s > self.SILENT_S:
            raise AudioError("the microphone gives nothing any more: was it unplugged?")
        return samples

    def close(self) -> None:
        """Stop listening."""
        self._stream.close()
