"""The files of a real arm's cell, for tests: fit for a stage of commissioning until a test changes them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml

from legion_core.resources import resource
from legion_ros.commissioning import Commissioning
from legion_ros.stages import STAGES


def written(path: Path, source: str, changes: dict[str, Any]) -> None:
    data = yaml.safe_load(resource(source).read_text(encoding="utf-8"))
    for key, value in changes.items():
        section = data
        *parents, last = key.split(".")
        for parent in parents:
            section = section[parent]
        section[last] = value
    path.write_text(yaml.safe_dump(data), encoding="utf-8")


def made(days: float = 1.0, rms_mm: float = 1.2) -> dict[str, Any]:
    date = (datetime.now(timezone.utc) - timedelta(days=days)).isoformat(timespec="seconds")
    figures = {"measurements": 6, "rejected": [], "rms_mm": rms_mm, "residuals_mm": [rms_mm] * 6}
    return {"date": date, "tool": "legion 0.1.0", "method": "table", "source": "points.csv", **figures}


class Cell:
    """Profile, safety file and calibration in a folder, with what differs from the shipped ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.profile: dict[str, Any] = {"calibration": "table.yaml", "safety": "cell.yaml"}
        self.safety: dict[str, Any] = {"workspace_low_m": [0.35, -0.4, 0.0], "obstacles": []}
        self.made: dict[str, Any] | None = made()

    def for_stage(self, name: str) -> Cell:
        """As fast as that stage allows."""
        stage = STAGES[name]
        self.profile["sim2real.speed_scale"] = min(0.5, stage.speed_scale)
        self.safety["max_speed_m_s"] = min(0.15, stage.max_speed_m_s)
        self.safety["joint_velocity_scale"] = min(0.3, stage.joint_velocity_scale)
        self.safety["workspace_low_m"] = [0.35, -0.4, stage.floor_m]
        return self

    def write(self) -> str:
        """The path of the profile, with the files that it names beside it."""
        written(self.folder / "arm.yaml", "config/robots/lbr.yaml", self.profile)
        written(self.folder / "cell.yaml", "config/safety.yaml", self.safety)
        calibration = {"made": self.made} if self.made else {}
        written(self.folder / "table.yaml", "config/calibration_mujoco.yaml", calibration)
        return str(self.folder / "arm.yaml")

    def check(self, stage: str) -> Commissioning:
        """The checks of these files."""
        return Commissioning(self.write(), STAGES[stage])
