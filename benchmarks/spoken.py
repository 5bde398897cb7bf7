"""Speech made of text with espeak-ng, called in this process: the library and its voices come as a wheel."""

from __future__ import annotations

import ctypes
import wave
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import espeakng_loader
import numpy as np
import numpy.typing as npt

from legion_core.speech.audio import RATE_HZ, Pcm, resampled

RETRIEVAL, UTF8, RATE = 1, 1, 1
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Voice:
    """An espeak-ng voice, such as en-us or en+f3 (British, a woman), and how many words it says in a minute."""

    name: str
    words_per_minute: int = 160


VOICES = (Voice("en-us"), Voice("en"))
"""The plain voices of the United States and of Britain."""
NOISES = ("white", "babble")
TALKERS = (Voice("en-us+f2"), Voice("en-us+m3", 170), Voice("en+m7", 150), Voice("en+f4", 180), Voice("en+f1", 165))
TALK = (
    "the weather tomorrow will be cloudy with some rain in the afternoon",
    "i met her yesterday at the station and we had coffee",
    "did you see the game last night it was really something",
    "the meeting was moved to thursday because of the holiday",
    "nobody knows where the old map of the harbour has gone",
)
"""Who babbles behind the operator, and what."""


@cache
def _library() -> tuple[ctypes.CDLL, int]:
    """espeak-ng, made ready once, and its sample rate in Hz."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(RETRIEVAL, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate <= 0:
        raise RuntimeError(f"espeak-ng does not start (code {rate})")
    return library, rate


def speak(text: str, voice: Voice = VOICES[0]) -> Pcm:
    """The sentence as 16 kHz mono samples, without noise."""
    library, rate = _library()
    pieces: list[npt.NDArray[np.int16]] = []

    def take(samples: ctypes.Array[ctypes.c_short], count: int, events: object) -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0

    callback = Callback(take)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {voice.name!r}")
    library.espeak_SetParameter(RATE, voice.words_per_minute, 0)
    spoken = text.encode() + b"\0"
    library.espeak_Synth(spoken, ctypes.c_size_t(len(spoken)), 0, 1, 0, UTF8, None, None)
    library.espeak_Synchronize()
    return resampled(np.concatenate(pieces), rate)


def write_wav(path: Path, sound: Pcm) -> None:
    """The samples as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(sound.tobytes())


def silence(seconds: float) -> Pcm:
    """So much of nothing."""
    return np.zeros(round(seconds * RATE_HZ), np.int16)


def with_noise(speech: Pcm, snr_db: float, seed: int = 0, pause_s: float = 0.6, noise: str = "white") -> Pcm:
    """The speech between two pauses, all of it in noise of that ratio to the speech's own power (inf: none)."""
    rng = np.random.default_rng(seed)
    whole = np.concatenate([silence(pause_s), speech, silence(pause_s)]).astype(np.float64)
    power = float(np.mean(speech.astype(np.float64) ** 2))
    added: npt.NDArray[np.float64] = rng.normal(size=len(whole)) if noise == "white" else _babble(len(whole), rng)
    return np.clip(whole + np.sqrt(power / 10 ** (snr_db / 10)) * added, -32768, 32767).astype(np.int16)


def _babble(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """So many samples of power one from a room where others talk."""
    room = _room()
    return np.take(room, rng.integers(len(room)) + np.arange(count), mode="wrap")


@cache
def _room() -> npt.NDArray[np.float64]:
    """Every talker says all of it, each from another sentence on."""
    voices = []
    for at, talker in enumerate(TALKERS):
        said = np.concatenate([speak(text, talker) for text in (*TALK[at:], *TALK[:at])]).astype(np.float64)
        voices.append(np.resize(said / said.std(), 15 * RATE_HZ))
    room = np.sum(voices, axis=0)
    return np.asarray(room / room.std())
