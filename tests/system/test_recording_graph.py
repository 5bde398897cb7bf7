"""The running graph recorded by wall clock behind a reality gap, also by who comes late and by who is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import deployment, replayed

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")
pytest.importorskip("mcap", reason="the extra 'record' is not installed")

from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader
from mcap_ros2.decoder import DecoderFactory

from legion_core.resources import resource
from legion_ros import topics
from legion_ros.deployment import DeploymentOptions, deployment_graph
from legion_ros.recording.recording import Recording
from legion_ros.recording.report import DRAWN
from legion_ros.recording.story import Story
from legion_ros.security import access_of
from legion_sim2real.robot import load_profile

GAP = {"robot": "mujoco_gap", "gap": "config/gap.yaml"}
ENOUGH = 80
"""Steps that a late recorder shall see."""


def by_hand(file: Path) -> subprocess.Popen[bytes]:
    """`legion record`, once it records."""
    program = [sys.executable, "-m", "legion_ros.cli.main", "record", "-o", str(file)]
    process = subprocess.Popen(program, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert b"recording to" in process.stderr.readline()
    return process


def holds_enough(file: Path) -> bool:
    """Whether there are ENOUGH whole steps in a file that somebody writes."""
    recording, profile = Recording.open(file), load_profile(GAP["robot"])
    needed = (profile.state_topic, topics.OBJECT, topics.OBSERVATION_ORIGIN, topics.ACTION)
    return all(recording.count(topic) >= ENOUGH for topic in needed)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A graph that records itself, one of two late recorders killed and the other ended with Ctrl-C, and a stop."""
    folder = tmp_path_factory.mktemp("recordings")
    files = {name: folder / f"{name}.mcap" for name in ("own", "killed", "late")}
    options = {**GAP, "gap": str(resource(GAP["gap"])), "record": str(files["own"])}
    chosen = DeploymentOptions(**options)
    (recorder,) = (spec for spec in deployment_graph(chosen) if spec.name == "record_node")
    with deployment(**options) as (_, client):
        assert client.say("open the window").accepted
        killed, late = by_hand(files["killed"]), by_hand(files["late"])
        patience_until = time.monotonic() + 60.0
        while not all(holds_enough(files[name]) for name in ("killed", "late")):
            assert time.monotonic() < patience_until
            client.spin(0.5)
        os.kill(killed.pid, signal.SIGKILL)
        look = client.node
        used = {name for name, _ in look.get_subscriber_names_and_types_by_node("record_node", "/")}
        assert used <= {*access_of(recorder, chosen).subscribe, "/parameter_events"}
        late.send_signal(signal.SIGINT)
        assert late.wait(60) == 0
        assert client.say("close the drawer").accepted
        client.spin(1.0)
        client.e_stop(True)
        client.spin(0.5)
    for process in (killed, late):
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]
    return files


def test_by_wall_clock_everything_comes_out_the_same(recorded: dict[str, Path]) -> None:
    recording, found = replayed(recorded["own"])
    assert recording.damage == ""
    for outcome in (found.observations, found.actions, found.latents):
        assert outcome.same > 2 * ENOUGH
    profile = load_profile("mujoco_gap")
    assert recording.messages(topics.ACTION)[0].sequence <= 1, "the graph is ready when its recorder listens"
    drawn = {topic for *_, needed in DRAWN for topic in needed}
    for topic in (profile.state_topic, profile.command_topic, profile.gripper.command, topics.REPLY, *drawn):
        assert recording.count(topic) > 0, topic
    assert recording.parameters["real2sim_node"]["robot"] == "mujoco_gap"
    story = Story(recording)
    assert [span.name for span in story.tasks] == ["window-open", "drawer-close"]
    assert [said.text for said in story.sentences] == ["open the window", "close the drawer"]
    assert all(said.reply for said in story.sentences)
    assert len(story.e_stops) == 1
    assert len(story.latency.total_ms) > ENOUGH
    assert story.interventions.values.size


def test_others_decode_every_message(recorded: dict[str, Path]) -> None:
    with recorded["own"].open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
        count = sum(1 for _ in reader.iter_decoded_messages())
        summary = reader.get_summary()
    assert summary is not None
    assert count == summary.statistics.message_count > 1000


def test_who_comes_late_learns_the_task_and_replays(recorded: dict[str, Path]) -> None:
    recording, found = replayed(recorded["late"])
    assert recording.damage == ""
    assert recording.texts(topics.TASK).texts == ["window-open"]
    assert found.actions.same > ENOUGH // 4
    assert found.observations.same > ENOUGH // 4


def test_a_killed_recorder_leaves_what_it_had_written(recorded: dict[str, Path]) -> None:
    recording, found = replayed(recorded["killed"])
    assert recording.damage
    assert found.actions.same > ENOUGH // 4
    others = 0
    with recorded["killed"].open("rb") as stream, contextlib.suppress(McapError, struct.error):
        for record in StreamReader(stream, validate_crcs=True).records:  # from the beginning, as there is no index
            others += isinstance(record, Message)
    assert others == sum(len(topic.raw) for topic in recording.topics.values())
