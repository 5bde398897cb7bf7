"""Who may hear the graph: loopback alone unless somebody asks, and one deployment for each robot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from legion_core.errors import DeploymentError
from legion_ros.domain import claim_robot, keep_local, reach

RANGE, PROFILE, NEWER = (
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "FASTDDS_DEFAULT_PROFILES_FILE",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (RANGE, PROFILE, NEWER, "ROS_DISTRO", "ROS_LOCALHOST_ONLY", "RMW_IMPLEMENTATION"):
        monkeypatch.setenv(variable, "")  # so that what a test sets is taken back
        monkeypatch.delenv(variable)


def test_fast_dds_binds_to_loopback_by_default() -> None:
    keep_local()
    assert os.environ[RANGE] == "SYSTEM_DEFAULT"
    assert "<address>127.0.0.1</address>" in Path(os.environ[PROFILE]).read_text(encoding="utf-8")
    assert os.environ[NEWER] == os.environ[PROFILE]
    assert reach() == {}, "asked again, it stays as it is"


def test_the_network_is_reached_when_somebody_asks() -> None:
    keep_local()
    keep_local(network=True)
    assert os.environ[RANGE] == "SUBNET"
    assert PROFILE not in os.environ
    assert NEWER not in os.environ


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({RANGE: "SUBNET"}, {}),
        ({RANGE: "OFF"}, {}),
        ({PROFILE: "/my/profiles.xml"}, {RANGE: "LOCALHOST"}),
        ({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, {RANGE: "LOCALHOST"}),
        ({"ROS_DISTRO": "humble"}, {"ROS_LOCALHOST_ONLY": "1"}),
        ({"ROS_DISTRO": "humble", "ROS_LOCALHOST_ONLY": "0"}, {}),
    ],
)
def test_the_environment_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: dict[str, str]
) -> None:
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    assert reach() == expected


def test_a_robot_is_claimed_once() -> None:
    namespace = f"/claim_{os.getpid()}"
    with claim_robot(namespace):
        with pytest.raises(DeploymentError, match=f"namespace {namespace}; stop it, or choose another --namespace"):
            claim_robot(namespace)
        with claim_robot(f"{namespace}/other"):
            pass
    claim_robot(namespace).close()
