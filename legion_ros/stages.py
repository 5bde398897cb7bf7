"""The stages of commissioning, and how fast an arm may become in each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage of commissioning, and the most that its files may allow.

    `speed_scale` is the policy's, `max_speed_m_s` and `joint_velocity_scale` are the guard's; the hand's workspace ends
    at least `floor_m` above the table. `cell`: files must be the cell's own. `scene`: objects and calibration count.
    """

    name: str
    speed_scale: float
    max_speed_m_s: float
    joint_velocity_scale: float
    floor_m: float = 0.0
    cell: bool = True
    scene: bool = True


STAGES = {
    stage.name: stage
    for stage in (
        Stage("mock", 1.0, 1.5, 1.0, cell=False, scene=False),
        Stage("air", 0.1, 0.05, 0.1, floor_m=0.15, scene=False),
        Stage("slow", 0.25, 0.1, 0.2),
        Stage("full", 1.0, 0.25, 0.5),
    )
}
