"""Every coefficient of a LEGION run, validated; the defaults are those of the authors' configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from legion_core.config import from_mapping, require
from legion_core.inference import Architecture
from legion_core.mixture import MixtureSettings
from legion_core.sim.reality_gap import RealityGap
from legion_core.spaces import DEFAULT_FIELDS

Mode = Literal["multitask", "lifelong", "few_shot", "expanding"]


@dataclass(frozen=True)
class LifelongSettings:
    """Coefficients of the agent in the lifelong setting."""

    encoder_input: Literal["context_obs", "context", "obs"] = "context_obs"
    """What the task-inference encoder sees: language embedding and observation, or one of them."""
    prior: Literal["dpmm", "gaussian"] = "dpmm"
    """What the latent is drawn towards: the components of the mixture, or N(0, I) throughout."""
    temperature: Literal["task", "latent"] = "task"
    """One entropy temperature a task, or a network of z."""
    batch: int = 512
    learning_rate: float = 3e-4
    final_rate: float = 1.0
    """Learning rate at the end of a stage over that at its start, along a cosine; 1 keeps it constant."""
    discount: float = 0.99
    target_rate: float = 0.005
    """Share of the critic that enters its target at an update (tau)."""
    target_entropy: float = -4.0
    initial_temperature: float = 1.0
    state_weight: float = 0.5
    """Of the mean squared error of the next observation in the encoder's loss."""
    context_weight: float = 1.0
    """Of the summed squared error of the context."""
    kl_weight: float = 1e-3
    """beta, of the divergence from the prior."""
    encoder_first: int = 0
    """Updates of the encoder alone at the start of a stage."""
    encoder_interval: int = 50
    """Updates from one update of the encoder to the next."""
    reinforcement_weight: float = 1.0
    """Of the soft actor-critic loss in the actor's."""
    reinforcement_interval: int = 1
    """Updates from one soft actor-critic update to the next; those between only imitate."""
    normalise_value: bool = False
    """Divide the actor's soft actor-critic loss by the batch's mean |Q| (TD3+BC), beside an imitation loss."""
    imitation_weight: float = 1.0
    """Of the error to the expert's action, on transitions that have one."""
    squared_weight: float = 0.1
    """Of the squared beside the absolute error in the imitation loss."""
    mixture_first: int = 10_000
    """Updates in a stage before the mixture is fitted for the first time."""
    mixture_interval: int = 100_000
    """Updates from one fit to the next. A stage ends with a fit in any case."""
    mixture_latents: int = 3000
    mixture_engine: Literal["memoized", "bnpy"] = "memoized"
    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    architecture: Architecture = field(default_factory=Architecture)

    def __post_init__(self) -> None:
        for name in ("learning_rate", "final_rate", "target_rate", "discount"):
            require(0 < getattr(self, name) <= 1, name, getattr(self, name), "more than 0, at most 1")
        for name in ("batch", "encoder_interval", "reinforcement_interval", "mixture_first", "mixture_interval"):
            require(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        require(self.initial_temperature > 0, "initial_temperature", self.initial_temperature, "> 0")
        require(self.mixture_latents >= 100, "mixture_latents", self.mixture_latents, ">= 100")
        require(self.encoder_first >= 0, "encoder_first", self.encoder_first, ">= 0")
        for name in ("state", "context", "kl", "reinforcement", "imitation", "squared"):
            weight = getattr(self, f"{name}_weight")
            require(weight >= 0, f"{name}_weight", weight, ">= 0")


@dataclass(frozen=True)
class MultitaskSettings(LifelongSettings):
    """Coefficients of the agent in the multitask setting."""

    batch: int = 1280
    kl_weight: float = 2e-3
    encoder_interval: int = 30
    mixture_first: int = 6000
    mixture_interval: int = 50_000


@dataclass(frozen=True)
class Noise:
    """Bursts of a constant random action, which lead to states that the expert alone never visits."""

    probability: float = 0.04
    """Of a burst beginning at a step."""
    longest: int = 10
    """Steps."""

    def __post_init__(self) -> None:
        require(0 <= self.probability <= 1, "probability", self.probability, "0 to 1")
        require(self.longest > 0, "longest", self.longest, "> 0")


@dataclass(frozen=True)
class StagePlan:
    """What a stage does: episodes a task and actuation, and updates after them.

    First come episodes of the expert (with demonstrations) or of random actions (without), then rounds in which the
    policy itself acts.
    """

    first_episodes: int = 10
    first_updates: int = 1500
    rounds: int = 6657
    episodes: int = 1
    updates: int = 150

    def __post_init__(self) -> None:
        for name in ("first_updates", "rounds", "updates"):
            require(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        for name in ("first_episodes", "episodes"):
            require(getattr(self, name) > 0, name, getattr(self, name), "> 0")


@dataclass(frozen=True)
class ReplaySettings:
    """How the past is kept."""

    capacity: int = 10_000_000
    retention: Literal["uniform", "reservoir"] = "uniform"
    """`uniform`: the newest transitions; `reservoir`: each that ever came with equal chance."""
    task_budget: int | None = None
    """Transitions kept of each task; none: the tasks share the capacity."""
    balance: bool = False
    """Draw each task equally often, however many transitions it has."""

    def __post_init__(self) -> None:
        require(self.capacity > 0, "capacity", self.capacity, "> 0")
        require(self.task_budget is None or self.task_budget > 0, "task_budget", self.task_budget, "> 0")


@dataclass(frozen=True)
class EvaluationSettings:
    """Episodes a task and actuation, on layouts that are never trained on; 0 leaves an evaluation out."""

    start: int = 0
    """Of the stage's tasks, before the stage."""
    round: int = 0
    """Of the stage's tasks, after every `round_interval` rounds."""
    round_interval: int = 1
    stage: int = 20
    """Of all tasks met so far, after each stage."""
    final: int = 50
    """Of all tasks, at the end, on layouts that no other evaluation uses."""

    def __post_init__(self) -> None:
        for name in ("start", "round", "stage", "final"):
            require(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        require(self.round_interval > 0, "round_interval", self.round_interval, "> 0")


@dataclass(frozen=True)
class RunSettings:
    """A run: what is learned in which order, from what, and with which agent."""

    mode: Mode = "lifelong"
    task_set: Literal["ten", "fifty"] = "ten"
    """LEGION's ten tasks or Meta-World's fifty, in curriculum order."""
    tasks: tuple[str, ...] = ()
    """Names of tasks in curriculum order, instead of a whole set."""
    order: tuple[str, ...] = ("curriculum",)
    """`curriculum`, `random`, `reverse`, or the tasks one by one."""
    meetings: int = 3
    """How often a few-shot run meets each task."""
    demonstrations: Literal["scripted", "none"] = "none"
    """`scripted`: experts begin each stage, and say what they would do wherever the policy goes."""
    phrasings: bool = True
    """Train on all sentences of a task, not on its description alone."""
    observation: tuple[str, ...] = DEFAULT_FIELDS
    seed: int = 0
    arm: Literal["iiwa7", "sawyer"] = "iiwa7"
    actuations: tuple[Literal["mocap", "servo"], ...] = ("mocap",)
    randomisation: RealityGap | None = None
    """Besides, as many servo episodes across this reality gap; the experts see the truth, and the policy what arrives.
    Evaluations have its whole strength."""
    after_success: int = 150
    """Steps for which an episode of learning goes on after success."""
    noise: Noise = field(default_factory=Noise)
    """On the experts' actions."""
    plan: StagePlan = field(default_factory=StagePlan)
    replay: ReplaySettings = field(default_factory=ReplaySettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    checkpoint_updates: int = 3000
    """A checkpoint is written after at least so many updates, and at each stage's end."""
    device: str = "cpu"
    """`cpu`, or a GPU as torch names it, such as `cuda`."""
    processes: int = 1
    """Simulations at once."""
    threads: int = 1
    """Of the learner."""
    tensorboard: bool = True
    agent: LifelongSettings = field(default_factory=LifelongSettings)

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed", self.seed, ">= 0")
        require(len(set(self.tasks)) == len(self.tasks), "tasks", self.tasks, "each task once")
        across = self.randomisation is None or self.arm == "iiwa7"
        require(across, "randomisation", self.randomisation, f"none with arm {self.arm}, which has no servos")
        require(len(self.actuations) > 0, "actuations", self.actuations, "mocap, servo")
        require(self.after_success >= 0, "after_success", self.after_success, ">= 0")
        for name in ("meetings", "checkpoint_updates", "processes", "threads"):
            require(getattr(self, name) > 0, name, getattr(self, name), "> 0")

    def mapping(self) -> dict[str, Any]:
        """Everything, as `run_settings` reads it."""
        return asdict(self)


def run_settings(data: Mapping[str, Any], source: str = "settings") -> RunSettings:
    """The settings in a mapping; the agent's defaults depend on the mode.

    Raises:
        ConfigurationError: an unknown key, or a value that is not allowed.
    """
    agent_type = MultitaskSettings if data.get("mode") == "multitask" else LifelongSettings
    rest = {key: value for key, value in data.items() if key != "agent"}
    agent = from_mapping(agent_type, data.get("agent") or {}, f"{source}: agent")
    return replace(from_mapping(RunSettings, rest, source), agent=agent)
