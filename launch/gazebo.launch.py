"""ros2 launch legion_ros gazebo.launch.py task:=NAME: Gazebo with a task's scene, arm, gripper and controllers.

Namespace, controller manager and controllers have the names of lbr_fri_ros2_stack's own gazebo.launch.py, which this
replaces: that one opens an empty world and knows no gripper. `deploy_iiwa.launch.py robot:=gazebo bringup:=gazebo`
includes this file.
"""

from __future__ import annotations

import xacro
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from legion_core.resources import resource
from legion_core.tasks import task_names

ROBOT = "lbr"
CONTROLLERS = ("joint_state_broadcaster", "gripper_controller")
"""Besides the one that moves the arm."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; their values are known only when the launch runs."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("task", default_value="reach", choices=task_names(), description="scene to open"),
            DeclareLaunchArgument(
                "ctrl",
                default_value="forward_position_controller",
                choices=["forward_position_controller", "joint_trajectory_controller"],
                description="controller that moves the arm",
            ),
            DeclareLaunchArgument(
                "headless", default_value="false", choices=["true", "false"], description="without Gazebo's window"
            ),
            OpaqueFunction(function=_simulate),
        ]
    )


def _simulate(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    def given(name: str) -> str:
        text: str = LaunchConfiguration(name).perform(context)
        return text

    world = resource(f"config/gazebo/{given('task')}.sdf")
    server_only = "-s " if given("headless") == "true" else ""
    return [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource([FindPackageShare("ros_gz_sim"), "/launch/gz_sim.launch.py"]),
            launch_arguments={"gz_args": f"-r {server_only}{world}"}.items(),
        ),
        _node("robot_state_publisher", "robot_state_publisher", parameters=[{"robot_description": _description()}]),
        _node("ros_gz_sim", "create", arguments=["-topic", "robot_description", "-name", ROBOT]),
        *(
            _node("controller_manager", "spawner", arguments=[name, "--controller-manager", "controller_manager"])
            for name in (*CONTROLLERS, given("ctrl"))
        ),
        Node(
            package="ros_gz_bridge",
            executable="parameter_bridge",
            parameters=[{"config_file": str(resource("config/gazebo/bridge.yaml"))}],
            output="screen",
        ),
    ]


def _node(
    package: str, executable: str, parameters: list[dict] | None = None, arguments: list[str] | None = None
) -> Node:
    """A node in the robot's namespace that lives by Gazebo's clock."""
    return Node(
        package=package,
        executable=executable,
        namespace=ROBOT,
        parameters=[{"use_sim_time": True}, *(parameters or [])],
        arguments=arguments,
        output="screen",
    )


def _description() -> str:
    mappings = {
        "robot_name": ROBOT,
        "mode": "gazebo",
        "controllers_file": str(resource("config/gazebo/controllers.yaml")),
    }
    urdf: str = xacro.process_file(str(resource("urdf/iiwa7_r800.urdf.xacro")), mappings=mappings).toxml()
    return urdf
