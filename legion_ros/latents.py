"""What policy_node says of its latent, read: where z is, and which task's component explains it, how surely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import JointState

from legion_core.bundle import Manifest
from legion_core.errors import SpaceError
from legion_core.spaces import Vector


@dataclass(frozen=True)
class Latent:
    """A latent `z` (D,), and how much each component is `responsible` for it (K,), of which `tasks` names each one."""

    z: Vector
    responsible: Vector
    tasks: tuple[str, ...]

    @property
    def task(self) -> str:
        """The task of the component that explains it best."""
        return self.tasks[int(self.responsible.argmax())]

    @property
    def certainty(self) -> float:
        """The responsibility of that component, 0 to 1."""
        return float(self.responsible.max())


class LatentReader:
    """Reads `legion/latent` of a policy with that manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._size, self._tasks = manifest.architecture.latent, manifest.components

    def read(self, message: JointState) -> Latent:
        """The latent of a message.

        Raises:
            SpaceError: it is that of another policy.
        """
        values = np.array(message.position)
        if values.shape != (self._size + len(self._tasks),):
            raise SpaceError(
                f"a latent of {values.size} numbers; this policy has {self._size} and {len(self._tasks)} components"
            )
        return Latent(values[: self._size], values[self._size :], self._tasks)
