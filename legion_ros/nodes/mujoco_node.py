"""mujoco_node: the simulated robot in a task's scene, with the topics of the real one.

In real time it steps at its rate with the newest command, as a position controller does. In lockstep it publishes a
state and steps when the command that answers it has come, however long that takes.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from legion_core.config import require
from legion_core.errors import ConfigurationError, SimulationError, TaskError
from legion_core.sim.composite import load_scene
from legion_core.sim.plant import RESET_GAP_S, PlantState, RobotPlant
from legion_core.sim.reality_gap import GappedRobot, RealityGap
from legion_core.spaces import Vector
from legion_core.tasks import get_task, task_names
from legion_ros import topics
from legion_ros.diagnostics import Diagnostics, LatencyMeter, RateMeter
from legion_ros.mending import Problem
from legion_ros.parameters import declare, parameter
from legion_ros.process import ControlPathSettings, run
from legion_ros.profiles import profile_of
from legion_ros.qos import EVENT, LATCHED, own_publisher, own_subscription
from legion_ros.robot_io import CommandInput
from legion_ros.stamps import NS_PER_S, from_ns, from_seconds, to_ns
from legion_ros.vector_messages import doubles, named_vector, pose_message
from legion_sim2real.camera import quaternion_from_rotation
from legion_sim2real.robot import COMMAND_INTERFACES, RobotProfile

NAME = "mujoco_node"
FLUSH_S = 0.2
"""In simulated time a reset waits so long for what is still under way from the episode before."""
STALL_S = 2.0
"""In lockstep the state is published again when no command has come for this long."""
VIEW = ((0.07, 0.5, 0.32), 1.7, 38.5, -25.0)
"""Where MuJoCo's window looks at first: a point (m, sim frame), the distance to it (m), azimuth and elevation (deg)."""
DRAWN_S = 0.03
"""Who draws the scene is told no more often where every body is."""
EPISODE_FIELDS = ("step", "success", "done", "reward", "seed", "distance", "command_latency_s")


@dataclass(frozen=True)
class MujocoSettings(ControlPathSettings):
    """Parameters of the simulator node."""

    robot: str = parameter("mujoco", "Robot profile whose model, topics and joint names are used")
    mode: str = parameter("realtime", "Step by the clock or when a command comes", choices=("realtime", "lockstep"))
    real_time_factor: float = parameter(1.0, "Simulated seconds a second", minimum=0.05, maximum=20.0)
    rate_hz: float = parameter(
        0.0, "Control periods a simulated second; 0: as the profile says", minimum=0.0, maximum=200.0
    )
    command_interface: str = parameter(
        "", "Command interface that is obeyed; empty: as the profile says", choices=("", *COMMAND_INTERFACES)
    )
    task: str = parameter("reach", "Task whose scene is simulated", choices=task_names(), dynamic=True)
    seed: int = parameter(0, "Seed of the scene's layout", minimum=0, maximum=2**31 - 1, dynamic=True)
    scene: str = parameter(
        "", "Composite scene with the objects of several tasks: a name in config/scenes or a YAML file; empty: none"
    )
    follow_task: bool = parameter(True, "Change the scene when legion/task names another task")
    episode_steps: int = parameter(
        0, "End the episode at success or after so many steps; 0: it goes on", minimum=0, maximum=100_000
    )
    gap: str = parameter("", "Reality gap in real time: a YAML file such as config/gap.yaml; empty: none")
    report_hz: float = parameter(
        10.0, "In real time the episode is reported this often, and whenever it changes", minimum=0.1, maximum=200.0
    )
    viewer: bool = parameter(False, "Open MuJoCo's window")


class MujocoNode(Node):
    """Publishes robot and scene, takes joint and gripper commands, resets on `legion/sim/reset`."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self._settings = settings = declare(self, MujocoSettings)
        self._task, self._seed = settings.task, settings.seed
        self._lockstep = settings.mode == "lockstep"
        self._simulated_time = self._lockstep or settings.real_time_factor != 1.0
        self._profile = profile_of(settings)
        period_s, robot = 1.0 / self._profile.rate_hz, self._profile.embodiment()
        scene = load_scene(settings.scene) if settings.scene else None
        self._plant = RobotPlant(settings.task, seed=settings.seed, period_s=period_s, robot=robot, composite=scene)
        self._gap = GappedRobot(self._plant, _gap(settings, self._profile)) if settings.gap else None
        self._seen_s = math.nan
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._rate, self._latency = RateMeter(), LatencyMeter()
        self._command_latency_s, self._published_at = math.nan, 0.0
        self._shown = ""
        self._answered = self._gripper_answered = False
        self._succeeded = self._done = self._begins = False
        self._resume_at = self._reported_at = self._drawn_at = 0.0
        self._last_event: tuple[int, bool, bool, bool] | None = None
        # every step means every step, whatever the timer's jitter
        self._report_s = 0.9 / settings.report_hz
        self._viewer = _Viewer() if settings.viewer else None
        self._diagnostics = Diagnostics(self, self._report)
        self._create_topics(self._profile)
        if self._plant.shared:
            self._tasks_publisher.publish(String(data=" ".join(self._plant.tasks)))
        self.add_on_set_parameters_callback(self._on_parameters)
        self._reset()
        if self._lockstep:
            self.create_timer(STALL_S / 4, self._on_stall_timer, clock=self._steady)
        else:
            period_s = 1.0 / self._profile.rate_hz / settings.real_time_factor
            self.create_timer(period_s, self._on_tick, clock=self._steady)

    def _create_topics(self, profile: RobotProfile) -> None:
        self._hand = profile.kinematics() if profile.input == "cartesian" else None
        if self._hand is None:
            self._robot_publisher = own_publisher(self, JointState, profile.topics.joint_states)
        else:
            self._robot_publisher = own_publisher(self, PoseStamped, profile.topics.hand_pose)
        self._object_publisher = own_publisher(self, PoseStamped, topics.OBJECT)
        self._object2_publisher = own_publisher(self, PoseStamped, topics.OBJECT2)
        self._goal_publisher = own_publisher(self, PoseStamped, topics.GOAL)
        self._gripper_publisher = own_publisher(self, JointState, profile.gripper.state)
        self._episode_publisher = own_publisher(self, JointState, topics.EPISODE, EVENT)
        self._bodies_publisher = own_publisher(self, JointState, topics.SIM_STATE)
        self._task_publisher = own_publisher(self, String, topics.SCENE_TASK, LATCHED)
        self._tasks_publisher = own_publisher(self, String, topics.SCENE_TASKS, LATCHED)
        self._clock_publisher = own_publisher(self, ClockMessage, "/clock")
        complain = partial(self._diagnostics.error, kind=Problem.BAD_COMMAND)
        self._commands = CommandInput(self, profile, self._on_command, self._on_gripper, complain)
        if self._settings.follow_task:
            own_subscription(self, String, topics.TASK, self._on_task, LATCHED)
        self.create_service(Trigger, topics.SIM_RESET, self._on_reset)

    # commands

    def _on_gripper(self, command: float) -> None:
        if self._gap and not self._gap.deliver():
            return
        self._gripper = command
        self._gripper_answered = True
        self._step_when_answered()

    def _on_command(self, positions: Vector) -> None:
        if self._begins or (self._gap and not self._gap.deliver()):
            return  # it answers the episode before, or is lost
        if not self._answered:
            self._command_latency_s = time.monotonic() - self._published_at
            self._latency.add(self._command_latency_s)
        self._command = positions
        self._answered = True
        self._step_when_answered()

    def _step_when_answered(self) -> None:
        if self._lockstep and self._answered and self._gripper_answered and not self._done:
            self._step()

    # time

    def _on_tick(self) -> None:
        if self._done or time.monotonic() < self._resume_at:
            return
        if self._begins:
            self._begin()
        else:
            self._step()

    def _on_stall_timer(self) -> None:
        if not self._done and time.monotonic() - self._published_at > STALL_S:
            self._publish(self._plant.state())  # a node that was restarted meanwhile has missed it

    def _step(self) -> None:
        try:
            state = self._plant.step(self._command, self._gripper)
        except SimulationError as error:
            self._diagnostics.error(f"{error}; the episode starts again", Problem.DIVERGED)
            self._reset()
            return
        self._rate.tick()
        self._succeeded = self._succeeded or self._plant.success
        limit = self._settings.episode_steps
        self._done = limit > 0 and (self._succeeded or self._plant.steps >= limit)
        self._publish(state)

    # episodes

    def _on_task(self, message: String) -> None:
        """A new scene for another task, and for one that is done already: nothing would be left to do.

        In a composite scene nothing moves: from now on that task's object and goal are told, as a camera would.
        """
        task = message.data
        if task and self._settings.scene:
            self._switch(task)
            return
        if not task or (task == self._plant.task and not self._succeeded):
            return
        results = self.set_parameters([Parameter("task", value=task), Parameter("seed", value=self._seed + 1)])
        if results[0].successful:
            self._reset()
        else:
            self._diagnostics.error(results[0].reason, Problem.UNKNOWN_TASK)

    def _switch(self, task: str) -> None:
        try:
            self._plant.switch(task)
        except TaskError as error:
            self._diagnostics.error(str(error), Problem.UNKNOWN_TASK)
            return
        self._task = task
        self._succeeded = self._done = False

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        given = {each.name: each.value for each in parameters}
        try:
            task = get_task(given.get("task", self._task), "ten").name
            self._plant.check(task)
            self._task = task
        except TaskError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._seed = given.get("seed", self._seed)
        return SetParametersResult(successful=True)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._reset()
        response.success = True
        response.message = f"{self._plant.task}, seed {self._seed}"
        return response

    def _reset(self) -> None:
        """A new episode of the present `task` and `seed`.

        By the wall clock the robot is away for a moment, so that everyone sees a gap in the stamps, not a leap of the
        arm; simulated time leaps by itself.
        """
        if self._gap is None:
            self._plant.reset(self._task, self._seed)
        else:
            self._gap.start(self._seed, self._task)
        self._succeeded = self._done = False
        self._begins = True
        self._resume_at = time.monotonic() + (FLUSH_S if self._simulated_time else RESET_GAP_S)
        if self._lockstep:
            self._begin()

    def _begin(self) -> None:
        state = self._plant.state()
        self._command, self._gripper = state.joint_positions, -1.0
        self._commands.restart(state.joint_positions)
        self._begins = False
        self._publish(state)

    # output

    def _publish(self, state: PlantState) -> None:
        """All messages of a step carry one stamp; the joint states drive the stack and come after the scene."""
        stamp = from_seconds(state.time_s) if self._simulated_time else self.get_clock().now().to_msg()
        if not self._answered:
            self._command_latency_s = math.nan
        self._answered = self._gripper_answered = False
        if self._simulated_time:
            self._clock_publisher.publish(ClockMessage(clock=stamp))
        if not (self._lockstep and self._done):  # nobody is asked for a command that nothing would execute
            seen = state if self._gap is None else self._gap.measure(state)
            for publisher, message in self._messages(seen, stamp) if seen else ():
                self._published_at = time.monotonic()
                publisher.publish(message)
            if seen and self._plant.task != self._shown:
                self._shown = self._plant.task
                self._task_publisher.publish(String(data=self._shown))
        if self._lockstep or self._episode_is_due():
            self._publish_episode(stamp)
        if self._bodies_publisher.get_subscription_count() and time.monotonic() - self._drawn_at >= DRAWN_S:
            self._publish_bodies(stamp)
        if self._viewer:
            self._viewer.show(self._plant)

    def _publish_bodies(self, stamp: Time) -> None:
        """The poses of all bodies as rows x, y, z, qw, qx, qy, qz in the sim frame; the name is that of the scene."""
        data = self._plant.data
        poses = np.hstack((data.xpos, data.xquat)).ravel()
        self._bodies_publisher.publish(named_vector(stamp, (self._settings.scene or self._plant.task,), poses))
        self._drawn_at = time.monotonic()

    def _messages(self, state: PlantState, stamp: Time) -> list[tuple[Publisher, Any]]:
        """Scene, gripper and at last joints; made before any is published, so that who needs them all wakes once."""
        frame, gripper = self._profile.frames.base, self._profile.gripper
        opening = named_vector(stamp, gripper.joints, gripper.positions(state.gripper_opening))
        messages = [
            (self._goal_publisher, pose_message(stamp, frame, state.goal_position)),
            (self._gripper_publisher, opening),
            (self._robot_publisher, self._robot_message(state, stamp)),
        ]
        if self._gap is None or state.object_stamp_s != self._seen_s:  # a camera tells of each picture once
            self._seen_s = state.object_stamp_s
            taken = from_ns(to_ns(stamp) - round(NS_PER_S * (state.time_s - state.object_stamp_s)))
            pose = pose_message(taken, frame, state.object_position, state.object_quaternion)
            messages.insert(0, (self._object_publisher, pose))
            if state.object2_position is not None:
                messages.insert(0, (self._object2_publisher, pose_message(taken, frame, state.object2_position)))
        return messages

    def _robot_message(self, state: PlantState, stamp: Time) -> JointState | PoseStamped:
        if self._hand is not None:
            hand = self._hand.forward(state.joint_positions)
            return pose_message(
                stamp, self._profile.frames.base, hand.position, quaternion_from_rotation(hand.rotation)
            )
        joints = named_vector(stamp, self._profile.joint_names, state.joint_positions)
        joints.velocity = doubles(state.joint_velocities)
        joints.effort = doubles(state.joint_efforts)
        return joints

    def _episode_is_due(self) -> bool:
        """Now and then, and at the beginning, success and end of an episode."""
        event = (self._seed, self._succeeded, self._done, self._plant.steps == 0)
        due = event != self._last_event or time.monotonic() - self._reported_at >= self._report_s
        if due:
            self._last_event, self._reported_at = event, time.monotonic()
        return due

    def _publish_episode(self, stamp: Time) -> None:
        plant = self._plant
        values = (
            plant.steps,
            self._succeeded,
            self._done,
            plant.reward,
            self._seed,
            plant.distance_left,
            self._command_latency_s,
        )
        self._episode_publisher.publish(named_vector(stamp, EPISODE_FIELDS, values))

    def _report(self) -> tuple[str, dict[str, object]]:
        state = "episode ended" if self._done else self._settings.mode
        values = {
            "task": self._plant.task,
            "seed": self._seed,
            "step": self._plant.steps,
            "success": self._succeeded,
            "rate_hz": self._rate.rate_hz(),
        }
        return state, {**values, **self._latency.report()}


def _gap(settings: MujocoSettings, profile: RobotProfile) -> RealityGap:
    require(not settings.scene, "gap", settings.gap, f"none in a composite scene ({settings.scene})")
    require(settings.mode == "realtime", "gap", settings.gap, "none in lockstep, which waits for what is lost")
    require(profile.sync == "latest", "gap", settings.gap, "none with sync exact; robot mujoco_gap has sync latest")
    return RealityGap.load(settings.gap)


class _Viewer:
    """MuJoCo's window; a scene of another task opens a new one, and closing it leaves the simulation running.

    Raises:
        ConfigurationError: there is no display.
    """

    def __init__(self) -> None:
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise ConfigurationError("viewer: there is no display (DISPLAY is not set); run without --viewer")
        import mujoco.viewer  # needs a window system, which a robot's computer has not

        self._launch = mujoco.viewer.launch_passive
        self._model: Any = None
        self._handle: Any = None

    def show(self, plant: RobotPlant) -> None:
        """Draw the present state."""
        if plant.model is not self._model:
            if self._handle is not None:
                self._handle.close()
            self._handle = self._launch(plant.model, plant.data, show_left_ui=False, show_right_ui=False)
            self._model = plant.model
            camera = self._handle.cam
            camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = VIEW
        if self._handle is not None and self._handle.is_running():
            self._handle.sync()


def main() -> None:
    """Entry point of the executable."""
    run(NAME, MujocoNode)


if __name__ == "__main__":
    main()
