"""Pictures of a simulation, rendered without a window."""

from __future__ import annotations

import os
import sys

import mujoco
import numpy as np
import numpy.typing as npt

from legion_core.errors import SimulationError
from legion_core.sim.scene import CAMERA

Image = npt.NDArray[np.uint8]
MAXIMUM_SIZE = (1920, 1440)


class OffscreenRenderer:
    """Renders one model; the OpenGL context is made at the first picture.

    Without MUJOCO_GL in the environment EGL is used on Linux, which needs no display.
    """

    def __init__(self, model: mujoco.MjModel, camera: str = CAMERA) -> None:
        self._model, self._camera = model, camera
        self._renderer: mujoco.Renderer | None = None

    def render(self, data: mujoco.MjData, width: int, height: int) -> Image:
        """An image of shape (height, width, 3), uint8.

        Raises:
            SimulationError: no offscreen OpenGL on this machine, or a size it cannot have.
        """
        if not (0 < width <= MAXIMUM_SIZE[0] and 0 < height <= MAXIMUM_SIZE[1]):
            raise SimulationError(
                f"image of {width} x {height} pixels; allowed: up to {MAXIMUM_SIZE[0]} x {MAXIMUM_SIZE[1]}"
            )
        if self._renderer is None or (self._renderer.width, self._renderer.height) != (width, height):
            self.close()
            self._renderer = self._open(width, height)
        self._renderer.update_scene(data, self._camera)
        image: Image = self._renderer.render()
        return image

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _open(self, width: int, height: int) -> mujoco.Renderer:
        if sys.platform == "linux":
            os.environ.setdefault("MUJOCO_GL", "egl")
        buffer = self._model.vis.global_
        buffer.offwidth, buffer.offheight = max(buffer.offwidth, width), max(buffer.offheight, height)
        try:
            return mujoco.Renderer(self._model, height, width)
        except Exception as error:  # each OpenGL binding fails with an exception of its own
            backend = os.environ.get("MUJOCO_GL", "default")
            raise SimulationError(
                f"no offscreen rendering with MUJOCO_GL={backend} ({error}); "
                "install libegl1 or libosmesa6 and set MUJOCO_GL to egl or osmesa"
            ) from error
