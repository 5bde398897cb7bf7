"""Strict configuration: what is wrong is named with file, key, value and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from legion_core.config import from_mapping, load, load_yaml, require
from legion_core.errors import ConfigurationError, TaskError


@dataclass(frozen=True)
class Inner:
    gain: float = 1.0


@dataclass(frozen=True)
class Settings:
    name: str
    rate: float = 1.0
    count: int = 1
    active: bool = False
    mode: Literal["a", "b"] = "a"
    pair: tuple[int, float] = (1, 2.0)
    items: tuple[str, ...] = ()
    table: dict[str, int] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    maybe: float | None = None
    anything: Any = None

    def __post_init__(self) -> None:
        require(self.rate > 0, "rate", self.rate, "> 0")
        if self.name == "task":
            raise TaskError("from a task")
        if self.name == "value":
            raise ValueError("from a value")


def test_every_kind_of_value() -> None:
    data = {
        "name": "x",
        "rate": 2,
        "count": 3,
        "active": True,
        "mode": "b",
        "pair": [4, 5],
        "items": ["p", "q"],
        "table": {"k": 1},
        "inner": {"gain": 7},
        "maybe": 8,
        "anything": [1, {"deep": 2}],
    }
    settings = from_mapping(Settings, data)
    assert settings == Settings(
        "x", 2.0, 3, True, "b", (4, 5.0), ("p", "q"), {"k": 1}, Inner(7.0), 8.0, data["anything"]
    )
    assert isinstance(settings.rate, float) and isinstance(settings.pair[1], float)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "missing name"),
        ({"name": "x", "colour": 1}, "unknown key 'colour'; allowed: name, rate"),
        ({"name": 1}, "name = 1; expected str"),
        ({"name": "x", "rate": "fast"}, "rate = 'fast'; expected float"),
        ({"name": "x", "rate": True}, "rate = True"),
        ({"name": "x", "rate": 0}, "rate = 0.0; allowed: > 0"),
        ({"name": "x", "count": 1.5}, "count = 1.5; expected int"),
        ({"name": "x", "count": True}, "count = True"),
        ({"name": "x", "active": 1}, "active = 1; expected bool"),
        ({"name": "x", "mode": "c"}, "mode = 'c'; allowed: a, b"),
        ({"name": "x", "pair": [1]}, "pair = .*expected 2 values"),
        ({"name": "x", "pair": [1, "y"]}, r"pair\[1\]"),
        ({"name": "x", "items": "p"}, "items = 'p'; expected a list"),
        ({"name": "x", "items": ["p", 2]}, r"items\[1\] = 2"),
        ({"name": "x", "table": {"k": "v"}}, r"table\.k = 'v'"),
        ({"name": "x", "table": []}, "table = .*expected a mapping"),
        ({"name": "x", "inner": {"gain": None}}, "inner: gain = None"),
        ({"name": "x", "inner": 3}, "inner: expected a mapping"),
        ({"name": "x", "rate": None}, "rate = None"),
        ({"name": "value"}, "from a value"),
    ],
)
def test_what_is_wrong_is_named(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"file.yaml: .*{message}"):
        from_mapping(Settings, data, "file.yaml")


def test_an_error_of_another_kind_keeps_its_kind() -> None:
    with pytest.raises(TaskError, match="from a task"):
        from_mapping(Settings, {"name": "task"})


def test_load_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("name: x\nitems: [a]\n")
    assert load(Settings, path) == Settings("x", items=("a",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"- 1", "expected a mapping of settings, got list"),
        (b"", "got NoneType"),
        (b"!!python/object/apply:os.getcwd []", "not valid YAML"),
        (b"date: 2001-99-99", "not valid YAML: month must be in"),
        (b"a: " + b"9" * 5000, "not valid YAML"),
        (b"[" * 2000, "not valid YAML"),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"broken.yaml.*{message}"):
        load_yaml(path)


def test_a_number_that_no_float_holds_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="settings: rate: a number of 401 digits is too large"):
        from_mapping(Settings, {"name": "x", "rate": 10**400})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*none\.yaml: No such file"):
        load_yaml(tmp_path / "none.yaml")
