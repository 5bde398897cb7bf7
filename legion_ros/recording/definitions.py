"""The text of a message type with those of everything it holds, as MCAP's `ros2msg` schemas want it."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path

from legion_core.errors import RecordingError

PRIMITIVES = {
    *("bool", "byte", "char", "float32", "float64", "string", "wstring"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}
SEPARATOR = "=" * 80
_FIELD = re.compile(r"[ \t]*([a-zA-Z][a-zA-Z0-9_/]*)[^#\n]*", re.ASCII)


@cache
def full_definition(kind: str) -> str:
    """The definition of `kind`, such as sensor_msgs/msg/JointState, and then of each type in it, once.

    Raises:
        RecordingError: a definition is not installed.
    """
    parts, seen = [definition(kind)], set[str]()
    _add_held(kind, parts, seen)
    return "\n".join(parts)


def definition(kind: str) -> str:
    """The text of a type's .msg file, which every message package brings along.

    Raises:
        RecordingError: it is not installed.
    """
    package, _, name = kind.partition("/")
    relative = Path("share", package, "msg", f"{name.rpartition('/')[2]}.msg")
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    for prefix in prefixes:
        if (file := Path(prefix) / relative).is_file():
            return file.read_text(encoding="utf-8")
    raise RecordingError(f"no definition of {kind}: {relative} is in none of {', '.join(prefixes)}")


def held_types(kind: str) -> list[str]:
    """The types of the fields of `kind` that are messages themselves, sorted, as package/Name."""
    package, found = kind.partition("/")[0], set()
    for line in definition(kind).splitlines():
        field = _FIELD.match(line)
        if field and field[1] not in PRIMITIVES:
            found.add(field[1] if "/" in field[1] else f"{package}/{field[1]}")
    return sorted(found)


def _add_held(kind: str, parts: list[str], seen: set[str]) -> None:
    for held in held_types(kind):
        if held not in seen:
            seen.add(held)
            parts.append(f"{SEPARATOR}\nMSG: {held}\n{definition(held)}")
            _add_held(held, parts, seen)
