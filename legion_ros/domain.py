"""Who may hear the graph: the ROS domain, and whether anything leaves this machine."""

from __future__ import annotations

import os

from legion_core.errors import ConfigurationError

MAX_DOMAIN = 232
"""The largest domain whose UDP ports exist."""


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


def keep_local(network: bool = False) -> None:
    """Keep ROS traffic of this process and its children on this machine, unless `network` or the environment asks."""
    if network:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SUBNET"
    elif os.environ.get("ROS_DISTRO") == "humble":
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    else:
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
