"""ros2 launch legion_ros deploy_cell.launch.py cell:=FILE: every robot of a cell, each as a deployment of its own.

A deployment is a process of its own, so that the loss of one robot's graph ends that robot's and no other's.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from legion_core.errors import LegionError
from legion_ros.fleet import load_cell


def generate_launch_description() -> LaunchDescription:
    """Declare the argument; its value is known only when the launch runs."""
    cell = DeclareLaunchArgument("cell", description="YAML file that lists the robots, as config/cell.yaml")
    return LaunchDescription([cell, OpaqueFunction(function=_deploy)])


def _deploy(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    try:
        cell = load_cell(LaunchConfiguration("cell").perform(context))
    except LegionError as error:
        raise RuntimeError(str(error)) from None  # launch prints the message of what it catches
    launch = ("ros2", "launch", "legion_ros", "deploy_iiwa.launch.py")
    return [
        ExecuteProcess(
            cmd=[*launch, *(f"{name}:={value}" for name, value in robot.to_strings().items())],
            name=robot.root.strip("/").replace("/", "_") or "robot",
            output="screen",
        )
        for robot in cell.robots
    ]
