"""Staged commissioning: what must hold before a robot goes from mock hardware to the air, the table and full speed.

The checks of files need nothing but the profile; those of the graph look at a `Survey` of it. docs/commissioning.md is
the guide that they belong to.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

import numpy as np
from std_msgs.msg import Bool

from legion_core import config
from legion_core.description import Joint
from legion_core.errors import DeploymentError, LegionError
from legion_core.resources import resource
from legion_core.spaces import ACTION_SCALE_M, Vector
from legion_ros import topics
from legion_ros.client import LegionClient
from legion_ros.findings import ADVICE, GOOD, WRONG, Finding, judged
from legion_ros.qos import EVENT, own_publisher
from legion_ros.realtime import HOW_TO_GET_IT, Grant, obtainable
from legion_ros.stages import Stage
from legion_ros.survey import Stream, Survey
from legion_sim2real.calibration import Calibration
from legion_sim2real.camera import CameraCalibration
from legion_sim2real.limits import SafetyLimits
from legion_sim2real.robot import load_profile

CELL_KEYS = ("workspace_low_m", "workspace_high_m", "obstacles")
"""Keys of the safety file that cannot be right for a cell as shipped."""
LATCH = ("tracking_error", "outside_joint_limits")
"""What must stop a real arm until somebody has looked at it."""
SHIPPED_SAFETY = "config/safety.yaml"
RATE_SHARE = 0.95
"""Of the rate that is wanted; the rest is the survey's own jitter."""
RMS_MM = 5.0
"""Half of the calibration error that the policy was shown to bear (docs/reliability.md)."""
AGE_DAYS = 30
OBJECT_RATE_HZ = 5.0
NEAR_M = 0.1
"""Objects may lie so far outside the box of the hand: it is the fingers that touch them."""
GHOST = "one that was killed is still seen for 20 s"
NODES = ("real2sim_node", "policy_node", "sim2real_node", "watchdog_node")
"""Without any of these nothing should move."""
STOPPABLE = ("sim2real_node", "watchdog_node")
STOP_S = 3.0
"""The nodes report twice a second."""


class Commissioning:
    """The checks of one robot before one stage.

    Raises:
        ConfigurationError: there is no such profile, or a file that it names is missing or malformed.
        DescriptionError: so is its robot description.
    """

    def __init__(self, robot: str, stage: Stage) -> None:
        self.profile = load_profile(robot)
        self.stage = stage
        self._limits = self.profile.load_safety()
        self._kinematics = self.profile.kinematics()
        self._real = self.profile.driver == "ros2_control"

    # files

    def files(self) -> Iterator[Finding]:
        """What the robot's files say."""
        profile, limits = self.profile, self._limits
        yield Finding(
            GOOD, "profile", f"{profile.driver}, {profile.command_interface} at {profile.command_rate_hz:g} Hz"
        )
        yield from self._speeds()
        if self.stage.cell:
            yield from self._cell()
        if self.stage.floor_m:
            floor_m = limits.workspace_low_m[2] - limits.table_height_m
            wanted = limits.table_height_m + self.stage.floor_m
            yield judged(
                floor_m >= self.stage.floor_m,
                "height",
                f"the hand stays {floor_m:.2f} m above the table",
                f"{profile.safety}: workspace_low_m z of at least {wanted:.2f} for this stage",
            )
        yield self._calibrated("calibration", profile.load_calibration)
        if profile.camera is not None:
            yield self._calibrated("camera", profile.load_camera)

    def _speeds(self) -> Iterator[Finding]:
        """The stage's bounds on how fast the arm may become."""
        stage, profile = self.stage, self.profile
        asked = ACTION_SCALE_M * profile.sim2real.speed_scale * profile.rate_hz
        for file, holder, key in (
            ("profile", profile.sim2real, "speed_scale"),
            (profile.safety, self._limits, "max_speed_m_s"),
            (profile.safety, self._limits, "joint_velocity_scale"),
        ):
            value, most = getattr(holder, key), getattr(stage, key)
            mend = f"{file}: {key} of at most {most:g} for stage {stage.name}"
            detail = f"{value:g} (the policy asks for up to {asked:.3f} m/s)" if key == "speed_scale" else f"{value:g}"
            yield judged(value <= most, key, detail, mend)

    def _cell(self) -> Iterator[Finding]:
        """What only the people at the cell can know."""
        limits, file = self._limits, self.profile.safety
        shipped = config.load(SafetyLimits, resource(SHIPPED_SAFETY))
        same = [key for key in CELL_KEYS if getattr(limits, key) == getattr(shipped, key)]
        changed = [key for key in CELL_KEYS if key not in same]
        mend = f"copy {SHIPPED_SAFETY} beside your profile, measure workspace, table and obstacles, name the copy there"
        yield judged(bool(changed), "cell", f"{file}: {', '.join(changed) or 'nothing'} set for this cell", mend)
        if same and changed:
            yield Finding(ADVICE, "as shipped", ", ".join(same), f"{file}: are these right for your cell?")
        missing = [name for name in LATCH if name not in limits.latch]
        yield judged(
            not missing or not self._real,
            "latch",
            ", ".join(limits.latch) or "nothing latches a stop",
            f"{file}: add {', '.join(missing)} to latch, so that the arm waits for somebody to look",
        )

    def _calibrated(self, what: str, load: Callable[[], Calibration | CameraCalibration | None]) -> Finding:
        """How well table or camera were measured, and when."""
        try:
            calibration = load()
        except LegionError as error:
            return Finding(WRONG, what, str(error), "legion calibrate")
        made = calibration.made if calibration else None
        otherwise = WRONG if self.stage.scene and self._real else ADVICE
        if made is None:
            return judged(not self._real, what, "does not say how it was made", "legion calibrate", otherwise)
        age = datetime.now(timezone.utc) - datetime.fromisoformat(made.date)
        detail = f"{made.rms_mm:.1f} mm (root mean square), {made.measurements} measurements, {age.days} days old"
        if made.rms_mm > RMS_MM:
            return Finding(otherwise, what, detail, f"measure again: at most {RMS_MM:g} mm")
        return judged(age.days <= AGE_DAYS, what, detail, "see that nothing has moved since: legion calibrate", ADVICE)

    # the running graph

    def graph(self, seen: Survey) -> Iterator[Finding]:
        """What was seen of the robot and the nodes."""
        yield from self._joints(seen)
        yield from self._clock(seen)
        yield from self._commands(seen)
        yield from self._description(seen)
        yield from self._gripper(seen.gripper)
        for stream, what in ((seen.object, "object"), (seen.goal, "goal")):
            yield from self._pose(stream, what)
        yield from self._nodes(seen)

    def _joints(self, seen: Survey) -> Iterator[Finding]:
        stream, wanted = seen.joints, self.profile.command_rate_hz
        what = "joint states" if self.profile.input == "joint" else "hand pose"
        if stream.last is None:
            detail = "; ".join(stream.complaints) or f"nothing on {stream.topic}"
            yield Finding(
                WRONG, what, detail, "start the driver; compare joint_names and topics of the profile with it"
            )
            return
        yield judged(not stream.complaints, what, "; ".join(stream.complaints) or "readable", "mend the publisher")
        yield judged(
            len(stream.publishers) == 1,
            f"{what}: source",
            ", ".join(stream.publishers),
            f"one driver alone may publish {stream.topic}; {GHOST}",
        )
        rate = f"{stream.rate_hz:.1f} Hz, longest gap {1e3 * stream.longest_gap_s:.0f} ms"
        steady = stream.rate_hz >= RATE_SHARE * wanted and stream.longest_gap_s <= self._limits.joint_state_timeout_s
        yield judged(
            steady,
            f"{what}: rate",
            rate,
            f"{wanted:g} Hz are wanted, no gap over {1e3 * self._limits.joint_state_timeout_s:g} ms:"
            " the driver's update_rate, its priority, the network",
        )
        yield self._pose_of_arm(stream.last)

    def _pose_of_arm(self, joints: Vector) -> Finding:
        """Whether motion can start from where the arm is."""
        limits, hand = self._limits, self._kinematics.forward(joints).position
        margin = self._kinematics.joint_margin(joints)
        inside = (hand >= limits.workspace_low_m).all() and (hand <= limits.workspace_high_m).all()
        where = f"hand at {_metres(hand)}, {math.degrees(margin):.0f} deg from the nearest end stop"
        mend = "jog the hand into the workspace of the safety file, and every joint out of the margin of its end stops"
        return judged(bool(inside and margin >= limits.joint_margin_rad), "arm", where, mend)

    def _clock(self, seen: Survey) -> Iterator[Finding]:
        if not seen.joints.arrivals_s:
            return
        if seen.simulated_time:
            yield Finding(GOOD, "clock", "simulated time on /clock")
            return
        least_s, median_s = seen.joints.ages_s
        yield judged(
            least_s >= -self._limits.future_tolerance_s and median_s <= self._limits.joint_state_timeout_s,
            "clock",
            f"joint states are {1e3 * median_s:.1f} ms old on arrival, the newest {1e3 * least_s:.1f} ms",
            "let both computers keep time with chrony or PTP; stamps must be those of the measurement",
        )

    def _commands(self, seen: Survey) -> Iterator[Finding]:
        """One source, and somebody who follows it."""
        names = seen.commanders
        yield judged(
            len(names) == 1 and names[0].endswith("/sim2real_node"),
            "commands",
            f"{seen.command_topic} from {', '.join(names) or 'nobody'}",
            f"stop whoever else commands; {GHOST}"
            if names
            else "start the deployment (legion deploy, or the launch file)",
        )
        listeners = f"{', '.join(sorted(set(seen.followers))) or 'nobody'} listens"
        mend = f"activate {self.profile.controller}: see ros2 control list_controllers"
        yield judged(seen.missing is None and bool(seen.followers), "controller", seen.missing or listeners, mend)

    def _description(self, seen: Survey) -> Iterator[Finding]:
        """The limits that the driver enforces against those that the guard knows."""
        if not seen.urdf:
            yield Finding(ADVICE, "description", "the driver publishes none: its limits were not compared")
            return
        description, theirs = self.profile.description(), joint_limits(seen.urdf)
        wider = [
            name for name in self.profile.joint_names if self._allows_more(description.joint(name), theirs.get(name))
        ]
        yield judged(
            not wider,
            "description",
            "the driver's limits contain the guard's" if not wider else f"the driver allows less: {', '.join(wider)}",
            "the model in the profile must be the arm that is there",
        )

    def _allows_more(self, ours: Joint, theirs: tuple[float, float, float] | None) -> bool:
        """Whether the guard would let a joint beyond the driver's limits (rad, rad, rad/s); None: it has none."""
        if theirs is None:
            return False
        lower, upper, velocity = theirs
        margin, scale = self._limits.joint_margin_rad, self._limits.joint_velocity_scale
        farther = ours.lower + margin < lower or ours.upper - margin > upper
        return farther or scale * ours.velocity > velocity

    def _gripper(self, stream: Stream) -> Iterator[Finding]:
        otherwise = WRONG if self.stage.scene else ADVICE
        detail = "; ".join(stream.complaints) or f"nothing on {stream.topic}"
        mend = f"publish its joints {', '.join(self.profile.gripper.joints)} there (sensor_msgs/JointState)"
        if stream.last is None or stream.complaints:
            yield Finding(otherwise, "gripper", detail, mend)
            return
        yield Finding(GOOD, "gripper", f"{100 * float(stream.last[0]):.0f} % open, {stream.rate_hz:.0f} Hz")

    def _pose(self, stream: Stream, what: str) -> Iterator[Finding]:
        otherwise = WRONG if self.stage.scene else ADVICE
        if stream.last is None or stream.complaints:
            detail = "; ".join(stream.complaints) or f"nothing on {stream.topic}"
            yield Finding(otherwise, what, detail, "publish geometry_msgs/PoseStamped in the frame of base or camera")
            return
        low, high = np.array(self._limits.workspace_low_m), np.array(self._limits.workspace_high_m)
        plausible = bool((stream.last >= low - NEAR_M).all() and (stream.last <= high + NEAR_M).all())
        mend = "its frame or the camera's calibration is wrong, or it lies where the hand may not go"
        yield judged(plausible, what, f"at {_metres(stream.last)}", mend, otherwise)
        if what == "object":
            mend = f"at least {OBJECT_RATE_HZ:g} Hz, no gap over {self._limits.object_timeout_s:g} s (object_timeout_s)"
            steady = stream.rate_hz >= OBJECT_RATE_HZ and stream.longest_gap_s <= self._limits.object_timeout_s
            rate = f"{stream.rate_hz:.1f} Hz, longest gap {1e3 * stream.longest_gap_s:.0f} ms"
            yield judged(steady, "object: rate", rate, mend, otherwise)

    def _nodes(self, seen: Survey) -> Iterator[Finding]:
        """What the nodes say of themselves."""
        silent = [name for name in NODES if name not in seen.status]
        if silent:
            yield Finding(WRONG, "nodes", f"no diagnostics of {', '.join(silent)}", "start the deployment")
        for name, status in sorted(seen.status.items()):
            if status.level > 0:
                yield Finding(WRONG, name, status.message, status.mends or "see its log and /diagnostics")
            else:
                yield Finding(GOOD, name, status.message)

    # what the machine and the stop can do

    def machine(self) -> Iterator[Finding]:
        """What a robot's computer needs beyond what every computer does."""
        if not self._real:
            return
        otherwise = WRONG if self.stage.scene else ADVICE
        yield judged(obtainable() is Grant.ROUND_ROBIN, "scheduling", obtainable().value, HOW_TO_GET_IT, otherwise)

    def emergency_stop(self, client: LegionClient, seen: Survey, agreed: Callable[[], bool]) -> Iterator[Finding]:
        """Engage the stop, see that nothing but the service clears it, clear it; only where nothing would move then."""
        what, otherwise = "emergency stop", WRONG if self.stage.cell else ADVICE
        status = seen.status.get("sim2real_node")
        if status is None:
            yield Finding(WRONG, what, "sim2real_node says nothing", "start the deployment")
        elif status.values.get("e_stop") == "True":
            yield Finding(
                WRONG, what, "engaged", "find out why, then: ros2 service call /legion/e_stop ... data: false"
            )
        elif seen.task:
            yield Finding(otherwise, what, f"not tested while {seen.task} is to be done", "end the task and try again")
        elif not agreed():
            yield Finding(otherwise, what, "not tested", "agree to it, or give --yes: it is engaged and cleared once")
        else:
            yield _try_stop(client, what)


def _try_stop(client: LegionClient, what: str) -> Finding:
    """Engage, deny on the topic, clear by the service; what the nodes say of it is what counts."""

    def all_say(engaged: bool) -> bool:
        return all(client.status_value(node, "e_stop") == str(engaged) for node in STOPPABLE)

    try:
        client.e_stop(True)
        engaged = client.wait(lambda: all_say(True), STOP_S)
        topic = own_publisher(client.node, Bool, topics.E_STOP, EVENT)
        client.wait(lambda: topic.get_subscription_count() > 0, STOP_S)
        topic.publish(Bool(data=False))
        latched = not client.wait(lambda: not all_say(True), STOP_S)
        client.e_stop(False)
        cleared = client.wait(lambda: all_say(False), STOP_S)
    except DeploymentError as error:
        return Finding(WRONG, what, str(error), "start the deployment again, and do not go on before this works")
    works = engaged and latched and cleared
    detail = "engages, stays engaged, and its service clears it" if works else f"{engaged=}, {latched=}, {cleared=}"
    return judged(works, what, detail, "do not go on before this works")


def joint_limits(urdf: str) -> dict[str, tuple[float, float, float]]:
    """Lower and upper limit (rad) and speed (rad/s) of each joint of a URDF that has limits."""
    limits = {}
    for joint in ET.fromstring(urdf).iter("joint"):
        limit = joint.find("limit")
        if limit is not None and joint.get("name"):
            values = (float(limit.get(key, "0")) for key in ("lower", "upper", "velocity"))
            limits[str(joint.get("name"))] = (next(values), next(values), next(values))
    return limits


def _metres(position: Vector) -> str:
    return f"({', '.join(f'{x:.2f}' for x in position)}) m"
