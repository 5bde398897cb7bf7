"""SROS 2 policies: what each process of a deployment may publish, subscribe, answer and ask, and nothing else.

Every process has an enclave of its own, named as its node; the starter and the launch file pass it on when
ROS_SECURITY_ENABLE is set. Programs of other packages (drivers, cameras, RViz) need policies of their own.
"""

from __future__ import annotations

import dataclasses
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from legion_ros import topics
from legion_ros.deployment import NODE_NAMES, DeploymentOptions, NodeSpec, deployment_graph
from legion_ros.profiles import profile_of
from legion_ros.recording.selection import recorded_topics
from legion_sim2real.robot import RobotProfile

POLICY_VERSION = "0.2.0"
OPERATOR = "legion_operator"
"""Node and enclave of the commands of `legion`."""
COMMON_PUBLISHED = ("/parameter_events", "/rosout")
PARAMETER_SERVICES = (
    *("describe_parameters", "get_parameter_types", "get_parameters", "list_parameters"),
    *("set_parameters", "set_parameters_atomically"),
)
TYPE_SERVICE = "get_type_description"
"""Of every node since Jazzy."""
LIFECYCLE_SERVICES = (
    "change_state",
    "get_state",
    "get_available_states",
    "get_available_transitions",
    "get_transition_graph",
)


@dataclass(frozen=True)
class Access:
    """Topics and services that a node uses; relative names are in its namespace, `~` stands for the node."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    request: tuple[str, ...] = ()

    def __or__(self, other: Access) -> Access:
        """What either uses."""
        return Access(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(Access)))

    def resolved(self, namespace: str, node: str, remappings: Iterable[tuple[str, str]] = ()) -> Access:
        """The same with full names, sorted, each once; `namespace` is '' or begins with '/'."""
        renamed = {_full(source, namespace, node): _full(target, namespace, node) for source, target in remappings}
        named = {
            f.name: {_full(name, namespace, node) for name in getattr(self, f.name)} for f in dataclasses.fields(Access)
        }
        return Access(
            **{kind: tuple(sorted(renamed.get(name, name) for name in names)) for kind, names in named.items()}
        )


def access_of(spec: NodeSpec, options: DeploymentOptions) -> Access:
    """What a node of that deployment uses, with full names."""
    wanted = _own(spec.name, options) | _every_node(lifecycle=spec.lifecycle)
    if spec.parameters.get("use_sim_time"):
        wanted |= Access(subscribe=("/clock",))
    return wanted.resolved(spec.namespace, spec.name, spec.remappings)


def operator_access(options: DeploymentOptions) -> Access:
    """What the commands of `legion` use, with full names: `legion doctor` listens to the robot, too."""
    profile, scene = options.profile, (topics.OBJECT, topics.GOAL)
    simulator = (topics.SIM_RESET, "mujoco_node/set_parameters") if profile.driver == "mujoco" else ()
    description = str(PurePosixPath(profile.state_topic).with_name("robot_description"))
    wanted = Access(
        publish=(
            topics.INSTRUCTION,
            topics.MISSION_REQUEST,
            topics.MISSION_CONTROL,
            topics.E_STOP,
            "/parameter_events",
        ),
        subscribe=(
            *(
                topics.MISSION_STATE,
                topics.REPLY,
                topics.TASK,
                topics.EPISODE,
                topics.DIAGNOSTICS,
                topics.DIAGNOSTICS_AGGREGATED,
            ),
            *(profile.state_topic, profile.gripper.state, *scene, "/clock", "clock", "robot_description", description),
        ),
        reply=(f"~/{TYPE_SERVICE}",),
        request=(topics.E_STOP, *simulator, *_controller_services(profile)),
    )
    return wanted.resolved(options.root, OPERATOR)


def make_policy(deployments: Sequence[DeploymentOptions]) -> str:
    """The policy (SROS 2 schema 0.2.0) of these deployments as XML."""
    policy = ET.Element("policy", version=POLICY_VERSION)
    enclaves = ET.SubElement(policy, "enclaves")
    for options in deployments:
        for spec in deployment_graph(replace(options, record=options.record or "later")):
            if spec.package != "rviz2":
                _add_enclave(enclaves, options.root, spec.name, access_of(spec, options))
        _add_enclave(enclaves, options.root, OPERATOR, operator_access(options))
    ET.indent(policy)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(policy, encoding="unicode")}\n'


def enclave_arguments(namespace: str, node: str) -> list[str]:
    """ROS arguments that put a process into its enclave; none where security is off."""
    secured = os.environ.get("ROS_SECURITY_ENABLE", "").lower() == "true"
    return ["--enclave", f"{namespace}/{node}"] if secured else []


def _own(node: str, options: DeploymentOptions) -> Access:
    profile = profile_of(options)
    gripper, commanded = profile.gripper, profile.command_topic
    measured = profile.state_topic
    scene = (topics.OBJECT, topics.GOAL)
    tables = {
        "language_node": Access(
            publish=(
                *(topics.DIAGNOSTICS, topics.REPLY, topics.TASK, topics.TASK_EMBEDDING),
                *(topics.MISSION_REQUEST, topics.MISSION_CONTROL, topics.MISSION_KEPT),
            ),
            subscribe=(topics.INSTRUCTION, topics.TASK_REQUEST, topics.MISSION_STATE, topics.SCENE_TASKS),
            request=(topics.E_STOP,),
        ),
        "policy_node": Access(
            publish=(topics.DIAGNOSTICS, topics.ACTION, topics.LATENT),
            subscribe=(topics.OBSERVATION, topics.TASK, topics.TASK_EMBEDDING, topics.E_STOP),
        ),
        "real2sim_node": Access(
            publish=(topics.DIAGNOSTICS, topics.OBSERVATION, topics.OBSERVATION_ORIGIN),
            subscribe=(measured, gripper.state, *scene),
        ),
        "sim2real_node": Access(
            publish=(topics.DIAGNOSTICS, commanded, gripper.command, topics.TARGET_POSE, topics.E_STOP),
            subscribe=(measured, topics.ACTION, topics.E_STOP),
            reply=(topics.E_STOP,),
            request=_controller_services(profile),
        ),
        "watchdog_node": Access(
            publish=(topics.DIAGNOSTICS, topics.E_STOP), subscribe=(measured, commanded, topics.E_STOP)
        ),
        "monitor_node": Access(
            publish=(topics.DIAGNOSTICS, topics.DIAGNOSTICS_AGGREGATED, topics.MARKERS),
            subscribe=(
                *(topics.DIAGNOSTICS, topics.E_STOP, topics.TASK, topics.LATENT),
                *(topics.TARGET_POSE, *scene, topics.OBJECT2),
            ),
        ),
        "mujoco_node": Access(
            publish=(
                *(topics.DIAGNOSTICS, measured, gripper.state, *scene, topics.OBJECT2),
                *(topics.EPISODE, topics.SIM_STATE, topics.SCENE_TASK, topics.SCENE_TASKS, "/clock"),
            ),
            subscribe=(commanded, gripper.command, *((topics.TASK,) if options.follow_task else ())),
            reply=(topics.SIM_RESET,),
        ),
        "mission_node": Access(
            publish=(topics.DIAGNOSTICS, topics.TASK_REQUEST, topics.MISSION_STATE, topics.ACTION),
            subscribe=(
                *(topics.MISSION_REQUEST, topics.MISSION_CONTROL, topics.MISSION_KEPT),
                *(topics.TASK, topics.E_STOP, topics.OBSERVATION, topics.SCENE_TASK, topics.SCENE_TASKS),
            ),
        ),
        "record_node": Access(
            publish=(topics.DIAGNOSTICS,),
            subscribe=recorded_topics(profile),
            request=tuple(
                f"{name}/{service}" for name in NODE_NAMES for service in ("list_parameters", "get_parameters")
            ),
        ),
        "voice_node": Access(
            publish=(topics.DIAGNOSTICS, topics.INSTRUCTION, topics.VOICE_TRANSCRIPT),
            subscribe=(topics.PUSH_TO_TALK, *((topics.VOICE_AUDIO,) if options.voice == "topic" else ())),
        ),
        "web_node": Access(
            publish=(topics.DIAGNOSTICS, topics.INSTRUCTION, topics.MISSION_REQUEST, topics.PUSH_TO_TALK),
            subscribe=(
                *(topics.DIAGNOSTICS, topics.MARKERS, topics.LATENT, topics.EPISODE),
                *(topics.REPLY, topics.TASK, topics.E_STOP, topics.MISSION_STATE, topics.VOICE_TRANSCRIPT),
                *((topics.SIM_STATE,) if profile.driver == "mujoco" else (measured, gripper.state)),
            ),
            request=(topics.E_STOP, *((topics.SIM_RESET,) if profile.driver == "mujoco" else ())),
        ),
        "robot_state_publisher": Access(
            publish=("robot_description", "/tf", "/tf_static"), subscribe=("joint_states", "/parameter_events")
        ),
    }
    return tables[node]


def _controller_services(profile: RobotProfile) -> tuple[str, ...]:
    """A controller's manager lives in its namespace: above <controller>/<commands>."""
    if profile.controller is None:
        return ()
    return (f"{profile.command_topic.rsplit('/', 2)[0]}/controller_manager/list_controllers",)


def _every_node(lifecycle: bool) -> Access:
    services = (*PARAMETER_SERVICES, TYPE_SERVICE, *(LIFECYCLE_SERVICES if lifecycle else ()))
    published = (*COMMON_PUBLISHED, *(("~/transition_event",) if lifecycle else ()))
    return Access(publish=published, reply=tuple(f"~/{service}" for service in services))


def _add_enclave(enclaves: ET.Element, namespace: str, node: str, access: Access) -> None:
    enclave = ET.SubElement(enclaves, "enclave", path=f"{namespace}/{node}")
    profile = ET.SubElement(ET.SubElement(enclave, "profiles"), "profile", ns=namespace or "/", node=node)
    for tag, kinds in (("topic", ("subscribe", "publish")), ("service", ("reply", "request"))):
        for kind in kinds:
            names = getattr(access, kind)
            if names:
                allowed = ET.SubElement(profile, f"{tag}s", {kind: "ALLOW"})
                for name in names:
                    ET.SubElement(allowed, tag).text = name


def _full(name: str, namespace: str, node: str) -> str:
    if name.startswith("/"):
        return name
    return f"{namespace}/{node}{name[1:]}" if name.startswith("~") else f"{namespace}/{name}"
