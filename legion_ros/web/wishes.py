"""What the page asks of the graph. Each wish is seen to in the thread that it comes in, so none waits for another."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from legion_ros import topics
from legion_ros.qos import EVENT
from legion_ros.web.state import Line, PageState

SENTENCE_LENGTH = 300
"""What is longer is no sentence; what is left of it when it is cut could mean something else."""
ANSWER_S, ATTEMPTS = 0.5, 20
"""The emergency stop is asked for again after so long without an answer or with a refusal, so often in all."""


class Wishes:
    """The operator's, as messages and calls of a node that another thread spins; what becomes of them is told in
    `state`."""

    def __init__(self, node: Node, state: PageState) -> None:
        self._state = state
        self._instruction = node.create_publisher(String, topics.INSTRUCTION, EVENT)
        self._mission = node.create_publisher(String, topics.MISSION_REQUEST, EVENT)
        self._talk = node.create_publisher(Bool, topics.PUSH_TO_TALK, EVENT)
        self._stop = node.create_client(SetBool, topics.E_STOP)
        self._reset = node.create_client(Trigger, topics.SIM_RESET)
        self._lock, self._stops = threading.Lock(), 0

    def say(self, sentence: str) -> None:
        """A sentence for language_node."""
        if len(sentence) > SENTENCE_LENGTH:
            self._state.lines.append(Line("refused", f"a sentence has {SENTENCE_LENGTH} characters at most", False))
            return
        self._instruction.publish(String(data=sentence))
        self._state.lines.append(Line("you", sentence))

    def start_mission(self, name: str) -> None:
        """A mission by its name."""
        self._mission.publish(String(data=json.dumps({"name": name})))

    def talk(self, pressed: bool) -> None:
        """Push to talk."""
        self._talk.publish(Bool(data=pressed))

    def e_stop(self, engage: bool) -> None:
        """Engage or clear the emergency stop: asked for until it is confirmed, or until another wish replaces it."""
        with self._lock:
            self._stops += 1
            mine = self._stops
        what = "emergency stop" if engage else "clearing the emergency stop"
        self._state.stop_asked = f"{what}: asked for, not confirmed yet"
        why = "NO ANSWER"
        for _ in range(ATTEMPTS):
            answer = _answer(self._stop, SetBool.Request(data=engage))
            if self._stops != mine:
                return
            if answer is not None and answer.success:
                self._state.e_stop, self._state.stop_asked = engage, ""
                return
            if answer is not None:  # a stop of which more may be heard is not cleared yet
                why = answer.message
                time.sleep(ANSWER_S)
                if self._stops != mine:
                    return
        advice = "; use the robot's own emergency stop" if engage else ""
        self._state.stop_asked = f"{what}: {why}{advice}"

    def reset_scene(self) -> None:
        """A new episode of the simulator."""
        answer = _answer(self._reset, Trigger.Request())
        text = answer.message if answer is not None else "no answer from the simulator"
        self._state.lines.append(Line("reset", text, answer is not None))


def _answer(client: Any, request: Any) -> Any:
    """The answer of a service, None if there is none in time; another thread spins the node."""
    answered = threading.Event()
    future = client.call_async(request)
    future.add_done_callback(lambda _: answered.set())
    if answered.wait(ANSWER_S):
        return future.result()
    client.remove_pending_request(future)
    return None
