"""An MCAP file as rosbag2 writes it, on disk up to the last chunk whatever becomes of its writer.

A chunk is closed when it is full and at every `flush`; what is in the file then is read without the index that only
`close` writes. Formats: https://mcap.dev/spec, its profile `ros2`, and the metadata of rosbag2 in version 8, which
Humble, Jazzy and Kilted read alike.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from legion_core import __version__
from legion_core.config import require
from legion_core.errors import RecordingError
from legion_ros.recording.definitions import full_definition

try:
    from mcap.writer import CompressionType, Writer
except ImportError as error:
    raise RecordingError("mcap is not installed; install it with: pip install 'legion_ros[record]'") from error

SUFFIX = ".mcap"
METADATA_FILE = "metadata.yaml"
CHUNK_BYTES = 256 * 1024
BAG_VERSION = 8
"""Of rosbag2's metadata: the last one whose QoS policies are numbers, as Humble wants them."""


class Bag:
    """A new recording. A `path` that ends in .mcap is one file; any other is a folder as `ros2 bag record` makes it.

    Raises:
        RecordingError: it exists already or cannot be written; so do all methods when the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.folder = None if path.suffix == SUFFIX else path
        self.file = path if self.folder is None else path / f"{path.name}_0{SUFFIX}"
        self._channels: dict[str, int] = {}
        self._topics: list[dict[str, Any]] = []
        self._schemas: dict[str, int] = {}
        self._counts: Counter[str] = Counter()
        self.size_bytes = 0
        """What was on disk at the last `flush`; also where somebody has deleted the file."""
        self._first_ns, self._last_ns = 2**63 - 1, 0
        try:
            if self.folder is not None:
                self.folder.mkdir(parents=True)
            self._stream = self.file.open("xb")
        except FileExistsError as error:
            raise RecordingError(f"{path} exists already; choose another name") from error
        except OSError as error:
            raise RecordingError(f"cannot write {self.file}: {error.strerror}") from error
        self._writer = Writer(self._stream, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        self._do(self._writer.start, "ros2", f"legion_ros {__version__}")
        # a reader that finds no index at the end of the file must know the format of the QoS all the same
        self.describe("rosbag2", self._rosbag2())
        self.flush()

    @property
    def messages(self) -> int:
        """How many messages were added."""
        return self._counts.total()

    def has(self, topic: str) -> bool:
        """Whether the topic was added."""
        return topic in self._channels

    def add_topic(self, topic: str, kind: str, qos: Iterable[Any], type_hash: str = "") -> None:
        """A topic of messages of type `kind` (package/msg/Name) whose publishers offer `qos`."""
        if kind not in self._schemas:
            text = full_definition(kind).encode()
            self._schemas[kind] = self._do(self._writer.register_schema, kind, "ros2msg", text)
        described = {"offered_qos_profiles": qos_text(qos), "topic_type_hash": type_hash}
        self._channels[topic] = self._do(self._writer.register_channel, topic, "cdr", self._schemas[kind], described)
        self._topics.append(
            {
                "name": topic,
                "type": kind,
                "serialization_format": "cdr",
                "offered_qos_profiles": described["offered_qos_profiles"],
                "type_description_hash": type_hash,
            }
        )

    def add(self, topic: str, log_ns: int, publish_ns: int, data: bytes, sequence: int = 0) -> None:
        """A serialised message of a topic that was added; times are wall clock."""
        self._do(self._writer.add_message, self._channels[topic], log_ns, data, publish_ns, sequence)
        self._counts[topic] += 1
        self._first_ns, self._last_ns = min(self._first_ns, log_ns), max(self._last_ns, log_ns)

    def attach(self, name: str, media_type: str, data: bytes, time_ns: int) -> None:
        """A file."""
        self._do(self._writer.add_attachment, time_ns, time_ns, name, media_type, data)

    def describe(self, name: str, values: Mapping[str, str]) -> None:
        """A record of metadata."""
        self._do(self._writer.add_metadata, name, dict(values))

    def flush(self) -> None:
        """Close the chunk and hand everything to the operating system: from now on a killed writer loses nothing."""
        self._do(self._writer.flush)
        self.size_bytes = self._stream.tell()

    def close(self) -> None:
        """Write index and metadata."""
        self.describe("rosbag2", self._rosbag2())
        self._do(self._writer.finish)
        self.size_bytes = self._stream.tell()
        self._do(self._stream.close)
        if self.folder is not None:
            text = yaml.safe_dump({"rosbag2_bagfile_information": self._information()}, sort_keys=False)
            self._do((self.folder / METADATA_FILE).write_text, text, "utf-8")

    def _rosbag2(self) -> dict[str, str]:
        return {"serialized_metadata": yaml.safe_dump(self._information(), sort_keys=False)}

    def _information(self) -> dict[str, Any]:
        """rosbag2's BagMetadata."""
        begin_ns = self._first_ns if self.messages else 0
        duration = {"nanoseconds": self._last_ns - begin_ns if self.messages else 0}
        begin = {"nanoseconds_since_epoch": begin_ns}
        file = {"path": self.file.name, "starting_time": begin, "duration": duration, "message_count": self.messages}
        return {
            "version": BAG_VERSION,
            "storage_identifier": "mcap",
            "duration": dict(duration),
            "starting_time": dict(begin),
            "message_count": self.messages,
            "topics_with_message_count": [
                {"topic_metadata": topic, "message_count": self._counts[topic["name"]]} for topic in self._topics
            ],
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [self.file.name],
            "files": [file],
            "custom_data": {},
            "ros_distro": os.environ.get("ROS_DISTRO", ""),
        }

    def _do(self, step: Any, *values: Any) -> Any:
        try:
            return step(*values)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> RecordingError:
        return RecordingError(f"cannot write {self.file}: {error.strerror}; what it holds so far can be read")


def qos_text(profiles: Iterable[Any]) -> str:
    """rclpy's QoS profiles as rosbag2's YAML, policies as the numbers of rmw."""
    return yaml.safe_dump([_qos(profile) for profile in profiles], sort_keys=False)


def _qos(profile: Any) -> dict[str, Any]:
    def time(name: str) -> dict[str, int]:
        seconds, rest = divmod(getattr(profile, name).nanoseconds, 1_000_000_000)
        return {"sec": seconds, "nsec": rest}

    return {
        "history": int(profile.history),
        "depth": int(profile.depth),
        "reliability": int(profile.reliability),
        "durability": int(profile.durability),
        "deadline": time("deadline"),
        "lifespan": time("lifespan"),
        "liveliness": int(profile.liveliness),
        "liveliness_lease_duration": time("liveliness_lease_duration"),
        "avoid_ros_namespace_conventions": bool(profile.avoid_ros_namespace_conventions),
    }


def new_path(text: str, default_name: str) -> Path:
    """Where a recording goes: `text`, or `default_name` in this folder.

    Raises:
        ConfigurationError: its folder does not exist.
    """
    path = Path(text or default_name)
    require(path.resolve().parent.is_dir(), "output", str(path), "a name in a folder that exists")
    return path
