"""voice_node: sound in, the operator's sentences out; "stop" while it is being said, what is not sure after a question.

One thread takes the sound, recognises and publishes; ROS is spun by the main thread. Recognition takes a fraction of
the sound's own duration, at a lower priority than the nodes that move the arm.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from dataclasses import dataclass

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool, String, UInt8MultiArray

from legion_core.speech.activity import LONGEST_S, MODES
from legion_core.speech.audio import RATE_HZ
from legion_core.speech.dialogue import THRESHOLD, Dialogue, Turn
from legion_core.speech.listener import Listener, make_recogniser
from legion_core.speech.recogniser import ENGINES
from legion_core.speech.sources import AudioError, AudioSource, Microphone, PushedSource, WavSource
from legion_core.speech.sphinx import SphinxRecogniser
from legion_ros import topics
from legion_ros.diagnostics import MEMORY_S, Diagnostics
from legion_ros.mending import Problem
from legion_ros.parameters import declare, parameter
from legion_ros.process import run
from legion_ros.qos import EVENT

NAME = "voice_node"
SOUND = QoSProfile(depth=PushedSource.LIMIT, reliability=ReliabilityPolicy.RELIABLE)
"""No piece may be lost, however small they are."""
WAIT_S = 0.2
SILENCE = np.zeros(round(WAIT_S * RATE_HZ), np.int16)
RETRY_S = MEMORY_S / 2
"""Time between two attempts to open a microphone that is not there: its error stays in the report all the while."""
LISTENERS_S = 10.0
"""How long a file waits for someone to obey it."""


@dataclass(frozen=True)
class VoiceSettings:
    """Parameters of the voice node."""

    source: str = parameter("topic", f"Where sound comes from: mic, topic ({topics.VOICE_AUDIO}), or a WAV file")
    device: str = parameter("", "Name of the microphone or part of it; empty: the system's default")
    engine: str = parameter("pocketsphinx", "Recogniser", choices=ENGINES)
    model: str = parameter("", "Folder of the Whisper model (engine whisper)")
    phrases: str = parameter("", f"YAML files with further phrasings, joined by {os.pathsep!r}")
    mode: str = parameter(
        "vad", f"An utterance is what sounds like one, or what {topics.PUSH_TO_TALK} marks", choices=MODES
    )
    threshold: float = parameter(
        THRESHOLD, "Least confidence that is obeyed without a question", minimum=0.0, maximum=1.0
    )
    patience_s: float = parameter(8.0, "How long an answer to a question is waited for", minimum=1.0, maximum=60.0)
    longest_s: float = parameter(LONGEST_S, "Longest utterance in seconds", minimum=1.0, maximum=60.0)


class VoiceNode(Node):
    """Hears the operator; the deployment works without it."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self._settings = settings = declare(self, VoiceSettings)
        files = [file for file in settings.phrases.split(os.pathsep) if file]
        recogniser = make_recogniser(settings.engine, settings.model, files)
        if isinstance(recogniser, SphinxRecogniser) and recogniser.unpronounceable:
            self.get_logger().warning(f"words without a pronunciation: {', '.join(recogniser.unpronounceable)}")
        self._listener = Listener(recogniser, settings.mode, settings.longest_s)
        self._dialogue = Dialogue(settings.threshold, settings.patience_s)
        self._pushed = PushedSource()
        self._file = WavSource(settings.source, paced=True) if settings.source not in ("mic", "topic") else None
        self._instruction = self.create_publisher(String, topics.INSTRUCTION, EVENT)
        self._transcript = self.create_publisher(String, topics.VOICE_TRANSCRIPT, EVENT)
        if settings.source == "topic":
            self.create_subscription(UInt8MultiArray, topics.VOICE_AUDIO, self._on_audio, SOUND)
        self.create_subscription(Bool, topics.PUSH_TO_TALK, self._on_push_to_talk, EVENT)
        self._problems: queue.SimpleQueue[tuple[str, Problem]] = queue.SimpleQueue()
        self._state, self._last = "listening", ""
        self._heard_s = self._busy_s = 0.0
        self._diagnostics = Diagnostics(self, self._report)
        self.create_timer(0.2, self._report_problems)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def destroy_node(self) -> None:
        """Give the microphone back, then end as every node."""
        self._ended.set()
        self._thread.join(timeout=5.0)
        super().destroy_node()

    def _on_audio(self, message: UInt8MultiArray) -> None:
        if not self._pushed.push(bytes(message.data)):
            self._problems.put(
                (f"sound on {topics.VOICE_AUDIO} comes too fast, some of it is lost", Problem.LOST_SOUND)
            )

    def _on_push_to_talk(self, message: Bool) -> None:
        self._listener.segmenter.pressed = message.data

    def _listen(self) -> None:
        """Until the node ends: a microphone that is gone is tried again, a file is heard once."""
        while not self._ended.is_set():
            try:
                source = self._open()
            except AudioError as error:
                self._lost(error)
                continue
            try:
                self._hear(source)
            except AudioError as error:
                self._lost(error)
            except EOFError:
                self._state = "the file has ended"
                self._ended.wait()
            finally:
                source.close()

    def _open(self) -> AudioSource:
        if self._file is not None:
            end = time.monotonic() + LISTENERS_S
            while self._instruction.get_subscription_count() == 0 and time.monotonic() < end:
                self._ended.wait(0.1)
            return self._file
        return self._pushed if self._settings.source == "topic" else Microphone(self._settings.device)

    def _hear(self, source: AudioSource) -> None:
        self._state = "listening"
        while not self._ended.is_set():
            samples = source.read(WAIT_S)
            if samples is None and self._listener.segmenter.busy:
                samples = SILENCE  # who sends no more says no more
            if samples is not None:
                began = time.perf_counter()
                for heard in self._listener.feed(samples):
                    self._say(self._dialogue.heard(heard, time.monotonic()))
                self._heard_s += len(samples) / RATE_HZ
                self._busy_s += time.perf_counter() - began
            self._say(self._dialogue.waited(time.monotonic()))

    def _lost(self, error: AudioError) -> None:
        self._problems.put((str(error), Problem.NO_SOUND))
        self._state = "no sound"
        self._listener.segmenter.forget()
        self._ended.wait(RETRY_S)

    def _say(self, turn: Turn | None) -> None:
        if turn is None:
            return
        if turn.instruction is not None:  # first: who says stop waits for nothing else
            self._instruction.publish(String(data=turn.instruction))
        entry = {"text": turn.text, "confidence": round(turn.confidence, 3), "final": turn.final, "state": turn.state}
        entry |= {"question": turn.question} if turn.question else {}
        self._transcript.publish(String(data=json.dumps(entry)))
        self._last = f"{turn.state}: {turn.text}"

    def _report_problems(self) -> None:
        while not self._problems.empty():
            self._diagnostics.error(*self._problems.get())

    def _report(self) -> tuple[str, dict[str, object]]:
        if not self._thread.is_alive():
            raise RuntimeError("the thread that listens has ended; what it said is above")  # a new process mends it
        share = self._busy_s / self._heard_s if self._heard_s else 0.0
        return self._state, {"last": self._last, "heard_s": self._heard_s, "real_time_factor": share}


def main() -> None:
    """Entry point of the executable."""
    os.nice(5)  # whoever listens must not slow down those who move
    run(NAME, VoiceNode)


if __name__ == "__main__":
    main()
