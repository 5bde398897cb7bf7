"""mujoco_node: one stamp a step, one step a command in lockstep, and no command that is not one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

pytest.importorskip("metaworld", reason="the simulator is not installed")

from legion_core.errors import ConfigurationError
from legion_core.resources import resource
from legion_core.sim import RobotPlant
from legion_core.sim.composite import load_scene
from legion_ros import topics
from legion_ros.nodes.mujoco_node import MujocoNode
from legion_ros.qos import EVENT, LATCHED
from legion_ros.stamps import to_ns
from legion_ros.vector_messages import float64_array, position_of, rotation_of, trajectory_message
from legion_sim2real.robot import load_profile

PROFILE = load_profile("mujoco")
JOINTS = PROFILE.joint_names


class Talk:
    """The simulator node with everything it hears and says."""

    def __init__(self, bench: Any, **parameters: Any) -> None:
        self.bench = bench
        self.node = bench.start(MujocoNode, **{"mode": "lockstep", "task": "drawer-close", "seed": 3, **parameters})
        self.joints = bench.listen(JointState, "lbr/joint_states", EVENT)
        self.episodes = bench.listen(JointState, topics.EPISODE, EVENT)
        self.objects = bench.listen(PoseStamped, topics.OBJECT, EVENT)
        self.goals = bench.listen(PoseStamped, topics.GOAL, EVENT)
        self.openings = bench.listen(JointState, PROFILE.gripper.state, EVENT)
        self.reports = bench.listen(DiagnosticArray, topics.DIAGNOSTICS)
        if "command_interface" not in parameters:
            self.positions = bench.talk(Float64MultiArray, "lbr/forward_position_controller/commands")
        self.gripper = bench.talk(Float64MultiArray, PROFILE.gripper.command)

    def reset(self) -> None:
        """A new episode whose first messages have been heard by all."""
        for heard in (self.joints, self.episodes, self.objects, self.goals, self.openings):
            heard.clear()
        assert self.bench.call(Trigger, topics.SIM_RESET, Trigger.Request()).success
        assert self.bench.until(lambda: self.joints and self.episodes)

    def step(self, gripper: float = -1.0) -> bool:
        """Answer the newest state with the command to stay."""
        count = len(self.joints)
        self.gripper(float64_array((gripper,)))
        self.positions(float64_array(self.joints[-1].position))
        return bool(self.bench.until(lambda: len(self.joints) > count, 1.0))

    def episode(self) -> dict[str, float]:
        return dict(zip(self.episodes[-1].name, self.episodes[-1].position, strict=True))

    def report(self) -> str:
        return " ".join(status.message for report in self.reports for status in report.status)


def test_lockstep_is_the_plant_step_by_step(bench: Any) -> None:
    talk = Talk(bench)
    talk.reset()
    plant = RobotPlant("drawer-close")
    state = plant.reset(seed=3)
    for _ in range(5):
        assert np.array(talk.joints[-1].position).tobytes() == state.joint_positions.tobytes()
        position = talk.objects[-1].pose.position
        assert (position.x, position.y, position.z) == tuple(state.object_position)
        assert talk.openings[-1].position[0] == state.gripper_opening
        assert tuple(talk.joints[-1].name) == JOINTS
        assert len(talk.joints[-1].velocity) == len(talk.joints[-1].effort) == 7
        assert talk.step()
        state = plant.step(state.joint_positions, -1.0)


def test_all_messages_of_a_step_carry_one_stamp_and_time_goes_on(bench: Any) -> None:
    talk = Talk(bench)
    clocks = bench.listen(Clock, "/clock")
    talk.reset()
    for _ in range(3):
        assert talk.step()
    bench.settle(0.1)
    stamps = [to_ns(message.header.stamp) for message in talk.joints]
    assert np.diff(stamps).tolist() == [20_000_000] * 3
    for heard in (talk.episodes, talk.objects, talk.goals, talk.openings):
        assert [to_ns(message.header.stamp) for message in heard] == stamps
    assert to_ns(clocks[-1].clock) == stamps[-1]
    talk.reset()
    assert to_ns(talk.joints[0].header.stamp) == stamps[-1] + 1_000_000_000


def test_in_lockstep_it_waits_for_both_commands(bench: Any) -> None:
    talk = Talk(bench)
    talk.reset()
    talk.positions(float64_array(talk.joints[-1].position))
    bench.settle(0.2)
    assert len(talk.joints) == 1
    talk.gripper(float64_array((1.0,)))
    assert bench.until(lambda: len(talk.joints) == 2)


def test_it_says_its_state_again_to_who_missed_it(bench: Any) -> None:
    talk = Talk(bench)
    talk.reset()
    assert bench.until(lambda: len(talk.joints) == 2, 5.0)
    assert talk.joints[0].header.stamp == talk.joints[1].header.stamp


@pytest.mark.parametrize("values", [(0.0,) * 6, (0.0,) * 8, (math.nan,) * 7, ()])
def test_a_command_that_is_none_is_named_and_ignored(bench: Any, values: Any) -> None:
    talk = Talk(bench)
    talk.reset()
    talk.gripper(float64_array((1.0,)))
    talk.positions(float64_array(values))
    assert bench.until(lambda: f"joint command of {len(values)} numbers" in talk.report())
    assert len(talk.joints) == 1


def test_trajectories_are_commands_too(bench: Any) -> None:
    talk = Talk(bench, command_interface="joint_trajectory")
    trajectory = bench.talk(JointTrajectory, "lbr/joint_trajectory_controller/joint_trajectory")
    talk.reset()
    talk.gripper(float64_array((1.0,)))
    trajectory(trajectory_message(JOINTS[:6], (0.0,) * 6, 0.02))
    assert bench.until(lambda: "joint command lacks lbr_A7" in talk.report())
    trajectory(trajectory_message(JOINTS[::-1], talk.joints[-1].position[::-1], 0.02))
    assert bench.until(lambda: len(talk.joints) == 2)


def test_a_cartesian_robot_speaks_of_its_hand_and_goes_where_it_is_told(bench: Any, tmp_path: Path) -> None:
    text = resource("config/robots/mujoco.yaml").read_text(encoding="utf-8")
    text = text.replace("input: joint", "input: cartesian").replace(
        "command_interface: forward_position", "command_interface: cartesian"
    )
    (tmp_path / "arm.yaml").write_text(text, encoding="utf-8")
    bench.start(MujocoNode, mode="lockstep", task="reach", seed=3, robot=tmp_path / "arm.yaml")
    hands = bench.listen(PoseStamped, PROFILE.topics.hand_pose, EVENT)
    states = bench.listen(JointState, PROFILE.topics.joint_states)
    command = bench.talk(PoseStamped, PROFILE.topics.pose_command)
    gripper = bench.talk(Float64MultiArray, PROFILE.gripper.command)
    bench.call(Trigger, topics.SIM_RESET, Trigger.Request())
    assert bench.until(lambda: hands)
    wanted = hands[-1]
    wanted.pose.position.z += 0.05
    for _ in range(40):
        count = len(hands)
        command(wanted)
        gripper(float64_array((-1.0,)))
        assert bench.until(lambda count=count: len(hands) > count, 1.0)
    assert position_of(hands[-1]) == pytest.approx(position_of(wanted), abs=2e-3)
    turned = rotation_of(hands[-1]).T @ rotation_of(wanted)
    assert turned == pytest.approx(np.eye(3), abs=0.01)
    assert not states, "it says nothing that such a robot would not say"


def test_it_simulates_the_arm_of_the_profile(bench: Any) -> None:
    node = bench.start(MujocoNode, mode="lockstep", robot="iiwa14_mujoco")
    assert node._plant.robot == load_profile("iiwa14_mujoco").embodiment()


def test_an_episode_ends_after_its_steps_and_asks_for_no_more_commands(bench: Any) -> None:
    talk = Talk(bench, episode_steps=3)
    talk.reset()
    assert [talk.step() for _ in range(3)] == [True, True, False]
    assert bench.until(lambda: talk.episode()["done"] == 1.0)
    assert talk.episode()["step"] == 3
    talk.reset()
    assert talk.episode()["step"] == 0


def test_reset_takes_the_task_and_seed_that_were_set(bench: Any) -> None:
    talk = Talk(bench)
    wanted = [Parameter(name, value=value).to_parameter_msg() for name, value in (("task", "push"), ("seed", 11))]
    answer = bench.call(SetParameters, "mujoco_node/set_parameters", SetParameters.Request(parameters=wanted))
    assert all(result.successful for result in answer.results)
    talk.reset()
    state = RobotPlant("push").reset(seed=11)
    goal = talk.goals[-1].pose.position
    assert (goal.x, goal.y, goal.z) == tuple(state.goal_position)
    assert talk.episode()["seed"] == 11
    bad = SetParameters.Request(parameters=[Parameter("task", value="juggle").to_parameter_msg()])
    result = bench.call(SetParameters, "mujoco_node/set_parameters", bad).results[0]
    assert not result.successful
    assert "unknown task 'juggle'; allowed: reach, push" in result.reason


def test_the_scene_follows_the_task(bench: Any) -> None:
    talk = Talk(bench)
    task = bench.talk(String, topics.TASK, LATCHED)
    talk.reset()
    task(String(data="drawer-close"))
    bench.settle(0.2)
    assert len(talk.joints) == 1, "the scene of the present task stays as it is"
    task(String(data="reach"))
    assert bench.until(lambda: len(talk.joints) == 2)
    task(String(data="juggle"))
    assert bench.until(lambda: "unknown task 'juggle'" in talk.report())


def test_in_a_composite_scene_the_task_says_what_is_seen_and_nothing_moves(bench: Any) -> None:
    talk = Talk(bench, scene="clear_the_table", task="push")
    task, shown = bench.talk(String, topics.TASK, LATCHED), bench.listen(String, topics.SCENE_TASK, LATCHED)
    here = bench.listen(String, topics.SCENE_TASKS, LATCHED)
    assert bench.until(lambda: bool(here)) and set(here[0].data.split()) >= {"push", "window-close", "drawer-close"}
    talk.reset()
    plant = RobotPlant("push", composite=load_scene("clear_the_table"))
    state = plant.reset(seed=3)
    seen = []
    for name in ("push", "window-close", "drawer-close", "push"):
        task(String(data=name))
        bench.settle()
        assert talk.step()
        stamps = [talk.joints, talk.objects, talk.goals]
        assert bench.until(lambda stamps=stamps: len({to_ns(heard[-1].header.stamp) for heard in stamps}) == 1)
        state = plant.step(plant.switch(name).joint_positions, -1.0)
        assert (position_of(talk.objects[-1]) == state.object_position).all()
        assert (position_of(talk.goals[-1]) == state.goal_position).all()
        assert bench.until(lambda name=name: bool(shown) and shown[-1].data == name)
        seen.append(position_of(talk.objects[-1]))
    assert np.linalg.norm(seen[0] - seen[-1]) < 0.001
    assert np.linalg.norm(seen[0] - seen[1]) > 0.1
    task(String(data=""))
    task(String(data="door-open"))
    assert bench.until(lambda: "scene clear_the_table: unknown task 'door-open'; allowed: reach, " in talk.report())
    assert talk.step()
    assert np.linalg.norm(position_of(talk.objects[-1]) - seen[-1]) < 0.001


def test_in_real_time_it_steps_by_itself_with_wall_clock_stamps(bench: Any) -> None:
    talk = Talk(bench, mode="realtime")
    assert bench.until(lambda: len(talk.joints) > 5)
    ages = [talk.node.get_clock().now().nanoseconds - to_ns(talk.joints[-1].header.stamp)]
    assert 0 <= ages[0] < 10**9
    stay = np.array(talk.joints[-1].position)
    assert np.abs(stay - np.array(talk.joints[0].position)).max() < 0.05


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": "juggle"}, "task = 'juggle'; allowed: reach, push"),
        ({"mode": "fast"}, "mode = 'fast'; allowed: realtime, lockstep"),
        (
            {"robot": "kuka"},
            "unknown robot 'kuka'; allowed: gazebo, iiwa14_lbr, iiwa14_mujoco, lbr, mujoco, mujoco_gap",
        ),
    ],
)
def test_wrong_parameters_are_named_with_what_is_allowed(bench: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        bench.start(MujocoNode, **given)


def test_a_viewer_without_display_is_a_clear_error(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigurationError, match="there is no display"):
        bench.start(MujocoNode, viewer="true")


def test_across_a_gap_pictures_are_late_and_each_comes_once(bench: Any) -> None:
    talk = Talk(bench, mode="realtime", robot="mujoco_gap", gap=str(resource("config/gap.yaml")))
    assert bench.until(lambda: len(talk.objects) > 20, 10.0)
    pictures = [to_ns(message.header.stamp) for message in talk.objects]
    assert len(set(pictures)) == len(pictures)
    assert len(talk.joints) > 1.2 * len(pictures), "the robot speaks at 50 Hz, less what is lost, the camera at 30 Hz"
    newest = to_ns(talk.joints[-1].header.stamp)
    assert newest - pictures[-1] >= 60_000_000
    positions = np.array([position_of(message) for message in talk.objects])
    assert 0.002 < positions.std(axis=0).mean() < 0.01, "noise"


@pytest.mark.parametrize(
    "wrong", [{"mode": "lockstep", "robot": "mujoco_gap"}, {"mode": "realtime", "robot": "mujoco"}]
)
def test_a_gap_needs_a_clock_and_a_patient_robot(bench: Any, wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"gap = .*; allowed: none (in lockstep|with sync exact)"):
        bench.start(MujocoNode, gap=str(resource("config/gap.yaml")), **wrong)


def test_a_gap_needs_a_scene_of_one_task(bench: Any) -> None:
    gap = {"mode": "realtime", "robot": "mujoco_gap", "gap": str(resource("config/gap.yaml"))}
    with pytest.raises(ConfigurationError, match=r"gap = .*; allowed: none in a composite scene \(make_coffee\)"):
        bench.start(MujocoNode, scene="make_coffee", **gap)
