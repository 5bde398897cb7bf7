"""The topics of a deployment that are recorded; those of a robot are named in its profile. Nothing here needs ROS."""

from __future__ import annotations

from legion_ros import topics
from legion_sim2real.robot import RobotProfile

_TEXT, _SWITCH = "std_msgs/msg/String", "std_msgs/msg/Bool"
_NAMED, _POSE = "sensor_msgs/msg/JointState", "geometry_msgs/msg/PoseStamped"
_HEALTH, _CLOCK = "diagnostic_msgs/msg/DiagnosticArray", "rosgraph_msgs/msg/Clock"

OPERATOR_TOPICS = {
    **dict.fromkeys((topics.INSTRUCTION, topics.REPLY, topics.TASK_REQUEST, topics.VOICE_TRANSCRIPT), _TEXT),
    **dict.fromkeys((topics.MISSION_REQUEST, topics.MISSION_CONTROL), _TEXT),
    topics.PUSH_TO_TALK: _SWITCH,
}
"""Types of rare messages whose publishers may come, speak at once and go: a listener must be there before them."""
LATCHED_TOPICS = {
    topics.TASK: _TEXT,
    topics.TASK_EMBEDDING: "std_msgs/msg/Float32MultiArray",
    **dict.fromkeys((topics.MISSION_STATE, topics.SCENE_TASK, topics.SCENE_TASKS), _TEXT),
    topics.E_STOP: _SWITCH,
}
"""Types of states that a recorder which comes late must learn."""
STREAMS = {
    **dict.fromkeys((topics.OBJECT, topics.OBJECT2, topics.GOAL, topics.TARGET_POSE), _POSE),
    **dict.fromkeys((topics.OBSERVATION, topics.OBSERVATION_ORIGIN, topics.ACTION, topics.LATENT), _NAMED),
    **dict.fromkeys((topics.EPISODE, topics.SIM_STATE), _NAMED),
    **dict.fromkeys((topics.DIAGNOSTICS, topics.DIAGNOSTICS_AGGREGATED), _HEALTH),
    **dict.fromkeys(("/clock", "clock"), _CLOCK),
}
"""Types of streams, listened to as soon as there is a publisher, with the quality of service that it offers."""
TYPES = {**OPERATOR_TOPICS, **LATCHED_TOPICS, **STREAMS}


def robot_topics(profile: RobotProfile) -> tuple[str, ...]:
    """What robot and gripper say and are told."""
    return (profile.state_topic, profile.command_topic, profile.gripper.state, profile.gripper.command)


def recorded_topics(profile: RobotProfile) -> tuple[str, ...]:
    """All of them."""
    return (*TYPES, *robot_topics(profile))
