"""The frozen LEGION policy: observation and language embedding in, action out; numpy only."""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from legion_core.bundle import PolicyBundle
from legion_core.errors import SpaceError
from legion_core.inference import PolicyForward
from legion_core.layouts import TaskFrame
from legion_core.spaces import Float32, Vector


class PolicyStep(NamedTuple):
    """The outcome of one step; the arrays belong to the caller."""

    action: Float32
    """(4,) in [-1, 1]: dx, dy, dz, gripper."""
    latent: Float32
    """(10,): the mean of the inferred task latent."""
    responsibilities: Vector
    """(K,): how much each mixture component explains the latent, summing to 1."""
    log_likelihood: float
    """log p(latent) under the knowledge space."""
    familiar: bool
    """Whether that is as likely as in training: not so for another task's scene or a sentence that means no task."""


class LegionPolicy:
    """Deterministic: the same observation and embedding give the same bits. One caller at a time."""

    def __init__(self, bundle: PolicyBundle) -> None:
        self.bundle = bundle
        self._forward = PolicyForward(bundle.weights, bundle.knowledge)
        self._observation_shape = (bundle.spec.size,)
        self._embedding_shape = (bundle.manifest.embedding.size,)
        self._familiar = bundle.manifest.familiar_log_likelihood
        self._tasks = {bundle.embedding(name).tobytes(): name for name in bundle.task_names}
        self._frame = TaskFrame(bundle.spec, bundle.manifest.goals)
        self._embedding = b""

    def act(self, observation: npt.ArrayLike, embedding: npt.ArrayLike) -> PolicyStep:
        """One policy step, in the task's frame where its goal lies elsewhere than in training (`legion_core.layouts`).

        Args:
            observation: (spec.size,) in the order of the bundle's observation fields; metres, simulation frame.
            embedding: (384,) of the task; a change of it costs one extra matrix-vector product.

        Raises:
            SpaceError: a wrong shape or a number that is not finite.
        """
        self._condition(np.asarray(embedding, np.float32))
        values = np.asarray(observation, np.float32)
        if values.shape != self._observation_shape:
            raise SpaceError(f"observation has shape {values.shape}; expected {self._observation_shape}")
        if not all(map(isfinite, values.tolist())):  # for so few numbers faster than numpy's
            named = zip(self.bundle.spec.fields, values.tolist(), strict=True)
            bad = ", ".join(f"{name} = {value}" for name, value in named if not isfinite(value))
            raise SpaceError(f"observation is not finite: {bad}")
        forward = self._forward
        forward.observation[:] = self._frame.apply(self._tasks.get(self._embedding, ""), values)
        forward.step()
        joint = forward.log_joint
        log_likelihood = float(np.logaddexp.reduce(joint))
        return PolicyStep(
            forward.action.copy(),
            forward.latent.copy(),
            np.exp(joint - log_likelihood),
            log_likelihood,
            log_likelihood >= self._familiar,
        )

    def _condition(self, embedding: Float32) -> None:
        """Fold a new embedding in; comparing bytes finds one that the caller changed in place, too."""
        if embedding.shape != self._embedding_shape:
            raise SpaceError(f"embedding has shape {embedding.shape}; expected {self._embedding_shape}")
        key = embedding.tobytes()
        if key == self._embedding:
            return
        if not np.isfinite(embedding).all():
            raise SpaceError("embedding is not finite")
        self._forward.condition(embedding)
        self._embedding = key
