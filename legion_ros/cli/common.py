"""What several commands share."""

from __future__ import annotations

import argparse

from legion_ros.domain import domain_id, keep_local

ROBOT, GAP_ROBOT = "mujoco", "mujoco_gap"
"""Profiles of the simulated robot: as it is, and behind a reality gap."""


def add_network_argument(parser: argparse.ArgumentParser) -> None:
    """`--network`."""
    parser.add_argument(
        "--network", action="store_true", help="let other machines hear and be heard (default: this machine only)"
    )


def enter_domain(options: argparse.Namespace) -> int:
    """Settle who may hear ROS traffic. Returns the domain."""
    domain = domain_id()
    keep_local(options.network)
    return domain
