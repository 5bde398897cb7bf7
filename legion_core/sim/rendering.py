"""Pictures of a simulation, rendered without a window."""

from __future__ import annotations

import importlib
import os
import sys
import weakref
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt

from legion_core.errors import SimulationError, unknown
from legion_core.sim.scene import CAMERA

Image = npt.NDArray[np.uint8]
MAXIMUM_SIZE = (1920, 1440)
BACKENDS = ("egl", "osmesa", "glfw", "cgl")
"""What MUJOCO_GL may name. Unset, Linux takes EGL, which needs no display."""


class OffscreenRenderer:
    """Renders one model; the OpenGL context is made at the first picture."""

    def __init__(self, model: mujoco.MjModel, camera: str = CAMERA) -> None:
        self._model = model
        self._camera = mujoco.MjvCamera()
        self._camera.type, self._camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, model.camera(camera).id
        self._options, self._perturbation = mujoco.MjvOption(), mujoco.MjvPerturb()
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        self._opengl: Any = None
        self._context: mujoco.MjrContext | None = None

    def render(self, data: mujoco.MjData, width: int, height: int) -> Image:
        """An image of shape (height, width, 3), uint8.

        Raises:
            SimulationError: no offscreen OpenGL on this machine, or a size it cannot have.
        """
        if not (0 < width <= MAXIMUM_SIZE[0] and 0 < height <= MAXIMUM_SIZE[1]):
            raise SimulationError(
                f"image of {width} x {height} pixels; allowed: up to {' x '.join(map(str, MAXIMUM_SIZE))}"
            )
        if self._context is None:
            self._open()
        self._opengl.make_current()
        mujoco.mjv_updateScene(
            self._model, data, self._options, self._perturbation, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        view, image = mujoco.MjrRect(0, 0, width, height), np.empty((height, width, 3), np.uint8)
        mujoco.mjr_render(view, self._scene, self._context)
        mujoco.mjr_readPixels(image, None, view, self._context)
        return image[::-1]

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._opengl is not None:
            self._free()
        self._opengl = self._context = None

    def _open(self) -> None:
        backend = os.environ.get("MUJOCO_GL", "egl" if sys.platform == "linux" else "glfw").lower()
        if backend not in BACKENDS:
            raise SimulationError(unknown("MUJOCO_GL", backend, BACKENDS))
        buffer = self._model.vis.global_
        buffer.offwidth, buffer.offheight = MAXIMUM_SIZE
        try:
            self._opengl = importlib.import_module(f"mujoco.{backend}").GLContext(*MAXIMUM_SIZE)
            self._free = weakref.finalize(self, self._opengl.free)
            self._opengl.make_current()
            self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        except Exception as error:  # each OpenGL binding fails with an exception of its own
            self._opengl = None
            raise SimulationError(
                f"no offscreen rendering with MUJOCO_GL={backend} ({' '.join(str(error).split())}); "
                "install libegl1 (MUJOCO_GL=egl) or libosmesa6 (MUJOCO_GL=osmesa)"
            ) from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
