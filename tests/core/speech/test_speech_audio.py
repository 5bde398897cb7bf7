"""Sound from files and in pieces becomes 16 kHz mono, and what is none is one clear error."""

from __future__ import annotations

import contextlib
import struct
import sys
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from legion_core.errors import ConfigurationError
from legion_core.speech.audio import RATE_HZ, Resampler, read_wav, resampled
from legion_core.speech.sources import AudioError, Microphone, PushedSource, WavSource, microphones


def write_tone(path: Path, rate_hz: int, channels: int, width: int) -> None:
    """A second of 440 Hz at half of the full scale."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)
    values = np.repeat(np.rint(tone * (2 ** (8 * width - 1) - 1)).astype(np.int64), channels)
    raw = (
        (values + 128).astype(np.uint8).tobytes()
        if width == 1
        else b"".join(int(value).to_bytes(width, "little", signed=True) for value in values)
    )
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(raw)


@pytest.mark.parametrize(("rate_hz", "channels", "width"), [(16000, 1, 2), (44100, 2, 2), (8000, 1, 1), (48000, 2, 3)])
def test_files_of_any_kind_sound_alike(tmp_path: Path, rate_hz: int, channels: int, width: int) -> None:
    write_tone(tmp_path / "tone.wav", rate_hz, channels, width)
    samples = read_wav(tmp_path / "tone.wav")
    expected = 16384 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    middle = slice(1000, -1000)
    assert len(samples) == RATE_HZ
    assert np.abs(samples[middle] - expected[middle]).max() < 400


@pytest.mark.parametrize("kind", ["float", "extensible"])
def test_files_of_other_programs_are_read(tmp_path: Path, kind: str) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    if kind == "float":
        wavfile.write(tmp_path / "tone.wav", RATE_HZ, tone.astype(np.float32))
    else:  # as ffmpeg writes 24 bits
        raw = np.rint(tone * 2**23).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        subtype = bytes.fromhex("0100000000001000800000aa00389b71")
        form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE_HZ, 3 * RATE_HZ, 3, 24, 22, 24, 4) + subtype
        chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(raw)) + raw
        (tmp_path / "tone.wav").write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    assert np.abs(read_wav(tmp_path / "tone.wav") - 32768 * tone).max() <= 1


@given(at=st.integers(0, 43), changed=st.binary(min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_an_error(tmp_path_factory: pytest.TempPathFactory, at: int, changed: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.wav"
    write_tone(file, 8000, 1, 2)
    content = file.read_bytes()
    file.write_bytes(content[:at] + changed + content[at + len(changed) :])
    with contextlib.suppress(ConfigurationError):
        assert read_wav(file).dtype == np.int16


def test_what_is_no_wav_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(ConfigurationError, match=r"text\.wav is no WAV file"):
        read_wav(tmp_path / "text.wav")
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_wav(tmp_path / "missing.wav")


def test_a_file_ends_after_a_silence(tmp_path: Path) -> None:
    write_tone(tmp_path / "tone.wav", 16000, 1, 2)
    source, pieces = WavSource(tmp_path / "tone.wav"), []
    with pytest.raises(EOFError):
        while True:
            pieces.append(source.read(0.0))
    assert sum(map(len, pieces)) == 2 * RATE_HZ
    assert not np.concatenate(pieces)[RATE_HZ:].any()


@given(st.binary(max_size=200), st.lists(st.integers(0, 30)))
def test_pieces_of_any_size_join(sound: bytes, sizes: list[int]) -> None:
    source, rest = PushedSource(), sound
    for size in sizes:
        assert source.push(rest[:size])
        rest = rest[size:]
    source.push(rest)
    heard = [source.read(0.0) for _ in range(len(sizes) + 1)]
    whole = len(sound) // 2 * 2
    assert np.concatenate(heard).tobytes() == sound[:whole]
    assert source.read(0.0) is None


def test_the_oldest_is_lost_when_nobody_reads() -> None:
    source = PushedSource()
    assert all(source.push(bytes(2)) for _ in range(PushedSource.LIMIT))
    assert not source.push(b"\1\0")


def test_a_lost_half_sample_does_not_shift_the_others() -> None:
    source = PushedSource()
    lost = [not source.push(piece) for piece in (b"\1", *[b"\2\1"] * (PushedSource.LIMIT - 1), b"\2")]
    assert lost == [False] * PushedSource.LIMIT + [True]
    heard = np.concatenate([source.read(0.0) for _ in range(PushedSource.LIMIT)])
    assert set(heard.tolist()) == {0x0201}


@given(rate_hz=st.sampled_from([8000, 22050, 44100, 48000]), sizes=st.lists(st.integers(0, 5000), max_size=8))
def test_pieces_of_any_rate_become_what_the_whole_would(rate_hz: int, sizes: list[int]) -> None:
    sound = np.random.default_rng(0).integers(-9000, 9000, sum(sizes)).astype(np.int16)
    resampler = Resampler(rate_hz)
    pieces = [resampler.feed(piece) for piece in np.split(sound, np.cumsum(sizes))]
    heard, whole = np.concatenate(pieces), resampled(sound, rate_hz)
    assert len(whole) - len(heard) <= 0.05 * RATE_HZ
    assert np.array_equal(heard, whole[: len(heard)])


class PluggedIn:
    """Two microphones behind sounddevice's functions, of which the second one gives 48 kHz and nothing else."""

    class PortAudioError(Exception):
        """As sounddevice's own."""

    default = SimpleNamespace(device=(1, 0))

    def __init__(self) -> None:
        self.active, self.callback = True, None

    def _terminate(self) -> None: ...

    def _initialize(self) -> None: ...

    def query_devices(self, device: str | None = None, kind: str | None = None) -> Any:
        names = ("laptop", "headset")
        every = [
            {"index": i, "name": name, "max_input_channels": 1, "default_samplerate": 48000.0}
            for i, name in enumerate(names)
        ]
        if kind is None:
            return every
        if device not in (None, *names):
            raise ValueError(f"No input device matching {device!r}")
        return every[names.index(device or names[self.default.device[0]])]

    def check_input_settings(self, device: int, channels: int, dtype: str, samplerate: int) -> None:
        if device == 1 and samplerate != 48000:
            raise self.PortAudioError("Invalid sample rate")

    def RawInputStream(self, callback: Any, **settings: Any) -> PluggedIn:  # noqa: N802 - sounddevice's name
        self.callback, self.settings = callback, settings
        return self

    def start(self) -> None: ...


@pytest.fixture
def sounddevice(monkeypatch: pytest.MonkeyPatch) -> PluggedIn:
    monkeypatch.setitem(sys.modules, "sounddevice", fake := PluggedIn())
    return fake


def test_a_microphone_of_another_rate_is_resampled(sounddevice: PluggedIn) -> None:
    microphone = Microphone()
    assert (microphone.name, microphone.rate_hz, sounddevice.settings["blocksize"]) == ("headset", 48000, 4800)
    tone = (9000 * np.sin(2 * np.pi * 440 * np.arange(9600) / 48000)).astype(np.int16)
    for piece in np.split(tone, 2):
        sounddevice.callback(piece.tobytes(), len(piece), None, None)
    heard = np.concatenate([microphone.read(0.0), microphone.read(0.0)])
    assert np.array_equal(heard, resampled(tone, 48000)[: len(heard)])
    assert Microphone("laptop").rate_hz == RATE_HZ


def test_a_microphone_that_is_unplugged_is_an_error(sounddevice: PluggedIn) -> None:
    microphone = Microphone("laptop")
    assert microphone.read(0.0) is None
    sounddevice.active = False
    with pytest.raises(AudioError, match="'laptop' gives nothing any more: was it unplugged"):
        microphone.read(0.0)


def test_a_microphone_that_is_not_there_is_named_with_those_that_are(sounddevice: PluggedIn) -> None:
    with pytest.raises(AudioError, match=r"no microphone 'usb': .*\(microphones here: 'headset', 'laptop'\)"):
        Microphone("usb")
    assert microphones() == ["headset", "laptop"]


def test_a_microphone_that_is_not_there_is_named() -> None:
    with pytest.raises(AudioError, match=r"no microphone 'no such device'|PortAudio|sounddevice"):
        Microphone("no such device")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(AudioError, match=r"sounddevice is missing; install it with: pip install"):
        Microphone()
