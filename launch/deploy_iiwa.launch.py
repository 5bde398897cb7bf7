"""ros2 launch legion_ros deploy_iiwa.launch.py robot:=PROFILE ...

The graph is described in legion_ros/deployment.py; here it becomes launch_ros actions. The arguments are the fields of
DeploymentOptions, the same as those of `legion deploy`.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import IO

from ament_index_python.packages import get_packages_with_prefixes
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node, PushRosNamespace
from launch_ros.substitutions import FindPackageShare

from legion_core.errors import LegionError
from legion_ros.deployment import PACKAGE, DeploymentOptions, NodeSpec, deployment_graph
from legion_ros.domain import claim_robot, reach
from legion_ros.security import enclave_arguments

FIELDS = dataclasses.fields(DeploymentOptions)
CLAIMS: list[IO[str]] = []
"""Held until this process ends, as `legion deploy` holds its own: one robot has one deployment."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; their values are known only when the launch runs."""
    return LaunchDescription([*(_argument(field) for field in FIELDS), OpaqueFunction(function=_deploy)])


def _argument(field: dataclasses.Field) -> DeclareLaunchArgument:
    default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    choices = [choice for choice in field.metadata["choices"] if choice]
    text = f"{field.metadata['help']} ({', '.join(choices)})" if choices else field.metadata["help"]
    return DeclareLaunchArgument(field.name, default_value=default, description=text)


def _deploy(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    given = {field.name: LaunchConfiguration(field.name).perform(context) for field in FIELDS}
    try:
        options = DeploymentOptions.from_strings(given)
        graph = deployment_graph(options)
        CLAIMS.append(claim_robot(options.root))
    except LegionError as error:
        raise RuntimeError(str(error)) from None  # launch prints the message of what it catches
    actions = [SetEnvironmentVariable(name, value) for name, value in reach(options.network).items()]
    actions += [action for spec in graph if _installed(spec) for action in _node(spec)]
    if options.bringup:
        actions.append(_bringup(options))
    if options.instruction:
        say = ("say", options.instruction, f"--namespace={options.root}", "--timeout=120")
        actions.append(ExecuteProcess(cmd=[sys.executable, "-m", "legion_ros.cli.main", *say], output="screen"))
    return actions


def _installed(spec: NodeSpec) -> bool:
    """Whether to start it: what is optional may be absent."""
    return not spec.optional or spec.package in get_packages_with_prefixes()


def _node(spec: NodeSpec, restarts: int = 0) -> list[LaunchDescriptionEntity]:
    """The node, and what happens when its process ends: as in starter.py, it starts again or the graph ends."""
    started_s = time.monotonic()
    kind = LifecycleNode if spec.lifecycle else Node
    node = kind(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        namespace=spec.namespace,
        parameters=[*spec.params_files, spec.parameters],
        remappings=list(spec.remappings),
        arguments=list(spec.arguments),
        ros_arguments=enclave_arguments(spec.namespace, spec.name),
        output="screen",
    )

    def ended(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        if context.is_shutdown:
            return []
        if spec.respawn:
            counted = spec.respawn.restarts(restarts, time.monotonic() - started_s)
            delay_s = spec.respawn.delay(event.returncode, counted)
            if delay_s is not None:
                return [
                    TimerAction(period=delay_s, actions=[OpaqueFunction(function=lambda _: _node(spec, counted + 1))])
                ]
        return [EmitEvent(event=Shutdown(reason=f"{spec.name} has ended"))] if spec.critical else []

    return [node, RegisterEventHandler(OnProcessExit(target_action=node, on_exit=ended))]


def _bringup(options: DeploymentOptions) -> GroupAction:
    """The robot itself: lbr_fri_ros2_stack's mock or hardware, or Gazebo; in the deployment's namespace."""
    profile = options.profile
    interface = options.command_interface or profile.command_interface
    arguments = {"ctrl": getattr(profile.controllers, interface) or f"{interface}_controller"}
    if options.bringup == "gazebo":
        package, arguments["task"] = PACKAGE, options.task
    else:
        # such as iiwa7 of iiwa7_r800
        package, arguments["model"] = "lbr_bringup", Path(profile.model).name.partition("_")[0]
        arguments["robot_name"] = profile.robot_name
    file = PythonLaunchDescriptionSource([FindPackageShare(package), f"/launch/{options.bringup}.launch.py"])
    include = IncludeLaunchDescription(file, launch_arguments=arguments.items())
    return GroupAction([*([PushRosNamespace(options.root)] if options.root else []), include])
