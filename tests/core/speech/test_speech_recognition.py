"""Synthesised speech through voice activity, "stop" and the recogniser."""

from __future__ import annotations

import sys
from math import inf
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pocketsphinx", reason="speech recognition is not installed")
pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")

from spoken import VOICES, Voice, silence, speak, with_noise

from legion_core.errors import ConfigurationError
from legion_core.speech.activity import Segmenter
from legion_core.speech.audio import RATE_HZ, Pcm
from legion_core.speech.judging import word_judge
from legion_core.speech.listener import Listener, make_recogniser
from legion_core.speech.recogniser import Heard, Recogniser
from legion_core.speech.whisper import WhisperRecogniser

AMERICAN = VOICES[0]


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return make_recogniser("pocketsphinx")


def listened(listener: Listener, sound: Pcm, piece: int = 1600) -> list[tuple[Heard, float]]:
    """What was heard, and after how many seconds of the sound."""
    starts = range(0, len(sound), piece)
    return [(heard, (at + piece) / RATE_HZ) for at in starts for heard in listener.feed(sound[at : at + piece])]


@pytest.mark.parametrize(
    ("sentence", "task", "snr_db"),
    [
        ("please open the window", "window-open", 20.0),
        ("close the drawer", "drawer-close", 20.0),
        ("push the puck to the goal", "push", 20.0),
        ("press the button", "button-press-topdown", inf),
    ],
)
def test_sentences_in_noise_and_silence_mean_their_tasks(
    recogniser: Recogniser, sentence: str, task: str, snr_db: float
) -> None:
    [(heard, _)] = listened(Listener(recogniser), with_noise(speak(sentence, AMERICAN), snr_db))
    assert word_judge()(heard.text) == task
    assert 0 < heard.confidence <= 1


@pytest.mark.parametrize("voice", [AMERICAN, Voice("en")], ids=lambda voice: voice.name)
def test_stop_is_heard_before_its_sentence_ends(recogniser: Recogniser, voice: Voice) -> None:
    sound = with_noise(speak("stop, you are much too close to the window", voice), 20.0)
    [(heard, at_s)] = listened(Listener(recogniser), sound)
    assert heard.text == "stop"
    assert at_s < len(sound) / RATE_HZ - 1.0


def test_two_utterances_are_two_and_silence_is_none(recogniser: Recogniser) -> None:
    speech = [speak(text, AMERICAN) for text in ("open the door", "yes")]
    sound = np.concatenate([speech[0], silence(1.5), speech[1], silence(1.0)])
    assert [heard.text for heard, _ in listened(Listener(recogniser), with_noise(sound, 20.0), 333)][1:] == ["yes"]
    assert listened(Listener(recogniser), with_noise(speech[0], 20.0)[:4000]) == []
    assert listened(Listener(recogniser), silence(3.0)) == []


def test_an_utterance_that_broke_off_is_forgotten() -> None:
    segmenter, sound = Segmenter(), with_noise(speak("open the door", AMERICAN), 20.0)
    assert segmenter.feed(sound[:-RATE_HZ]) and segmenter.busy
    segmenter.forget()
    assert not segmenter.busy
    assert segmenter.feed(silence(2.0)) == []


def test_a_button_marks_the_utterance(recogniser: Recogniser) -> None:
    listener, sound = Listener(recogniser, "push_to_talk"), with_noise(speak("open the door", AMERICAN), 20.0)
    assert listened(listener, sound) == []
    listener.segmenter.pressed = True
    assert listened(listener, sound) == []
    listener.segmenter.pressed = False
    [(heard, _)] = listened(listener, silence(0.1))
    assert word_judge()(heard.text) == "door-open"
    assert listened(listener, sound) == []


def test_a_button_that_is_held_for_no_sound_at_all_is_no_utterance(recogniser: Recogniser) -> None:
    listener = Listener(recogniser, "push_to_talk")
    listener.segmenter.pressed = True
    assert list(listener.feed(silence(0.0))) == []
    listener.segmenter.pressed = False
    assert list(listener.feed(silence(0.0))) == []
    assert not listener.segmenter.busy


def test_an_utterance_ends_when_the_time_is_up() -> None:
    segmenter = Segmenter("push_to_talk", longest_s=2.0)
    segmenter.pressed = True
    ends = [piece.whole for _ in range(50) for piece in segmenter.feed(silence(0.1)) if piece.whole is not None]
    assert [len(whole) / RATE_HZ for whole in ends] == [2.0, 2.0]


def test_engines_say_what_they_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="pocketsphinx, whisper"):
        make_recogniser("whispr")
    with pytest.raises(ConfigurationError, match=r"model = ''; expected the folder of a Whisper model"):
        make_recogniser("whisper")
    (tmp_path / "model.bin").touch()
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ConfigurationError, match="pip install faster-whisper"):
        WhisperRecogniser(str(tmp_path))
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'legion_ros\[voice\]'"):
        make_recogniser("pocketsphinx")
