"""The command line: every command of `legion` with its arguments, from their parsers."""

from __future__ import annotations

import argparse
import importlib
import keyword
from collections.abc import Iterator

from legion_ros.cli.main import COMMANDS
from reference.markdown import GENERATED, code, table

INTRODUCTION = """\
Exit codes: 0 success, 1 failure, 2 wrong usage, 130 Ctrl-C. `legion COMMAND --help` prints the same as stands here;
`LEGION_DEBUG=1` shows the traceback of an unexpected error.
"""


def page() -> str:
    """All commands."""
    parts = [f"# Command line\n{GENERATED}\n\n{INTRODUCTION}"]
    for name, text in COMMANDS.items():
        parts += [f"## legion {name}\n{text[0].upper()}{text[1:]}.", *_arguments(parser_of(name))]
    return "\n".join(parts)


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of a command."""
    parser = argparse.ArgumentParser(prog=f"legion {command}", add_help=False)
    importlib.import_module(f"legion_ros.cli.{command}{'_' * keyword.iskeyword(command)}").add_arguments(parser)
    return parser


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A table of the arguments, and those of each way that the command can go."""
    ways = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    plain = [each for each in parser._actions if each not in ways and not isinstance(each, argparse._HelpAction)]
    if plain:
        yield table(("argument", "meaning"), ((_flags(action), _meaning(action)) for action in plain))
    for action in ways:
        texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, way in action.choices.items():
            yield f"**`{way.prog}`**: {texts.get(name, '')}"
            yield from _arguments(way)


def _flags(action: argparse.Action) -> str:
    choices = "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    value = action.metavar or choices
    if not action.option_strings:
        return code(value)
    return ", ".join(code(f"{flag} {value}" if action.nargs != 0 else flag) for flag in action.option_strings)


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    default = f"{action.default:g}" if isinstance(action.default, float) else str(action.default)
    return text if default in ("None", "", "False", "[]") or default in text else f"{text} (default: {default})"
