"""Composite scenes: Meta-World's objects unchanged, clear of each other, and whole missions on them without ROS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("metaworld", reason="the simulator is not installed")

from legion_core.bundle import PolicyBundle
from legion_core.errors import ConfigurationError, SimulationError, TaskError
from legion_core.mission import load_missions
from legion_core.mission_loop import run_mission
from legion_core.policy import LegionPolicy
from legion_core.sim.composite import CompositeScene, Placement, load_scene, scene_names
from legion_core.sim.metaworld_tasks import SharedTask, make_task
from legion_core.sim.plant import RobotPlant
from legion_sim2real.bridge import BridgeFactory

MISSIONS = load_missions()
SEEDS = (11, 12)


@pytest.fixture(scope="module", params=sorted(MISSIONS))
def plant(request: pytest.FixtureRequest) -> RobotPlant:
    return RobotPlant(composite=load_scene(MISSIONS[request.param].scene))


def test_every_mission_has_its_scene_and_the_scene_its_tasks() -> None:
    assert {mission.scene for mission in MISSIONS.values()} == set(scene_names())
    for mission in MISSIONS.values():
        assert {step.task for step in mission.steps} == set(load_scene(mission.scene).tasks)


def test_an_object_is_what_it_is_in_its_own_scene(plant: RobotPlant) -> None:
    for task, view in plant.tasks.items():
        own = make_task(task, "iiwa7", "servo", 8)
        assert isinstance(view, SharedTask)
        joint = view.joint
        ours, theirs = plant.model.joint(joint), own.model.joint(joint)
        for name in ("type", "range", "damping", "stiffness", "armature"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name)), (task, name)
        bodies = [(m, m.body(int(m.jnt_bodyid[m.joint(joint).id])).id) for m in (plant.model, own.model)]
        for name in ("body_mass", "body_inertia"):
            (a, i), (b, j) = bodies
            assert getattr(a, name)[i] == pytest.approx(getattr(b, name)[j]), (task, name)
        for name in ("geom_type", "geom_size", "geom_contype", "geom_conaffinity", "geom_friction", "geom_solref"):
            rows = [getattr(model, name)[model.geom_bodyid == body] for model, body in bodies]
            collides = [model.geom_contype[model.geom_bodyid == body] > 0 for model, body in bodies]
            assert rows[0][collides[0]] == pytest.approx(rows[1][collides[1]]), (task, name)


def test_objects_stand_where_they_should_and_clear_of_each_other(plant: RobotPlant) -> None:
    shared = plant.shared
    assert shared is not None
    for seed in range(20):
        plant.reset(seed=seed)
        assert shared.clear()
        for task in shared.scene.tasks:
            plant.switch(task)
            assert not plant.step(plant.state().joint_positions, -1.0) or not plant.success, f"{task} is done at once"


def test_a_seed_is_a_layout(plant: RobotPlant) -> None:
    def layout(seed: int | None) -> np.ndarray:
        state = plant.reset(seed=seed)
        for _ in range(5):
            state = plant.step(state.joint_positions + 0.01, -1.0)
        return np.concatenate([plant.switch(task).object_position for task in plant.tasks])

    first, following = layout(5), layout(None)
    assert (first != following).any()
    assert (layout(5) == first).all()


def test_changing_the_task_moves_nothing(plant: RobotPlant) -> None:
    plant.reset(seed=1)
    before = plant.data.qpos.copy()
    for task in plant.tasks:
        plant.switch(task)
    assert (plant.data.qpos == before).all()


def test_what_the_robot_touches_is_seen(plant: RobotPlant) -> None:
    plant.reset(seed=1)
    assert plant.shared is not None
    assert plant.shared.touched(besides="") == set()
    claw = plant.data.body("leftclaw").xpos
    plant.data.joint("objjoint").qpos[:3] = claw
    plant.shared.clear()
    assert plant.shared.touched(besides="reach") == {"obj"}
    assert plant.shared.touched(besides="push") == set()


def test_a_task_that_the_scene_has_not_is_refused(plant: RobotPlant) -> None:
    with pytest.raises(TaskError, match="unknown task 'door-open'; allowed: reach, "):
        plant.switch("door-open")


@pytest.mark.parametrize("name", sorted(MISSIONS))
def test_the_policy_completes_the_mission_and_what_it_did_stays_done(name: str) -> None:
    bundle, mission = PolicyBundle.load(), MISSIONS[name]
    bridge = BridgeFactory(spec=bundle.spec)()
    scene = RobotPlant(composite=load_scene(mission.scene), robot=bridge.robot)
    for seed in SEEDS:
        outcome = run_mission(mission, scene, bridge, LegionPolicy(bundle), seed)
        assert outcome.succeeded, outcome
        assert outcome.false == ()
        assert outcome.touched == ()
        springs_back = {"button-press-topdown"}
        assert {step.task for step in mission.steps} - set(outcome.kept) <= springs_back


def test_attempts_that_are_cut_short_touch_nothing_on_their_way() -> None:
    bundle, mission = PolicyBundle.load(), MISSIONS["clear_the_table"]
    bridge = BridgeFactory(spec=bundle.spec)()
    scene = RobotPlant(composite=load_scene(mission.scene), robot=bridge.robot)
    hurried = replace(mission, steps=(replace(mission.steps[0], timeout_s=0.5, attempts=4),))
    outcome = run_mission(hurried, scene, bridge, LegionPolicy(bundle), SEEDS[0])
    assert not outcome.succeeded
    assert [step.attempt for step in outcome.steps] == [4]
    assert outcome.touched == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: {reach: {low: [0], high: [0]}}", "unknown task 'reach'; allowed: push, "),
        ("tasks: {window-close: {low: [0, 0, 0], high: [0, 0, 0]}}", "exactly one of push, pick-place among them"),
        ("tasks: {push: {low: [0, 0], high: [0]}}", "high = .*; allowed: 2 numbers, as low has"),
        ("tasks: {push: {low: [0.1], high: [0.0]}}", "high = .*; allowed: nothing below low"),
        ("tasks: {push: {low: [0.1], high: [0.2]}}", "tasks: push = .*; allowed: 6 numbers"),
        ("name: x\ntasks: {}", "name"),
    ],
)
def test_a_malformed_scene_is_one_error_that_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=f"{file}.*{message}"):
        load_scene(str(file))


def test_an_unknown_scene_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown scene 'kitchen'; allowed: clear_the_table, make_coffee"):
        load_scene("kitchen")


def test_objects_that_cannot_stand_clear_are_one_error() -> None:
    puck = Placement((0.0, 0.6, 0.02, 0.0, 0.85, 0.02), (0.1, 0.65, 0.02, 0.1, 0.85, 0.02))
    drawer = Placement((0.0, 0.8, 0.0), (0.0, 0.8, 0.0))
    window = Placement((0.0, 0.8, 0.2), (0.0, 0.8, 0.2))
    crowded = CompositeScene("crowded", {"push": puck, "drawer-close": drawer, "window-close": window})
    with pytest.raises(SimulationError, match="no layout without contact"):
        RobotPlant(composite=crowded)
