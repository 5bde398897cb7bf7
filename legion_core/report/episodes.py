"""Episodes of a policy as strips of pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow

from legion_core.bundle import PolicyBundle
from legion_core.policy import LegionPolicy
from legion_core.report.style import data_uri
from legion_core.sim import EVALUATION_SEED_BASE, TaskEnv, make_env
from legion_core.sim.rendering import Image
from legion_core.workers import run_jobs, worker_pool

FRAMES = 6
SIZE = (320, 240)
QUALITY = 80
"""Of the JPEGs."""


@dataclass(frozen=True)
class Strip:
    """One episode: pictures evenly from its first to its last step."""

    task: str
    seed: int
    success: bool
    steps: int
    shown: tuple[int, ...]
    """The step of each picture; 0 is the start."""
    frames: tuple[bytes, ...]
    """JPEGs."""

    @property
    def uris(self) -> tuple[str, ...]:
        """The pictures as data URIs."""
        return tuple(data_uri(frame, "image/jpeg") for frame in self.frames)


@dataclass(frozen=True)
class FilmJob:
    """One episode for one process: opening OpenGL takes longer than the episode."""

    bundle: PolicyBundle
    task: str
    seed: int
    arm: str


def film(
    bundle: PolicyBundle,
    tasks: Sequence[str],
    *,
    arm: str = "iiwa7",
    episodes: int = 1,
    processes: int = 2,
    progress: bool = True,
) -> list[Strip]:
    """The first `episodes` evaluation layouts of each task, by the policy, in mocap actuation.

    Raises:
        SimulationError: no offscreen OpenGL on this machine.
        TaskError: a task that the policy does not know.
    """
    names = [bundle.manifest.task(name).name for name in tasks]
    jobs = [FilmJob(bundle, name, EVALUATION_SEED_BASE + index, arm) for name in names for index in range(episodes)]
    with worker_pool(processes) as pool:
        return list(run_jobs(pool, film_episode, jobs, "film", progress))


def film_episode(job: FilmJob) -> Strip:
    """One episode up to success or the time limit."""
    env = make_env(job.task, arm=job.arm, spec=job.bundle.spec, render_mode="rgb_array")
    policy = LegionPolicy(job.bundle)
    try:
        # a picture costs as much as many steps, and which ones are wanted is known at the end: play it twice
        success, steps, _ = _play(env, policy, job.seed, ())
        wanted = tuple(np.unique(np.linspace(0, steps, FRAMES).round().astype(int)).tolist())
        _, _, images = _play(env, policy, job.seed, wanted)
    finally:
        env.close()
    return Strip(job.task, job.seed, success, steps, wanted, tuple(_jpeg(image) for image in images))


def _play(env: TaskEnv, policy: LegionPolicy, seed: int, wanted: Sequence[int]) -> tuple[bool, int, list[Image]]:
    """Success, steps, and the pictures after the `wanted` steps."""
    embedding = policy.bundle.embedding(env.task)
    observation, info = env.reset(seed=seed)
    images, steps, truncated = [], 0, False
    while True:
        if steps in wanted:
            image = env.render()
            assert image is not None
            images.append(image)
        if truncated or info["success"]:
            return bool(info["success"]), steps, images
        observation, _, _, truncated, info = env.step(policy.act(observation, embedding).action)
        steps += 1


def _jpeg(image: Image) -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(image).resize(SIZE, Pillow.Resampling.LANCZOS).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
