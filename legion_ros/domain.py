"""Who may hear the graph: the ROS domain, and whether anything leaves this machine."""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from legion_core.errors import ConfigurationError, DeploymentError
from legion_core.resources import resource

MAX_DOMAIN = 232
"""The largest domain whose UDP ports exist."""
OWN_DOMAINS = range(1, 101)
"""Where graphs that are nobody else's business run."""
_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
_PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Where Fast DDS 2 and 3 look for their configuration."""


def domain_id() -> int:
    """The ROS domain of this process.

    Raises:
        ConfigurationError: ROS_DOMAIN_ID is not one of the possible numbers.
    """
    text = os.environ.get("ROS_DOMAIN_ID", "") or "0"
    if not text.isdecimal() or int(text) > MAX_DOMAIN:
        raise ConfigurationError(
            f"ROS_DOMAIN_ID = {text!r}; allowed: 0 to {MAX_DOMAIN} (0 to 101 are free of conflicts)"
        )
    return int(text)


def reach(network: bool = False) -> dict[str, str]:
    """Environment variables that keep ROS traffic on this machine, or let it leave with `network`.

    Fast DDS then binds its sockets to loopback alone. Another middleware is told to look for nobody elsewhere. Empty
    where the environment asks for a reach of its own.
    """
    if network:
        return {_RANGE: "SUBNET"}
    if os.environ.get("ROS_DISTRO") == "humble":
        return {} if "ROS_LOCALHOST_ONLY" in os.environ else {"ROS_LOCALHOST_ONLY": "1"}
    if os.environ.get(_RANGE, "LOCALHOST") != "LOCALHOST":
        return {}
    fast_dds = os.environ.get("RMW_IMPLEMENTATION", "") in ("", "rmw_fastrtps_cpp")
    if not fast_dds or any(variable in os.environ for variable in _PROFILES):
        return {_RANGE: "LOCALHOST"}
    return {_RANGE: "SYSTEM_DEFAULT", **dict.fromkeys(_PROFILES, str(resource("config/dds/loopback.xml")))}


def keep_local(network: bool = False) -> None:
    """Give this process and its children the `reach`."""
    if network:
        for variable in _PROFILES:
            if os.environ.get(variable, "").endswith("config/dds/loopback.xml"):
                del os.environ[variable]
    os.environ.update(reach(network))


@contextmanager
def own_domain() -> Iterator[int]:
    """A random ROS domain on this machine only, which no other user of this function has; the old one afterwards.

    Raises:
        DeploymentError: all are taken.
    """
    before = os.environ.get("ROS_DOMAIN_ID")
    domain, lock = _free_domain()
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    keep_local()
    try:
        yield domain
    finally:
        lock.close()
        if before is None:
            del os.environ["ROS_DOMAIN_ID"]
        else:
            os.environ["ROS_DOMAIN_ID"] = before


def _free_domain() -> tuple[int, IO[str]]:
    for domain in random.sample(OWN_DOMAINS, len(OWN_DOMAINS)):
        lock = try_lock(f"domain-{domain}")
        if lock is not None:
            return domain, lock
    raise DeploymentError(f"all domains from {OWN_DOMAINS[0]} to {OWN_DOMAINS[-1]} are in use on this machine")


def try_lock(name: str) -> IO[str] | None:
    """A lock of that name that lives as long as the file is open and this process lives; None if another has it."""
    lock = (Path(tempfile.gettempdir()) / f"legion_ros-{os.getuid()}-{name}.lock").open("a", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def claim_robot(namespace: str) -> IO[str]:
    """The lock that keeps a second deployment in this domain and namespace from commanding the same robot.

    Raises:
        DeploymentError: another deployment has it.
    """
    lock = try_lock(f"graph-{domain_id()}{namespace.replace('/', '-')}")
    if lock is None:
        raise DeploymentError(
            f"a deployment runs already in domain {domain_id()}, namespace {namespace or '/'};"
            " stop it, or choose another --namespace or ROS_DOMAIN_ID"
        )
    return lock
