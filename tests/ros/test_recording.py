"""Recordings: what any MCAP reader finds in them, how they are read, and what becomes of broken ones."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("mcap", reason="the extra 'record' is not installed")

from mcap.reader import make_reader
from mcap.writer import Writer
from mcap_ros2.decoder import DecoderFactory
from recordings import BEGIN_NS, TASKS, write_recording
from rosidl_adapter.parser import parse_message_string
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from legion_core.errors import RecordingError
from legion_ros import topics
from legion_ros.ready import READY_FD
from legion_ros.recording import definitions, kit
from legion_ros.recording.bag import Bag
from legion_ros.recording.recorder import message_class
from legion_ros.recording.recording import Recording
from legion_ros.recording.replay import replay
from legion_ros.recording.selection import LATCHED_TOPICS, OPERATOR_TOPICS

KINDS = [
    *("sensor_msgs/msg/JointState", "geometry_msgs/msg/PoseStamped", "std_msgs/msg/Float32MultiArray"),
    *("diagnostic_msgs/msg/DiagnosticArray", "trajectory_msgs/msg/JointTrajectory", "rosgraph_msgs/msg/Clock"),
    *("visualization_msgs/msg/MarkerArray", "std_msgs/msg/Float64MultiArray"),
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("recordings") / "run.mcap")


# schemas


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_the_definition_of_the_type_and_of_all_that_it_holds(kind: str) -> None:
    """Field by field as the installed Python class has them, by ROS's own parser of .msg files."""
    parts = definitions.full_definition(kind).split(f"{definitions.SEPARATOR}\nMSG: ")
    texts = {"/".join(kind.split("/msg/")): parts[0]} | dict(part.split("\n", 1) for part in parts[1:])
    needed = set(texts)
    for name, text in texts.items():
        package, _, short = name.partition("/")
        spec = parse_message_string(package, short, text)
        python = message_class(f"{package}/msg/{short}").get_fields_and_field_types()
        assert [field.name for field in spec.fields] == list(python)
        for field in spec.fields:
            if not field.type.is_primitive_type():
                held = f"{field.type.pkg_name}/{field.type.type}"
                assert held in texts
                needed.discard(held)
                assert python[field.name].removeprefix("sequence<").startswith(held)
    assert needed == {"/".join(kind.split("/msg/"))}, "nothing is in it that nothing holds"


def test_a_type_that_is_not_installed_is_named() -> None:
    with pytest.raises(RecordingError, match=r"no definition of own_msgs/msg/Thing: share/own_msgs/msg/Thing.msg"):
        definitions.full_definition("own_msgs/msg/Thing")


@pytest.mark.parametrize("kind", sorted({*OPERATOR_TOPICS.values(), *LATCHED_TOPICS.values()}))
def test_the_types_of_known_topics_are_installed(kind: str) -> None:
    assert message_class(kind).__name__ == kind.rpartition("/")[2]


# what others read


def test_every_message_is_decoded_by_an_independent_reader(recorded: Path) -> None:
    with recorded.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
        header, summary = reader.get_header(), reader.get_summary()
        assert header.profile == "ros2"
        assert summary is not None
        assert summary.statistics is not None
        decoded = list(reader.iter_decoded_messages())
        assert len(decoded) == summary.statistics.message_count > 1000
        assert {chunk.compression for chunk in summary.chunk_indexes} == {"zstd"}
        for schema, channel, message, value in decoded:
            assert (channel.message_encoding, schema.encoding) == ("cdr", "ros2msg")
            assert message.publish_time <= message.log_time
            assert value is not None
        states = [value for _, channel, _, value in decoded if channel.topic == "/lbr/joint_states"]
        assert [f"lbr_A{i}" for i in range(1, 8)] == list(states[0].name)
        assert {attachment.name for attachment in reader.iter_attachments()} >= {"robot/profile.yaml"}


QOS_KEYS = {
    *("history", "depth", "reliability", "durability", "deadline", "lifespan", "liveliness"),
    *("liveliness_lease_duration", "avoid_ros_namespace_conventions"),
}


def test_the_metadata_is_that_of_rosbag2(tmp_path: Path) -> None:
    write_recording(tmp_path / "bag", steps=10)
    information = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["version"] == 8
    assert information["storage_identifier"] == "mcap"
    assert information["relative_file_paths"] == ["bag_0.mcap"]
    assert information["files"][0]["message_count"] == information["message_count"] > 0
    for topic in information["topics_with_message_count"]:
        described = topic["topic_metadata"]
        assert described["serialization_format"] == "cdr"
        for profile in yaml.safe_load(described["offered_qos_profiles"]):
            assert set(profile) == QOS_KEYS
            assert all(isinstance(profile[key], int) for key in ("history", "depth", "reliability", "durability"))
            assert set(profile["deadline"]) == {"sec", "nsec"}
    counts = {t["topic_metadata"]["name"]: t["message_count"] for t in information["topics_with_message_count"]}
    with (tmp_path / "bag" / "bag_0.mcap").open("rb") as stream:
        reader = make_reader(stream)
        summary = reader.get_summary()
        assert summary is not None
        assert counts == {
            summary.channels[channel].topic: count
            for channel, count in summary.statistics.channel_message_counts.items()
        }
        inside = [record.metadata for record in reader.iter_metadata() if record.name == "rosbag2"]
    assert yaml.safe_load(inside[-1]["serialized_metadata"]) == information


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    for name in ("run.mcap", "folder"):
        Bag(tmp_path / name).close()
        with pytest.raises(RecordingError, match=f"{name} exists already"):
            Bag(tmp_path / name)


FILL = """
import sys
from pathlib import Path
from legion_core.errors import RecordingError
from legion_ros.recording.bag import Bag
bag = Bag(Path(sys.argv[1]))
bag.add_topic("/text", "std_msgs/msg/String", [])
try:
    for i in range(1000):
        bag.add("/text", i, i, bytes([0, 1, 0, 0, 4, 0, 0, 0, 65 + i % 26, 66, 67, 0]))
        bag.flush()
except RecordingError as error:
    sys.exit(str(error))
"""


def test_a_full_disk_is_one_line_and_leaves_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "run.mcap"
    limit = 40_000
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(file)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    assert done.stderr.strip() == f"cannot write {file}: File too large; what it holds so far can be read"
    recording = Recording.open(file)
    assert "cut short" in recording.damage or "damaged" in recording.damage
    assert [message.value.data for message in recording.messages("/text")][:3] == ["ABC", "BBC", "CBC"]
    assert recording.count("/text") > 50


# the API


def test_streams_are_arrays(recorded: Path) -> None:
    recording = Recording.open(recorded)
    assert recording.damage == ""
    actions = recording.vectors(topics.ACTION)
    assert actions.names == ("dx", "dy", "dz", "gripper")
    assert actions.values.shape == (len(actions.stamps_s), 4)
    assert np.all(np.diff(actions.stamps_s) > 0)
    assert np.array_equal(actions.column("dy"), actions.values[:, 1])
    with pytest.raises(RecordingError, match="no velocity among dx, dy, dz, gripper"):
        actions.column("velocity")
    goals = recording.poses(topics.GOAL)
    assert goals.positions[0] == pytest.approx((0.7, 0.1, 0.2))
    assert goals.quaternions[0].tolist() == [0, 0, 0, 1]
    assert recording.texts(topics.TASK).texts == list(TASKS)
    assert recording.messages(topics.TASK)[0].publish_ns == BEGIN_NS - 2_000_000
    assert recording.profile.sync == "latest"
    assert set(TASKS) <= set(recording.bundle.task_names)
    assert recording.parameters == {"policy_node": {"policy": ""}}
    assert recording.lost(topics.ACTION) == 0


def test_what_is_not_there_is_empty_and_what_is_something_else_an_error(recorded: Path) -> None:
    recording = Recording.open(recorded)
    assert recording.vectors(topics.OBJECT2).values.size == 0
    assert recording.texts("legion/nothing").texts == []
    with pytest.raises(RecordingError, match=r"legion/task is of type std_msgs/msg/String; expected JointState"):
        recording.vectors(topics.TASK)


def test_a_topic_of_another_type_is_named(tmp_path: Path) -> None:
    def alter(topic: str, message: Any) -> Any:
        return Bool(data=True) if topic in (topics.LATENT, topics.REPLY) else message

    recording = Recording.open(write_recording(tmp_path / "run.mcap", steps=3, alter=alter))
    with pytest.raises(RecordingError, match=r"reply is of type std_msgs/msg/Bool; expected std_msgs/msg/String"):
        recording.messages(topics.REPLY)
    with pytest.raises(RecordingError, match="legion/latent is of type std_msgs/msg/Bool; expected sensor_msgs"):
        replay(recording)


def test_lost_messages_are_counted(tmp_path: Path) -> None:
    def every_tenth(topic: str, message: Any) -> Any:
        lost = topic == topics.ACTION and message.header.stamp.nanosec % 200_000_000 == 0
        return None if lost else message

    recording = Recording.open(write_recording(tmp_path / "run.mcap", steps=35, alter=every_tenth))
    assert recording.lost(topics.ACTION) in (3, 4)


def test_two_publishers_lose_nothing_by_counting_for_themselves(tmp_path: Path) -> None:
    bag = Bag(tmp_path / "run.mcap")
    bag.add_topic("/text", "std_msgs/msg/String", [])
    for at, number in enumerate(
        (7, 8, 1, 9, 2, 11, 3, 12, 4, 1)
    ):  # one that lost 10, one from 1 to 4, one that came last
        bag.add("/text", at, at, bytes([0, 1, 0, 0, 1, 0, 0, 0, 0]), number)
    bag.close()
    assert Recording.open(tmp_path / "run.mcap").lost("/text") == 1


# broken and foreign files


def foreign(path: Path, profile: str, encoding: str = "cdr") -> Path:
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start(profile)
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        channel = writer.register_channel("/chatter", encoding, schema)
        writer.add_message(channel, 1, b"\x00\x01\x00\x00\x02\x00\x00\x00A\x00", 1)
        writer.finish()
    return path


def test_recordings_of_others_are_read_but_have_no_robot(tmp_path: Path) -> None:
    recording = Recording.open(foreign(tmp_path / "bag.mcap", "ros2"))
    assert recording.texts("/chatter").texts == ["A"]
    with pytest.raises(RecordingError, match="is of another tool: only legion record"):
        _ = recording.profile


def test_other_profiles_and_encodings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="has the profile 'ros1'; expected 'ros2'"):
        Recording.open(foreign(tmp_path / "one.mcap", "ros1"))
    with pytest.raises(RecordingError, match="chatter is encoded as json, ros2msg; expected cdr, ros2msg"):
        Recording.open(foreign(tmp_path / "two.mcap", "ros2", "json"))


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        (
            "robot/profile.yaml",
            b"safety: safety.yaml",
            b"safety: /etc/passwd",
            "names safety '/etc/passwd', which",
        ),
        ("robot/profile.yaml", b"model: description.urdf", b"model: iiwa7_r800", "names model 'iiwa7_r800', which is"),
        ("robot/description.urdf", b"<link", b"<x a='${1}'/><link", "description.urdf is to be expanded"),
        ("robot/profile.yaml", b"driver:", b"drive_by:", "made by legion_ros 0.0.1: .*drive_by"),
    ],
)
def test_what_came_from_anybody_reads_and_runs_nothing(
    recorded: Path, name: str, before: bytes, after: bytes, message: str
) -> None:
    recording = Recording.open(recorded)
    assert before in recording.attachments[name]
    recording.attachments[name] = recording.attachments[name].replace(before, after, 1)
    with pytest.raises(RecordingError, match=message):
        _ = recording.profile


def test_attachments_stay_in_their_folder(tmp_path: Path) -> None:
    names = ("../out", "/out", "robot/../../out", "robot/..", "policy/", "other/file", "robot/deep/file")
    (tmp_path / "in").mkdir()
    kit.unpack(dict.fromkeys((*names, "robot/profile.yaml"), b"x"), tmp_path / "in")
    files = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert files == ["in/robot/profile.yaml"]


def test_files_that_are_none_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mcap").touch()
    (tmp_path / "text.mcap").write_text("this is a diary, not a recording, and it is long enough")
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("empty.mcap", "is no MCAP file that can be read"),
        ("text.mcap", "is no MCAP file that can be read: damaged after 8 of 55 bytes: InvalidMagic"),
        ("nowhere.mcap", "cannot read .*: No such file"),
        ("folder", "holds 0 MCAP files"),
    ):
        with pytest.raises(RecordingError, match=message):
            Recording.open(tmp_path / name)


def test_a_file_that_was_cut_short_is_read_up_to_there(recorded: Path, tmp_path: Path) -> None:
    content, whole = recorded.read_bytes(), Recording.open(recorded)
    cut = tmp_path / "cut.mcap"
    before = -1
    for share in (0.99, 0.995, 0.999):
        cut.write_bytes(content[: int(share * len(content))])
        recording = Recording.open(cut)
        assert recording.damage
        count = recording.count(topics.ACTION)
        assert before <= count <= whole.count(topics.ACTION)
        first = [message.value.position for message in recording.messages(topics.ACTION)]
        assert first == [message.value.position for message in whole.messages(topics.ACTION)][:count]
        before = count


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return foreign(tmp_path_factory.mktemp("small") / "small.mcap", "ros2").read_bytes()


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_files_are_errors_or_recordings_never_anything_else(
    small: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(small[: data.draw(st.integers(0, len(small)))])
    for _ in range(data.draw(st.integers(0, 6))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "damaged.mcap"
    file.write_bytes(bytes(content))
    try:
        recording = Recording.open(file)
        for topic in recording.topics:
            recording.messages(topic)
    except RecordingError as error:
        assert "\n" not in str(error)


@settings(max_examples=200)
@given(junk=st.binary(max_size=200))
def test_junk_is_an_error(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "junk.mcap"
    file.write_bytes(junk)
    with pytest.raises(RecordingError):
        Recording.open(file)


# the recorder


def test_messages_are_recorded_as_they_came(bench: Any, tmp_path: Path) -> None:
    """Bit by bit, from reliable, best-effort and latched publishers, whoever was there first."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
    from rclpy.serialization import deserialize_message
    from std_msgs.msg import Bool, String

    from legion_ros.nodes.record_node import RecordNode
    from legion_ros.qos import LATCHED

    node = bench.start(RecordNode, file=tmp_path / "run.mcap", more="own/topic")
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    latched = bench.probe.create_publisher(Bool, topics.E_STOP, LATCHED)
    latched.publish(Bool(data=True))
    instruct = bench.talk(String, topics.INSTRUCTION)
    instruct(String(data="open the wïndow"))
    act, own = bench.talk(JointState, topics.ACTION, best_effort), bench.talk(String, "own/topic")
    message = JointState(name=["dx", "dy"], position=[0.1, float("nan")])
    for _ in range(3):
        act(message)
        own(String(data="x" * 5000))
    bench.settle(0.5)
    node.close()
    recording = Recording.open(tmp_path / "run.mcap")
    assert recording.texts(topics.INSTRUCTION).texts == ["open the wïndow"]
    assert recording.texts("own/topic").texts == ["x" * 5000] * 3
    assert [m.value.data for m in recording.messages(topics.E_STOP)] == [True]
    raw = [data for *_, data in recording.topics[f"/{topics.ACTION}"].raw]
    assert len(raw) == 3
    assert str(deserialize_message(raw[0], JointState)) == str(message)
    assert not node.complete
    with (tmp_path / "run.mcap").open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    qos = {c.topic: yaml.safe_load(c.metadata["offered_qos_profiles"])[0] for c in summary.channels.values()}
    assert qos[f"/{topics.ACTION}"]["reliability"] == ReliabilityPolicy.BEST_EFFORT
    assert qos[f"/{topics.E_STOP}"]["durability"] == DurabilityPolicy.TRANSIENT_LOCAL


def test_what_cannot_be_described_is_reported_and_the_rest_recorded(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diagnostic_msgs.msg import DiagnosticArray
    from std_msgs.msg import String

    from legion_ros.nodes.record_node import RecordNode

    def missing(kind: str) -> str:
        if kind == "sensor_msgs/msg/JointState":
            raise RecordingError(f"no definition of {kind}")
        return definitions.full_definition(kind)

    monkeypatch.setattr("legion_ros.recording.recorder.full_definition", missing)
    node = bench.start(RecordNode, file=tmp_path / "run.mcap", more="own/topic")
    reports = bench.listen(DiagnosticArray, topics.DIAGNOSTICS)
    actions = bench.probe.create_publisher(JointState, topics.ACTION, 1)
    bench.talk(String, "own/topic")(String(data="here"))
    actions.publish(JointState())
    wanted = "/legion/action of type sensor_msgs/msg/JointState is not recorded: no definition of"
    assert bench.until(lambda: any(wanted in status.message for report in reports for status in report.status))
    bench.settle()
    node.close()
    recording = Recording.open(tmp_path / "run.mcap")
    assert recording.texts("own/topic").texts == ["here"]
    assert recording.count(topics.ACTION) == 0


def test_a_graph_of_another_machine_is_recorded_without_its_robot(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its nodes name files that are not here; once they have answered, the recorder is ready all the same."""
    from rclpy.node import Node

    from legion_ros.nodes.record_node import SOURCES, RecordNode

    monkeypatch.setenv(READY_FD, str(os.open(os.devnull, os.O_WRONLY)))
    node = bench.start(RecordNode, file=tmp_path / "run.mcap")
    bench.settle(0.6)
    assert READY_FD in os.environ, "it knows neither robot nor policy yet"
    for name in SOURCES:
        other = Node(name, use_global_arguments=False)
        for parameter in ("robot", "policy", "command_interface"):
            other.declare_parameter(parameter, "/nowhere/arm.yaml" if parameter == "robot" else "")
        bench.add(other)
    assert bench.until(lambda: len(node._questions.answers) == len(SOURCES))
    assert bench.until(lambda: READY_FD not in os.environ)
    assert node.error is None
    assert not node.complete
    node.close()
    recording = Recording.open(tmp_path / "run.mcap")
    assert recording.parameters["policy_node"]["robot"] == "/nowhere/arm.yaml"
    with pytest.raises(RecordingError, match=r"run.mcap, made by legion_ros .*: it holds no robot profile"):
        _ = recording.profile


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "{folder}/there.mcap"], "there.mcap exists already; choose another name"),
        (["-o", "{folder}/nowhere/run.mcap"], "a name in a folder that exists"),
        (["--duration", "-1"], "duration = -1.0; allowed: 0 to 1000000 s"),
        (["--namespace", "a-b"], "namespace = 'a-b'; allowed: words joined by '/'"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "there.mcap").touch()
    program = [sys.executable, "-m", "legion_ros.cli.main", "record"]
    done = subprocess.run([*program, *(each.format(folder=tmp_path) for each in arguments)], check=False)
    told = capfd.readouterr().err.splitlines()
    assert done.returncode == 1
    assert len(told) == 1
    assert told[0].startswith("legion record: ")
    assert message in told[0]


def test_without_a_graph_there_is_a_recording_and_a_word_about_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = ["-o", str(tmp_path / "bag 🤖"), "--duration", "1", "--topics", "/camera/image"]
    program = [sys.executable, "-m", "legion_ros.cli.main", "record", *wanted]
    assert subprocess.run(program, check=False).returncode == 1
    told = capfd.readouterr()
    assert "nothing was said on /camera/image" in told.err
    assert "so no replay of this is possible" in told.err
    assert "messages" in told.out
    assert Recording.open(tmp_path / "bag 🤖").damage == ""
