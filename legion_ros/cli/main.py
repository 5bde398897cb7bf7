"""The `legion` command: its subcommands, each a module of this package, and their exit codes."""

from __future__ import annotations

import argparse
import importlib
import keyword
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from legion_core import __version__
from legion_core.errors import LegionError

COMMANDS = {
    "deploy": "start the deployment graph and leave it up until Ctrl-C",
    "say": "give a running deployment its next task",
    "listen": "show what a microphone or a sound file is heard to say, before anything moves",
    "mission": "run several tasks one after the other, and say how they go",
    "status": "show how a running deployment is, part by part, and how to mend what is wrong",
    "stop": "engage or clear the emergency stop of one deployment, or of all",
    "record": "write everything a running deployment says to an MCAP file",
    "replay": "ask whether a recording's observations and actions come out the same again, bit for bit",
    "train": "run LEGION's learning: multitask, lifelong, few-shot, new or resumed",
    "evaluate": "measure the success of a policy over tasks and seeds",
    "import": "turn the files that LEGION's authors published into a policy bundle",
    "report": "show what runs of training came to, or a recording, as one HTML page",
    "calibrate": "find where the table lies to the robot, or where a camera stands, from measured points",
    "bench": "measure speed: policy step, bridge, joint state to command",
    "security": "write the SROS 2 policy of a deployment",
    "doctor": "say what is missing or wrong on this machine and how to mend it",
}


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the usage, as with everything else."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help lists what is allowed\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0 success, 1 failure, 2 wrong usage, 130 Ctrl-C."""
    try:
        options = _parse(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:  # what a command is made of takes a while to import
        return 130
    return _run(options)


def _parse(arguments: list[str]) -> argparse.Namespace:
    """The command with its arguments, read by the command's own module; others are not imported."""
    parser = Parser(prog="legion", description="A frozen LEGION policy on a KUKA LBR iiwa 7 R800.")
    parser.add_argument("--version", action="version", version=f"legion_ros {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name in arguments[:1]:
            module = importlib.import_module(f"legion_ros.cli.{name}{'_' * keyword.iskeyword(name)}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:  # argparse itself would blame the command that they follow on `legion`
        commands.choices[options.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _run(options: argparse.Namespace) -> int:
    try:
        code: int = options.run(options)
        return code
    except LegionError as error:
        print(f"legion {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # whoever read our output has gone; what is left in the buffer must not complain at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ImportError as error:
        print(f"legion {options.command}: {error}; 'legion doctor' says how to mend it", file=sys.stderr)
        return 1
    except Exception as error:
        if os.environ.get("LEGION_DEBUG"):
            raise
        where = f"{type(error).__name__}: {error}"
        print(f"legion {options.command}: unexpected {where} (LEGION_DEBUG=1 shows the traceback)", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
