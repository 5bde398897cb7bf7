"""voice_node: sound in, instructions and a transcript out."""

from __future__ import annotations

import json
import sys
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import Bool, String, UInt8MultiArray

pytest.importorskip("pocketsphinx", reason="speech recognition is not installed")
pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")

from spoken import VOICES, silence, speak, with_noise, write_wav

from legion_core.errors import ConfigurationError
from legion_core.speech.audio import RATE_HZ, Pcm
from legion_core.speech.judging import word_judge
from legion_ros import topics
from legion_ros.nodes.voice_node import VoiceNode

AMERICAN = VOICES[0]
PIECE = 8001
"""Bytes in a message; odd: half a sample waits for the next one."""


class Operator:
    """Who talks to the node and hears what it makes of that."""

    def __init__(self, bench: Any, **parameters: Any) -> None:
        bench.start(VoiceNode, source="topic", **parameters)
        self._bench = bench
        self._instructions = bench.listen(String, topics.INSTRUCTION)
        self._transcript = bench.listen(String, topics.VOICE_TRANSCRIPT)
        self._reports = bench.listen(DiagnosticArray, topics.DIAGNOSTICS)
        self._talk = bench.talk(UInt8MultiArray, topics.VOICE_AUDIO, 1000)
        self._sent_s = 0.0

    @property
    def instructions(self) -> list[str]:
        return [message.data for message in self._instructions]

    @property
    def transcript(self) -> list[dict[str, Any]]:
        return [json.loads(message.data) for message in self._transcript]

    def send(self, sound: Pcm) -> None:
        raw = sound.tobytes()
        for at in range(0, len(raw), PIECE):
            self._talk(UInt8MultiArray(data=array("B", raw[at : at + PIECE])))
        self._sent_s += len(sound) / RATE_HZ

    def heard_out(self) -> bool:
        """Wait until all that was sent has been listened to."""
        return self._bench.until(lambda: bool(self._reports) and self._heard_s() > self._sent_s - 0.01)

    def _heard_s(self) -> float:
        return float(next(each.value for each in self._reports[-1].status[0].values if each.key == "heard_s"))

    def say(self, text: str, states: int = 1) -> dict[str, Any]:
        """Say it and wait for that many more entries of the transcript; the last one."""
        count = len(self._transcript) + states
        self.send(with_noise(speak(text, AMERICAN), 20.0))
        assert self._bench.until(lambda: len(self._transcript) >= count), self.transcript
        return self.transcript[-1]


def test_sound_on_the_topic_becomes_instructions(bench: Any) -> None:
    operator = Operator(bench, threshold=0.0)
    assert operator.say("open the window")["state"] == "heard"
    assert bench.until(lambda: [word_judge()(text) for text in operator.instructions] == ["window-open"])
    operator.send(np.random.default_rng(0).integers(-300, 300, RATE_HZ).astype(np.int16))  # no speech
    sound = with_noise(speak("stop, this is much too close to the window", AMERICAN), 20.0)
    operator.send(sound[: -2 * RATE_HZ])
    assert bench.until(lambda: operator.instructions[1:] == ["stop"]), "before the sentence has ended"
    assert bench.until(lambda: operator.transcript[-1]["state"] == "stop")


def test_what_is_not_sure_needs_a_yes(bench: Any) -> None:
    operator = Operator(bench, threshold=1.0, patience_s=60.0)
    asked = operator.say("close the drawer please")
    assert (asked["state"], asked["final"]) == ("asking", False)
    assert asked["text"] in asked["question"]
    assert operator.instructions == []
    assert operator.say("no")["state"] == "dropped"
    asked = operator.say("close the drawer please")
    confirmed = operator.say("yes")
    assert (confirmed["state"], confirmed["text"]) == ("confirmed", asked["text"])
    assert bench.until(lambda: operator.instructions == [asked["text"]])


def test_a_button_is_waited_for(bench: Any) -> None:
    operator = Operator(bench, threshold=0.0, mode="push_to_talk")
    button = bench.talk(Bool, topics.PUSH_TO_TALK)
    operator.send(with_noise(speak("close the drawer", AMERICAN), 20.0))
    assert operator.heard_out()
    assert operator.transcript == []
    button(Bool(data=True))
    bench.settle(0.3)
    operator.send(with_noise(speak("open the door", AMERICAN), 20.0))
    assert operator.heard_out()
    button(Bool(data=False))
    bench.settle(0.3)
    operator.send(silence(0.1))
    assert bench.until(lambda: [word_judge()(text) for text in operator.instructions] == ["door-open"])


def test_a_file_is_heard_once(bench: Any, tmp_path: Path) -> None:
    file = tmp_path / "said.wav"
    write_wav(file, with_noise(speak("open the window", AMERICAN), 20.0))
    bench.start(VoiceNode, source=file, threshold=0.0)
    instructions = bench.listen(String, topics.INSTRUCTION)
    reports = bench.listen(DiagnosticArray, topics.DIAGNOSTICS)
    assert bench.until(lambda: len(instructions) == 1)
    assert word_judge()(instructions[0].data) == "window-open"
    assert bench.until(lambda: bool(reports) and reports[-1].status[0].message == "the file has ended")


def test_a_node_that_listens_no_longer_ends(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node = bench.start(VoiceNode, source="topic")
    monkeypatch.setattr(node._listener, "feed", lambda samples: sys.exit())
    bench.talk(UInt8MultiArray, topics.VOICE_AUDIO)(UInt8MultiArray(data=array("B", bytes(3200))))
    with pytest.raises(RuntimeError, match="the thread that listens has ended"):
        bench.until(lambda: False)


def test_a_microphone_that_is_not_there_is_an_error_that_stays(bench: Any) -> None:
    bench.start(VoiceNode, source="mic", device="no such device")
    reports = bench.listen(DiagnosticArray, topics.DIAGNOSTICS)
    assert bench.until(lambda: any(report.status[0].level == b"\2" for report in reports))
    problem = next(report.status[0].message for report in reports if report.status[0].level == b"\2")
    assert "no such device" in problem or "PortAudio" in problem


def test_a_file_that_is_not_there_is_one_error(bench: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        bench.start(VoiceNode, source=tmp_path / "missing.wav")
