"""Whether the knowledge space recognises an instruction: does its latent belong to the component of the task?

The encoder infers a latent from a sentence and an observation. With an observation that is typical of the task, what is
left is the sentence: one that means something else leads to a latent that another component explains better, or none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from legion_core.bundle import PolicyBundle
from legion_core.policy import LegionPolicy

SLACK = 50.0
"""How far the log-likelihood may lie below that of 999 in 1,000 training latents: that of new phrasings lies lower."""


class Familiarity:
    """Asks the knowledge space of a bundle; without a typical observation of a task it has no opinion."""

    def __init__(self, bundle: PolicyBundle) -> None:
        self._policy = LegionPolicy(bundle)
        self._components = bundle.knowledge.tasks
        self._typical = bundle.manifest.typical
        self._least = bundle.manifest.familiar_log_likelihood - SLACK

    def doubts(self, task: str, embedding: npt.ArrayLike) -> bool:
        """Whether the latent of a sentence (E,) is foreign to every component, or most likely of another task's."""
        if task not in self._typical:
            return False
        step = self._policy.act(self._typical[task], embedding)
        own = self._components[int(np.argmax(step.responsibilities))] == task
        return not own or step.log_likelihood < self._least
