"""The reality gap: each part does what it says, and an episode's seed says all of it."""

from __future__ import annotations

import math
import warnings
from dataclasses import fields, replace

import numpy as np
import pytest
from bench_gap import NOTHING
from gymnasium.utils.env_checker import check_env

from legion_core.errors import ConfigurationError, SimulationError
from legion_core.sim import RealityGap, RobotPlant, TaskEnv, make_env
from legion_core.sim.plant import ROBOT_LAG_S, PlantState
from legion_core.sim.reality_gap import SCENE_CENTRE_M, GappedRobot
from legion_core.spaces import Vector
from legion_sim2real.bridge import BridgeFactory

CELL = RealityGap.load()
STILL = np.zeros(4)


@pytest.fixture(scope="module")
def plant() -> RobotPlant:
    return RobotPlant("push")


def gapped(plant: RobotPlant, **changes: object) -> GappedRobot:
    robot = GappedRobot(plant, replace(NOTHING, **changes))  # type: ignore[arg-type]
    robot.start(3)
    return robot


def states(plant: RobotPlant, robot: GappedRobot, steps: int) -> list[PlantState]:
    """What arrives while the arm stays where it is."""
    joints = plant.state().joint_positions
    seen = [robot.measure(plant.step(joints, -1.0)) for _ in range(steps)]
    return [state for state in seen if state is not None]


def servo(gap: RealityGap | None, task: str = "push") -> TaskEnv:
    return make_env(task, actuation="servo", bridge=BridgeFactory("mujoco_gap"), gap=gap)


def test_the_shipped_gap_is_the_one_that_was_asked_for() -> None:
    assert CELL.robot_lag_s == (0.040, 0.095)
    assert (CELL.object_noise_m, CELL.camera_rate_hz, CELL.camera_delay_s) == (0.005, 30.0, 0.060)
    assert (CELL.camera_shift_m, CELL.camera_turn_deg) == (CELL.world_shift_m, CELL.world_turn_deg) == (0.010, 1.0)
    assert CELL.friction_factor == CELL.mass_factor == (0.8, 1.2)
    assert CELL.message_loss == 0.05 and CELL.strength == (1.0, 1.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("robot_lag_s", (0.09, 0.04)),
        ("friction_factor", (0.0, 1.0)),
        ("mass_factor", (1.0, math.nan)),
        ("camera_rate_hz", 0.0),
        ("camera_delay_s", -0.1),
        ("object_noise_m", math.inf),
        ("camera_shift_m", 1.0),
        ("world_turn_deg", 90.0),
        ("message_loss", 1.0),
        ("strength", (0.0, 2.0)),
    ],
)
def test_an_impossible_gap_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"{key} = "):
        replace(CELL, **{key: value})  # type: ignore[arg-type]


def test_a_seed_says_all_of_an_episode() -> None:
    def run(env: TaskEnv, seed: int) -> Vector:
        observation, _ = env.reset(seed=seed)
        return np.array([observation, *(env.step(np.array([0.5, 0.3, -0.2, 1.0]))[0] for _ in range(25))])

    env = servo(CELL)
    first, other, again = run(env, 1), run(env, 2), run(env, 1)
    assert np.array_equal(first, again) and np.array_equal(first, run(servo(CELL), 1))
    assert not np.allclose(first, other)


def test_draws_fill_their_ranges(plant: RobotPlant) -> None:
    centre, rng = plant.robot.to_world(np.array(SCENE_CENTRE_M)), np.random.default_rng(0)
    draws = [CELL.draw(rng, centre) for _ in range(300)]
    for name in ("robot_lag_s", "friction_factor", "mass_factor"):
        low, high = getattr(CELL, name)
        values = [getattr(draw, name) for draw in draws]
        assert low <= min(values) < low + 0.05 * (high - low) and high - 0.05 * (high - low) < max(values) <= high


def test_no_strength_is_no_gap(plant: RobotPlant) -> None:
    centre = plant.robot.to_world(np.array(SCENE_CENTRE_M))
    draw = replace(CELL, strength=(0.0, 0.0)).draw(np.random.default_rng(0), centre)
    assert (draw.robot_lag_s, draw.friction_factor, draw.mass_factor) == (ROBOT_LAG_S, 1.0, 1.0)
    assert draw.camera_delay_s == draw.object_noise_m == draw.message_loss == 0.0
    for displacement in (draw.camera, draw.world):
        np.testing.assert_allclose(displacement.apply(centre), centre, atol=1e-12)
        np.testing.assert_allclose(displacement.rotation, np.eye(3), atol=1e-12)


def test_an_empty_gap_changes_nothing() -> None:
    episodes = []
    for env in (servo(None), servo(NOTHING)):
        env.reset(seed=1)
        episodes.append([env.step(np.array([0.5, 0.3, -0.2, 1.0]))[0] for _ in range(30)])
    np.testing.assert_allclose(*episodes, atol=1e-6)


@pytest.mark.parametrize("lag_s", [0.04, 0.095])
def test_commands_pass_a_first_order_lag(plant: RobotPlant, lag_s: float) -> None:
    gapped(plant, robot_lag_s=(lag_s, lag_s))
    start = plant.state().joint_positions
    before = plant.data.act[0]
    for step in range(1, 6):
        plant.step(start + 0.05, -1.0)
        response = (plant.data.act[0] - before) / (start[0] + 0.05 - before)
        assert response == pytest.approx(1.0 - math.exp(-0.02 * step / lag_s), abs=1e-6)


def test_the_next_episode_has_a_lag_of_its_own(plant: RobotPlant) -> None:
    robot = gapped(plant, robot_lag_s=(0.04, 0.095))
    lags = []
    for _ in range(3):
        robot.start()
        lags.append(plant.robot_lag_s)
    assert len(set(lags)) == 3 and plant.model.actuator_dynprm[2, 0] == lags[-1]


def test_noise_is_that_of_the_camera_and_spares_robot_and_goal(plant: RobotPlant) -> None:
    robot = gapped(plant, object_noise_m=0.005)
    seen, truth = states(plant, robot, 400), plant.state()
    errors = np.array([state.object_position for state in seen]) - truth.object_position
    assert errors.std(axis=0) == pytest.approx([0.005] * 3, rel=0.15)
    assert np.abs(errors.mean(axis=0)).max() < 0.001
    assert all(np.array_equal(state.goal_position, truth.goal_position) for state in seen)
    assert np.array_equal(seen[-1].joint_positions, truth.joint_positions)


def test_pictures_come_at_their_rate_and_late(plant: RobotPlant) -> None:
    robot = gapped(plant, camera_rate_hz=30.0, camera_delay_s=0.060)
    seen = states(plant, robot, 500)
    ages = np.array([state.time_s - state.object_stamp_s for state in seen])[10:]
    assert ages.min() > 0.06 - 1e-9 and ages.max() < 0.06 + 1 / 30 + 0.02 + 1e-9
    stamps = sorted({state.object_stamp_s for state in seen})[1:]
    assert len(stamps) / (stamps[-1] - stamps[0]) == pytest.approx(30.0, rel=0.02)


def test_what_is_told_is_where_the_object_was_then(plant: RobotPlant) -> None:
    robot = gapped(plant, camera_rate_hz=50.0, camera_delay_s=0.040)
    truth, joints = {}, plant.state().joint_positions
    for _ in range(40):
        state = plant.step(joints, -1.0)
        plant.data.joint("objjoint").qpos[0] += 0.001
        truth[round(state.time_s, 6)] = state.object_position
        seen = robot.measure(state)
        assert seen is not None
        if round(seen.object_stamp_s, 6) in truth:
            np.testing.assert_array_equal(seen.object_position, truth[round(seen.object_stamp_s, 6)])
    assert seen.time_s - seen.object_stamp_s >= 0.04 - 1e-9


def test_a_wrong_camera_misplaces_objects_and_goal_against_the_hand(plant: RobotPlant) -> None:
    robot = gapped(plant, camera_shift_m=0.010, camera_turn_deg=1.0)
    seen, truth = states(plant, robot, 5)[-1], plant.state()
    camera, centre = robot.draw.camera, plant.robot.to_world(np.array(SCENE_CENTRE_M))
    assert np.linalg.norm(camera.apply(centre) - centre) == pytest.approx(0.010)
    assert math.degrees(math.acos((np.trace(camera.rotation) - 1) / 2)) == pytest.approx(1.0)
    np.testing.assert_allclose(seen.object_position, camera.apply(truth.object_position), atol=1e-12)
    np.testing.assert_allclose(seen.goal_position, camera.apply(truth.goal_position), atol=1e-12)
    assert np.array_equal(seen.joint_positions, truth.joint_positions)


def test_a_wrong_world_misplaces_all_that_the_policy_sees_alike() -> None:
    env = servo(replace(NOTHING, world_shift_m=0.010, world_turn_deg=0.0))
    observation, _ = env.reset(seed=5)
    error = observation - env.observation_spec.pack(env.task_state())
    for start in (0, 3, 9):
        assert np.linalg.norm(error[start : start + 3]) == pytest.approx(0.010, abs=1e-4)
        np.testing.assert_allclose(error[start : start + 3], error[:3], atol=1e-4)


def test_friction_and_masses_are_scaled_from_the_model_s_own(plant: RobotPlant) -> None:
    gapped(plant)
    names = ("geom_friction", "dof_frictionloss", "dof_damping", "body_mass", "body_inertia")
    nominal = {name: getattr(plant.model, name).copy() for name in names}
    robot = gapped(plant, friction_factor=(0.8, 0.8), mass_factor=(1.2, 1.2))
    robot.start()
    for name in names:
        factor = 1.2 if name.startswith("body") else 0.8
        np.testing.assert_allclose(getattr(plant.model, name), factor * nominal[name])
    mass = plant.model.body("obj").mass[0]
    assert mass > 0 and plant.model.body("obj").subtreemass[0] == pytest.approx(mass), "what follows is derived anew"
    gapped(
        plant, friction_factor=(1 / 0.8, 1 / 0.8), mass_factor=(1 / 1.2, 1 / 1.2)
    )  # leaves the shared model as it was
    for name in names:
        np.testing.assert_allclose(getattr(plant.model, name), nominal[name])


def test_each_stream_loses_its_share(plant: RobotPlant) -> None:
    robot = gapped(plant, message_loss=0.05, camera_rate_hz=50.0)
    seen = states(plant, robot, 2000)
    assert len(seen) / 2000 == pytest.approx(0.95, abs=0.015)
    assert len({state.object_stamp_s for state in seen}) / len(seen) == pytest.approx(0.95, abs=0.02)
    assert np.mean([robot.deliver() for _ in range(5000)]) == pytest.approx(0.95, abs=0.01)


def test_a_lost_state_leaves_the_last_observation_and_the_arm_at_rest_in_the_end() -> None:
    env = servo(replace(NOTHING, message_loss=0.9))
    before, _ = env.reset(seed=1)
    repeated, positions = 0, []
    for _ in range(100):
        observation = env.step(np.array([1.0, 1.0, 0.0, 1.0]))[0]
        repeated += np.array_equal(observation, before)
        before = observation
        positions.append(env.task_state().hand)
    assert repeated > 80
    way = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    assert way.sum() < 0.5, "a robot that hears next to nothing goes nowhere"
    assert env.interventions


def test_the_gym_interface_holds() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unbounded observations
        check_env(servo(CELL), skip_render_check=True)


def test_a_gap_needs_servos() -> None:
    with pytest.raises(SimulationError, match="needs servo"):
        make_env("push", gap=CELL)


def test_every_field_of_the_file_is_used(plant: RobotPlant) -> None:
    """A setting without effect would be a promise not kept: each changes an episode."""

    def episode(gap: RealityGap) -> Vector:
        env = servo(gap, "pick-place")
        env.reset(seed=1)
        return np.array([env.step(np.array([0.2, 0.5, -0.8, 1.0]))[0] for _ in range(40)])

    whole = episode(CELL)
    for field in fields(RealityGap):
        plain = getattr(NOTHING, field.name)
        value = (0.5, 0.5) if field.name == "strength" else plain
        assert not np.array_equal(episode(replace(CELL, **{field.name: value})), whole), field.name
