"""language_node answers every sentence; monitor_node draws for who looks and names who is silent."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Bool, Float32MultiArray, String
from visualization_msgs.msg import MarkerArray

from legion_core.bundle import EmbeddingModel, PolicyBundle
from legion_ros import topics
from legion_ros.nodes.monitor_node import MonitorNode
from legion_ros.qos import LATCHED
from legion_ros.reply import Reply


@pytest.fixture(scope="module")
def speaking_bundle(random_bundle: PolicyBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random bundle with real sentence embeddings."""
    pytest.importorskip("sentence_transformers", reason="the language model is not installed")
    from legion_core.embedding import InstructionEncoder

    encoder = InstructionEncoder()
    manifest = dataclasses.replace(random_bundle.manifest, embedding=EmbeddingModel(encoder.name, encoder.size))
    embeddings = {task.name: encoder.encode(task.sentences) for task in manifest.tasks}
    refused = encoder.encode(manifest.refused)
    folder = tmp_path_factory.mktemp("bundles") / "speaking"
    dataclasses.replace(random_bundle, manifest=manifest, embeddings=embeddings, refused=refused).save(folder)
    return folder


def test_sentences_become_tasks_or_refusals(bench: Any, speaking_bundle: Path) -> None:
    from legion_ros.nodes.language_node import LanguageNode

    bench.start(LanguageNode, policy=speaking_bundle)
    replies = bench.listen(String, topics.REPLY)
    tasks = bench.listen(String, topics.TASK, LATCHED)
    embeddings = bench.listen(Float32MultiArray, topics.TASK_EMBEDDING, LATCHED)
    say = bench.talk(String, topics.INSTRUCTION)

    def ask(sentence: str) -> Reply:
        count = len(replies)
        say(String(data=sentence))
        assert bench.until(lambda: len(replies) > count and len(tasks) > count and len(embeddings) > count)
        return Reply.parse(replies[-1].data)

    reply = ask("Please close the drawer!")
    assert reply.accepted
    assert tasks[-1].data == "drawer-close"
    expected = PolicyBundle.load(speaking_bundle).embedding("drawer-close")
    assert np.array(embeddings[-1].data, np.float32).tobytes() == expected.tobytes()

    reply = ask("what is the capital of France")
    assert not reply.accepted
    assert "the nearest tasks are" in reply.text
    assert tasks[-1].data == ""
    assert len(embeddings[-1].data) == 0

    assert ask("  ").text == "stop"


def test_a_bundle_of_another_language_model_is_asked_by_names(bench: Any, bundle_folder: Path) -> None:
    from legion_ros.nodes.language_node import LanguageNode

    bench.start(LanguageNode, policy=bundle_folder)
    replies = bench.listen(String, topics.REPLY)
    embeddings = bench.listen(Float32MultiArray, topics.TASK_EMBEDDING, LATCHED)
    say = bench.talk(String, topics.INSTRUCTION)

    say(String(data="Drawer-close"))
    assert bench.until(lambda: len(replies) == 1 and len(embeddings) == 1)
    assert Reply.parse(replies[0].data).accepted
    expected = PolicyBundle.load(bundle_folder).embedding("drawer-close")
    assert np.array(embeddings[0].data, np.float32).tobytes() == expected.tobytes()

    say(String(data="shut that drawer over there"))
    assert bench.until(lambda: len(replies) == 2 and len(embeddings) == 2)
    reply = Reply.parse(replies[1].data)
    assert not reply.accepted
    assert "language model (random) is not installed" in reply.text and "drawer-close" in reply.text
    assert len(embeddings[1].data) == 0, "what is not understood stops the arm"


def test_problems_and_the_emergency_stop_are_shown(bench: Any) -> None:
    bench.start(MonitorNode, rate_hz=20.0)
    arrays = bench.listen(MarkerArray, topics.MARKERS)
    reports = bench.listen(DiagnosticArray, topics.DIAGNOSTICS)
    diagnostics = bench.talk(DiagnosticArray, topics.DIAGNOSTICS)
    bench.talk(Bool, topics.E_STOP, LATCHED)(Bool(data=True))
    status = DiagnosticStatus(level=DiagnosticStatus.ERROR, name="/policy_node", message="not finite")
    status.values = [KeyValue(key="rate_hz", value="49.9")]
    diagnostics(DiagnosticArray(status=[status]))

    def text() -> str:
        return next((m.text for array in arrays[-1:] for m in array.markers if m.ns == "text"), "")

    def said() -> list[DiagnosticStatus]:
        return [status for report in reports for status in report.status if status.name == "/monitor_node"]

    assert bench.until(lambda: "E-STOP" in text() and "policy_node: not finite" in text())
    assert bench.until(lambda: any(s.message == "problems in policy_node" for s in said()))
    diagnostics(DiagnosticArray(status=[DiagnosticStatus(name="/policy_node", message="acting")]))
    assert bench.until(lambda: said()[-1].message == "all nodes are well")
    assert bench.until(lambda: "silent" in text(), 5.0), "a node that says nothing any more is a problem"
