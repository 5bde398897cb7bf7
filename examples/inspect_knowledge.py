"""What a policy bundle knows: its tasks, its mixture over the latent, and what the mixture says of scenes and tasks.

python examples/inspect_knowledge.py [BUNDLE]
"""

from __future__ import annotations

import sys

import numpy as np

from legion_core.bundle import PolicyBundle
from legion_core.errors import LegionError
from legion_core.policy import LegionPolicy
from legion_core.sim import make_env


def main() -> int:
    """Print it."""
    try:
        bundle = PolicyBundle.load(sys.argv[1] if len(sys.argv) > 1 else None)
    except LegionError as error:  # whatever the reader can mend: one line without a traceback
        sys.exit(str(error))
    knowledge, tasks = bundle.knowledge, bundle.task_names
    print(f"{len(tasks)} tasks, {len(knowledge.weights)} components in {knowledge.latent_size} dimensions\n")

    print("component             weight  spread  nearest other component")
    gaps = np.linalg.norm(knowledge.means[:, None] - knowledge.means[None], axis=-1)
    np.fill_diagonal(gaps, np.inf)
    for k, task in enumerate(knowledge.tasks):
        nearest, spread = gaps[k].argmin(), np.sqrt(knowledge.variances[k]).mean()
        neighbour = f"{knowledge.tasks[nearest]} at {gaps[k, nearest]:.2f}"
        print(f"{task:<20}  {knowledge.weights[k]:.3f}   {spread:.3f}   {neighbour}")

    latents, origin = knowledge.sample(np.random.default_rng(0), 1000)
    agreed = (knowledge.responsibilities(latents).argmax(axis=1) == origin).mean()
    print(f"\nof 1000 latents drawn from the mixture {agreed:.1%} are given back to the component they came from")

    print(
        f"\nfirst look at each scene: log-likelihood (familiar from {bundle.manifest.familiar_log_likelihood:.1f} on)"
    )
    policy = LegionPolicy(bundle)
    for task in tasks:
        observation, _ = make_env(task, spec=bundle.spec).reset(seed=0)
        step = policy.act(observation, bundle.embedding(task))
        component = knowledge.tasks[int(step.responsibilities.argmax())]
        print(f"{task:<20}  {step.log_likelihood:6.1f}  component of {component}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
