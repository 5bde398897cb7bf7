"""Success measured in the loop: the real graph in lockstep, over the same tasks and seeds as `evaluate_direct`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tqdm import tqdm

from legion_core.bundle import PolicyBundle
from legion_core.config import require
from legion_core.errors import DeploymentError
from legion_core.evaluation import Episode, Evaluation
from legion_core.sim import EVALUATION_SEED_BASE, MAX_STEPS
from legion_ros.client import Episode as Progress
from legion_ros.client import LegionClient
from legion_ros.deployment import DeploymentOptions, NodeSpec, deployment_graph
from legion_ros.domain import own_domain
from legion_ros.starter import Starter
from legion_sim2real.robot import load_profile

EPISODE_TIMEOUT_S = 120.0


def lockstep_graph(policy: str, task: str, robot: str = "mujoco") -> tuple[NodeSpec, ...]:
    """The deployment in lockstep, whose simulator ends each episode at success or after MAX_STEPS steps."""
    options = DeploymentOptions(robot, policy, lockstep=True, follow_task=False, task=task)
    graph = [spec for spec in deployment_graph(options) if spec.critical]
    extra = {"mujoco_node": {"episode_steps": MAX_STEPS}}
    return tuple(replace(spec, parameters=spec.parameters | extra.get(spec.name, {})) for spec in graph)


class LoopEvaluator:
    """Runs single episodes in a graph made by `lockstep_graph`."""

    def __init__(self, starter: Starter, client: LegionClient, bundle: PolicyBundle, robot: str = "mujoco") -> None:
        self._starter, self._client, self._bundle = starter, client, bundle
        self._period_s = 1.0 / load_profile(robot).rate_hz
        self._task = ""
        self._counts: Counter[str] = Counter()

    def run(self, task: str, seed: int) -> Episode:
        """One episode.

        Raises:
            DeploymentError: the graph is lost, stands still or understands another task.
        """
        if task != self._task:
            self._begin_task(task)
        client = self._client
        latencies: list[float] = []

        def note(progress: Progress) -> None:
            if progress.step:
                latencies.append(1e3 * progress.values["command_latency_s"])

        client.episode, client.on_episode = None, note
        client.reset_simulator(task=task, seed=seed)
        end = self._wait_done()
        steps = end.step
        return Episode(
            task, seed, end.success, steps, steps * self._period_s, tuple(latencies), self._new_interventions()
        )

    def _begin_task(self, task: str) -> None:
        """Between two episodes nothing is under way, so that the policy does not act on what was before.

        The first task has an episode to itself that does not count: it starts with whatever the graph saw first.
        """
        reply = self._client.say(self._bundle.manifest.task(task).description)
        if not reply.accepted or reply.text.split(" ")[0] != task:
            raise DeploymentError(f"{reply.instruction!r} should mean {task}; the language node says: {reply.text}")
        if not self._task:
            self._wait_done()
            self._new_interventions()
        self._task = task

    def _wait_done(self) -> Progress:
        client = self._client
        waited = 0.0
        while not client.wait(lambda: client.episode is not None and client.episode.done, 1.0):
            self._starter.poll()
            waited += 1.0
            if waited > EPISODE_TIMEOUT_S:
                raise DeploymentError(f"an episode does not end (logs: {self._starter.folder})")
        assert client.episode is not None
        return client.episode

    def _new_interventions(self) -> dict[str, int]:
        """What the guard did since the last call, as its next report says."""
        client = self._client
        client.status.pop("sim2real_node", None)
        if not client.wait(lambda: "sim2real_node" in client.status, 5.0):
            raise DeploymentError("sim2real_node does not report on /diagnostics")
        counts = Counter(client.interventions())
        new, self._counts = counts - self._counts, counts
        return dict(new)


def evaluate_ros(
    policy: str = "",
    *,
    robot: str = "mujoco",
    tasks: Sequence[str] | None = None,
    episodes: int = 10,
    first_seed: int = EVALUATION_SEED_BASE,
    progress: bool = True,
) -> Evaluation:
    """Run `episodes` layouts of each task (by default of all that the policy knows) through the real graph.

    Raises:
        ConfigurationError: there is no profile `robot`, or it is not of a simulated robot.
        BundleError: the bundle in the folder `policy` does not load.
        TaskError: a task that the policy does not know.
        DeploymentError: the graph cannot be started or is lost.
    """
    require(episodes > 0, "episodes", episodes, "> 0")
    bundle = PolicyBundle.load(policy or None)
    names = [bundle.manifest.task(name).name for name in (tasks or bundle.task_names)]
    jobs = [(name, seed) for name in names for seed in range(first_seed, first_seed + episodes)]
    with (
        own_domain() as domain,
        Starter(lockstep_graph(policy, names[0], robot)) as starter,
        LegionClient() as client,
    ):
        for _ in starter.wait_ready():
            pass
        evaluator = LoopEvaluator(starter, client, bundle, robot)
        shown = tqdm(jobs, desc="evaluate ros", unit="episode", disable=None if progress else True)
        done = tuple(evaluator.run(name, seed) for name, seed in shown)
    settings = {
        "loop": "ros",
        "robot": robot,
        "actuation": "servo",
        "episodes": episodes,
        "first seed": first_seed,
        "domain": domain,
    }
    return Evaluation(settings, done)
