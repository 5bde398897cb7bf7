"""Camera calibrations: files, transforms, and the hand-eye fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from legion_core.errors import CalibrationError, ConfigurationError
from legion_sim2real.calibration import Made
from legion_sim2real.camera import CameraCalibration, hand_eye, quaternion_from_rotation, rotation_from_quaternion
from legion_sim2real.kinematics import Pose

MADE = Made(
    "2026-11-23T12:00:00+00:00", "test", "by hand", "x.csv", 3, ("two",), 0.5, (0.1, 9.0, 0.2), 0.2, (0.1, 8, 1)
)


def inverse(pose):
    return Pose(-pose.rotation.T @ pose.position, pose.rotation.T)


def times(a, b):
    return Pose(a.rotation @ b.position + a.position, a.rotation @ b.rotation)


class Recording:
    """Poses of a hand that turns about all axes and of the tag on it as a camera sees it; the first `wrong` are off."""

    def __init__(self, seed, wrong=0, count=15, noise_m=0.0005, noise_rad=0.003):
        rng = np.random.default_rng(seed)
        first, camera, tag = Rotation.random(3, random_state=seed)
        self.camera = Pose(rng.uniform(-1, 1, 3), camera.as_matrix())
        self.tag = Pose(rng.uniform(-0.1, 0.1, 3), tag.as_matrix())
        self.hands, self.seen = [], []
        for _ in range(count):
            turn = Rotation.from_rotvec(rng.uniform(-1.0, 1.0, 3)) * first
            self.hands.append(Pose(rng.uniform([0.3, -0.3, 0.1], [0.7, 0.3, 0.5]), turn.as_matrix()))
            seen = times(inverse(self.camera), times(self.hands[-1], self.tag))
            shake = Rotation.from_rotvec(rng.normal(0, noise_rad, 3)).as_matrix()
            self.seen.append(Pose(seen.position + rng.normal(0, noise_m, 3), shake @ seen.rotation))
        for i in range(wrong):
            turn = Rotation.from_rotvec(rng.uniform(0.2, 1.0, 3)).as_matrix()
            self.seen[i] = Pose(self.seen[i].position + rng.uniform(0.03, 0.2, 3), turn @ self.seen[i].rotation)


def angle_deg(a, b):
    return np.degrees(Rotation.from_matrix(a.T @ b).magnitude())


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(0, 4))
def test_camera_is_recovered_from_noise_and_outliers(seed, wrong):
    made = Recording(seed, wrong)
    found = hand_eye(made.hands, made.seen)
    assert not found.used[:wrong].any()
    assert found.used.sum() >= 9
    assert angle_deg(found.camera.rotation, made.camera.rotation) < 0.5
    # what matters is where the camera puts things in the workspace, not where it stands itself
    point = np.array([0.5, 0.0, 0.3])
    through = times(found.camera, inverse(made.camera))
    assert np.linalg.norm(through.rotation @ point + through.position - point) < 0.005
    assert np.linalg.norm(found.tag.position - made.tag.position) < 0.005


def test_exact_poses_give_the_exact_camera_and_tag():
    made = Recording(3, noise_m=0.0, noise_rad=0.0)
    found = hand_eye(made.hands, made.seen)
    assert found.used.all()
    assert max(found.residuals_m.max(), found.residuals_rad.max()) < 1e-7
    for a, b in ((found.camera, made.camera), (found.tag, made.tag)):
        assert a.position == pytest.approx(b.position, abs=1e-6)
        assert a.rotation == pytest.approx(b.rotation, abs=1e-6)


def test_residuals_are_those_of_each_pose():
    made = Recording(4)
    found = hand_eye(made.hands, made.seen)
    for i, (hand, seen) in enumerate(zip(made.hands, made.seen, strict=True)):
        on_hand, through_camera = times(hand, found.tag), times(found.camera, seen)
        assert found.residuals_m[i] == pytest.approx(np.linalg.norm(on_hand.position - through_camera.position))
        assert np.degrees(found.residuals_rad[i]) == pytest.approx(
            angle_deg(on_hand.rotation, through_camera.rotation), abs=1e-6
        )


def turned_about(axes, made):
    """The recording as if the hand had turned about these axes only."""
    rng = np.random.default_rng(0)
    hands = []
    for hand in made.hands:
        turn = Rotation.from_rotvec(np.asarray(axes).T @ rng.uniform(-1, 1, len(axes))).as_matrix()
        hands.append(Pose(hand.position, turn @ made.hands[0].rotation))
    return hands, [times(inverse(made.camera), times(hand, made.tag)) for hand in hands]


def test_a_hand_that_turns_about_one_axis_is_refused():
    with pytest.raises(CalibrationError, match=r"turned about one axis only \(0 deg about a second one\): turn it"):
        hand_eye(*turned_about([[0.0, 0.0, 1.0]], Recording(5)))


def test_a_hand_that_does_not_turn_is_refused():
    with pytest.raises(CalibrationError, match="turned about one axis only"):
        hand_eye(*turned_about(np.zeros((1, 3)), Recording(5)))


def test_two_axes_are_enough():
    made = Recording(6)
    found = hand_eye(*turned_about([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], made))
    assert found.camera.position == pytest.approx(made.camera.position, abs=1e-6)


def test_poses_that_have_nothing_to_do_with_each_other_are_refused():
    made = Recording(7)
    with pytest.raises(CalibrationError, match="too few poses agree"):
        hand_eye(made.hands, Recording(8).seen)


@pytest.mark.parametrize(
    ("hands", "seen", "message"),
    [
        (slice(2), slice(2), "at least 3 pairs of poses, got 2 and 2"),
        (slice(5), slice(6), "at least 3 pairs of poses, got 5 and 6"),
    ],
)
def test_too_few_or_unequal_poses_are_refused(hands, seen, message):
    made = Recording(9)
    with pytest.raises(CalibrationError, match=message):
        hand_eye(made.hands[hands], made.seen[seen])


def test_a_pose_that_is_not_finite_is_refused():
    made = Recording(9)
    made.seen[2] = Pose(np.array([0.0, np.nan, 0.0]), np.eye(3))
    with pytest.raises(CalibrationError, match="a pose is not finite"):
        hand_eye(made.hands, made.seen)


@given(st.integers(0, 10**6))
def test_poses_go_to_the_base_frame(seed):
    made = Recording(seed, count=3, noise_m=0, noise_rad=0)
    camera = CameraCalibration(made.camera.rotation, made.camera.position)
    position, quaternion = camera.to_world(made.seen[0].position, quaternion_from_rotation(made.seen[0].rotation))
    expected = times(made.hands[0], made.tag)
    assert position == pytest.approx(expected.position, abs=1e-9)
    assert rotation_from_quaternion(quaternion) == pytest.approx(expected.rotation, abs=1e-9)
    assert quaternion[3] >= 0.0


@pytest.mark.parametrize("made", [None, MADE])
def test_files_come_back(tmp_path, made):
    camera = Recording(1).camera
    CameraCalibration(camera.rotation, camera.position, made).save(tmp_path / "camera.yaml")
    found = CameraCalibration.load(tmp_path / "camera.yaml")
    assert found.rotation == pytest.approx(camera.rotation)
    assert found.translation == pytest.approx(camera.position)
    assert found.made == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("translation_m: [0, 0, 0]\n", "missing rotation_rpy_deg"),
        ("translation_m: [0, 0, .inf]\nrotation_rpy_deg: [0, 0, 0]\n", "translation_m = .*finite numbers"),
        ("translation_m: [0, 0, 0]\nrotation_rpy_deg: [0, 0, 0]\nmade: {date: today}\n", "made: missing tool"),
    ],
)
def test_malformed_files_are_refused_by_name(tmp_path, text, message):
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        CameraCalibration.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("rotation", "translation"),
    [
        (np.eye(3) * 2, np.zeros(3)),
        (np.eye(2), np.zeros(3)),
        (np.eye(3), np.full(3, np.nan)),
        (-np.eye(3), np.zeros(3)),
    ],
)
def test_what_is_no_pose_is_refused(rotation, translation):
    with pytest.raises(CalibrationError):
        CameraCalibration(rotation, translation)


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (0, 0, 0, 1.1), (np.nan, 0, 0, 1), (np.inf, 0, 0, 1)])
def test_what_is_no_rotation_is_refused(quaternion):
    with pytest.raises(CalibrationError, match="expected x, y, z, w of norm 1"):
        rotation_from_quaternion(np.array(quaternion))
