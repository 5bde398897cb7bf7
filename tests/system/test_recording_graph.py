"""The running graph recorded: by wall clock behind a reality gap and in lockstep, and a recorder that is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from running import deployment

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
from legion_ros.cli.main import main
from legion_ros.deployment import DeploymentOptions
from legion_ros.recording.recording import Recording
from legion_ros.recording.replay import replay
from legion_ros.recording.story import Story
from legion_ros.security import access_of
from legion_sim2real.robot import load_profile

GAP = {"robot": "mujoco_gap", "gap": "config/gap.yaml"}
ENOUGH = 120
"""Steps that a late recorder shall see: an object filter looks back on 50."""


def by_hand(file: Path) -> subprocess.Popen[bytes]:
    """`legion record`, once it records."""
    program = [sys.executable, "-m", "legion_ros.cli.main", "record", "-o", str(file)]
    process = subprocess.Popen(program, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert b"recording to" in process.stderr.readline()
    return process


def steps_in(file: Path) -> int:
    """How many whole steps a file holds, which somebody may still write."""
    recording, profile = Recording.open(file), load_profile(GAP["robot"])
    return min(recording.count(topic) for topic in (profile.state_topic, topics.OBSERVATION_ORIGIN, topics.ACTION))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A graph that records itself, one of two late recorders killed and the other ended with Ctrl-C, and a stop."""
    folder = tmp_path_factory.mktemp("recordings")
    files = {name: folder / f"{name}.mcap" for name in ("own", "killed", "late")}
    options = {**GAP, "gap": str(resource(GAP["gap"])), "record": str(files["own"])}
    with deployment(**options) as (_, client):
        assert client.say("open the window").accepted
        killed, late = by_hand(files["killed"]), by_hand(files["late"])
        for file in (files["killed"], files["late"]):
            assert client.wait(lambda file=file: steps_in(file) > ENOUGH, 60.0)
        os.kill(killed.pid, signal.SIGKILL)
        look = client.node
        used = {name for name, _ in look.get_subscriber_names_and_types_by_node("record_node", "/")}
        allowed = access_of(record_spec(options), DeploymentOptions(**options))
        assert used <= {*allowed.subscribe, "/parameter_events"}
        late.send_signal(signal.SIGINT)
        assert late.wait(20) == 0
        client.say("close the drawer")
        client.spin(1.0)
        client.e_stop(True)
        client.spin(0.5)
    for process in (killed, late):
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]
    return files


def record_spec(options: dict[str, Any]) -> Any:
    from legion_ros.deployment import deployment_graph

    return next(spec for spec in deployment_graph(DeploymentOptions(**options)) if spec.name == "record_node")


def test_by_wall_clock_everything_comes_out_the_same(recorded: dict[str, Path]) -> None:
    recording = Recording.open(recorded["own"])
    assert recording.damage == ""
    found = replay(recording)
    assert found.equal, (found.observations.first, found.actions.first)
    for outcome in (found.observations, found.actions, found.latents):
        assert outcome.same > 150
        assert sum(outcome.unchecked.values()) <= 2 + recording.lost(topics.OBSERVATION)
    profile = load_profile("mujoco_gap")
    for topic in (profile.state_topic, profile.command_topic, profile.gripper.command, topics.EPISODE, topics.REPLY):
        assert recording.count(topic) > 0, topic
    assert recording.parameters["real2sim_node"]["robot"] == "mujoco_gap"
    story = Story(recording)
    assert [span.name for span in story.tasks] == ["window-open", "drawer-close"]
    assert [said.text for said in story.sentences] == ["open the window", "close the drawer"]
    assert all(said.reply for said in story.sentences)
    assert len(story.e_stops) == 1


def test_others_decode_every_message(recorded: dict[str, Path]) -> None:
    with recorded["own"].open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
        count = sum(1 for _ in reader.iter_decoded_messages())
        summary = reader.get_summary()
    assert summary is not None
    assert count == summary.statistics.message_count > 1000


def test_who_comes_late_learns_the_task_and_replays(recorded: dict[str, Path]) -> None:
    recording = Recording.open(recorded["late"])
    assert recording.damage == ""
    assert recording.texts(topics.TASK).texts == ["window-open"]
    found = replay(recording)
    assert found.equal
    assert found.actions.same > ENOUGH
    assert found.observations.same > ENOUGH - 60


def test_a_killed_recorder_leaves_what_it_had_written(recorded: dict[str, Path]) -> None:
    recording = Recording.open(recorded["killed"])
    assert recording.damage
    found = replay(recording)
    assert found.equal
    assert found.actions.same > ENOUGH
    others = 0
    with recorded["killed"].open("rb") as stream, contextlib.suppress(McapError, struct.error):
        for record in StreamReader(stream, validate_crcs=True).records:  # from the beginning, as there is no index
            others += isinstance(record, Message)
    assert others == sum(len(topic.raw) for topic in recording.topics.values())


def test_the_page_shows_the_run(recorded: dict[str, Path]) -> None:
    assert main(["report", str(recorded["own"])]) == 0
    text = recorded["own"].with_suffix(".html").read_text(encoding="utf-8")
    assert "open the window" in text
    assert "No " not in text.partition("<section>")[0]


def test_in_lockstep_everything_comes_out_the_same(tmp_path: Path) -> None:
    file = tmp_path / "lockstep.mcap"
    with deployment(lockstep=True, record=str(file)) as (_, client):
        client.say("press the button")
        assert client.wait(lambda: client.success is not None, 60.0)
        end = time.monotonic() + 0.5
        client.wait(lambda: time.monotonic() > end, 2.0)
    recording = Recording.open(file)
    found = replay(recording)
    assert found.equal, (found.observations.first, found.actions.first)
    assert found.actions.same > 40
    assert sum(found.observations.unchecked.values()) <= 2 + recording.lost(topics.OBSERVATION)
