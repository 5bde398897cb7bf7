"""Time of one policy step: LegionPolicy (numpy) against plain eager PyTorch modules of the same net, one thread.

Both turn a numpy observation and embedding into action, latent and responsibilities; both outputs are compared
before anything is timed. Run: python benchmarks/bench_policy.py [--bundle FOLDER]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from math import log, pi

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import torch

from legion_core.bundle import PolicyBundle
from legion_core.layouts import TaskFrame
from legion_core.networks import PolicyNetwork
from legion_core.policy import LegionPolicy

ROUNDS = 20
STEPS_PER_ROUND = 500


def eager_policy(bundle: PolicyBundle) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]:
    """The same step with torch modules, without any of our folding."""
    weights = bundle.weights
    network = PolicyNetwork(
        weights["observation_mean"],
        weights["observation_scale"],
        bundle.manifest.embedding.size,
        bundle.manifest.architecture,
    )
    network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()}, strict=False)
    network.eval()
    mixture = bundle.knowledge
    log_weights = torch.as_tensor(np.log(mixture.weights), dtype=torch.float32)
    means = torch.as_tensor(mixture.means, dtype=torch.float32)
    variances = torch.as_tensor(mixture.variances, dtype=torch.float32)

    def step(observation: np.ndarray, embedding: np.ndarray) -> tuple[np.ndarray, ...]:
        with torch.inference_mode():
            action, latent = network(torch.from_numpy(observation)[None], torch.from_numpy(embedding)[None])
            density = -0.5 * ((latent - means) ** 2 / variances + variances.log() + log(2 * pi)).sum(-1)
            responsibilities = torch.softmax(log_weights + density, dim=-1)
            return action[0].numpy(), latent[0].numpy(), responsibilities.numpy()

    return step


def step_times_ms(step: Callable[..., object], observations: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    """Duration of each step in milliseconds."""
    times = np.empty(len(observations))
    for i, observation in enumerate(observations):
        start = time.perf_counter()
        step(observation, embedding)
        times[i] = time.perf_counter() - start
    return times * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", help="bundle folder (default: the shipped one)")
    bundle = PolicyBundle.load(parser.parse_args().bundle)
    torch.set_num_threads(1)

    policy, eager = LegionPolicy(bundle), eager_policy(bundle)
    task = bundle.task_names[0]
    embedding = bundle.embedding(task)
    mean, scale = bundle.weights["observation_mean"], bundle.weights["observation_scale"]
    noise = np.random.default_rng(0).normal(size=(STEPS_PER_ROUND, bundle.spec.size))
    # goals where training had them: LegionPolicy would move others, which is no part of the network
    frame = TaskFrame(bundle.spec, bundle.manifest.goals)
    observations = np.array(
        [frame.apply(task, observation) for observation in (mean + scale * noise).astype(np.float32)]
    )
    for observation in observations:
        ours = policy.act(observation, embedding)
        for mine, theirs in zip(ours, eager(observation, embedding), strict=False):
            np.testing.assert_allclose(mine, theirs, atol=1e-3)

    # Rounds alternate, so that a disturbance of the machine meets both.
    times: dict[str, list[np.ndarray]] = {"numpy": [], "eager torch": []}
    for _ in range(ROUNDS):
        times["numpy"].append(step_times_ms(policy.act, observations, embedding))
        times["eager torch"].append(step_times_ms(eager, observations, embedding))
    print("| policy step, batch 1, one thread | median ms | p99 ms |\n|---|---|---|")
    for name, rounds in times.items():
        median, p99 = np.percentile(np.concatenate(rounds), (50, 99))
        print(f"| {name} | {median:.3f} | {p99:.3f} |")
    ratio = np.median(np.concatenate(times["eager torch"])) / np.median(np.concatenate(times["numpy"]))
    print(f"\nnumpy is {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
