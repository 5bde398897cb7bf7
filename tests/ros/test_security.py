"""The SROS 2 policy: well-formed, complete for every robot, least privilege; and nothing loaded can run code."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

import pytest

from legion_core.resources import resource
from legion_ros import topics
from legion_ros.cli.main import main
from legion_ros.deployment import DeploymentOptions, deployment_graph
from legion_ros.fleet import load_cell
from legion_ros.security import OPERATOR, Access, enclave_arguments, make_policy
from legion_sim2real.robot import profile_names

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"topics": ("publish", "subscribe"), "services": ("reply", "request")}


def rules_of(policy: str) -> dict[tuple[str, str], set[str]]:
    """Enclaves that may do something, by kind and name."""
    rules: dict[tuple[str, str], set[str]] = defaultdict(set)
    for enclave in ET.fromstring(policy).iter("enclave"):
        for group in enclave.iterfind("profiles/profile/*"):
            ((kind, qualifier),) = group.attrib.items()
            assert kind in KINDS[group.tag]
            assert qualifier == "ALLOW"
            for name in group:
                assert name.tag == group.tag[:-1]
                rules[kind, name.text or ""].add(enclave.get("path") or "")
    return rules


@pytest.mark.parametrize("robot", profile_names())
def test_every_process_has_an_enclave_and_every_name_is_whole(robot: str) -> None:
    options = DeploymentOptions(robot=robot, namespace="left")
    policy = make_policy([options])
    root = ET.fromstring(policy)
    assert root.get("version") == "0.2.0"
    paths = [enclave.get("path") for enclave in root.iter("enclave")]
    named = {spec.name for spec in deployment_graph(options)} | {OPERATOR, "record_node"}
    wanted = {f"/left/{name}" for name in named}
    assert len(paths) == len(set(paths))
    assert set(paths) == wanted
    for _, name in rules_of(policy):
        assert name.startswith("/")
        assert "*" not in name


@pytest.mark.parametrize("robot", profile_names())
def test_nobody_but_one_commands_or_answers(robot: str) -> None:
    options = DeploymentOptions(robot=robot)
    rules = rules_of(make_policy([options]))
    for kind, name, enclaves in (
        ("publish", f"/{options.profile.command_topic}", {"/sim2real_node"}),
        ("publish", f"/{options.profile.gripper.command}", {"/sim2real_node"}),
        ("publish", f"/{topics.ACTION}", {"/policy_node", "/mission_node"}),
        ("publish", f"/{topics.OBSERVATION}", {"/real2sim_node"}),
        ("publish", f"/{topics.TASK_EMBEDDING}", {"/language_node"}),
        ("publish", f"/{topics.INSTRUCTION}", {f"/{OPERATOR}"}),
        ("reply", f"/{topics.E_STOP}", {"/sim2real_node"}),
        ("request", f"/{topics.E_STOP}", {f"/{OPERATOR}", "/language_node"}),
    ):
        assert rules[kind, name] == enclaves, name


def test_robots_of_a_cell_share_nothing_but_what_is_common() -> None:
    rules = rules_of(make_policy(load_cell(resource("config/cell.yaml")).robots))
    shared = {name for (_, name), enclaves in rules.items() if len({path.split("/")[1] for path in enclaves}) > 1}
    assert shared == {topics.DIAGNOSTICS, topics.DIAGNOSTICS_AGGREGATED, "/clock", "/parameter_events", "/rosout"}


def test_names_are_resolved_as_ros_does() -> None:
    access = Access(publish=("~/state", "x/y", "/clock", "/clock"), subscribe=("x",))
    resolved = access.resolved("/left", "node", [("/clock", "/left/clock"), ("x", "y")])
    assert resolved == Access(publish=("/left/clock", "/left/node/state", "/left/x/y"), subscribe=("/left/y",))


def test_the_command_writes_the_policy_and_says_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["security", str(tmp_path / "new"), "--namespace", "left", "--robot", "lbr"]) == 0
    assert "/left/policy_node" in (tmp_path / "new" / "policy.xml").read_text(encoding="utf-8")
    assert "ros2 security generate_artifacts" in capsys.readouterr().out
    assert main(["security", str(tmp_path), "--cell", "/nowhere.yaml"]) == 1


def test_processes_enter_their_enclaves_only_where_security_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_SECURITY_ENABLE", raising=False)
    assert enclave_arguments("/left", "policy_node") == []
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    assert enclave_arguments("/left", "policy_node") == ["--enclave", "/left/policy_node"]


FORBIDDEN_CALLS = {"eval", "exec", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "os.system", "os.popen"}
UNPICKLING = {f"{module}.{name}" for module in ("pickle", "marshal") for name in ("load", "loads", "Unpickler")}
FORBIDDEN_MODULES = {"cPickle", "cloudpickle", "dill", "shelve", "joblib"}


@pytest.mark.parametrize("package", ["legion_core", "legion_sim2real", "legion_ros", "launch", "docker"])
def test_nothing_that_is_loaded_can_run_code(package: str) -> None:
    """No pickle, no unsafe YAML, no eval, no shell, no torch.load that unpickles."""
    found = []
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names: set[str] = set()
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names} & FORBIDDEN_MODULES
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").partition(".")[0]} & (FORBIDDEN_MODULES | {"pickle", "marshal"})
            elif isinstance(node, ast.Call):
                called, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
                names = {called} & (FORBIDDEN_CALLS | UNPICKLING)
                if called == "torch.load" and keywords.get("weights_only") != "True":
                    names.add("torch.load without weights_only")
                if "shell" in keywords or keywords.get("allow_pickle", "False") != "False":
                    names.add(f"{called} with shell or allow_pickle")
            found += [f"{file.relative_to(ROOT)}:{node.lineno}: {name}" for name in names]  # type: ignore[attr-defined]
    assert found == []
