"""Scripted experts of the tasks that carry something: grasp it first, then move it along a path.

Meta-World's own begin to close the fingers while the hand still descends, in step with the slow fingers of the
Sawyer. The iiwa's close at once, on top of the thing or against the table. These wait until the hand is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from legion_core.spaces import TaskState, Vector

OPEN, CLOSE = -1.0, 1.0
Decision = tuple[Vector, float]
"""The point the hand shall go to, (3,) in the sim frame, and the gripper."""

Expert = Callable[[TaskState], Decision]
GRASP_ABOVE_M = 0.04
"""How far the hand is above a small thing between its finger tips."""


def above(point: Vector, offset: float, tolerance: float, clearance: float, slope: float = 4.0) -> Vector:
    """`point` itself while the hand is within `tolerance` of it sideways, and up to `clearance` above it when not.

    The funnel between both makes the descent smooth and lets a hand that has slipped aside rise again.
    """
    higher: Vector = point + np.array((0.0, 0.0, min(max(slope * (offset - tolerance), 0.0), clearance)))
    return higher


def carry(
    path: Expert,
    grip: tuple[float, float, float] = (0.0, 0.0, GRASP_ABOVE_M),
    *,
    closed: float = 0.6,
    clearance: float = 0.1,
) -> Expert:
    """Go to `grip` from the thing, open and from up to `clearance` above; close; once the opening is less than
    `closed`, follow `path`."""

    def expert(state: TaskState) -> Decision:
        grasp = state.object + np.array(grip)
        offset, height = math.dist(state.hand[:2], grasp[:2]), float(state.hand[2] - grasp[2])
        if offset < 0.03 and height < 0.035 and state.gripper_opening < closed:
            return path(state)
        if offset < 0.024 and height < 0.012:
            return grasp, CLOSE
        return above(grasp, offset, 0.012, clearance), OPEN

    return expert


def to_goal(height: float = GRASP_ABOVE_M, over: float = 0.0) -> Expert:
    """Bring the hand to `height` above the goal, on the way there at `over` above the table or higher."""

    def path(state: TaskState) -> Decision:
        target = state.goal + np.array((0.0, 0.0, height))
        offset = math.dist(state.hand[:2], target[:2])
        high = max(over, float(target[2]))
        target[2] += min(max(4.0 * (offset - 0.03), 0.0), high - target[2])
        # sideways only as far as it has climbed
        climbed = min(max(1.0 - (high - state.hand[2]) / 0.05, 0.0), 1.0) if offset > 0.05 else 1.0
        target[:2] = state.hand[:2] + climbed * (target[:2] - state.hand[:2])
        return target, CLOSE

    return path


def _between_posts(state: TaskState) -> Decision:
    """Carry the ball in front of the middle of the goal first: the hand is too wide to come in from the side."""
    aside = abs(float(state.object[0] - state.goal[0]))
    back = min(max(6.0 * (aside - 0.01), 0.0), 0.14)
    return state.goal + np.array((0.0, -back, 0.055)), CLOSE


def _insert_peg(state: TaskState) -> Decision:
    """Hold the peg in front of the hole, at its height, and push it in, head first."""
    aim = state.goal + np.array((0.1, 0.0, GRASP_ABOVE_M - 0.01))
    aside = math.dist(state.object[1:], state.goal[1:])
    aim[0] += min(max(8.0 * (aside - 0.01), 0.0), 0.15)
    return aim, CLOSE


def _put_ring(state: TaskState) -> Decision:
    """Lift the ring by its handle above the peg, and lower it."""
    aim = state.goal + np.array((0.105, 0.0, 0.0))
    aside = math.dist(state.hand[:2], aim[:2])
    aim[2] += 0.06 + min(max(4.0 * (aside - 0.02), 0.0), 0.05) - (0.15 if aside < 0.015 else 0.0)
    climbed = min(max((state.object[2] - state.goal[2] + 0.02) / 0.03, 0.0), 1.0)
    aim[:2] = state.hand[:2] + climbed * (aim[:2] - state.hand[:2])
    return aim, CLOSE


def _push_with_stick(state: TaskState) -> Decision:
    """Hold the stick at the height of the thermos' belly, in line with it, and push."""
    aside = abs(float(state.object[1] - state.object2[1])) + max(0.0, 0.06 - float(state.object[2]))
    onwards = min(max(1.0 - (aside - 0.005) / 0.02, 0.0), 1.0)
    return np.array((state.hand[0] + 0.12 * onwards, state.object2[1], 0.13)), CLOSE


def _pull_with_stick(state: TaskState) -> Decision:
    """Put the stick through the handle of the thermos, and move both."""
    handle, stick = state.object2, state.object
    height = handle[2] + state.hand[2] - stick[2]
    if stick[0] > handle[0] - 0.045:
        left = state.goal[:2] - handle[:2]
        return np.append(state.hand[:2] + 1.5 * left, height), CLOSE
    aside = math.dist(stick[1:], handle[1:])
    onwards = min(max(1.0 - (aside - 0.008) / 0.02, 0.0), 1.0)
    before = min(float(state.hand[0]), float(handle[0]) - 0.14)
    return np.array((before + onwards * (handle[0] + 0.05 - before), handle[1], height)), CLOSE


def _lift(state: TaskState) -> Decision:
    """Straight up, so that the ring does not catch on its peg."""
    return state.hand + np.array((0.0, 0.0, 0.1)), CLOSE


def _from_bin_to_bin(state: TaskState) -> Decision:
    """Take the cube by a point from which the open fingers clear the walls of the bin."""
    reachable = np.clip(state.object, (-1.0, 0.672, 0.0), (1.0, 0.728, 1.0))
    return _OVER_THE_WALLS(replace(state, object=reachable))


_OVER_THE_WALLS = carry(to_goal(over=0.2), clearance=0.15)


CARRYING: dict[str, Expert] = {
    "basketball": carry(to_goal(0.09, over=0.38), (0.0, 0.0, 0.027), closed=0.8),
    "sweep-into": carry(to_goal(over=0.12)),
    "sweep": carry(to_goal(0.06)),
    "hand-insert": carry(to_goal(over=0.13)),
    "pick-place-wall": carry(to_goal(over=0.25)),
    "peg-insert-side": carry(_insert_peg, (0.0, 0.0, 0.03)),
    "assembly": carry(_put_ring, (-0.025, 0.0, 0.035)),
    "stick-push": carry(_push_with_stick, (0.0, 0.0, 0.04)),
    "stick-pull": carry(_pull_with_stick, (-0.02, 0.0, 0.04)),
    "soccer": carry(_between_posts, (0.0, 0.0, 0.033), closed=0.65),
    "coffee-pull": carry(to_goal(0.06), (0.0, 0.0, 0.05), closed=0.85),
    "coffee-push": carry(to_goal(0.08), (0.0, 0.0, 0.07), closed=0.85),
    "disassemble": carry(_lift, (-0.025, 0.0, 0.035)),
    "box-close": carry(to_goal(0.07, over=0.24), (0.0, 0.0, 0.06), closed=0.5),
    "bin-picking": _from_bin_to_bin,
    "shelf-place": carry(to_goal(0.06)),
    "push-back": carry(to_goal(0.055)),
    "push-wall": carry(to_goal(0.055, over=0.2)),
    "pick-out-of-hole": carry(to_goal()),
}
