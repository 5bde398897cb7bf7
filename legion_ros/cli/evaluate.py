"""`legion evaluate`: success over tasks and seeds, with its 95 % interval, as Markdown and JSON."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from legion_core.config import require
from legion_core.evaluation import Evaluation
from legion_core.sim import EVALUATION_SEED_BASE
from legion_ros.cli.common import GAP_ROBOT, ROBOT

LOOPS = ("direct", "ros")
BOTH = "both"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--loop", choices=LOOPS, default="direct", help="in one process, or through the ROS graph")
    parser.add_argument("--actuation", choices=("mocap", "servo"), help="default: mocap; servo with --loop ros")
    parser.add_argument("--arm", choices=("iiwa7", "sawyer", BOTH), default="iiwa7", help="(sawyer: mocap only)")
    parser.add_argument(
        "--robot",
        metavar="PROFILE",
        help=f"with --actuation servo: the simulated robot (default: {ROBOT}; with --gap: {GAP_ROBOT})",
    )
    parser.add_argument(
        "--gap",
        nargs="?",
        const="",
        metavar="FILE",
        help="with --actuation servo: across that reality gap (default: config/gap.yaml)",
    )
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="default: all that the policy knows")
    parser.add_argument("--episodes", type=int, default=10, help="layouts a task (10)")
    parser.add_argument("--seed", type=int, default=EVALUATION_SEED_BASE, help="first layout (%(default)s)")
    parser.add_argument("--policy", default="", metavar="FOLDER", help="policy bundle (default: the packaged one)")
    parser.add_argument("--processes", type=int, default=2, help="with --loop direct: simulations at once (2)")
    parser.add_argument("--ray", metavar="ADDRESS", help="with --loop direct: simulate on that Ray cluster")
    parser.add_argument("--output", metavar="STEM", help="write STEM.md and STEM.json (--arm both: STEM.json)")


def run(options: argparse.Namespace) -> int:
    """0 when the measurement is complete, whatever it says."""
    if options.arm == BOTH:
        return _on_both_arms(options)
    evaluation = _through_ros(options) if options.loop == "ros" else _directly(options)
    print(evaluation.markdown())
    print(f"mean success {evaluation.mean_success:.3f}, worst task {evaluation.worst_success:.3f}")
    if options.output:
        print(*evaluation.write(options.output), file=sys.stderr)
    return 0


def _through_ros(options: argparse.Namespace) -> Evaluation:
    require(options.actuation in (None, "servo"), "actuation", options.actuation, "servo, with --loop ros")
    require(options.arm == "iiwa7", "arm", options.arm, "iiwa7, with --loop ros")
    require(options.ray is None, "ray", options.ray, "only with --loop direct")
    require(options.gap is None, "gap", options.gap, "only with --loop direct")
    from legion_ros.evaluation import evaluate_ros

    return evaluate_ros(
        options.policy,
        robot=options.robot or ROBOT,
        tasks=options.tasks,
        episodes=options.episodes,
        first_seed=options.seed,
    )


def _on_both_arms(options: argparse.Namespace) -> int:
    """Cross-embodiment: the same layouts on either arm."""
    require(options.loop == "direct", "arm", options.arm, "iiwa7, with --loop ros")
    require(options.actuation in (None, "mocap"), "actuation", options.actuation, "mocap, with --arm both")
    require(options.gap is None, "gap", options.gap, "only with --actuation servo")
    from legion_core.bundle import PolicyBundle
    from legion_core.cluster import job_pool
    from legion_core.learning.cross_embodiment import evaluate_arms

    bundle = PolicyBundle.load(options.policy or None)
    with job_pool(options.processes, options.ray) as pool:
        result = evaluate_arms(
            bundle, tasks=options.tasks, episodes=options.episodes, first_seed=options.seed, pool=pool
        )
    print(result.markdown())
    if options.output:
        result.write(f"{options.output}.json")
    return 0


def _directly(options: argparse.Namespace) -> Evaluation:
    from legion_core.bundle import PolicyBundle
    from legion_core.cluster import job_pool
    from legion_core.evaluation import evaluate_direct
    from legion_core.sim import RealityGap
    from legion_sim2real.bridge import BridgeFactory

    bridged = options.actuation == "servo"
    for key in ("robot", "gap"):
        require(bridged or getattr(options, key) is None, key, getattr(options, key), "only with --actuation servo")
    gap = None if options.gap is None else RealityGap.load(options.gap or None)
    robot = options.robot or (ROBOT if gap is None else GAP_ROBOT)
    bundle = PolicyBundle.load(options.policy or None)
    with job_pool(options.processes, options.ray) as pool:
        evaluation = evaluate_direct(
            bundle,
            tasks=options.tasks,
            episodes=options.episodes,
            actuation=options.actuation or "mocap",
            arm=options.arm,
            bridge_factory=BridgeFactory(robot, bundle.spec),
            gap=gap,
            first_seed=options.seed,
            pool=pool,
        )
    return replace(evaluation, settings={"robot": robot, **evaluation.settings}) if bridged else evaluation
