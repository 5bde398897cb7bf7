"""Every kind of problem that a node can report, every intervention of the guard: what it means and how to mend it.

A node names the kind of each problem, so that none can be reported without a remedy. The page on diagnostics in docs/
is made of this.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from legion_sim2real.interventions import Intervention


class Problem(str, Enum):
    """A kind of problem: its name in /diagnostics, what it `means` and how to `mend` it."""

    means: str
    mend: str

    def __new__(cls, kind: str, means: str, mend: str) -> Problem:
        member = str.__new__(cls, kind)
        member._value_, member.means, member.mend = kind, means, mend
        return member

    BAD_INPUT = (
        "bad_input",
        "A message of the robot, the gripper or the camera cannot be used: names, frame, size or numbers are wrong.",
        "Compare joint_names, frames and topics of the profile with what the driver publishes; mend the publisher.",
    )
    LOST_SOUND = (
        "lost_sound",
        "Sound comes faster than it can be recognised, so the oldest is lost.",
        "Send the sound at its own pace; see the real_time_factor that voice_node reports.",
    )
    NOT_RECORDED = (
        "not_recorded",
        "A topic that should be recorded is of a message type that is not installed here.",
        "Install its message package, or leave the topic out.",
    )
    NO_KIT = (
        "no_kit",
        "The robot profile or the policy of the graph cannot be read here, so a replay of the recording will lack it.",
        "Record on the machine and from the folder where the graph was started.",
    )
    NO_SOUND = (
        "no_sound",
        "The microphone gives no sound, or a topic more of it than can be heard.",
        "Plug the microphone in, free it from other programs, or name another (device); send sound as it is spoken.",
    )
    BAD_OBSERVATION = (
        "bad_observation",
        "An observation lacks a field that the policy wants, or is not finite.",
        "Look at real2sim_node and its inputs; a policy with a second object needs second_object of real2sim_node.",
    )
    BAD_ACTION = (
        "bad_action",
        "An action has other fields than dx, dy, dz and gripper.",
        "Let only policy_node and mission_node publish legion/action: ros2 topic info -v legion/action.",
    )
    BAD_COMMAND = (
        "bad_command",
        "The simulator was sent a command that it cannot obey.",
        "Give simulator and sim2real_node the same robot profile and command_interface.",
    )
    BAD_REQUEST = (
        "bad_request",
        "A mission was asked for that there is not, or a word of control that means nothing at the moment.",
        "See legion mission list, and docs/missions.md for what a request may hold.",
    )
    TAKEN_UP = (
        "taken_up",
        "In the middle of a mission mission_node died. It has come back to it; the task is ended, the arm rests.",
        "See that the scene is as the step needs it; then say continue, again or stop. The node's log may say why.",
    )
    BAD_EMBEDDING = (
        "bad_embedding",
        "A task embedding does not fit the policy: another size, or numbers that are not finite.",
        "Give language_node and policy_node the same bundle (parameter policy).",
    )
    UNKNOWN_TASK = (
        "unknown_task",
        "A task was asked for that the policy does not know, or that the simulator has no scene for.",
        "Ask for a task of the bundle, and of the composite scene if there is one; or set follow_task to false.",
    )
    DIVERGED = (
        "diverged",
        "The simulated motion was no longer finite, and the episode began again.",
        "If it comes again: run with the shipped robot model, and report seed and task.",
    )
    STALE_OBSERVATION = (
        "stale_observation",
        "Observations are too old when they reach the policy.",
        "Free the processor (legion doctor: scheduling), set the clocks (chrony), or raise max_observation_age_s.",
    )
    UNFAMILIAR = (
        "unfamiliar",
        "No component of the knowledge space explains what the policy sees: it was not trained for such a situation.",
        "Stop the arm; see that the scene is that of the task, and that the calibration is right.",
    )
    NO_CONTROLLER = (
        "no_controller",
        "The robot's controller does not listen or is not active, so that the arm would not obey.",
        "Start the driver with the controller that the profile names, or activate it: ros2 control switch_controllers.",
    )
    ALARM = (
        "alarm",
        "The watchdog saw the arm or its commands do what they must not, and engaged the emergency stop.",
        "Find out why before anything moves; then: legion stop --clear.",
    )
    NO_JOINT_STATES = (
        "no_joint_states",
        "The robot's state does not come, or has ceased.",
        "Start the driver; compare the profile's topics with ros2 topic list.",
    )
    NO_OBJECT = (
        "no_object",
        "The pose of the object does not come, or has ceased.",
        "Start the camera's perception, and let it publish legion/scene/object in the frame of base or camera.",
    )
    NO_OBSERVATION = (
        "no_observation",
        "No observations come, although a task is set or a mission runs.",
        "See what real2sim_node waits for: joint states, gripper, object or goal.",
    )
    SILENT = (
        "silent",
        "A node does not report: it has died, hangs, or was not started.",
        "Look into its log (legion deploy prints the folder), and start the deployment again.",
    )
    E_STOP = (
        "e_stop",
        "The emergency stop is engaged: the arm stays where it is.",
        "Find out who stopped it and why; then: legion stop --clear.",
    )


class Advice(NamedTuple):
    """What an intervention of the guard means, and what to do where it lasts."""

    means: str
    mend: str


GUARD: dict[Intervention, Advice] = {
    Intervention.MALFORMED_ACTION: Advice(
        "The action is no vector of four numbers.", "Let policy_node and mission_node alone publish legion/action."
    ),
    Intervention.NON_FINITE_ACTION: Advice(
        "The action holds a number that is not finite.", "Check the bundle: legion doctor --policy FOLDER."
    ),
    Intervention.ACTION_CLIPPED: Advice(
        "The action was beyond [-1, 1] and was clipped.", "Nothing, if the policy is one of this package."
    ),
    Intervention.MALFORMED_JOINT_STATE: Advice(
        "The joint state is not seven finite numbers.", "Compare the profile's joint_names with the driver's."
    ),
    Intervention.STALE_ACTION: Advice(
        "The policy's actions are late or have ceased.",
        "See policy_node; free the processor (legion doctor: scheduling).",
    ),
    Intervention.STALE_JOINT_STATE: Advice(
        "The joint states are old.", "Mend the driver, the network or the clocks (chrony)."
    ),
    Intervention.STALE_OBJECT: Advice(
        "The pose of the object is old.", "Mend the camera's perception, or raise object_timeout_s."
    ),
    Intervention.FUTURE_STAMP: Advice(
        "A stamp lies in the future.", "Let all computers keep the same time (chrony or PTP)."
    ),
    Intervention.OUTSIDE_JOINT_LIMITS: Advice(
        "A joint was measured beyond its limits.", "Jog the arm back; the profile must name the model that is there."
    ),
    Intervention.TRACKING_ERROR: Advice(
        "The arm does not follow its commands.", "See whether it is blocked, in another mode, or commanded by others."
    ),
    Intervention.E_STOP: Advice(Problem.E_STOP.means, Problem.E_STOP.mend),
    Intervention.STOPPED: Advice(
        "A fault that the safety file latches has stopped the arm.", "Mend the fault; then: legion stop --clear."
    ),
    Intervention.INACTIVE: Advice(
        "sim2real_node is not active.", "Wait for the controller, or activate the node (ros2 lifecycle set)."
    ),
    Intervention.INTERRUPTED: Advice(
        "A command came too late after the one before, or is the first after a pause.",
        "Nothing after a pause; if it lasts, free the processor, or raise max_period_s.",
    ),
    Intervention.RAMP_IN: Advice("Speed ramps in after a start.", "Nothing: it ends by itself."),
    Intervention.WORKSPACE: Advice(
        "The hand would leave the workspace.", "Nothing, or widen workspace_low_m and workspace_high_m."
    ),
    Intervention.TABLE_CLEARANCE: Advice(
        "The hand would come too near to the table.", "Measure table_height_m, and set table_clearance_m."
    ),
    Intervention.SINGULARITY: Advice(
        "The arm is near a singular posture.", "Move the table or the base nearer, if it lasts."
    ),
    Intervention.PROXIMITY: Advice(
        "The arm is near itself or a box of the cell, and slows down.", "Nothing, or measure the obstacles again."
    ),
    Intervention.JOINT_VELOCITY: Advice("A joint would be too fast.", "Nothing, or lower speed_scale."),
    Intervention.CARTESIAN_SPEED: Advice("The hand would be too fast.", "Nothing, or lower speed_scale."),
    Intervention.JOINT_POSITION: Advice("A joint is near its end stop.", "Move the table or the base, if it lasts."),
    Intervention.JOINT_ACCELERATION: Advice("A joint would accelerate too much.", "Nothing: motion is smoothed."),
    Intervention.JOINT_JERK: Advice("A joint's acceleration would change too fast.", "Nothing: motion is smoothed."),
    Intervention.STOPPING_DISTANCE: Advice(
        "The hand could not stop inside the workspace.", "Nothing, or lower speed_scale."
    ),
    Intervention.SELF_COLLISION: Advice(
        "The arm would come too near to itself.", "Say another task, or jog it into another posture."
    ),
    Intervention.OBSTACLE: Advice(
        "The arm would come too near to a box of the cell.", "Clear the way, or measure the obstacles again."
    ),
}
"""In the order of the guard's checks."""
