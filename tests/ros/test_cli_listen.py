"""legion listen: what is heard is shown, without ROS."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("pocketsphinx", reason="speech recognition is not installed")
pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")

from spoken import silence, speak, with_noise, write_wav

from legion_ros.cli.main import main


def test_a_file_is_transcribed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_wav(tmp_path / "said.wav", with_noise(speak("close the drawer, stop now"), 20.0))
    assert main(["listen", str(tmp_path / "said.wav"), "--threshold", "1"]) == 0
    assert re.search(r"stop +1\.00  'stop': tells the robot 'stop'", capsys.readouterr().out)


def test_silence_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_wav(tmp_path / "silence.wav", silence(1.0))
    assert main(["listen", str(tmp_path / "silence.wav")]) == 1
    assert "is the microphone muted" in capsys.readouterr().out


def test_what_is_missing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", str(tmp_path / "missing.wav")]) == 1
    assert "legion listen: cannot read" in capsys.readouterr().err
    assert main(["listen", "--threshold", "nan"]) == 1
    assert "threshold = nan; allowed: 0 to 1" in capsys.readouterr().err
    assert main(["listen", "--device", "no such device"]) == 1
    assert re.search("no microphone 'no such device'|PortAudio|sounddevice", capsys.readouterr().err)
