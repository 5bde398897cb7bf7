"""The simulated tasks: they build, step, repeat, refuse what does not exist, and the experts solve them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from jacobian_bridge import JacobianBridge

from legion_core.errors import SimulationError, SpaceError, TaskError
from legion_core.sim import EVALUATION_SEED_BASE, TaskEnv, make_env
from legion_core.sim.experts import expert_action
from legion_core.sim.vector import factory, make_vector_env
from legion_core.spaces import FIFTY_FIELDS, LEGION_FIELDS, ObservationSpec
from legion_core.tasks import fifty_tasks, task_names

FIFTY = [task.name for task in fifty_tasks()]
FORTY = FIFTY[10:]
CHOICES = [("iiwa7", "mocap"), ("iiwa7", "servo"), ("sawyer", "mocap")]


def make(task: str, arm: str = "iiwa7", actuation: str = "mocap", **settings: object) -> TaskEnv:
    return make_env(task, arm=arm, actuation=actuation, bridge=JacobianBridge, **settings)  # type: ignore[arg-type]


def play(env: TaskEnv, seed: int, steps: int = 150) -> tuple[np.ndarray, bool]:
    """Every observation and reward of an episode with the expert, and whether it was solved."""
    observation, info = env.reset(seed=seed)
    rows = [np.append(observation, 0.0)]
    for _ in range(steps):
        observation, reward, _, _, info = env.step(expert_action(env.task, env.expert_observation()))
        rows.append(np.append(observation, reward))
        if info["success"]:
            break
    return np.array(rows), info["episode_success"]


@pytest.mark.parametrize("task", task_names())
@pytest.mark.parametrize(("arm", "actuation"), CHOICES)
def test_builds_resets_and_steps(task: str, arm: str, actuation: str) -> None:
    env = make(task, arm, actuation)
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(observation) and info == {"success": False, "episode_success": False}
    for _ in range(3):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation) and np.isfinite(reward)
        assert not (terminated or truncated) and not info["success"]


@pytest.mark.parametrize("actuation", ["mocap", "servo"])
@pytest.mark.parametrize("task", task_names())
def test_start_is_where_metaworld_puts_the_hand(task: str, actuation: str) -> None:
    env = make(task, actuation=actuation)
    observation, _ = env.reset(seed=2)
    np.testing.assert_allclose(observation[:3], env.scene.hand_init_pos, atol=2e-3)
    assert observation[12] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("task", task_names())
def test_experts_solve_unseen_layouts(task: str) -> None:
    env = make(task)
    assert all(play(env, EVALUATION_SEED_BASE + i)[1] for i in range(2))


@pytest.fixture(scope="module")
def forty() -> dict[str, TaskEnv]:
    """The iiwa in each of the tasks that LEGION does not name."""
    return {task: make_env(task, spec=ObservationSpec(FIFTY_FIELDS)) for task in FORTY}


@pytest.mark.parametrize("task", FORTY)
def test_experts_solve_the_other_forty(forty: dict[str, TaskEnv], task: str) -> None:
    assert any(play(forty[task], EVALUATION_SEED_BASE + i)[1] for i in range(2))


@pytest.mark.parametrize("task", FORTY)
def test_a_layout_of_the_forty_does_not_depend_on_what_came_before(forty: dict[str, TaskEnv], task: str) -> None:
    used, fresh = forty[task], make_env(task, spec=ObservationSpec(FIFTY_FIELDS))
    play(used, seed=5, steps=20)
    np.testing.assert_array_equal(play(used, seed=7, steps=20)[0], play(fresh, seed=7, steps=20)[0])


@pytest.mark.parametrize("task", FORTY)
def test_what_the_policy_sees_of_the_forty(forty: dict[str, TaskEnv], task: str) -> None:
    observation, _ = forty[task].reset(seed=3)
    told = forty[task].expert_observation()
    np.testing.assert_allclose(observation[[0, 1, 2, 12]], told[:4], atol=1e-6)
    np.testing.assert_allclose(observation[3:6], told[4:7], atol=1e-6)
    np.testing.assert_allclose(observation[6:9], told[11:14], atol=1e-6)
    np.testing.assert_allclose(observation[9:12], told[36:39], atol=1e-6)
    assert np.linalg.norm(observation[13:17]) == pytest.approx(1.0, abs=1e-6) and observation[16] >= 0
    assert observation[6:9].any() == (task in ("hammer", "stick-pull", "stick-push"))


def test_orientation_is_in_one_order_for_all() -> None:
    """Whether Meta-World tells (w, x, y, z), as of the hammer, or (x, y, z, w), as of the mug."""
    for task, body in (("hammer", "hammer"), ("stick-push", "stick"), ("box-close", "top_link")):
        env = make_env(task, spec=ObservationSpec(FIFTY_FIELDS))
        observation, _ = env.reset(seed=0)
        for _ in range(3):
            observation = env.step(np.array((0.5, -0.5, -1.0, 1.0), np.float32))[0]
        w, x, y, z = env.scene.data.body(body).xquat
        np.testing.assert_allclose(observation[13:17], np.array((x, y, z, w)) * (1 if w >= 0 else -1), atol=1e-6)


@pytest.mark.parametrize("task", ["reach", "drawer-close", "window-close"])
def test_experts_solve_with_servos(task: str) -> None:
    env = make(task, actuation="servo")
    assert all(play(env, EVALUATION_SEED_BASE + i)[1] for i in range(2))


@pytest.mark.parametrize(("arm", "actuation"), CHOICES)
@pytest.mark.parametrize("task", ["pick-place", "window-close"])
def test_same_seed_same_trajectory_whatever_came_before(task: str, arm: str, actuation: str) -> None:
    used, fresh = make(task, arm, actuation), make(task, arm, actuation)
    play(used, seed=5, steps=40)
    np.testing.assert_array_equal(play(used, seed=7, steps=60)[0], play(fresh, seed=7, steps=60)[0])


def test_seeds_give_different_layouts_and_no_seed_gives_the_next() -> None:
    env = make("push")
    first, _ = env.reset(seed=1)
    second, _ = env.reset()
    third, _ = env.reset(seed=2)
    assert not np.allclose(first, second) and not np.allclose(first, third)
    np.testing.assert_array_equal(env.reset(seed=1)[0], first)
    np.testing.assert_array_equal(env.reset()[0], second)


def test_a_processes_trajectories_equal_ours() -> None:
    with_settings = {"spec": ObservationSpec(LEGION_FIELDS), "max_steps": 4}
    tasks = ("drawer-close", "reach")
    vector = make_vector_env(tasks, **with_settings)
    try:
        observations, _ = vector.reset(seed=[3, 4])
        actions = np.full((2, 4), 0.5, np.float32)
        stepped = vector.step(actions)[0]
    finally:
        vector.close()
    for i, task in enumerate(tasks):
        env = make_env(task, **with_settings)  # type: ignore[arg-type]
        np.testing.assert_array_equal(env.reset(seed=3 + i)[0], observations[i])
        np.testing.assert_array_equal(env.step(actions[i])[0], stepped[i])


@pytest.mark.parametrize("actuation", ["mocap", "servo"])
def test_gymnasium_api(actuation: str) -> None:
    check_env(make("reach", actuation=actuation), skip_render_check=True)


def test_truncates_after_max_steps() -> None:
    env = make("reach", max_steps=3)
    env.reset(seed=0)
    assert [env.step(np.zeros(4, np.float32))[3] for _ in range(3)] == [False, False, True]


def test_first_observation_shows_the_scene_after_the_reset() -> None:
    """Meta-World's own first observation of window-close has the handle where it was before the reset."""
    env = make("window-close")
    observation, _ = env.reset(seed=0)
    stepped = env.step(np.zeros(4, np.float32))[0]
    np.testing.assert_allclose(observation[3:6], stepped[3:6], atol=1e-3)


def test_expert_leaves_its_observation_alone() -> None:
    for task in FIFTY:
        observation = np.linspace(0.1, 0.9, 39)
        expert_action(task, observation)
        np.testing.assert_array_equal(observation, np.linspace(0.1, 0.9, 39))


@pytest.mark.parametrize("task", FIFTY)
def test_experts_are_functions_of_what_a_policy_sees(task: str) -> None:
    """Neither Meta-World's previous frame nor anything remembered: a policy could not imitate that."""
    rng = np.random.default_rng(0)
    seen = np.r_[0:7, 11:14, 36:39]
    observations = [rng.normal((0.0, 0.6, 0.1) * 13, 0.05) for _ in range(4)]
    actions = [expert_action(task, observation) for observation in observations]
    for observation, action in zip(reversed(observations), reversed(actions), strict=True):
        other = rng.normal(0.0, 1.0, 39)
        other[seen] = observation[seen]
        np.testing.assert_array_equal(expert_action(task, other), action)


def test_factories_can_be_sent_to_other_processes() -> None:
    env = pickle.loads(pickle.dumps(factory("reach", max_steps=7)))()
    assert env.max_steps == 7
    env = pickle.loads(pickle.dumps(factory("stick-pull", spec=ObservationSpec(FIFTY_FIELDS))))()
    assert env.observation_space.shape == (len(FIFTY_FIELDS),)


def test_an_episode_lasts_as_long_as_the_task_needs() -> None:
    assert make_env("coffee-push").max_steps == 150
    assert make_env("handle-pull").max_steps == 250


@pytest.mark.parametrize(
    ("arguments", "error", "names"),
    [
        ({"task": "fly"}, TaskError, ("fly", "reach", "window-close", "sweep-into")),
        ({"task": "coffee-pull", "actuation": "servo"}, TaskError, ("coffee-pull", "reach", "window-close")),
        ({"task": "reach", "arm": "panda"}, SimulationError, ("panda", "iiwa7", "sawyer")),
        ({"task": "reach", "actuation": "magic"}, SimulationError, ("magic", "mocap", "servo")),
        ({"task": "reach", "arm": "sawyer", "actuation": "servo"}, SimulationError, ("sawyer", "mocap")),
        ({"task": "reach", "render_mode": "human"}, SpaceError, ("human", "rgb_array")),
    ],
)
def test_errors_name_what_is_allowed(arguments: dict[str, str], error: type[Exception], names: tuple[str, ...]) -> None:
    with pytest.raises(error) as caught:
        make(**arguments)  # type: ignore[arg-type]
    assert all(name in str(caught.value) for name in names)


def test_servo_needs_a_bridge() -> None:
    with pytest.raises(SimulationError, match="bridge"):
        make_env("reach", actuation="servo")


@pytest.mark.parametrize("action", [np.zeros(3), np.full(4, np.nan), np.zeros((1, 4))])
def test_bad_actions_are_refused(action: np.ndarray) -> None:
    env = make("reach")
    env.reset(seed=0)
    with pytest.raises(SpaceError, match="4 finite"):
        env.step(action)


def test_unknown_task_for_the_expert() -> None:
    with pytest.raises(TaskError, match="fly"):
        expert_action("fly", np.zeros(39))
