"""Scripted experts: memoryless functions of Meta-World's observation, which a policy can imitate.

Half of the fifty tasks keep Meta-World's own expert. Eight of LEGION's ten have one of ours: an arm that moves through
joint servos cannot bend around an obstacle as the compliant mocap weld does, so these align before they descend,
let the gripper close before they pull, and move along straight lines. Those of the other forty are in `carrying`.
"""

from __future__ import annotations

import math
import warnings
from functools import cache
from typing import Any

import numpy as np
from metaworld.policies import ENV_POLICY_MAP

from legion_core.sim.carrying import CARRYING, CLOSE, OPEN, Decision, Expert, above, carry
from legion_core.spaces import TaskState, Vector
from legion_core.tasks import get_task

# the stock experts warn of every action that they leave to be clipped
warnings.filterwarnings("ignore", message="Constant.s. may be too high", module="metaworld.policies")

GAIN = 10.0
"""Action per metre between hand and aim."""


def expert_action(task: str, observation: Vector) -> Vector:
    """The action (4,) in [-1, 1] for Meta-World's observation (39,), goal included.

    Raises:
        TaskError: an unknown task.
    """
    if task in OURS:
        state = TaskState(
            hand=observation[:3],
            object=observation[4:7],
            goal=observation[36:39],
            object2=observation[11:14],
            gripper_opening=float(observation[3]),
        )
        aim, gripper = OURS[task](state)
        motion = GAIN * (aim - state.hand)
        # scaled as a whole, so that the hand goes straight to its aim
        action: Vector = np.append(motion / max(1.0, float(np.abs(motion).max())), gripper)
        return action
    # some of the stock experts write into the observation they are given
    stock_action: Vector = np.clip(_stock(task).get_action(observation.copy()), -1.0, 1.0)
    return stock_action


@cache
def _stock(task: str) -> Any:
    expert: Any = ENV_POLICY_MAP[get_task(task).metaworld]
    return expert()


def _reach(state: TaskState) -> Decision:
    """Bring the finger tips, 45 mm below the hand, to the goal; the stock expert brings the hand."""
    return state.goal + np.array((0.0, 0.0, 0.045)), CLOSE


def _puck_to_goal(state: TaskState) -> Decision:
    """A little above the table, which would drag."""
    return state.goal + np.array((0.0, 0.0, 0.055)), CLOSE


def _pull_peg(state: TaskState) -> Decision:
    """Take the peg, 4 mm of clearance a side, and pull it out and up, which frees its head sooner than straight out."""
    hand, grasp = state.hand, state.object + np.array((-0.01, 0.0, 0.015))
    dx, dy, height = np.abs(hand - grasp)
    if dx < 0.03 and dy < 0.03 and height < 0.05 and state.gripper_opening < 0.93:
        return grasp + np.array((0.1, 0.0, 0.05)), CLOSE
    if dx < 0.02 and dy < 0.008 and height < 0.012:
        return grasp, CLOSE
    clearance = min(max(20.0 * (math.hypot(max(0.0, dx - 0.01), dy) - 0.005), 0.0), 0.09)
    aim = grasp + np.array((0.0, 0.0, clearance))
    # slower sideways, lest the arm swing past the peg and come down on it
    return hand + np.array((0.8, 0.8, 1.0)) * (aim - hand), OPEN


def _open_door(state: TaskState) -> Decision:
    """Reach behind the handle's bar and draw it along its circle around the hinge.

    `outwards` (along the door, away from the hinge) and `pull` (the way the handle moves) turn with the door.
    """
    hand, handle = state.hand, state.object
    radius = handle[:2] - state.goal[:2] - HINGE_FROM_GOAL_M
    turned = math.atan2(radius[1], radius[0]) - CLOSED_DOOR_RAD
    outwards, pull = np.array((math.cos(turned), math.sin(turned))), np.array((math.sin(turned), -math.cos(turned)))
    behind = handle + np.append(ALONG_BAR_M * outwards - BEHIND_BAR_M * pull, 0.0)
    u, v = (hand[:2] - handle[:2]) @ outwards, (handle[:2] - hand[:2]) @ pull
    if hand[2] < handle[2] + 0.03 and v > 0.01 and abs(u - ALONG_BAR_M) < 0.05:
        return behind + 0.12 * np.append(pull, 0.0), CLOSE
    return above(behind, math.hypot(u - ALONG_BAR_M, v - BEHIND_BAR_M), 0.007, 0.12, slope=8.0), CLOSE


HINGE_FROM_GOAL_M = np.array((0.115, 0.35))
"""Meta-World's goal stands at a fixed place beside the door, and so does its hinge."""

CLOSED_DOOR_RAD = math.atan2(-0.107, 0.375)
"""Direction from hinge to handle of the closed door."""

BEHIND_BAR_M = 0.03
"""The palm, above the fingers, only just fits between bar and frame."""

ALONG_BAR_M = -0.015
"""Where along the handle's bar to pull, away from the hinge: between its post and the edge of the door."""


def _close_drawer(state: TaskState) -> Decision:
    """Push on the upper edge of the drawer's front, above its handle."""
    hand, handle = state.hand, state.object
    if hand[1] > handle[1] + 0.06:
        back = handle if hand[2] > handle[2] + 0.09 else hand
        return np.array((handle[0], back[1], handle[2] + 0.12)), CLOSE
    low = min(max((handle[2] + 0.05 - hand[2]) / 0.02, 0.0), 1.0)
    return handle + np.array((0.0, 0.01 + 0.15 * low, 0.015)), CLOSE


def _slide_window(side: float) -> Expert:
    """Go down beside the handle, on its +x side (1) or -x side (-1), and push it to the other."""

    def expert(state: TaskState) -> Decision:
        hand, handle = state.hand, state.object
        beside = handle + np.array((0.03 * side, -0.015, -0.02))
        past = side * (hand[0] - handle[0])
        astray = max(0.0, -0.005 - past, past - 0.08)
        offset = math.hypot(astray, max(0.0, abs(hand[1] - beside[1]) - 0.015))
        if offset == 0.0:
            depth = min(max(1.0 - (hand[2] - beside[2]) / 0.04, 0.0), 1.0)
            return beside - np.array((0.13 * side * depth, 0.0, 0.0)), CLOSE
        return above(beside, offset, 0.0, 0.16, slope=8.0), CLOSE

    return expert


def _slide_plate_left(state: TaskState) -> Decision:
    """Go down on the right of the plate and push."""
    beside = np.array((state.object[0] + 0.085, state.object[1], 0.05))
    dx, dy = state.hand[0] - beside[0], state.hand[1] - beside[1]
    if state.hand[2] < 0.075 and dx > -0.03 and abs(dy) < 0.02:
        return np.array((state.hand[0] - 0.1, state.object[1], 0.05)), CLOSE
    return above(beside, math.hypot(max(0.0, -dx), dy), 0.012, 0.1), CLOSE


OURS: dict[str, Expert] = {
    "reach": _reach,
    "push": carry(_puck_to_goal),
    "pick-place": carry(_puck_to_goal),
    "door-open": _open_door,
    "drawer-close": _close_drawer,
    "peg-unplug-side": _pull_peg,
    "window-open": _slide_window(-1.0),
    "window-close": _slide_window(1.0),
    "plate-slide-side": _slide_plate_left,
    **CARRYING,
}
