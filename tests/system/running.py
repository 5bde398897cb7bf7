"""What the tests of the running graph share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from legion_ros.recording.recording import Recording
    from legion_ros.recording.replay import Replay

POLICY = os.environ.get("LEGION_TEST_POLICY", "")
"""Folder of the bundle under test; empty: the one that comes with the package."""

OLDEST_NS, MOST_OF_ONE = 500_000_000, 25
"""No picture of an object is older where it is used, and no more observations are made of it."""


@contextmanager
def deployment(**options: Any) -> Iterator[tuple[Any, Any]]:
    """A running graph, all nodes ready, and an operator."""
    from legion_ros.client import LegionClient
    from legion_ros.deployment import DeploymentOptions, deployment_graph
    from legion_ros.starter import Starter

    chosen = DeploymentOptions(**{"policy": POLICY, **options})
    with Starter(deployment_graph(chosen)) as starter, LegionClient(chosen.root) as client:
        for _ in starter.wait_ready():
            pass
        yield starter, client


def replayed(path: Path) -> tuple[Recording, Replay]:
    """A whole recording, and what a replay finds in it: everything the same, and nothing unchecked but what was lost.

    It is asked from when the recorder had heard every topic: what it heard before may be made of what it had not.
    """
    from legion_ros import topics
    from legion_ros.recording.recording import Recording
    from legion_ros.recording.replay import losses, replay

    recording, heard = Recording.open(path), Recording.open(path)
    made_of = (heard.profile.state_topic, heard.profile.gripper.state, topics.OBJECT, topics.GOAL)
    needed = [heard.topics[heard.full_name(name)] for name in (*made_of, topics.OBSERVATION, topics.OBSERVATION_ORIGIN)]
    since_ns = max(topic.raw[0][0] for topic in needed) + OLDEST_NS
    for name in (topics.OBSERVATION, topics.ACTION):
        topic = heard.topics[heard.full_name(name)]
        topic.raw = [each for each in topic.raw if each[0] >= since_ns]
    found = replay(heard)
    assert found.equal, (found.observations.first, found.actions.first)
    lost = sum(losses(recording).values())
    # the first action may be of an observation from before, the last observation of what came after the end
    assert sum(found.actions.unchecked.values()) <= 1 + lost, found.actions.unchecked
    assert sum(found.observations.unchecked.values()) <= 1 + MOST_OF_ONE * lost, found.observations.unchecked
    return recording, found
