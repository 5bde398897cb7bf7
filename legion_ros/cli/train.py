"""`legion train`: a policy bundle from nothing."""

from __future__ import annotations

import argparse
import shlex
import sys

from legion_core.config import load
from legion_core.resources import resource


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("output", help="new folder for the bundle")
    parser.add_argument("--config", metavar="FILE", help="YAML settings (default: config/train.yaml)")


def run(options: argparse.Namespace) -> int:
    """0 when the bundle is saved."""
    from legion_core.imitation import TrainConfig, train
    from legion_sim2real.bridge import BridgeFactory

    config = load(TrainConfig, options.config or resource("config/train.yaml"))
    command = shlex.join(["legion", *sys.argv[1:]])
    bundle = train(config, options.output, bridge_factory=BridgeFactory(), command=command)
    for actuation, score in bundle.manifest.success.items():
        print(f"{actuation}: mean success {score['mean']:.3f}, worst task {score['worst']:.3f}")
    print(f"saved {options.output}")
    return 0
