"""LEGION without ROS: a sentence becomes a task, and a frozen policy does it in simulation behind bridge and guard.

    python examples/python_api.py --seed 7 "close the window, then press the button"

Everything here is what the nodes of a deployment are made of.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from legion_core.bundle import PolicyBundle
from legion_core.embedding import InstructionEncoder
from legion_core.policy import LegionPolicy
from legion_core.sim import make_env
from legion_core.understanding import Interpreter, Tasks
from legion_sim2real.bridge import BridgeFactory


def main() -> int:
    """0 when every task was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentence", nargs="?", default="open the window")
    parser.add_argument("--seed", type=int, default=7, help="layout of the scene (%(default)s)")
    options = parser.parse_args()

    bundle = PolicyBundle.load()  # the one that comes with the package
    print(f"policy: {len(bundle.task_names)} tasks, {len(bundle.knowledge.weights)} components of knowledge")

    wish = Interpreter(bundle, InstructionEncoder()).understand(options.sentence)
    if not isinstance(wish, Tasks):
        print(f"{options.sentence!r} is no task: {wish}")
        return 1
    print(f"{options.sentence!r} means {', '.join(wish.names)} (similarity {wish.similarity:.2f})")
    return 0 if all(episode(bundle, task, options.seed) for task in wish.names) else 1


def episode(bundle: PolicyBundle, task: str, seed: int) -> bool:
    """Run one episode on the servo arm and tell what happened. Returns whether the task was done."""
    policy = LegionPolicy(bundle)
    # the servo arm obeys joint positions, so it is handed the bridge that a real one gets: kinematics and guard
    env = make_env(task, actuation="servo", bridge=BridgeFactory(spec=bundle.spec), spec=bundle.spec)
    observation, info = env.reset(seed=seed)
    print(f"\n{task}, layout {seed}")
    named = dict(zip(bundle.spec.fields, observation.tolist(), strict=True))
    print(f"  object at x {named['object_x']:.3f}, y {named['object_y']:.3f}, z {named['object_z']:.3f} m")

    components: Counter[str] = Counter()
    steps, over = 0, False
    while not (info["success"] or over):
        step = policy.act(observation, bundle.embedding(task))
        components[bundle.knowledge.tasks[int(step.responsibilities.argmax())]] += 1
        observation, _, _, over, info = env.step(step.action)
        steps += 1
    shares = ", ".join(f"{name} in {count} steps" for name, count in components.most_common())
    print(f"  {'done' if info['success'] else 'not done'} after {steps} steps")
    print(f"  component of the latent: {shares}; the last log-likelihood {step.log_likelihood:.1f}")
    return bool(info["success"])


if __name__ == "__main__":
    sys.exit(main())
