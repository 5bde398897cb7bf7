"""sim2real_node: actions in, guarded joint commands out. The last thing before the robot, and the one that stops it.

The controllers of the robot hold their last command for ever, so a silent policy is noticed here, by a steady clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool

from legion_core.errors import SpaceError
from legion_core.spaces import ACTION_FIELDS, Vector
from legion_ros import topics
from legion_ros.controllers import ControllerPresence
from legion_ros.diagnostics import Diagnostics, LatencyMeter, RateMeter, seconds_since
from legion_ros.inputs import overtaken
from legion_ros.managed import ManagedNode
from legion_ros.mending import Problem
from legion_ros.parameters import declare, parameter
from legion_ros.process import ControlPathSettings, run
from legion_ros.profiles import profile_of
from legion_ros.qos import EVENT, LATCHED, own_publisher, own_subscription
from legion_ros.robot_io import CommandOutput, RobotInput
from legion_ros.stamps import NS_PER_S, from_seconds, to_ns, to_seconds
from legion_ros.vector_messages import NamedReader, pose_message
from legion_sim2real.camera import quaternion_from_rotation
from legion_sim2real.kinematics import Pose
from legion_sim2real.real2sim import RobotState
from legion_sim2real.robot import COMMAND_INTERFACES
from legion_sim2real.sim2real import Command, Sim2Real, Status

NAME = "sim2real_node"
LISTEN_S = 3.0
"""A node that starts waits so long at most for word of a stop that was engaged before; discovery on a loaded machine
takes more than a second."""
LISTENING = "listening for an emergency stop that was engaged before"
HEARD_S = 0.3
"""At its end it waits so long at most for the robot to have its last commands: without them the arm stops abruptly."""
ECHO_S = 0.3
ECHOING = "the emergency stop was engaged a moment ago: ask again"
"""A stop is not cleared sooner: watchdog_node says again what it hears, and its word would engage it anew."""
CLOCK_LAG_S = 1.5
"""A simulator's clock leaps by 1 s when it is reset, and its joint state may be heard before."""


@dataclass(frozen=True)
class Sim2RealSettings(ControlPathSettings):
    """Parameters of the sim2real node; limits and speeds are in the profile and its safety file."""

    robot: str = parameter("mujoco", "Robot profile: a name in config/robots or the path of a YAML file")
    rate_hz: float = parameter(0.0, "Policy steps a second; 0: as the profile says", minimum=0.0, maximum=200.0)
    command_interface: str = parameter(
        "", "Command interface that is used; empty: as the profile says", choices=("", *COMMAND_INTERFACES)
    )
    autostart: bool = parameter(True, "Configure and activate at start; false: wait for a lifecycle manager")


class Sim2RealNode(ManagedNode):
    """One command for each action, more between actions where the profile asks for it, and a stop when they cease."""

    def __init__(self) -> None:
        super().__init__(NAME)
        settings = declare(self, Sim2RealSettings)
        self._profile = profile_of(settings)
        self._sim2real: Sim2Real | None = None
        self._state: RobotState | None = None
        self._pending: JointState | None = None
        self._state_ns: int | None = None
        self._action_ns: int | None = None
        self._status = Status.HOLDING
        self._acted_at = -math.inf
        self._resting = True
        self._simulated: bool = self.get_parameter("use_sim_time").value
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._told, self._listens_until_s = False, math.inf
        self._latency = None if self._simulated else LatencyMeter()
        self._rate = RateMeter()
        self._diagnostics = Diagnostics(self, self._report)
        self._controller = ControllerPresence(self, self._profile)
        self._stop_said_s = -math.inf
        self._e_stop_publisher = own_publisher(self, Bool, topics.E_STOP, LATCHED)
        if settings.autostart:
            self.autostart()

    # lifecycle

    def configure(self) -> None:
        profile = self._profile
        self._sim2real = profile.make_sim2real()
        self._silence_s = profile.silence_s(self._sim2real.guard.limits)
        self._fields = NamedReader(ACTION_FIELDS, topics.ACTION, finite=False)  # the guard looks itself
        self._output = CommandOutput(self, profile)
        self._target_publisher = own_publisher(self, PoseStamped, topics.TARGET_POSE)
        self._input = RobotInput(
            self, profile, self._on_state, partial(self._diagnostics.error, kind=Problem.BAD_INPUT)
        )
        self._heard = [
            own_subscription(self, JointState, topics.ACTION, self._on_action),
            # a volatile one hears every publisher, a latched one what the watchdog has kept
            own_subscription(self, Bool, topics.E_STOP, self._on_e_stop_topic, EVENT),
            own_subscription(self, Bool, topics.E_STOP, self._on_e_stop_topic, LATCHED),
        ]
        self._service = self.create_service(SetBool, topics.E_STOP, self._on_e_stop_service)
        self._interpolates = profile.interpolation_rate_hz is not None
        self._timer = self.create_timer(1.0 / profile.command_rate_hz, self._between_actions, clock=self._steady)
        self._told, self._listens_until_s = False, self._steady_s() + LISTEN_S

    def cleanup(self) -> None:
        self.destroy_timer(self._timer)
        self.destroy_service(self._service)
        for subscription in self._heard:
            self.destroy_subscription(subscription)
        self.destroy_publisher(self._target_publisher)
        self._input.destroy()
        self._output.destroy()
        self._controller.destroy()
        self._sim2real = self._state = self._pending = None

    def obstacle(self) -> str | None:
        if self._listens:
            return LISTENING
        missing = self._controller.missing()
        if missing is not None:
            self._diagnostics.warn(missing, Problem.NO_CONTROLLER)
        return missing

    def activate(self) -> None:
        assert self._sim2real is not None
        self._pending = None
        self._sim2real.guard.activate()

    def deactivate(self) -> None:
        """The timer goes on until the arm has come to rest."""
        assert self._sim2real is not None
        self._sim2real.guard.deactivate()

    def come_to_rest(self) -> bool:
        """Obey no more actions. Returns whether the arm is at rest; a simulated one is no longer there to brake."""
        if self.active:
            self.trigger_deactivate()
        if self._resting and not self._simulated and self._sim2real is not None:
            self._output.wait_heard(HEARD_S)
        return self._resting or self._simulated

    # emergency stop

    @property
    def _listens(self) -> bool:
        return not self._told and self._steady_s() < self._listens_until_s

    def _on_e_stop_topic(self, message: Bool) -> None:
        """Anybody may engage it here. Only the service clears it: who denies a stop is contradicted."""
        assert self._sim2real is not None
        self._told = True
        if message.data:
            self._engage(f"{topics.E_STOP} topic")
        elif self._sim2real.guard.e_stopped:
            self._e_stop_publisher.publish(Bool(data=True))

    def _on_e_stop_service(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """A stop of which more is to be heard cannot be cleared yet: its word would engage it again."""
        unheard = LISTENING if self._listens else ECHOING if self._steady_s() - self._stop_said_s < ECHO_S else ""
        response.success = request.data or not unheard
        if request.data:
            self._engage("operator")
            response.message = "engaged"
        elif unheard:
            response.message = unheard
        else:
            self._clear()
            response.message = "cleared"
        return response

    def _engage(self, reason: str) -> None:
        assert self._sim2real is not None
        self._sim2real.guard.e_stop(reason)
        self._between_actions()
        self._say_stop()

    def _clear(self) -> None:
        """Say so even where nothing was engaged: a restarted node does not know who has been waiting since before."""
        assert self._sim2real is not None
        self._sim2real.guard.clear_e_stop()
        self._stop_said_s = -math.inf
        self.get_logger().warning("emergency stop cleared")
        self._e_stop_publisher.publish(Bool(data=False))

    def _say_stop(self) -> None:
        """Let the others know once of a stop, whoever engaged it: somebody, or a fault that the safety file latches."""
        assert self._sim2real is not None
        guard = self._sim2real.guard
        if guard.e_stopped and self._stop_said_s == -math.inf:
            self._stop_said_s = self._steady_s()
            self.get_logger().warning(f"emergency stop engaged: {guard.stop_reason}")
            self._e_stop_publisher.publish(Bool(data=True))

    # the stream

    def _on_state(self, stamp_ns: int, joints: Vector) -> None:
        # the opening is the gripper's own business: no limit depends on it
        state, before = RobotState(stamp_ns / NS_PER_S, joints, math.nan), self._state
        if overtaken(stamp_ns, self._state_ns):
            return
        self._state, self._state_ns = state, stamp_ns
        if self._simulated and before is not None and not 0.0 <= state.stamp_s - before.stamp_s <= self._silence_s:
            self._begin_episode()
        if self._pending is not None:
            self._on_action(self._pending)
        elif self._simulated:
            self._between_actions()  # the wall clock knows nothing of the silence in a simulation

    def _begin_episode(self) -> None:
        """The simulator's clock leaps when it is reset: the arm is elsewhere, and there is nothing left to brake."""
        assert self._sim2real is not None
        self._sim2real.reset()
        self._resting = True

    def _on_action(self, message: JointState) -> None:
        """One command for one action, from the joint state it was made of or a newer one: the action may be quicker."""
        state, stamp_ns = self._state, to_ns(message.header.stamp)
        if not self.active or overtaken(stamp_ns, self._action_ns) or self._comes_again(stamp_ns):
            return
        self._pending = message if self._state_ns is None or self._state_ns < stamp_ns else None
        if state is None or self._pending is not None:
            return
        assert self._sim2real is not None
        try:
            action = self._fields.read(message.name, message.position)
        except SpaceError as error:
            self._diagnostics.error(str(error), Problem.BAD_ACTION)
            return
        stamp_s, self._action_ns = to_seconds(message.header.stamp), stamp_ns
        self._send(self._sim2real.act(action, stamp_s, state, self._now_s(state)))
        self._acted_at = self._watch_s(state)
        self._resting = False
        self._rate.tick()
        self._timer.reset()  # while actions come in time there is nothing for it to do
        if self._latency is not None:
            self._latency.add(self.get_clock().now().nanoseconds / NS_PER_S - stamp_s)

    def _comes_again(self, stamp_ns: int) -> bool:
        """Whether an action was obeyed already; a simulator that stands still asks again for a lost command."""
        stands_still = self._simulated and stamp_ns == self._state_ns
        return stamp_ns == self._action_ns and not stands_still

    def _between_actions(self) -> None:
        """Between actions: on towards the target; to rest in silence, under emergency stop and when not active."""
        state, sim2real = self._state, self._sim2real
        if state is None or sim2real is None or self._resting:
            return
        if self._silent(state) or sim2real.guard.e_stopped or not self.active:
            before = sim2real.guard.position
            command = sim2real.hold(state, self._now_s(state))
            self._send(command)
            # an arm at rest is told so twice: whoever watches the commands sees that the motion has ended
            held = command.joint_positions
            self._resting = held is None or (before is not None and bool((held == before).all()))
        elif self._interpolates:
            self._send(sim2real.tick(state, self._now_s(state)))

    def _silent(self, state: RobotState) -> bool:
        """Whether no action has come for too long; a clock that went back tells nothing."""
        return not 0.0 <= self._watch_s(state) - self._acted_at < self._silence_s

    def _send(self, command: Command) -> None:
        """Send what the guard let through."""
        self._status = command.status
        if command.joint_positions is not None:
            self._output.send(command.joint_positions, command.gripper)
            self._input.follow(command.joint_positions)
        if command.target_pose is not None and self._target_publisher.get_subscription_count():
            self._target_publisher.publish(self._target_message(command.target_pose))
        self._say_stop()

    def _target_message(self, pose: Pose) -> PoseStamped:
        assert self._state is not None
        stamp, quaternion = from_seconds(self._state.stamp_s), quaternion_from_rotation(pose.rotation)
        return pose_message(stamp, self._profile.frames.base, pose.position, quaternion)

    # time and reports

    def _now_s(self, state: RobotState) -> float:
        """The clock; that of a simulation may not have heard yet of the time that the joint state already carries."""
        now_s = float(self.get_clock().now().nanoseconds / NS_PER_S)
        heard_late = self._simulated and 0.0 < state.stamp_s - now_s <= CLOCK_LAG_S
        return state.stamp_s if heard_late else now_s

    def _steady_s(self) -> float:
        return float(self._steady.now().nanoseconds / NS_PER_S)

    def _watch_s(self, state: RobotState) -> float:
        """A time that measures silence: steady, but the robot's own in a simulation, which may stand still."""
        return state.stamp_s if self._simulated else self._steady_s()

    def _report(self) -> tuple[str, dict[str, object]]:
        values: dict[str, object] = {"rate_hz": self._rate.rate_hz(), "commands": self._rate.count}
        values |= {"action_age_s": seconds_since(self, self._action_ns)}
        if self._sim2real is None:
            return "unconfigured", values
        guard = self._sim2real.guard
        values |= {"level": guard.level.value, "e_stop": guard.e_stopped, "stop_reason": guard.stop_reason or "none"}
        values |= {"interventions": sum(guard.counts.values())}
        values |= {f"guard.{name}": count for name, count in sorted(guard.counts.items())}
        values |= self._latency.report() if self._latency else {}
        if not self.active:
            return f"inactive: {self.waits_for}" if self.waits_for else "inactive", values
        return f"e-stop: {guard.stop_reason}" if guard.e_stopped else self._status.value, values


def main() -> None:
    """Entry point of the executable."""
    run(NAME, Sim2RealNode, Sim2RealNode.come_to_rest)


if __name__ == "__main__":
    main()
