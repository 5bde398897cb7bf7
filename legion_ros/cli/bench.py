"""`legion bench`: the benchmarks of the source tree."""

from __future__ import annotations

import argparse
import subprocess
import sys

from legion_core.errors import ConfigurationError, unknown
from legion_core.resources import resource


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="policy, sim2real, latency (default: all there are)")


def run(options: argparse.Namespace) -> int:
    """0 when every benchmark has run."""
    scripts = {path.stem.removeprefix("bench_"): path for path in sorted(resource("benchmarks").glob("bench_*.py"))}
    for name in options.names:
        if name not in scripts:
            raise ConfigurationError(unknown("benchmark", name, scripts))
    wanted = [scripts[name] for name in options.names or scripts]
    codes = [subprocess.run([sys.executable, str(script)], check=False).returncode for script in wanted]
    return int(any(codes))
