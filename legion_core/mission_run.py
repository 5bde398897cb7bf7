"""A mission under way: which task runs now, whether it is done, and what happens when it is not.

Plain logic: it is told of time, observations, tasks and stops, asks for tasks through a function, and moves the hand
only between two attempts (`legion_core.approach`). It knows neither ROS nor a simulator.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from legion_core.approach import START_M, Approach
from legion_core.config import from_mapping, require
from legion_core.mission import Mission, MissionStep
from legion_core.spaces import DEFAULT_FIELDS, LEGION_FIELDS, Float32, ObservationSpec
from legion_core.success import SuccessDetector
from legion_core.tasks import task_names

SETTLE_S = 0.3
"""What is observed so soon after a task began, or the scene said that it shows it, may still be the scene before."""
APPROACH_TIMEOUT_S = 15.0
LONGEST_GAP_S = 0.5
"""Of a pause between two observations no more than this counts: a node that is restarted costs no attempt."""
OTHERWISE_M = ((0.0, 0.0, 0.0), (0.05, -0.03, 0.04), (-0.05, -0.03, 0.04))
"""Further attempts begin so far from where the first did: from the same place the policy would do the same again."""
FIELDS = ObservationSpec(DEFAULT_FIELDS)
"""What is looked at of an observation."""

_SEEN = len(LEGION_FIELDS)


class MissionState(str, Enum):
    """What has become of the mission."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    HELD = "held"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"


UNDER_WAY = (MissionState.RUNNING, MissionState.PAUSED, MissionState.HELD)


class _Phase(Enum):
    """What a step is waiting for."""

    ENDING = "the task before ends"
    MOVING = "the hand gets to where the step begins"
    STARTING = "the task begins"
    TRYING = "the policy solves the task"


@dataclass
class StepProgress:
    """One step as it goes: `state` is waiting, running, succeeded, failed or skipped; `seconds` of all attempts."""

    task: str
    state: str = "waiting"
    attempt: int = 0
    seconds: float = 0.0


class MissionRun:
    """Runs one mission after the other.

    `ask` is called with the task that shall begin, or '' for none; `hear_task` must be told of every task that does
    begin, whoever wanted it, and `hear_scene` of the task whose object and goal are shown, where somebody says so.
    """

    def __init__(self, ask: Callable[[str], None], settle_s: float = SETTLE_S) -> None:
        self._ask, self._settle_s = ask, settle_s
        self._asked: deque[str] = deque()
        self._mission: Mission | None = None
        self.steps: list[StepProgress] = []
        self.state = MissionState.IDLE
        self.text = "no mission"
        self._index = 0
        self._phase = _Phase.ENDING
        self._approach: Approach | None = None
        self._leaving = self._stopped = self._inherits = False
        self._moved_s = self._tried_s = 0.0
        self._last_s: float | None = None
        self._task = self._foreign = self._shown = ""
        self._detector: SuccessDetector | None = None
        self._settled_s = 0.0
        self.success = False

    # what happens around it

    def begin(self, mission: Mission) -> None:
        """Run this mission from its first step on, in place of any other."""
        self._mission, self._index, self._leaving, self._foreign = mission, 0, False, ""
        self.steps = [StepProgress(step.task) for step in mission.steps]
        self._go_on(f"{mission.title} begins")
        self._attempt()

    def take_up(self, told: Mapping[str, Any]) -> None:
        """Come back to the mission of a `report` whose teller died: paused, as nobody knows what has happened since.

        Whatever task runs is ended; the attempt begins anew.

        Raises:
            ConfigurationError: not the report of a mission.
        """
        source, told_steps = "mission", told.get("steps")
        mission = from_mapping(Mission, told.get("request", {}), source)
        steps = [from_mapping(StepProgress, step, source) for step in told_steps] if told_steps else []
        index = told.get("step")
        require(len(steps) == len(mission.steps), "steps", told_steps, "one for each of the mission")
        require(isinstance(index, int) and 0 <= index < len(steps), "step", index, "the number of one")
        assert isinstance(index, int)
        self._mission, self.steps, self._index = mission, steps, index
        self._leaving = all(step.state in ("succeeded", "skipped") for step in steps)
        self._approach, self._phase = Approach(self._start_m()), _Phase.ENDING
        self._set(MissionState.PAUSED, f"{mission.title} was interrupted in {self._what()}; say continue")
        self._inherits = True
        self._request("")

    def refuse(self, why: str) -> None:
        """Something was asked for that cannot be done: said, and the rest goes on."""
        self.text = why

    def control(self, word: str) -> bool:
        """Obey pause, continue, skip, abort or again; False where there is nothing to do so with, or another word."""
        actions = {
            "pause": self._pause,
            "continue": self._continue,
            "skip": self._skip,
            "abort": self._abort,
            "again": self._again,
        }
        return word in actions and actions[word]()

    def hear_stop(self, engaged: bool) -> None:
        """Emergency stop engaged or cleared: hold, then go on in the same attempt."""
        self._stopped = engaged
        if engaged and self.state is MissionState.RUNNING:
            self._set(MissionState.HELD, "emergency stop: the mission goes on when it is cleared")
        elif not engaged and self.state is MissionState.HELD:
            self._set(MissionState.RUNNING, f"emergency stop cleared: {self._what()}")

    def hear_task(self, task: str) -> None:
        """A task has begun, '' for none."""
        self._watch(task)
        if self._inherits and task:
            return  # one that the process before had asked for
        if self._asked and self._asked[0] == task:
            self._inherits = False
            self._asked.popleft()
            if self.state in UNDER_WAY:
                self._answered(task)
            elif not self._asked and task != self._foreign:
                self._request(self._foreign)  # what was asked for in the same moment has come after all
            return
        self._foreign = task
        if self.state in UNDER_WAY and (task or self.state is not MissionState.PAUSED):  # paused, it has none to lose
            self._end(MissionState.ABORTED, f"aborted: {task} was asked for" if task else "aborted: its task was ended")

    def hear_scene(self, task: str) -> None:
        """From now on object and goal of that task are shown."""
        self._shown, self._settled_s = task, 0.0

    def observe(self, observation: Float32, now_s: float) -> Float32 | None:
        """Look at an observation (`FIELDS`); the action (4,) that answers it while this moves the hand, else None."""
        passed_s = 0.0 if self._last_s is None else min(max(now_s - self._last_s, 0.0), LONGEST_GAP_S)
        if now_s != self._last_s:  # one that comes again tells nothing new
            self._last_s = now_s
            self._detect(observation, passed_s)
        if self.state is not MissionState.RUNNING:
            return None
        if self._phase is _Phase.MOVING:
            self._moved_s += passed_s
            self._count(passed_s)
            return self._move(observation)
        if self._phase is _Phase.TRYING:
            self._tried_s += passed_s
            self._count(passed_s)
            self._judge()
        return None

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The tasks that were asked for and have not begun, in their order."""
        return tuple(self._asked)

    @property
    def moving(self) -> bool:
        """Whether it answers observations now."""
        return self.state is MissionState.RUNNING and self._phase is _Phase.MOVING

    def report(self) -> dict[str, Any]:
        """What `legion/mission/state` tells."""
        mission = self._mission
        return {
            "mission": mission.name if mission else "",
            "title": mission.title if mission else "",
            "state": self.state.value,
            "step": self._index,
            "steps": [{**asdict(step), "seconds": round(step.seconds, 2)} for step in self.steps],
            "task": self._task,
            "success": self.success,
            "text": self.text,
            "request": asdict(mission) if mission else {},
        }

    # steps and attempts

    def _attempt(self) -> None:
        """The next attempt of the present step begins with the way to its start."""
        step = self.steps[self._index]
        step.state, step.attempt = "running", step.attempt + 1
        self._depart()

    def _start_m(self) -> tuple[float, float, float] | None:
        """Where the hand goes before the present attempt; None: only up and away, as all is done."""
        if self._leaving:
            return None
        start, attempt = self._settings.approach_m or START_M, self.steps[self._index].attempt
        x, y, z = (a + b for a, b in zip(start, OTHERWISE_M[(attempt - 1) % len(OTHERWISE_M)], strict=True))
        return x, y, z

    def _depart(self) -> None:
        self._approach, self._moved_s, self._tried_s = Approach(self._start_m()), 0.0, 0.0
        self.text = self._what()
        if self._task == "" and not self._asked:
            self._phase = _Phase.MOVING
        else:
            self._phase = _Phase.ENDING
            self._request("")

    def _answered(self, task: str) -> None:
        """What was asked for last has come."""
        if self._asked or self.state is MissionState.PAUSED:
            return
        if self._phase is _Phase.ENDING and not task:
            self._phase = _Phase.MOVING
        elif self._phase is _Phase.STARTING and task == self._settings.task:
            self._phase = _Phase.TRYING

    def _move(self, observation: Float32) -> Float32 | None:
        assert self._approach is not None
        action = self._approach.act(observation[:3].astype(float), float(observation[_SEEN]))
        if action is not None:
            if self._moved_s > APPROACH_TIMEOUT_S:
                self._fail("the hand did not get to where the step begins")
                return None
            return action
        if self._leaving:
            assert self._mission is not None
            self._end(MissionState.SUCCEEDED, f"{self._mission.title}: done")
        else:
            self._start()
        return None

    def _start(self) -> None:
        self._phase = _Phase.STARTING
        self._request(self._settings.task)

    def _judge(self) -> None:
        step = self.steps[self._index]
        if self.success:
            step.state = "succeeded"
            self._next()
        elif self._tried_s > self._settings.timeout_s:
            unseen = "" if self._is_shown() else f" (object and goal were those of {self._shown})"
            self._fail(f"{step.task} was not done in {self._settings.timeout_s:g} s{unseen}")

    def _fail(self, why: str) -> None:
        step = self.steps[self._index]
        if self._leaving:
            self._end(MissionState.SUCCEEDED, "done; the hand could not leave")
        elif step.attempt < self._settings.attempts:
            self._attempt()
            self.text = f"{why}; {self.text}"
        else:
            step.state = "failed"
            self._request("")
            self._end(MissionState.FAILED, f"{why}, in {step.attempt} attempts: the mission has failed")

    def _next(self) -> None:
        if self._index + 1 < len(self.steps):
            self._index += 1
            self._attempt()
        else:
            self._leaving = True
            self._depart()

    # the operator's words

    def _pause(self) -> bool:
        if self.state not in (MissionState.RUNNING, MissionState.HELD):
            return False
        self._set(MissionState.PAUSED, f"paused: {self._what()}")
        if self._task or self._asked:
            self._request("")
        return True

    def _continue(self) -> bool:
        if self.state is not MissionState.PAUSED:
            return False
        self._go_on(self._what())
        if self._phase in (_Phase.STARTING, _Phase.TRYING):
            self._start()
        elif not self._asked:
            self._phase = _Phase.MOVING
        return True

    def _skip(self) -> bool:
        if self.state not in UNDER_WAY or self._leaving:
            return False
        self.steps[self._index].state = "skipped"
        self._go_on("")
        self._next()
        return True

    def _abort(self) -> bool:
        if self.state not in UNDER_WAY:
            return False
        self._request("")
        self._end(MissionState.ABORTED, "aborted")
        return True

    def _again(self) -> bool:
        if self._mission is None:
            return False
        self.begin(self._mission)
        return True

    # the rest

    @property
    def _settings(self) -> MissionStep:
        assert self._mission is not None
        return self._mission.steps[self._index]

    def _request(self, task: str) -> None:
        self._asked.append(task)
        self._ask(task)

    def _watch(self, task: str) -> None:
        """A detector for the task that begins; of a name that none of the ten has there is none."""
        self._task, self.success, self._settled_s = task, False, 0.0
        self._detector = SuccessDetector(task) if task in task_names() else None

    def _detect(self, observation: Float32, passed_s: float) -> None:
        self._settled_s += passed_s
        if self._detector is not None and not self.success and self._is_shown() and self._settled_s > self._settle_s:
            self.success = self._detector.update(observation[:_SEEN])

    def _is_shown(self) -> bool:
        """Whether object and goal are those of the running task, as far as anybody says."""
        return self._shown in ("", self._task)

    def _count(self, passed_s: float) -> None:
        if not self._leaving:
            self.steps[self._index].seconds += passed_s

    def _end(self, state: MissionState, text: str) -> None:
        step = self.steps[self._index]
        if step.state == "running":
            step.state = "failed" if state is MissionState.FAILED else "waiting"
        self._set(state, text)

    def _go_on(self, text: str) -> None:
        self._set(MissionState.HELD if self._stopped else MissionState.RUNNING, text)

    def _set(self, state: MissionState, text: str) -> None:
        self.state, self.text = state, text

    def _what(self) -> str:
        if self._leaving:
            return "all steps are done; the hand leaves"
        step = self.steps[self._index]
        again = f", attempt {step.attempt}" if step.attempt > 1 else ""
        return f"step {self._index + 1} of {len(self.steps)}: {step.task}{again}"
