"""The image and the compose files, as far as they can be checked without a Docker engine."""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from legion_core.config import load_yaml
from legion_ros.deployment import PACKAGE, DeploymentOptions, deployment_graph
from legion_ros.realtime import PRIORITIES

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
IN_BASE = {
    *("rclpy", "launch", "launch_ros", "ament_index_python", "builtin_interfaces", "rcl_interfaces", "rosgraph_msgs"),
    *("std_msgs", "std_srvs", "sensor_msgs", "geometry_msgs", "lifecycle_msgs"),
    *("diagnostic_msgs", "trajectory_msgs", "visualization_msgs"),  # common_interfaces
}
"""What ros:<distribution>-ros-base brings."""
FROM_PIP = {"python3-numpy", "python3-scipy", "python3-yaml"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continued lines joined, comments left out."""
    lines = (line for line in (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines() if line[:1] != "#")
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def arguments_of(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def compose() -> dict[str, Any]:
    return load_yaml(DOCKER / "compose.yaml")


def options_of(command: list[str]) -> DeploymentOptions:
    """The deployment that a container's command starts, with the defaults of its variables."""
    assert command[:3] == ["ros2", "launch", PACKAGE]
    assert (ROOT / "launch" / command[3]).is_file()
    filled = (re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", argument) for argument in command[4:])
    return DeploymentOptions.from_strings(dict(argument.split(":=", 1) for argument in filled))


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out of the build; the last line that fits decides."""
    result = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        fits = fnmatch.fnmatch(path, pattern) or path.startswith(f"{pattern}/")
        if line and line[0] != "#" and fits:
            result = not line.startswith("!")
    return result


def test_what_is_copied_exists_and_reaches_the_build() -> None:
    copied = [path for arguments in arguments_of("COPY") for path in arguments.split()[:-1]]
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
        files = [ROOT / path, *(ROOT / path).rglob("*")]
        assert any(file.is_file() and not ignored(str(file.relative_to(ROOT))) for file in files), path
    assert ignored(".git/config")
    assert ignored(".venv/bin/python")


def test_every_file_that_the_package_installs_is_in_the_image() -> None:
    copied = {path for arguments in arguments_of("COPY") for path in arguments.split()[:-1]}
    (folders,) = (
        ast.literal_eval(node.value)
        for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DATA_FOLDERS"
    )
    assert set(folders) <= copied
    (made,) = (rest for rest in arguments_of("RUN") if rest.startswith("mkdir"))
    assert set(folders) == set(made.split("&&")[0].split()[1:]), "setup.py lists them before they are copied"


def test_every_ros_package_that_is_needed_is_installed() -> None:
    needed = {element.text for element in ET.parse(ROOT / "package.xml").getroot().iter("exec_depend")}
    (stage, *_) = (rest for rest in arguments_of("RUN") if "apt-get install" in rest)
    installed = {name.replace("-", "_") for name in re.findall(r"ros-\$\{ROS_DISTRO\}-([\w-]+)", stage)}
    assert needed - IN_BASE - FROM_PIP <= installed


def test_the_commands_of_image_and_services_are_deployments() -> None:
    commands = [yaml.safe_load(rest) for rest in arguments_of("CMD")]
    assert [options_of(command).profile.driver for command in commands] == ["mujoco", "ros2_control", "gazebo"]
    services = compose()["services"]
    assert set(services) == {"sim", "hardware", "gazebo"}
    for name, driver in (("sim", "mujoco"), ("gazebo", "gazebo")):
        assert options_of(services[name]["command"]).profile.driver == driver
    command = [part.replace("/cell/my_arm.yaml", "lbr") for part in services["hardware"]["command"]]
    assert options_of(command).bringup == "mock", "a real arm moves only when somebody asks for hardware"


def test_each_service_has_a_stage_of_the_dockerfile_and_a_profile_of_its_name() -> None:
    stages = {rest.split(" AS ")[1] for rest in arguments_of("FROM") if " AS " in rest}
    for name, service in compose()["services"].items():
        assert service["profiles"] == [name]
        assert service["build"]["target"] in stages
        assert (DOCKER / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_containers_have_few_rights_and_stay_on_loopback() -> None:
    for name, service in compose()["services"].items():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "no", "an arm must not move again by itself"
        assert service["network_mode"] == ("host" if name == "hardware" else "none")
        assert service["environment"]["ROS_AUTOMATIC_DISCOVERY_RANGE"].endswith(":-LOCALHOST}")
        assert "privileged" not in service
    assert arguments_of("USER")[-1] == "legion"


def test_the_hardware_service_may_schedule_in_real_time() -> None:
    hardware = compose()["services"]["hardware"]
    assert hardware["cap_add"] == ["SYS_NICE"]
    assert hardware["ulimits"]["rtprio"] >= max(80, *PRIORITIES.values()), "80 is the FRI driver's"
    assert hardware["ulimits"]["memlock"] == -1


@pytest.mark.parametrize("script", sorted(DOCKER.glob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts_are_valid_and_executable(script: Path) -> None:
    checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert os.access(script, os.X_OK)


def test_the_health_check_asks_for_nodes_of_the_graph() -> None:
    (nodes,) = (
        ast.literal_eval(node.value)
        for node in ast.parse((DOCKER / "healthcheck.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NODES"
    )
    critical = {spec.name for spec in deployment_graph(DeploymentOptions(robot="lbr")) if spec.critical}
    assert set(nodes) == critical
    (health,) = arguments_of("HEALTHCHECK")
    assert "/opt/legion/healthcheck.py" in health
