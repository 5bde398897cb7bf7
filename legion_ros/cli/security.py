"""`legion security`: the SROS 2 policy of a deployment, or of every robot of a cell."""

from __future__ import annotations

import argparse
from pathlib import Path

from legion_core.config import require
from legion_core.errors import DeploymentError
from legion_ros.cli.deploy import add_deployment_arguments, deployment_options
from legion_ros.deployment import DeploymentOptions
from legion_ros.fleet import load_cell
from legion_ros.security import make_policy

POLICY = "policy.xml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command: those of the deployment whose policy it is."""
    parser.add_argument("folder", metavar="FOLDER", help=f"where to write {POLICY}")
    add_deployment_arguments(parser)
    parser.add_argument("--cell", default="", metavar="FILE", help="several robots: a file as config/cell.yaml")


def run(options: argparse.Namespace) -> int:
    """0 when the policy is written."""
    deployment = deployment_options(options)
    alone = not options.cell or deployment == DeploymentOptions()
    require(alone, "cell", options.cell, "without options of a single deployment: write them there")
    policy = make_policy(load_cell(options.cell).robots if options.cell else [deployment])
    folder = Path(options.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / POLICY).write_text(policy, encoding="utf-8")
    except OSError as error:
        raise DeploymentError(f"cannot write {folder / POLICY}: {error.strerror}") from error
    print(f"{folder / POLICY}: now, with ROS 2's sros2,")
    print(f"  ros2 security create_keystore {folder / 'keystore'}")
    print(f"  ros2 security generate_artifacts -k {folder / 'keystore'} -p {folder / POLICY}")
    print(f"  export ROS_SECURITY_KEYSTORE={(folder / 'keystore').resolve()}")
    print("  export ROS_SECURITY_ENABLE=true ROS_SECURITY_STRATEGY=Enforce")
    return 0
