"""A recording as numpy arrays, read without ROS.

    recording = Recording.open("run.mcap")
    actions = recording.vectors("legion/action")
    actions.stamps_s, actions.names, actions.values

Topics are named as in `legion_ros.topics`; the namespace of the deployment is put before them. A file that was cut
short, by a kill or a full disk, is read up to its last whole chunk.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from legion_core.bundle import PolicyBundle
from legion_core.errors import LegionError, RecordingError
from legion_core.spaces import Vector
from legion_ros.recording import kit
from legion_ros.recording.selection import TYPES
from legion_ros.stamps import NS_PER_S, to_ns
from legion_sim2real.robot import RobotProfile

try:
    from mcap.exceptions import McapError
    from mcap.records import Attachment, Channel, Chunk, Footer, Header, McapRecord, Metadata, Schema
    from mcap.records import Message as Record
    from mcap.stream_reader import StreamReader, breakup_chunk
    from mcap_ros2.decoder import DecoderFactory
except ImportError as error:
    raise RecordingError("mcap is not installed; install it with: pip install 'legion_ros[record]'") from error

T = TypeVar("T")

PROFILE = "ros2"
LARGEST_CHUNK = 2**28
"""Bytes; a chunk that claims to be larger is damaged."""
SETTINGS = "legion"
"""Name of the metadata that only `legion record` writes."""


class Message(NamedTuple):
    """A message as it was sent: when it was received and published (ns, wall clock), its number among those of its
    publisher (0 where the middleware does not count), and its fields."""

    log_ns: int
    publish_ns: int
    sequence: int
    value: Any


class Vectors(NamedTuple):
    """Named vectors over time: `stamps_s` (n,) of their headers, `received_s` (n,) wall clock, `values` (n, names)."""

    stamps_s: Vector
    received_s: Vector
    names: tuple[str, ...]
    values: Vector

    def column(self, name: str) -> Vector:
        """One of the values over time (n,); RecordingError where there is none of that name."""
        if name not in self.names:
            raise RecordingError(f"no {name} among {', '.join(self.names) or 'no values'}")
        return self.values[:, self.names.index(name)]


class Poses(NamedTuple):
    """Poses over time: `stamps_s` (n,), `positions` (n, 3) m, `quaternions` (n, 4) as x, y, z, w."""

    stamps_s: Vector
    positions: Vector
    quaternions: Vector


class Texts(NamedTuple):
    """Sentences over time: `received_s` (n,), wall clock, and what was said."""

    received_s: Vector
    texts: list[str]


@dataclass
class Topic:
    """A topic of the file: type, and its messages still as bytes, in the order of the file."""

    kind: str
    decode: Callable[[bytes], Any]
    raw: list[tuple[int, int, int, bytes]] = field(default_factory=list)
    """log_ns, publish_ns, sequence, data."""


class Recording:
    """What was recorded of one deployment.

    `topics` by full name, `metadata` and `attachments` by name; `damage` says where and why the file could not be read
    on, '' where it is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.topics: dict[str, Topic] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.attachments: dict[str, bytes] = {}
        self.damage = ""

    @classmethod
    def open(cls, path: Path | str) -> Recording:
        """The recording in an MCAP file, or in a folder that holds one.

        Raises:
            RecordingError: there is none, or it is not one of ROS 2.
        """
        file = _find(Path(path))
        recording = cls(file)
        try:
            with file.open("rb") as stream:
                recording._read(stream, file.stat().st_size)
        except OSError as error:
            raise RecordingError(f"cannot read {file}: {error.strerror}") from error
        return recording

    @property
    def root(self) -> str:
        """The deployment's namespace as an absolute name, '' for none."""
        return self.metadata.get(SETTINGS, {}).get("namespace", "").rstrip("/")

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The parameters of the graph's nodes, by node."""
        return {node: json.loads(text) for node, text in self.metadata.get("parameters", {}).items()}

    @cached_property
    def profile(self) -> RobotProfile:
        """The robot profile that the graph ran with.

        Raises:
            RecordingError: the recording is of another tool, or holds none that this version can read.
        """
        return self._of_kit(kit.load_robot)

    @cached_property
    def bundle(self) -> PolicyBundle:
        """The policy that the graph ran with; raises as `profile`."""
        return self._of_kit(kit.load_policy)

    def full_name(self, topic: str) -> str:
        """The name of a topic in the file."""
        return topic if topic.startswith("/") else f"{self.root}/{topic}"

    def count(self, topic: str) -> int:
        """How many messages of a topic there are."""
        found = self.topics.get(self.full_name(topic))
        return len(found.raw) if found else 0

    def lost(self, topic: str) -> int:
        """How many messages of a topic the recorder missed, as the sequence numbers of its publishers tell."""
        found = self.topics.get(self.full_name(topic))
        missed, newest = 0, list[int]()  # of each publisher: who continues with a number is the nearest below it
        for number in filter(None, (sequence for _, _, sequence, _ in found.raw) if found else ()):
            before = max((each for each in newest if each < number), default=None)
            if before is not None:
                newest.remove(before)
                missed += number - before - 1
            newest.append(number)
        return missed

    def messages(self, topic: str) -> list[Message]:
        """All messages of a topic, by the time they were received; none where it was not recorded.

        Raises:
            RecordingError: one cannot be decoded, or they are of another type than a deployment's.
        """
        found = self.topics.get(self.full_name(topic))
        if found is None:
            return []
        if found.kind != (expected := TYPES.get(topic, found.kind)):
            raise RecordingError(f"{self.path}: {topic} is of type {found.kind}; expected {expected}")
        try:
            messages = [Message(log, publish, number, found.decode(data)) for log, publish, number, data in found.raw]
        except Exception as error:  # whatever the decoder meets in bytes that are not what the schema says
            raise RecordingError(f"{self.path}: {topic}: a message is no {found.kind} ({error})") from error
        return sorted(messages, key=lambda message: message.log_ns)

    def vectors(self, topic: str, field: str = "position") -> Vectors:
        """The named vectors (JointState) of a topic, those with the names of the first one.

        Raises:
            RecordingError: as `messages`, or they are of another type or without names.
        """
        messages = self._typed(topic, "JointState")
        names = tuple(messages[0].value.name) if messages else ()
        if messages and not names:
            raise RecordingError(f"{self.path}: {topic}: its values have no names")
        chosen = [m for m in messages if tuple(m.value.name) == names and len(getattr(m.value, field)) == len(names)]
        values = np.array([getattr(m.value, field) for m in chosen], float).reshape(len(chosen), len(names))
        return Vectors(_stamps(chosen), _received(chosen), names, values)

    def poses(self, topic: str) -> Poses:
        """The poses (PoseStamped) of a topic; raises as `vectors`."""
        messages = self._typed(topic, "PoseStamped")
        poses = [m.value.pose for m in messages]
        positions = np.array([(p.position.x, p.position.y, p.position.z) for p in poses]).reshape(-1, 3)
        turns = [(p.orientation.x, p.orientation.y, p.orientation.z, p.orientation.w) for p in poses]
        return Poses(_stamps(messages), positions, np.array(turns).reshape(-1, 4))

    def texts(self, topic: str) -> Texts:
        """The sentences (String) of a topic; raises as `vectors`."""
        messages = self._typed(topic, "String")
        return Texts(_received(messages), [str(m.value.data) for m in messages])

    def _typed(self, topic: str, kind: str) -> list[Message]:
        found = self.topics.get(self.full_name(topic))
        if found is not None and found.kind.rpartition("/")[2] != kind:
            raise RecordingError(f"{self.path}: {topic} is of type {found.kind}; expected {kind}")
        return self.messages(topic)

    def _of_kit(self, load: Callable[[Path], T]) -> T:
        if SETTINGS not in self.metadata:
            raise RecordingError(f"{self.path} is of another tool: only legion record writes what a replay needs")
        try:
            return load(self._unpacked)
        except LegionError as error:
            version = self.metadata[SETTINGS].get("legion_ros", "?")
            raise RecordingError(f"{self.path}, made by legion_ros {version}: {error}") from error

    @cached_property
    def _unpacked(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="legion_recording_"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        kit.unpack(self.attachments, folder)
        return folder

    def _read(self, stream: BinaryIO, size: int) -> None:
        whole = False
        try:
            for record in _records(stream, size):
                whole = isinstance(record, Footer)
                self._take(record)
        except RecordingError:
            raise
        except Exception as error:  # a damaged file makes the library raise whatever it stumbles over
            at = f"{stream.tell()} of {size} bytes"
            self.damage = f"damaged after {at}: {type(error).__name__} {error}".rstrip()
        if not (whole or self.damage):
            self.damage = f"cut short after {size} bytes"
        if self.damage and not self.topics and not self.metadata:
            raise RecordingError(f"{self.path} is no MCAP file that can be read: {self.damage}")

    def _take(self, record: McapRecord) -> None:
        if isinstance(record, Header):
            self._schemas: dict[int, Schema] = {}
            self._channels: dict[int, Topic] = {}
            self._decoders = DecoderFactory()
            if record.profile != PROFILE:
                raise RecordingError(f"{self.path} has the profile {record.profile!r}; expected {PROFILE!r}")
        elif isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, Channel):
            self._channels[record.id] = self._topic(record)
        elif isinstance(record, Record):
            self._channels[record.channel_id].raw.append(
                (record.log_time, record.publish_time, record.sequence, record.data)
            )
        elif isinstance(record, Metadata):
            self.metadata.setdefault(record.name, {}).update(record.metadata)
        elif isinstance(record, Attachment):
            self.attachments[record.name] = record.data

    def _topic(self, channel: Channel) -> Topic:
        if channel.topic not in self.topics:
            schema = self._schemas[channel.schema_id]
            decode = self._decoders.decoder_for(channel.message_encoding, schema)
            if decode is None:
                what = f"{channel.message_encoding}, {schema.encoding}"
                raise RecordingError(f"{self.path}: {channel.topic} is encoded as {what}; expected cdr, ros2msg")
            self.topics[channel.topic] = Topic(schema.name, decode)
        return self.topics[channel.topic]


def stamp_ns(message: Message) -> int:
    """The stamp of a message's header."""
    return to_ns(message.value.header.stamp)


def _records(stream: BinaryIO, size: int) -> Iterator[McapRecord]:
    """The records of a file in its order; chunks are checked and broken up."""
    for record in StreamReader(stream, emit_chunks=True, record_size_limit=size).records:
        if isinstance(record, Chunk):
            if record.uncompressed_size > LARGEST_CHUNK:
                raise McapError(f"a chunk of {record.uncompressed_size} bytes")
            yield from breakup_chunk(record, validate_crc=True)
        else:
            yield record


def _find(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = sorted(path.glob("*.mcap"))
    if len(files) != 1:
        raise RecordingError(f"{path} holds {len(files)} MCAP files; name one")
    return files[0]


def _stamps(messages: Sequence[Message]) -> Vector:
    return np.array([stamp_ns(message) for message in messages], np.float64) / NS_PER_S


def _received(messages: Sequence[Message]) -> Vector:
    stamps: npt.NDArray[np.int64] = np.array([message.log_ns for message in messages], np.int64)
    return stamps / NS_PER_S
