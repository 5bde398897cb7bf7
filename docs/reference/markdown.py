"""Tables and types in Markdown."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable
from typing import Any

import yaml

GENERATED = "This page is made from the code when the site is built."
WORDS = {bool: "true or false", int: "integer", float: "number", str: "text"}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; bars and line ends in its cells do it no harm."""
    names = list(head)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n" + "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(value: object) -> str:
    """As code; nothing where there is nothing."""
    return f"`{value}`" if str(value) else ""


def shown(value: object) -> str:
    """A value as YAML has it."""
    plain = list(value) if isinstance(value, tuple) else value
    return code(yaml.safe_dump(plain, default_flow_style=True, width=1000).removesuffix("...\n").strip())


def type_name(hint: Any) -> str:
    """A type in words."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(code(choice) for choice in arguments)
    if typing.get_origin(hint) is tuple:
        several = arguments[-1] is Ellipsis
        return f"{'' if several else f'{len(arguments)} x '}{type_name(arguments[0])}{', several' if several else ''}"
    if arguments:  # one of several types, or null
        return " or ".join("`null`" if each is type(None) else type_name(each) for each in arguments)
    return WORDS.get(hint) or code(getattr(hint, "__name__", hint))


def dataclass_in(hint: Any) -> type | None:
    """The dataclass that a field holds, if it holds one; those in a list do not count."""
    if typing.get_origin(hint) is tuple:
        return None
    types = (each for each in (hint, *typing.get_args(hint)) if isinstance(each, type))
    return next((each for each in types if dataclasses.is_dataclass(each)), None)
