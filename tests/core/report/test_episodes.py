"""Episodes as pictures: the policy's own episodes, seen from start to end."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from legion_core.bundle import PolicyBundle
from legion_core.errors import SimulationError, TaskError
from legion_core.evaluation import DirectJob, run_direct
from legion_core.report.episodes import FRAMES, SIZE, FilmJob, film, film_episode

pytest.importorskip("metaworld")
SEED = 1_000_000


def test_a_strip_shows_the_episode_that_evaluation_runs(shipped_bundle: PolicyBundle) -> None:
    try:
        strip = film_episode(FilmJob(shipped_bundle, "reach", SEED, "iiwa7"))
    except SimulationError as error:
        pytest.skip(str(error))
    (episode,) = run_direct(DirectJob(shipped_bundle, "reach", (SEED,), "mocap", "iiwa7", None, None))
    assert (strip.success, strip.steps) == (episode.success, episode.steps)
    assert (strip.shown[0], strip.shown[-1], len(strip.shown)) == (0, episode.steps, FRAMES)
    images = [np.asarray(Image.open(io.BytesIO(frame))) for frame in strip.frames]
    assert all(image.shape == (SIZE[1], SIZE[0], 3) for image in images)
    assert all(image.std() > 10 for image in images)
    assert np.abs(images[0].astype(float) - images[-1]).max() > 50  # the arm has moved


def test_no_rendering_is_a_simulation_error(shipped_bundle: PolicyBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "nothing")
    with pytest.raises(SimulationError, match="MUJOCO_GL"):
        film_episode(FilmJob(shipped_bundle, "reach", SEED, "iiwa7"))


def test_an_unknown_task_is_named(shipped_bundle: PolicyBundle) -> None:
    with pytest.raises(TaskError, match="dance"):
        film(shipped_bundle, ["dance"], progress=False)
