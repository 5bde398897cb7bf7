"""The graph and its options: validated, the same for both starters, and understood by the nodes."""

from __future__ import annotations

import dataclasses
import importlib
import shutil
import sys
import types
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from legion_core.config import load_yaml
from legion_core.errors import ConfigurationError, DeploymentError
from legion_core.resources import resource
from legion_ros.deployment import (
    NODE_NAMES,
    PACKAGE,
    DeploymentOptions,
    NodeSpec,
    Respawn,
    deployment_graph,
)
from legion_ros.fleet import load_cell
from legion_ros.starter import Starter
from legion_sim2real.robot import load_profile, profile_names

NODES = {
    "language_node": "LanguageSettings",
    "mujoco_node": "MujocoSettings",
    "real2sim_node": "Real2SimSettings",
    "policy_node": "PolicySettings",
    "sim2real_node": "Sim2RealSettings",
    "watchdog_node": "WatchdogSettings",
    "mission_node": "MissionSettings",
    "monitor_node": "MonitorSettings",
    "record_node": "RecordSettings",
    "web_node": "WebSettings",
    "voice_node": "VoiceSettings",
}


def parameters_of(node: str) -> dict[str, Any]:
    """Name and default of every parameter that a node declares."""
    settings = getattr(importlib.import_module(f"legion_ros.nodes.{node}"), NODES[node])
    return {f.name: f.default for f in dataclasses.fields(settings)}


def graph_of(**options: Any) -> dict[str, NodeSpec]:
    return {spec.name: spec for spec in deployment_graph(DeploymentOptions(**options))}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"robot": "kuka"}, "unknown robot 'kuka'; allowed: gazebo, "),
        ({"robot": "/nowhere/arm.yaml"}, "cannot read /nowhere/arm.yaml"),
        ({"task": "juggle"}, "unknown task 'juggle'; allowed: reach, push"),
        ({"command_interface": "x"}, "allowed: forward_position, joint_trajectory, cartesian"),
        ({"namespace": "a b"}, "namespace = 'a b'"),
        ({"rate_hz": 1000.0}, "rate_hz = 1000.0; allowed: 1 to 200"),
        ({"real_time_factor": 0.0}, "real_time_factor = 0.0; allowed: 0.05 to 20"),
        ({"seed": -1}, "seed = -1"),
        ({"web_port": 0}, "web_port = 0; allowed: 1 to 65535"),
        ({"web_host": ""}, "web_host = ''; allowed: an address"),
        ({"record": __file__}, "test_deployment.py'; allowed: a name that is not taken"),
        ({"robot": "lbr", "lockstep": True}, "lockstep = True; allowed: only with driver mujoco; lbr has ros2_control"),
        ({"robot": "lbr", "scene": "make_coffee"}, "scene = 'make_coffee'; allowed: only with driver mujoco; lbr has"),
        ({"robot": "lbr", "gap": "gap.yaml"}, "gap = 'gap.yaml'; allowed: only with driver mujoco; lbr has"),
        ({"robot": "gazebo", "viewer": True}, "viewer = True; allowed: only with driver mujoco; gazebo has gazebo"),
        ({"bringup": "mock"}, "bringup = 'mock'; allowed: none with driver mujoco"),
        (
            {"robot": "lbr", "bringup": "gazebo"},
            "bringup = 'gazebo'; allowed: mock or hardware with driver ros2_control",
        ),
        (
            {"robot": "gazebo", "bringup": "gazebo", "namespace": "a"},
            "namespace = 'a'; allowed: none with bringup gazebo",
        ),
        ({"params_file": "/nowhere.yaml"}, "cannot read /nowhere.yaml"),
    ],
)
def test_wrong_options_are_named_with_what_is_allowed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DeploymentOptions(**given)


def test_a_profile_of_ones_own_reaches_every_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(resource("config/robots/lbr.yaml"), tmp_path / "my_arm.yaml")
    monkeypatch.chdir(tmp_path)
    graph = graph_of(robot="my_arm.yaml")
    assert "mujoco_node" not in graph
    for node in ("real2sim_node", "sim2real_node", "monitor_node"):
        assert graph[node].parameters["robot"] == str(tmp_path / "my_arm.yaml")


def test_options_from_text_as_launch_gives_them() -> None:
    options = DeploymentOptions.from_strings({"robot": "lbr", "rviz": "True", "rate_hz": "25", "seed": "4"})
    assert options == DeploymentOptions(robot="lbr", rviz=True, rate_hz=25.0, seed=4)
    for given, message in (
        ({"rviz": "yes"}, "rviz = 'yes'; allowed: true, false"),
        ({"rate_hz": "fast"}, "rate_hz = 'fast'; expected a number"),
        ({"seed": "1.5"}, "seed = '1.5'; expected an integer"),
        ({"robots": "lbr"}, "unknown argument 'robots' .did you mean robot.*; allowed: robot"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            DeploymentOptions.from_strings(given)


@pytest.mark.parametrize("robot", profile_names())
def test_the_profile_s_driver_decides_what_is_simulated(robot: str) -> None:
    graph, driver = graph_of(robot=robot), load_profile(robot).driver
    assert ("mujoco_node" in graph) == (driver == "mujoco")
    assert graph["sim2real_node"].parameters["robot"] == robot
    assert graph["sim2real_node"].parameters["use_sim_time"] == (driver == "gazebo")
    assert {"language_node", "policy_node", "real2sim_node", "sim2real_node", "monitor_node"} <= set(graph)


def test_a_simulated_arm_of_ones_own_is_simulated(tmp_path: Path) -> None:
    shutil.copy(resource("config/robots/mujoco.yaml"), tmp_path / "my_simulated_arm.yaml")
    graph = graph_of(robot=str(tmp_path / "my_simulated_arm.yaml"), lockstep=True)
    assert graph["mujoco_node"].parameters["robot"] == str(tmp_path / "my_simulated_arm.yaml")
    assert ("joint_states", "lbr/joint_states") in graph["robot_state_publisher"].remappings


def test_two_namespaces_have_frames_and_clocks_of_their_own() -> None:
    graphs = [graph_of(namespace=name, lockstep=True, rviz=True) for name in ("left", "right")]
    for graph, name in zip(graphs, ("left", "right"), strict=True):
        for node in ("robot_state_publisher", "rviz2"):
            assert {("/tf", f"/{name}/tf"), ("/tf_static", f"/{name}/tf_static")} <= set(graph[node].remappings)
        assert ("/clock", f"/{name}/clock") in graph["policy_node"].remappings
    assert not graph_of(robot="gazebo", namespace="left")["policy_node"].remappings, "Gazebo's clock is everybody's"


def test_options_as_launch_arguments_and_back() -> None:
    options = DeploymentOptions(namespace="left", lockstep=True, seed=3, follow_task=False, instruction="open the door")
    assert DeploymentOptions.from_strings(options.to_strings()) == options
    assert DeploymentOptions().to_strings() == {}


def test_every_node_gets_parameters_that_it_declares() -> None:
    graph = graph_of(
        **{"policy": "/p", "rate_hz": 25.0, "viewer": True, "task": "push", "seed": 3, "web": True, "web_port": 8081},
        command_interface="joint_trajectory",
    )
    for name, spec in graph.items():
        if spec.package == PACKAGE:
            assert set(spec.parameters) - {"use_sim_time"} <= set(parameters_of(name)), name


def test_what_is_left_at_its_default_is_left_to_the_parameter_files() -> None:
    graph = graph_of()
    assert "rate_hz" not in graph["sim2real_node"].parameters
    assert "policy" not in graph["policy_node"].parameters
    assert "task" not in graph["mujoco_node"].parameters
    declared = parameters_of("mujoco_node")
    assert declared["task"] == DeploymentOptions().task
    assert declared["follow_task"] == DeploymentOptions().follow_task


def test_the_page_is_served_only_where_it_is_asked_for_and_to_this_machine_alone() -> None:
    assert "web_node" not in graph_of()
    assert parameters_of("web_node")["web_host"] == DeploymentOptions().web_host == "127.0.0.1"
    page = graph_of(web=True, web_port=8081)["web_node"]
    assert (page.parameters["web_port"], page.critical) == (8081, False)


def test_simulated_time_has_a_clock_of_its_own_in_a_namespace() -> None:
    graph = graph_of(lockstep=True, namespace="/left/arm/")
    assert graph["policy_node"].parameters["use_sim_time"] is True
    assert graph["policy_node"].namespace == "/left/arm"
    assert ("/clock", "/left/arm/clock") in graph["mujoco_node"].remappings
    assert graph["mujoco_node"].parameters["mode"] == "lockstep"
    assert not graph_of()["policy_node"].parameters["use_sim_time"]
    assert not graph_of(lockstep=True)["policy_node"].remappings


def test_who_stops_the_arm_and_who_acts_are_lifecycle_nodes() -> None:
    graph = graph_of()
    assert {name for name, spec in graph.items() if spec.lifecycle} == {"policy_node", "sim2real_node"}
    assert not graph["monitor_node"].critical
    assert graph["mujoco_node"].respawn is None
    assert graph["robot_state_publisher"].optional


def test_respawn_backs_off_and_gives_up() -> None:
    policy = Respawn(attempts=3, delay_s=0.2)
    assert [policy.delay(-9, restarts) for restarts in range(4)] == [0.2, 0.4, 0.8, None]
    assert policy.delay(1, 0) is None, "a node that said what is wrong would only say it again"


def test_a_node_that_lived_long_has_a_clean_record() -> None:
    policy = Respawn(forgive_s=60.0)
    assert policy.restarts(5, 59.0) == 5
    assert policy.restarts(5, 60.0) == 0


def test_the_default_parameter_file_names_only_what_exists() -> None:
    sections = load_yaml(resource("config/deploy.yaml"))
    assert {key.removeprefix("/**/") for key in sections} == set(NODE_NAMES)
    for key, section in sections.items():
        declared = parameters_of(key.removeprefix("/**/"))
        for name, value in section["ros__parameters"].items():
            assert declared[name] == value, f"{key}: {name} differs from the node's own default"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/**/polcy_node: {ros__parameters: {}}", "unknown node '/\\*\\*/polcy_node' .did you mean policy_node"),
        ("policy_node: {policy: x}", "expected a mapping with the one key ros__parameters"),
        ("policy_node: 3", "expected a mapping with the one key ros__parameters"),
    ],
)
def test_a_misspelt_section_of_a_parameter_file_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        DeploymentOptions(params_file=str(file))


LAUNCH_MODULES = (
    "launch",
    "launch.actions",
    "launch.event_handlers",
    "launch.events",
    "launch.events.process",
    "launch.launch_description_sources",
    "launch.substitutions",
    "launch_ros",
    "launch_ros.actions",
    "launch_ros.substitutions",
)


def run_launch_file(name: str = "deploy_iiwa") -> dict[str, Any]:
    path = resource(f"launch/{name}.launch.py")
    names: dict[str, Any] = {"__name__": "launch_file", "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    return names


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand-ins for the launch packages, which only a ROS 2 installation has."""
    for name in LAUNCH_MODULES:
        module = types.ModuleType(name)
        module.__getattr__ = lambda attribute: MagicMock(name=attribute)  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, name, module)
    return {name: sys.modules[name] for name in LAUNCH_MODULES}


def give_arguments(stand_ins: dict[str, Any], **given: str) -> None:
    """Launch arguments as `ros2 launch` was given them."""
    defaults = {f.name: str(f.default).lower() if f.type == "bool" else str(f.default) for f in fields_of_options()}
    values = {**defaults, **given}
    stand_ins["launch.substitutions"].LaunchConfiguration = lambda name: MagicMock(perform=lambda _: values[name])


def fields_of_options() -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(DeploymentOptions)


def test_the_launch_file_holds_its_robot_as_legion_deploy_does(
    stand_ins: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", sys.prefix)
    give_arguments(stand_ins, namespace="claimed")
    names, graph = run_launch_file(), [NodeSpec("true", package="any", namespace="/claimed")]
    names["_deploy"](MagicMock())
    try:
        with pytest.raises(RuntimeError, match="namespace /claimed; stop it"):
            run_launch_file()["_deploy"](MagicMock())
        with pytest.raises(DeploymentError, match="a deployment runs already"):
            Starter(graph)
    finally:
        for claim in names["CLAIMS"]:
            claim.close()
    with Starter(graph):
        pass


def test_the_launch_file_of_a_cell_starts_each_robot_s_own(stand_ins: dict[str, Any]) -> None:
    started: list[list[str]] = []
    stand_ins["launch.actions"].ExecuteProcess = lambda cmd, **more: started.append(cmd)
    stand_ins["launch.substitutions"].LaunchConfiguration = lambda name: MagicMock(
        perform=lambda _: str(resource("config/cell.yaml"))
    )
    run_launch_file("deploy_cell")["_deploy"](MagicMock())
    for command, robot in zip(started, load_cell(resource("config/cell.yaml")).robots, strict=True):
        assert command[:4] == ["ros2", "launch", PACKAGE, "deploy_iiwa.launch.py"]
        assert DeploymentOptions.from_strings(dict(text.split(":=", 1) for text in command[4:])) == robot


def test_gazebo_opens_the_world_of_the_task_with_every_controller(stand_ins: dict[str, Any]) -> None:
    nodes: list[dict[str, Any]] = []
    included: list[Any] = []
    stand_ins["launch_ros.actions"].Node = lambda **more: nodes.append(more)
    stand_ins["launch.actions"].IncludeLaunchDescription = lambda *_, launch_arguments: included.extend(
        launch_arguments
    )
    values = {"task": "door-open", "ctrl": "forward_position_controller", "headless": "true"}
    stand_ins["launch.substitutions"].LaunchConfiguration = lambda name: MagicMock(perform=lambda _: values[name])
    run_launch_file("gazebo")["_simulate"](MagicMock())
    ((name, arguments),) = included
    assert (name, arguments.split()[:2]) == ("gz_args", ["-r", "-s"])
    assert Path(arguments.split()[2]) == resource("config/gazebo/door-open.sdf")
    spawned = {node["arguments"][0] for node in nodes if node["executable"] == "spawner"}
    assert spawned == {"joint_state_broadcaster", "gripper_controller", "forward_position_controller"}
    assert all(node["namespace"] == "lbr" for node in nodes if node["executable"] != "parameter_bridge")


def test_the_launch_file_takes_the_options_as_arguments(stand_ins: dict[str, Any]) -> None:
    declared: dict[str, dict[str, Any]] = {}
    stand_ins["launch.actions"].DeclareLaunchArgument = lambda name, **more: declared.setdefault(name, more)
    run_launch_file()["generate_launch_description"]()
    defaults = {name: more["default_value"] for name, more in declared.items()}
    assert DeploymentOptions.from_strings(defaults) == DeploymentOptions()
    assert set(defaults) == {f.name for f in dataclasses.fields(DeploymentOptions)}
    assert {
        "robot",
        "policy",
        "namespace",
        "rviz",
        "instruction",
        "rate_hz",
        "command_interface",
        "params_file",
    } <= set(defaults)
    assert all(more["description"] for more in declared.values())


@pytest.mark.ros_launch
def test_the_launch_file_makes_the_graph_with_the_real_launch() -> None:
    launch = pytest.importorskip("launch", reason="launch comes with a ROS 2 installation")
    launch_ros = pytest.importorskip("launch_ros.actions", reason="launch_ros comes with a ROS 2 installation")
    context = launch.LaunchContext()
    names = run_launch_file()
    for entity in names["generate_launch_description"]().entities[:-1]:
        entity.visit(context)
    nodes = [action for action in names["_deploy"](context) if isinstance(action, launch_ros.Node)]
    for claim in names["CLAIMS"]:
        claim.close()
    wanted = {spec.executable for spec in deployment_graph(DeploymentOptions()) if not spec.optional}
    assert wanted <= {str(node.node_executable) for node in nodes}
