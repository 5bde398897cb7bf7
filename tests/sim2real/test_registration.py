"""Registration of point pairs: recovery from noise and outliers, and refusal of what fixes nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from legion_core.errors import CalibrationError
from legion_sim2real.registration import align, register

NOISE_M = 0.0005
CORNERS = np.array([[x, y, z] for x in (0.3, 0.8) for y in (-0.4, 0.4) for z in (0.0, 0.4)])


class Scene:
    """Point pairs over a robot's workspace, related by a random motion, with noise; the first `wrong` are far off."""

    def __init__(self, seed, wrong=0, scale=1.0, count=12, noise=NOISE_M):
        rng = np.random.default_rng(seed)
        self.rotation = Rotation.random(random_state=seed).as_matrix()
        self.translation, self.scale = rng.uniform(-1, 1, 3), scale
        self.source = np.vstack((CORNERS, rng.uniform([0.3, -0.4, 0.0], [0.8, 0.4, 0.4], (count - 8, 3))))
        rng.shuffle(self.source)
        self.target = scale * self.source @ self.rotation.T + self.translation + rng.normal(0, noise, (count, 3))
        away = rng.normal(size=(wrong, 3))
        away *= rng.uniform(0.02, 0.4, (wrong, 1)) / np.linalg.norm(away, axis=1, keepdims=True)
        self.target[:wrong] += away


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(0, 4), st.sampled_from([None, 0.5, 1.0, 2.0]))
def test_motion_is_recovered_from_noise_and_outliers(seed, wrong, scale):
    scene = Scene(seed, wrong, scale or 1.0)
    found = register(scene.source, scene.target, with_scale=scale is not None)
    assert not found.used[:wrong].any()
    assert found.used.sum() >= 7
    similarity = found.similarity
    turned = Rotation.from_matrix(similarity.rotation @ scene.rotation.T).magnitude()
    assert np.degrees(turned) < 0.3
    assert similarity.scale == pytest.approx(scene.scale, rel=5e-3)
    middle = scene.source.mean(0)
    expected = scene.scale * scene.rotation @ middle + scene.translation
    assert np.linalg.norm(similarity.apply(middle) - expected) < 0.002
    off = np.linalg.norm(similarity.apply(scene.source) - scene.target, axis=1)
    assert found.residuals == pytest.approx(off)


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_exact_points_are_all_used_and_fit_exactly(seed):
    scene = Scene(seed, noise=0.0)
    found = register(scene.source, scene.target)
    assert found.used.all()
    assert found.residuals.max() < 1e-9


def test_order_of_the_points_does_not_matter():
    scene = Scene(5, wrong=3)
    order = np.random.default_rng(0).permutation(12)
    found, again = register(scene.source, scene.target), register(scene.source[order], scene.target[order])
    assert (found.used[order] == again.used).all()
    assert again.similarity.rotation == pytest.approx(found.similarity.rotation, abs=1e-9)


def test_least_squares_is_what_is_left_without_outliers():
    scene = Scene(1)
    found, plain = register(scene.source, scene.target), align(scene.source, scene.target)
    assert found.used.all()
    assert found.similarity.rotation == pytest.approx(plain.rotation, abs=1e-12)


def test_nothing_beyond_the_tolerance_is_used():
    scene = Scene(2, noise=0.005)
    found = register(scene.source, scene.target, tolerance_m=0.012)
    assert 0 < (~found.used).sum() <= 5
    assert found.residuals[found.used].max() <= 0.012


def line(count=8):
    return np.outer(np.linspace(0, 1, count), [0.5, 0.2, 0.1])


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (CORNERS[:2], CORNERS[:2], "at least three pairs"),
        (CORNERS, CORNERS[:7], "at least three pairs"),
        (np.where(CORNERS == 0.8, np.nan, CORNERS), CORNERS, "not finite"),
        (line(), CORNERS, "the source points lie on one line, to 0.0 mm"),
        (CORNERS, line(), "the target points lie on one line, to 0.0 mm"),
        (CORNERS * 0.01, CORNERS * 0.01, "the source points lie within 4 mm"),
        (CORNERS, CORNERS[::-1] * [1, 2, 3], "too few points agree: no 6 of the 8 pairs fit one rigid motion to 20 mm"),
        (CORNERS, CORNERS * [1, -1, 1] + [0, 0.1, 0.2], "no 6 of the 8|mirror image"),
    ],
)
def test_what_fixes_nothing_is_refused(source, target, message):
    with pytest.raises(CalibrationError, match=message):
        register(source, target)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([(-1, 1, 1), (1, -1, 1), (1, 1, -1)]))
def test_mirror_images_are_refused_as_such(seed, mirror):
    scene = Scene(seed)
    with pytest.raises(CalibrationError, match="mirror image of the source points: one axis has the wrong sign"):
        register(scene.source * mirror, scene.target)


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_points_on_a_table_are_not_taken_for_their_mirror_image(seed):
    scene = Scene(seed)
    flat = scene.source * [1.0, 1.0, 0.0]
    target = flat @ scene.rotation.T + scene.translation
    target += np.random.default_rng(seed).normal(0, NOISE_M, target.shape)
    found = register(flat, target)
    assert np.degrees(Rotation.from_matrix(found.similarity.rotation @ scene.rotation.T).magnitude()) < 0.5


def test_agreeing_points_on_one_line_are_refused_though_others_are_not():
    source = np.vstack((line(10), CORNERS[:3]))
    target = source.copy()
    target[10:] += [[0.3, 0.0, 0.1], [-0.2, 0.3, 0.0], [0.0, -0.4, 0.5]]
    with pytest.raises(CalibrationError, match=r"lie on one line|too few points agree"):
        register(source, target)
