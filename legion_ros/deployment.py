"""The deployment graph, described once in plain Python.

`starter.py` runs it as processes where only the PyPI wheels of ROS 2 are installed; `launch/deploy_iiwa.launch.py`
turns it into launch_ros actions. Both take the fields of `DeploymentOptions` as arguments, so they mean the same.
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from legion_core.config import load_yaml, require
from legion_core.errors import ConfigurationError, unknown
from legion_core.resources import resource
from legion_core.tasks import task_names
from legion_ros.realtime import PRIORITIES
from legion_sim2real.robot import COMMAND_INTERFACES, PROFILE_SUFFIXES, RobotProfile, load_profile

PACKAGE = "legion_ros"
BRINGUPS = {"gazebo": ("gazebo",), "ros2_control": ("mock", "hardware")}
"""What can also be launched for the robots of each driver."""
LAUNCH_ONLY = ("bringup", "network")
"""Options of the launch file alone: other packages of a ROS 2 installation, and what every command of `legion` has."""

_NAMESPACE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")


def _option(default: Any, text: str, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True)
class DeploymentOptions:
    """The arguments of a deployment. An empty text or a zero rate leaves the choice to the robot's profile.

    Raises:
        ConfigurationError: a value that is not allowed; the message names what is.
    """

    robot: str = _option("mujoco", "profile of the robot: a name in config/robots, such as lbr, or your own YAML file")
    policy: str = _option("", "folder of the policy bundle; empty: the one that comes with the package")
    language_model: str = _option("", "folder of the policy's sentence-transformers model; empty: the packaged one")
    phrases: str = _option("", f"YAML files with further phrasings and aliases, joined by {os.pathsep!r}")
    namespace: str = _option("", "ROS namespace of the whole deployment; empty: none")
    rviz: bool = _option(False, "open RViz (needs a ROS 2 installation)")
    instruction: str = _option("", "sentence to obey once everything runs")
    rate_hz: float = _option(0.0, "policy steps a second; 0: as the robot's profile says")
    command_interface: str = _option(
        "", "command interface that is used; empty: as the robot's profile says", ("", *COMMAND_INTERFACES)
    )
    params_file: str = _option("", "YAML file with node parameters that override the defaults")
    viewer: bool = _option(False, "open MuJoCo's window (driver mujoco)")
    lockstep: bool = _option(False, "the simulator steps when its command arrives (driver mujoco)")
    real_time_factor: float = _option(1.0, "simulated seconds a second, 0.05 to 20 (driver mujoco)")
    task: str = _option("reach", "scene that the simulator begins with (drivers mujoco, gazebo)", task_names())
    seed: int = _option(0, "seed of the simulator's first scene (driver mujoco)")
    scene: str = _option(
        "", "composite scene with the objects of several tasks: a name in config/scenes or a YAML file (driver mujoco)"
    )
    follow_task: bool = _option(True, "the simulator changes its scene with the task (driver mujoco)")
    gap: str = _option(
        "", "reality gap between simulator and graph: a YAML file such as config/gap.yaml (driver mujoco)"
    )
    realtime: bool = _option(True, "real-time scheduling of the control path, where this user may have it")
    bringup: str = _option(
        "", "also launch the robot: mock or hardware by lbr_bringup, or gazebo", ("", *sum(BRINGUPS.values(), ()))
    )
    record: str = _option("", "record the whole run: a name ending in .mcap for a file, any other for a folder")
    voice: str = _option("", "hear the operator: mic, topic (legion/voice/audio), or a WAV file; empty: no")
    web: bool = _option(False, "serve the operator's page for a browser")
    web_host: str = _option("127.0.0.1", "address that the page listens on; 127.0.0.1: this machine only")
    web_port: int = _option(8080, "port that the page listens on")
    network: bool = _option(False, "let other machines hear and be heard; false: this machine only")

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value, choices = getattr(self, f.name), f.metadata["choices"]
            if choices and value not in choices:
                raise ConfigurationError(unknown(f.name, value, (c for c in choices if c)))
        bare = self.namespace.strip("/")
        require(not bare or bool(_NAMESPACE.fullmatch(bare)), "namespace", self.namespace, "words joined by '/'")
        require(self.rate_hz == 0 or 1 <= self.rate_hz <= 200, "rate_hz", self.rate_hz, "1 to 200, or 0")
        require(0.05 <= self.real_time_factor <= 20, "real_time_factor", self.real_time_factor, "0.05 to 20")
        require(1 <= self.web_port <= 65535, "web_port", self.web_port, "1 to 65535")
        require(bool(self.web_host), "web_host", self.web_host, "an address of this machine")
        require(0 <= self.seed < 2**31, "seed", self.seed, "0 to 2147483647")
        require(not self.record or not Path(self.record).exists(), "record", self.record, "a name that is not taken")
        self._require_robot_fits()
        if self.params_file:
            _check_params_file(self.params_file)

    def _require_robot_fits(self) -> None:
        driver = self.profile.driver
        simulated = {
            "viewer": self.viewer,
            "lockstep": self.lockstep,
            "gap": bool(self.gap),
            "scene": bool(self.scene),
            "real_time_factor": self.real_time_factor != 1.0,
        }
        if driver != "mujoco":
            for name, used in simulated.items():
                require(not used, name, getattr(self, name), f"only with driver mujoco; {self.robot} has {driver}")
        if self.bringup:
            fitting = BRINGUPS.get(driver, ())
            allowed = " or ".join(fitting) if fitting else "none"
            require(self.bringup in fitting, "bringup", self.bringup, f"{allowed} with driver {driver}")
            alone = self.bringup != "gazebo" or not self.root
            require(alone, "namespace", self.namespace, "none with bringup gazebo, which has one robot")

    @classmethod
    def from_strings(cls, values: Mapping[str, str]) -> DeploymentOptions:
        """Options from text, as launch arguments come.

        Raises:
            ConfigurationError: an unknown name, or a text that is no value of its type.
        """
        hints = typing.get_type_hints(cls)
        for name in values:
            if name not in hints:
                raise ConfigurationError(unknown("argument", name, hints))
        return cls(**{name: _parse(name, text, hints[name]) for name, text in values.items()})

    def to_strings(self) -> dict[str, str]:
        """What differs from the defaults, as launch arguments."""
        changed = _chosen(self, *(f.name for f in dataclasses.fields(self)))
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in changed.items()}

    @cached_property
    def profile(self) -> RobotProfile:
        """The robot's profile.

        Raises:
            ConfigurationError: there is none of that name, or it is malformed.
        """
        return load_profile(self.robot)

    @property
    def simulated_time(self) -> bool:
        """Whether the simulator gives the time on /clock instead of the wall clock."""
        stepped = self.lockstep or self.real_time_factor != 1.0
        return self.profile.driver == "gazebo" or (self.profile.driver == "mujoco" and stepped)

    @property
    def profile_name(self) -> str:
        """The profile's name, or the absolute path of its file, as nodes need not share this folder."""
        return _name_or_path(self.robot)

    @property
    def root(self) -> str:
        """The namespace as an absolute name, '' for none."""
        bare = self.namespace.strip("/")
        return f"/{bare}" if bare else ""


CONFIGURATION_ERROR = 1
"""Exit code of a node that has said in one line what is wrong: starting it again would not mend it."""


@dataclass(frozen=True)
class Respawn:
    """A process that dies is started again after `delay_s`, doubled each time, at most `attempts` times in a row.

    One that lived for `forgive_s` has a clean record again.
    """

    attempts: int = 5
    delay_s: float = 0.2
    forgive_s: float = 60.0

    def restarts(self, before: int, lived_s: float) -> int:
        """Restarts in a row that count against a process, of which there were `before` when it lived for `lived_s`."""
        return 0 if lived_s >= self.forgive_s else before

    def delay(self, exit_code: int, restarts: int) -> float | None:
        """Seconds to wait before the next start, after `restarts` of them in a row; None: it is lost."""
        if exit_code == CONFIGURATION_ERROR or restarts >= self.attempts:
            return None
        return self.delay_s * 2.0**restarts


@dataclass(frozen=True)
class NodeSpec:
    """One process of the graph.

    `critical`: the graph ends when the process is lost for good. `optional`: left out where it is not installed.
    """

    executable: str
    parameters: dict[str, Any] = field(default_factory=dict)
    package: str = PACKAGE
    remappings: tuple[tuple[str, str], ...] = ()
    params_files: tuple[str, ...] = ()
    namespace: str = ""
    arguments: tuple[str, ...] = ()
    lifecycle: bool = False
    respawn: Respawn | None = Respawn()
    critical: bool = True
    optional: bool = False

    @property
    def name(self) -> str:
        """Name of the node."""
        return self.executable


def deployment_graph(options: DeploymentOptions) -> tuple[NodeSpec, ...]:
    """The processes of a deployment, in the order in which they are best started: the slowest first."""
    files = (str(resource("config/deploy.yaml")), *((options.params_file,) if options.params_file else ()))
    driver = options.profile.driver
    clock = _into(options.root, "/clock") if driver == "mujoco" else ()  # Gazebo's is that of all its robots
    robot = {"robot": options.profile_name}
    policy = _chosen(options, "policy")
    rate = _chosen(options, "rate_hz")
    interface = _chosen(options, "command_interface")

    def node(executable: str, parameters: Mapping[str, Any], **more: Any) -> NodeSpec:
        time = {} if executable == "mujoco_node" else {"use_sim_time": options.simulated_time}
        if executable in PRIORITIES and (options.simulated_time or not options.realtime):
            time["realtime"] = False  # simulated time waits for who is late
        return NodeSpec(
            executable,
            {**parameters, **time},
            remappings=clock,
            params_files=files,
            namespace=options.root,
            **more,
        )

    nodes = [
        node("language_node", {**policy, **_language(options)}),
        node("real2sim_node", {**robot, **rate}),
        node("sim2real_node", {**robot, **rate, **interface}, lifecycle=True),
        node("policy_node", policy, lifecycle=True),
        node("watchdog_node", {**robot, **interface}),
        node("mission_node", {}, critical=False),
        node("monitor_node", {**robot, **policy}, critical=False),
    ]
    if driver == "mujoco":
        # a simulator that dies takes the scene with it: there is nothing to go on with
        nodes.insert(1, node("mujoco_node", {**_simulator(options), **rate, **interface}, respawn=None))
        nodes.append(_state_publisher(options, clock))
    if options.record:
        # started again it would find its own file
        file = {"file": str(Path(options.record).resolve())}
        nodes.insert(0, node("record_node", file, critical=False, respawn=None))
    if options.voice:
        heard = options.voice if options.voice in ("mic", "topic") else str(Path(options.voice).resolve())
        nodes.append(node("voice_node", {"source": heard, **_phrases(options)}, critical=False))
    if options.web:
        nodes.append(node("web_node", {**robot, **policy, **_chosen(options, "web_host", "web_port")}, critical=False))
    if options.rviz:
        nodes.append(_rviz(options))
    return tuple(nodes)


def _name_or_path(name: str) -> str:
    """A name as it is; a file by its absolute path, as nodes need not share this folder."""
    return str(Path(name).resolve()) if name.endswith(PROFILE_SUFFIXES) else name


def _into(root: str, *names: str) -> tuple[tuple[str, str], ...]:
    """Remappings of global names into a deployment's namespace."""
    return tuple((name, f"{root}{name}") for name in names) if root else ()


def _chosen(options: DeploymentOptions, *names: str) -> dict[str, Any]:
    """The options that differ from their defaults: those that do not leave the choice to the parameter files."""
    defaults = {f.name: f.default for f in dataclasses.fields(options)}
    return {name: getattr(options, name) for name in names if getattr(options, name) != defaults[name]}


def _language(options: DeploymentOptions) -> dict[str, str]:
    """Files of the language node by absolute names, as nodes need not share this folder."""
    model = {"language_model": str(Path(options.language_model).resolve())} if options.language_model else {}
    return {**model, **_phrases(options)}


def _phrases(options: DeploymentOptions) -> dict[str, str]:
    files = [str(Path(file).resolve()) for file in options.phrases.split(os.pathsep) if file]
    return {"phrases": os.pathsep.join(files)} if files else {}


def _simulator(options: DeploymentOptions) -> dict[str, Any]:
    return {
        "robot": options.profile_name,
        "mode": "lockstep" if options.lockstep else "realtime",
        "real_time_factor": options.real_time_factor,
        **_chosen(options, "task", "seed", "follow_task", "viewer"),
        **({"gap": str(Path(options.gap).resolve())} if options.gap else {}),
        **({"scene": _name_or_path(options.scene)} if options.scene else {}),
    }


TRANSFORMS = ("/tf", "/tf_static")
"""Each namespace has a tree of frames of its own: two arms of one make have frames of the same names."""


def _state_publisher(options: DeploymentOptions, clock: tuple[tuple[str, str], ...]) -> NodeSpec:
    """The link frames for RViz; drivers of real and Gazebo robots bring their own."""
    profile = options.profile
    return NodeSpec(
        "robot_state_publisher",
        {"robot_description": profile.description().urdf, "use_sim_time": options.simulated_time},
        package="robot_state_publisher",
        remappings=(
            ("joint_states", profile.topics.joint_states),
            *_into(options.root, *TRANSFORMS),
            *clock,
        ),
        namespace=options.root,
        critical=False,
        optional=True,
    )


def _rviz(options: DeploymentOptions) -> NodeSpec:
    return NodeSpec(
        "rviz2",
        package="rviz2",
        remappings=_into(options.root, *TRANSFORMS),
        namespace=options.root,
        arguments=("-d", str(resource("config/legion.rviz"))),
        respawn=None,
        critical=False,
    )


def _parse(name: str, text: str, hint: type) -> Any:
    if hint is bool:
        require(text.lower() in ("true", "false"), name, text, "true, false")
        return text.lower() == "true"
    try:
        return hint(text)
    except ValueError as error:
        kind = "an integer" if hint is int else "a number"
        raise ConfigurationError(f"{name} = {text!r}; expected {kind}") from error


NODE_NAMES = (
    *("language_node", "mujoco_node", "real2sim_node", "policy_node", "sim2real_node"),
    *("watchdog_node", "mission_node", "monitor_node", "record_node", "voice_node", "web_node"),
)


def _check_params_file(path: str) -> None:
    """rcl leaves out sections for nodes that do not exist without a word; a misspelt name must be an error."""
    for key, section in load_yaml(Path(path)).items():
        node = key.rsplit("/", 1)[-1]
        if node not in (*NODE_NAMES, "**"):
            raise ConfigurationError(f"{path}: " + unknown("node", key, NODE_NAMES))
        if not isinstance(section, dict) or set(section) != {"ros__parameters"}:
            raise ConfigurationError(f"{path}: {key}: expected a mapping with the one key ros__parameters")
