"""A node's robot profile: the file's, with what the node's parameters change."""

from __future__ import annotations

import dataclasses
from typing import Any

from legion_sim2real.robot import RobotProfile, load_profile


def profile_of(settings: Any) -> RobotProfile:
    """The profile `settings.robot`, with `rate_hz` and `command_interface` of the settings where they are set.

    Raises:
        ConfigurationError: there is no such profile, or a value does not fit it.
    """
    profile = load_profile(settings.robot)
    wanted = {name: getattr(settings, name, None) for name in ("rate_hz", "command_interface")}
    changed: dict[str, Any] = {name: value for name, value in wanted.items() if value}
    if "rate_hz" in changed and profile.interpolation_rate_hz is not None:
        # commands never come more rarely than actions
        changed["interpolation_rate_hz"] = max(profile.interpolation_rate_hz, changed["rate_hz"])
    return dataclasses.replace(profile, **changed)
