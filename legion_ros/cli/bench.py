"""`legion bench`: the benchmarks of the source tree."""

from __future__ import annotations

import argparse
import subprocess
import sys
from itertools import takewhile

from legion_core.errors import ConfigurationError, unknown
from legion_core.resources import resource

LONG = {"faults": "fault_matrix", "fuzz": "fuzz_bridge", "soak": "soak"}
"""Those that have to be asked for by name, and their scripts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    names = "policy, sim2real, latency, load, ... (default: all); faults, fuzz, soak (when named); -- and its arguments"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names)


def run(options: argparse.Namespace) -> int:
    """0 when every benchmark has run and, where it has bars, has kept them."""
    folder = resource("benchmarks")
    scripts = {path.stem.removeprefix("bench_"): path for path in sorted(folder.glob("bench_*.py"))}
    scripts |= {name: folder / f"{script}.py" for name, script in LONG.items()}
    names = [*takewhile(lambda name: not name.startswith("-"), options.names)]
    for name in names:
        if name not in scripts:
            raise ConfigurationError(unknown("benchmark", name, scripts))
    wanted = [scripts[name] for name in names or scripts if names or name not in LONG]
    arguments = options.names[len(names) :]
    codes = [subprocess.run([sys.executable, str(script), *arguments], check=False).returncode for script in wanted]
    return int(any(codes))
