"""Where sound comes from: a microphone, a file, or pieces that somebody else hands over."""

from __future__ import annotations

import queue
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from legion_core.errors import LegionError
from legion_core.speech.audio import RATE_HZ, Pcm, Resampler, read_wav
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
        """Take a piece; half a sample waits for the other. False: a piece was lost, as nobody reads fast enough."""
        raw = self._odd + piece
        whole = len(raw) // 2 * 2
        self._odd = raw[whole:]
        lost = self._pieces.full()
        if lost:
            self._pieces.get_nowait()
        self._pieces.put_nowait(raw[:whole])
        return not lost

    def read(self, timeout_s: float) -> Pcm | None:
        """The next piece."""
        try:
            return np.frombuffer(self._pieces.get(timeout=timeout_s), "<i2").astype(np.int16)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Nothing to give back."""


class Microphone:
    """A microphone of this machine through PortAudio (ALSA, PulseAudio, JACK); one at a time in a process.

    Args:
        device: a device's name or part of it; empty: the system's default.

    Raises:
        AudioError: sounddevice or PortAudio is missing, or there is no such device.
    """

    SILENT_S = 2.0
    """A device that gives nothing for so long was unplugged."""

    def __init__(self, device: str = "") -> None:
        sounddevice = _fresh_sounddevice()
        self._pieces = PushedSource()
        self._silent_s = 0.0
        try:
            found = sounddevice.query_devices(device or None, "input")
            rate_hz = _rate_hz(sounddevice, found)
            self._resampler = Resampler(rate_hz)
            self._stream = sounddevice.RawInputStream(
                samplerate=rate_hz,
                blocksize=round(CHUNK_S * rate_hz),
                dtype="int16",
                channels=1,
                device=found["index"],
                callback=self._take,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            wanted = f"microphone {device!r}" if device else "default microphone"
            names = ", ".join(map(repr, _names(sounddevice))) or "none"
            raise AudioError(f"no {wanted}: {error} (microphones here: {names})") from error
        self.name, self.rate_hz = str(found["name"]), rate_hz

    def _take(self, samples: Any, frames: int, time: Any, status: Any) -> None:
        self._pieces.push(bytes(samples))

    def read(self, timeout_s: float) -> Pcm | None:
        """The next tenth of a second."""
        samples = self._pieces.read(timeout_s)
        self._silent_s = 0.0 if samples is not None else self._silent_s + timeout_s
        if not self._stream.active or self._silent_s > self.SILENT_S:
            raise AudioError(f"the microphone {self.name!r} gives nothing any more: was it unplugged?")
        return None if samples is None else self._resampler.feed(samples)

    def close(self) -> None:
        """Stop listening."""
        self._stream.close()


def microphones() -> list[str]:
    """Names of the microphones that are there now, the default one first.

    Raises:
        AudioError: sounddevice or PortAudio is missing.
    """
    return _names(_fresh_sounddevice())


def _fresh_sounddevice() -> Any:
    """The module, with PortAudio's list of devices as it is now: PortAudio makes it when it starts, and never again."""
    try:
        import sounddevice
    except ImportError as error:
        raise AudioError(f"sounddevice is missing; {INSTALL_HINT}") from error
    except OSError as error:
        raise AudioError("the PortAudio library is missing: apt-get install libportaudio2") from error
    sounddevice._terminate()
    sounddevice._initialize()
    return sounddevice


def _names(sounddevice: Any) -> list[str]:
    default = sounddevice.default.device[0]
    inputs = [device for device in sounddevice.query_devices() if device["max_input_channels"] > 0]
    return [str(device["name"]) for device in sorted(inputs, key=lambda device: device["index"] != default)]


def _rate_hz(sounddevice: Any, device: Any) -> int:
    """16 kHz where the device gives that, its own rate where it does not."""
    try:
        sounddevice.check_input_settings(device["index"], channels=1, dtype="int16", samplerate=RATE_HZ)
    except sounddevice.PortAudioError:
        return round(float(device["default_samplerate"]))
    return RATE_HZ
