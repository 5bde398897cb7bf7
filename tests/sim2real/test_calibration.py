"""Calibrations: round trips, fits and files."""

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from legion_core.errors import CalibrationError, ConfigurationError
from legion_sim2real.calibration import Calibration, Made, rotation_from_rpy, rpy_from_rotation

angles = st.floats(-np.pi, np.pi)
metres = st.floats(-2, 2)
calibrations = st.builds(
    lambda r, p, y, t, s: Calibration(rotation_from_rpy(r, p, y), t, s),
    angles,
    angles,
    angles,
    arrays(float, 3, elements=metres),
    st.floats(0.2, 5),
)
clouds = arrays(float, (6, 3), elements=metres)


@given(calibrations, clouds)
def test_points_come_back(calibration, points):
    assert calibration.to_world(calibration.to_sim(points)) == pytest.approx(points, abs=1e-9)


@given(calibrations, clouds)
def test_directions_are_differences_of_points(calibration, points):
    difference = calibration.to_world(points[0]) - calibration.to_world(points[1])
    assert calibration.direction_to_world(points[0] - points[1]) == pytest.approx(difference, abs=1e-9)


@given(angles, angles, angles)
def test_roll_pitch_yaw_come_back_as_the_same_rotation(roll, pitch, yaw):
    rotation = rotation_from_rpy(roll, pitch, yaw)
    assert rotation_from_rpy(*rpy_from_rotation(rotation)) == pytest.approx(rotation, abs=1e-7)


@given(calibrations, st.integers(0, 1000))
def test_fit_finds_the_calibration_that_made_the_points(calibration, seed):
    world = np.random.default_rng(seed).uniform(-1, 1, (8, 3))
    found, residuals = Calibration.fit(world, calibration.to_sim(world), with_scale=True)
    assert residuals.max() < 1e-9
    assert found.rotation == pytest.approx(calibration.rotation, abs=1e-8)
    assert found.translation == pytest.approx(calibration.translation, abs=1e-8)
    assert found.scale == pytest.approx(calibration.scale)


def test_fit_reports_the_residual_of_a_displaced_point(calibration):
    world = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    sim = calibration.to_sim(world)
    sim[4, 2] += 0.01
    _, residuals = Calibration.fit(world, sim)
    assert residuals.argmax() == 4
    assert 0.005 < residuals.max() < 0.01


def test_fit_never_mirrors(calibration):
    world = np.random.default_rng(0).uniform(-1, 1, (6, 3))
    found, residuals = Calibration.fit(world, world * [1, 1, -1])
    assert np.linalg.det(found.rotation) == pytest.approx(1)
    assert residuals.max() > 0.1


@pytest.mark.parametrize(
    ("world", "sim", "message"),
    [
        (np.eye(3)[:2], np.eye(3)[:2], "at least three pairs"),
        (np.eye(3), np.zeros((4, 3)), "at least three pairs"),
        (np.eye(3), np.full((3, 3), np.nan), "not finite"),
        (
            np.outer(np.arange(4.0), np.ones(3)),
            np.random.default_rng(0).uniform(size=(4, 3)),
            "world points lie on one line",
        ),
        (np.random.default_rng(0).uniform(size=(4, 3)), np.zeros((4, 3)), "simulation points lie within 0 mm"),
    ],
)
def test_fit_refuses_points_that_fix_nothing(world, sim, message):
    with pytest.raises(CalibrationError, match=message):
        Calibration.fit(world, sim)


@pytest.mark.parametrize(
    ("rotation", "translation", "scale"),
    [
        (np.eye(3) * 2, np.zeros(3), 1.0),
        (np.diag([1.0, 1.0, -1.0]), np.zeros(3), 1.0),
        (np.eye(2), np.zeros(3), 1.0),
        (np.eye(3), np.array([0, 0, np.nan]), 1.0),
        (np.eye(3), np.zeros(3), 0.0),
        (np.eye(3), np.zeros(3), np.inf),
    ],
)
def test_what_is_no_similarity_is_refused(rotation, translation, scale):
    with pytest.raises(CalibrationError):
        Calibration(rotation, translation, scale)


@given(calibrations)
def test_files_come_back(tmp_path_factory, calibration):
    path = tmp_path_factory.mktemp("calibration") / "c.yaml"
    calibration.save(path)
    found = Calibration.load(path)
    assert found.rotation == pytest.approx(calibration.rotation, abs=1e-7)
    assert found.translation == pytest.approx(calibration.translation)
    assert found.scale == calibration.scale


MADE = Made("2026-11-23T12:00:00+00:00", "test", "by hand", "pairs.csv", 4, ("p2",), 0.5, (0.1, 9.0, 0.2, 0.3))


def test_how_it_was_made_is_kept(tmp_path, calibration):
    Calibration(calibration.rotation, calibration.translation, made=MADE).save(tmp_path / "c.yaml")
    assert Calibration.load(tmp_path / "c.yaml").made == MADE
    calibration.save(tmp_path / "plain.yaml")
    assert Calibration.load(tmp_path / "plain.yaml").made is None


def test_a_file_that_cannot_be_written_is_named(calibration):
    with pytest.raises(CalibrationError, match=r"cannot write /nowhere/c.yaml: No such file"):
        calibration.save("/nowhere/c.yaml")


def made_text(**changes):
    return GOOD + yaml.safe_dump({"made": {**MADE.as_yaml(), **changes}})


GOOD = "translation_m: [0, 0, 0]\nrotation_rpy_deg: [0, 0, 0]\nscale: 1.0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("scale: 1.0\n", ""), "missing scale"),
        (GOOD + "skale: 1\n", "unknown key 'skale' .*; allowed: translation_m, rotation_rpy_deg, scale"),
        (GOOD.replace("1.0", "20.0"), "scale = 20.0; allowed: 0.1 to 10"),
        (GOOD.replace("1.0", "big"), "scale = 'big'; expected float"),
        (GOOD.replace("translation_m: [0, 0, 0]", "translation_m: [0, 0]"), "translation_m = .*expected 3 values"),
        (GOOD.replace("translation_m: [0, 0, 0]", "translation_m: [0, 0, .nan]"), "translation_m = .*finite numbers"),
        (GOOD + "made: {}\n", "made: missing date, tool, method"),
        (made_text(date="yesterday"), "made: date = 'yesterday'; allowed: ISO 8601"),
        (made_text(date="2026-11-23"), "made: date = '2026-11-23'; allowed: ISO 8601 with its offset"),
        (made_text(measurements=0), "made: measurements = 0; allowed: 1 or more"),
        (made_text(rms_mm=float("nan")), "made: rms_mm = nan"),
        (made_text(by="me"), "made: unknown key 'by'"),
        ("- 1\n", "expected a mapping"),
        ("{", "not valid YAML"),
    ],
)
def test_malformed_file_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        Calibration.load(path)
    assert str(path) in str(caught.value)
