"""Dataclasses from YAML: strict, typed, and with errors that name file, key, value and what is allowed."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from legion_core.errors import ConfigurationError, LegionError, unknown

T = TypeVar("T")


def load_yaml(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML file, read safely.

    Raises:
        ConfigurationError: the file is missing, is not YAML or does not hold a mapping.
    """
    try:
        with Path(path).open(encoding="utf-8") as stream:
            data = yaml.safe_load(stream)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: expected a mapping of settings, got {type(data).__name__}")
    return data


def load(cls: type[T], path: Path | str) -> T:
    """An instance of the dataclass `cls` from a YAML file (see `from_mapping`)."""
    return from_mapping(cls, load_yaml(path), str(path))


def from_mapping(cls: type[T], data: Mapping[str, Any], source: str = "settings") -> T:
    """An instance of the dataclass `cls` from a mapping; nested dataclasses from nested mappings.

    Raises:
        ConfigurationError: an unknown or missing key, a value of the wrong type, or one that the
            dataclass refuses in `__post_init__`; the message starts with `source` and the key.
    """
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"{source}: expected a mapping, got {data!r}")
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise ConfigurationError(f"{source}: {unknown('key', key, fields)}")
    required = (
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    )
    missing = [name for name in required if name not in data]
    if missing:
        raise ConfigurationError(f"{source}: missing {', '.join(missing)}")
    hints = typing.get_type_hints(cls)
    values = {key: _convert(hints[key], value, f"{source}: {key}") for key, value in data.items()}
    try:
        return cls(**values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source}: {error}") from error
    except LegionError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{source}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type `hint`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(a for a in arguments if a is not type(None)), value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise ConfigurationError(f"{where} = {value!r}; allowed: {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigurationError(f"{where} = {value!r}; expected a list")
        if arguments[-1] is Ellipsis:
            return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        if len(value) != len(arguments):
            raise ConfigurationError(f"{where} = {value!r}; expected {len(arguments)} values")
        return tuple(
            _convert(a, item, f"{where}[{i}]") for i, (a, item) in enumerate(zip(arguments, value, strict=True))
        )
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigurationError(f"{where} = {value!r}; expected a mapping")
        return {str(k): _convert(arguments[1], item, f"{where}.{k}") for k, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return from_mapping(typing.cast("type[Any]", hint), value, where)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ConfigurationError(f"{where}: a number of {len(str(value))} digits is too large") from None
    if hint is Any or (
        isinstance(hint, type) and isinstance(value, hint) and (hint is bool) == isinstance(value, bool)
    ):
        return value
    raise ConfigurationError(f"{where} = {value!r}; expected {getattr(hint, '__name__', hint)}")


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Raise ConfigurationError naming key, value and what is allowed unless `condition` holds."""
    if not condition:
        raise ConfigurationError(f"{key} = {value!r}; allowed: {allowed}")
