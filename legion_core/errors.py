"""One exception hierarchy: whatever the operator can mend is a LegionError, printed as one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LegionError(Exception):
    """Base of every error that is shown to a user without a traceback."""


class ConfigurationError(LegionError):
    """A setting is missing, unknown or out of range."""


class BundleError(LegionError):
    """A policy bundle is missing, broken, of another version or does not fit."""


class TaskError(LegionError):
    """A task name that does not exist."""


class DescriptionError(LegionError):
    """A robot description (URDF or xacro) is missing or does not hold what is needed."""


class CalibrationError(LegionError):
    """A calibration is missing, malformed or degenerate."""


class SpaceError(LegionError):
    """A vector or field that does not fit the observation or action space."""


class SimulationError(LegionError):
    """The simulator cannot be built or has become unstable."""


class MixtureError(LegionError):
    """A knowledge space that cannot be fitted: unusable latents, or an engine that is not installed."""


class DeploymentError(LegionError):
    """The deployment graph cannot start or has lost a process it cannot do without."""


class ReplayError(LegionError):
    """A replay buffer cannot grow, is cut short, is of another kind, or is given rows that do not fit."""


class CheckpointError(LegionError):
    """A checkpoint is missing, broken, of another version, or cannot be written."""


class RunError(LegionError):
    """A run directory exists already, is in use, is none, or cannot be written."""


class RecordingError(LegionError):
    """A recording cannot be written or read, or lacks what is asked of it."""


class ClusterError(LegionError):
    """A cluster cannot be reached or has lost a worker."""


def unknown(kind: str, value: object, allowed: Iterable[object]) -> str:
    """Message for a name that is not one of the allowed ones: 'unknown task 'x'; allowed: a, b'; similar ones first."""
    names = [str(name) for name in allowed]
    similar = difflib.get_close_matches(str(value), names)
    guess = f" (did you mean {', '.join(similar)}?)" if similar else ""
    return f"unknown {kind} {value!r}{guess}; allowed: {', '.join(names)}"
