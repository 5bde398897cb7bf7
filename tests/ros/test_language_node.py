"""language_node with the shipped policy: what goes to the arm, to missions and to the emergency stop."""

from __future__ import annotations

import json
from typing import Any

import pytest
from std_msgs.msg import Float32MultiArray, String
from std_srvs.srv import SetBool

from legion_core.errors import ConfigurationError
from legion_ros import topics
from legion_ros.qos import EVENT, LATCHED
from legion_ros.reply import Reply

pytest.importorskip("sentence_transformers", reason="the language model is not installed")


class Operator:
    """Says sentences to the node under test and hears what comes of them."""

    def __init__(self, bench: Any) -> None:
        self._bench = bench
        self.replies = bench.listen(String, topics.REPLY)
        self.tasks = bench.listen(String, topics.TASK, LATCHED)
        self.embeddings = bench.listen(Float32MultiArray, topics.TASK_EMBEDDING, LATCHED)
        self._say = bench.talk(String, topics.INSTRUCTION)

    def say(self, sentence: str) -> Reply:
        count = len(self.replies)
        self._say(String(data=sentence))
        assert self._bench.until(lambda: len(self.replies) > count)
        return Reply.parse(self.replies[-1].data)

    def runs(self, task: str) -> bool:
        return bool(self._bench.until(lambda: self.tasks and self.tasks[-1].data == task, 5.0))


def test_an_operator_is_obeyed(bench: Any) -> None:
    from legion_ros.nodes.language_node import LanguageNode

    bench.start(LanguageNode)
    operator = Operator(bench)
    tell = bench.talk(String, topics.MISSION_STATE, LATCHED)

    tell(String(data=json.dumps({"state": "idle", "task": "reach"})))
    assert bench.until(lambda: operator.say("pause").text == "pause reach"), "what it began before it died"
    assert operator.runs("") and operator.say("continue").accepted and operator.runs("reach")
    assert operator.say("could you close that drawer?").text.startswith("drawer-close")
    assert operator.runs("drawer-close")
    assert operator.say("pause").accepted and operator.runs("")
    assert operator.say("go on").accepted and operator.runs("drawer-close")
    assert operator.say("skip").accepted and operator.runs("")
    assert not operator.say("continue").accepted
    assert operator.say("again please").accepted and operator.runs("drawer-close")
    abilities = operator.say("what can you do").text
    assert "unplug the peg sideways" in abilities and "Clear the table" in abilities
    assert operator.runs("drawer-close"), "a question stops nothing"
    refusal = operator.say("open the drawer")
    assert not refusal.accepted and "'close the drawer'" in refusal.text and operator.runs("")

    several = operator.say("open the window, then press the button")
    assert not several.accepted and "mission_node" in several.text
    requests = bench.listen(String, topics.MISSION_REQUEST, EVENT)
    controls = bench.listen(String, topics.MISSION_CONTROL, EVENT)
    assert bench.until(lambda: operator.say("open the window, then press the button").accepted and bool(requests))
    assert json.loads(requests[-1].data)["steps"] == ["window-open", "button-press-topdown"]
    assert operator.say("clear the table").accepted
    assert bench.until(lambda: json.loads(requests[-1].data) == {"name": "clear_the_table"})

    request = bench.talk(String, topics.TASK_REQUEST, EVENT)
    for _ in range(2):
        count = len(operator.tasks)
        request(String(data="push"))
        assert bench.until(lambda count=count: len(operator.tasks) > count), "each request is a new attempt"
        assert operator.tasks[-1].data == "push"

    def say_in_mission(sentence: str) -> Reply:
        tell(String(data=json.dumps({"state": "running"})))
        bench.settle(0.05)
        return operator.say(sentence)

    request(String(data="fly"))
    assert operator.runs(""), "what the policy does not know is not begun, and nothing else goes on"
    assert bench.until(lambda: say_in_mission("pause").text == "pause the mission")
    for word in ("continue", "again", "skip"):
        assert say_in_mission(word).accepted
    assert say_in_mission("stop").accepted and operator.runs("")
    request(String(data="push"))
    tell(String(data=json.dumps({"state": "running"})))
    assert operator.runs("push") and operator.runs(""), "the task of a mission that nobody runs is ended"
    assert bench.until(lambda: [c.data for c in controls] == ["pause", "continue", "again", "skip", "abort"])

    engaged = []

    def engage(asked: SetBool.Request, answer: SetBool.Response) -> SetBool.Response:
        engaged.append(asked.data)
        answer.success = True
        return answer

    assert not operator.say("emergency stop").accepted, "nobody answers"
    bench.probe.create_service(SetBool, topics.E_STOP, engage)
    assert bench.until(lambda: operator.say("emergency stop").accepted)
    assert bench.until(lambda: engaged == [True])
    assert not operator.say("release the emergency stop").accepted

    kept = bench.listen(String, topics.MISSION_KEPT, LATCHED)
    for word in ("running", "idle"):  # the second of a mission_node that has just started
        tell(String(data=json.dumps({"state": word})))
        assert bench.until(lambda: [json.loads(message.data)["state"] for message in kept][-1:] == ["running"])

    bench.talk(String, topics.SCENE_TASKS, LATCHED)(String(data="push drawer-close"))
    lacks = "the scene has nothing for {}, only for push, drawer-close"
    assert bench.until(lambda: operator.say("open the door").text == lacks.format("door-open")) and operator.runs("")
    assert operator.say("close the drawer, then open the window").text == lacks.format("window-open")
    assert operator.say("clear the table").text == lacks.format("window-close")
    assert operator.say("close the drawer").accepted and operator.runs("drawer-close")
    request(String(data="door-open"))
    assert operator.runs("")


def test_a_language_model_that_is_not_the_policys_is_an_error(bench: Any, bundle_folder: Any, tmp_path: Any) -> None:
    from legion_core.embedding import _packaged_model
    from legion_ros.nodes.language_node import LanguageNode

    folder = tmp_path / "another-model"
    folder.symlink_to(_packaged_model())
    with pytest.raises(
        ConfigurationError, match=r"language_model = .*; allowed: the one of the policy, random with 384"
    ):
        bench.start(LanguageNode, policy=bundle_folder, language_model=folder)
