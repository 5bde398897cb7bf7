"""The page of a report: one HTML file that holds everything in it and needs neither network nor script."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from matplotlib.figure import Figure
from tqdm import tqdm

from legion_core import __version__
from legion_core.bundle import PolicyBundle
from legion_core.config import require
from legion_core.errors import LegionError, RunError
from legion_core.report import latents, paper, plots, tables
from legion_core.report.run import Run, load_run
from legion_core.report.style import LABELLED_TASKS, Picture, TaskStyle, picture
from legion_core.report.tables import Fact, Table

if TYPE_CHECKING:
    from legion_core.report.episodes import Strip

TEMPLATES = Path(__file__).parents[1] / "data"
TEMPLATE = "report.html"


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, in this order."""

    title: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    strips: tuple[Strip, ...] = ()
    folded: bool = False
    """Closed until the reader opens it."""


@dataclass(frozen=True)
class RunPart:
    """What the page says about one run."""

    run: Run
    state: str
    command: str
    facts: tuple[Fact, ...]
    sections: list[Section] = field(default_factory=list)


def write_report(
    folders: Sequence[Path | str], output: Path | str, *, episodes: int = 1, progress: bool = True
) -> list[str]:
    """Write the page about one run, or several beside each other; returns what could not be shown, a sentence each.

    Args:
        episodes: shown of each task, by each run's policy; 0 for none.

    Raises:
        RunError: a folder is no run, is named twice, or its records cannot be read; or `output` cannot be written.
        ConfigurationError: fewer than no episodes.
    """
    require(episodes >= 0, "episodes", episodes, ">= 0")
    output = Path(output)
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise RunError(f"the same run twice: {', '.join(str(folder) for folder in folders)}")
    runs = [load_run(folder) for folder in folders]
    require_folder(output)
    notes: list[str] = []
    write_page(output, render(runs, episodes, notes, progress))
    return notes


def render(runs: Sequence[Run], episodes: int, notes: list[str], progress: bool) -> str:
    """The page as text; what could not be shown is added to `notes`."""
    style = TaskStyle(tuple(dict.fromkeys(task for run in runs for task in run.tasks)))
    parts = []
    for run in runs:
        part = RunPart(run, state(run), str(run.training.get("command", "")), tuple(tables.headline(run)))
        bar = tqdm(
            sections(run, style, episodes, notes),
            desc=run.name,
            unit="section",
            disable=None if progress else True,
            leave=False,
        )
        part.sections.extend(bar)
        notes += [f"{run.name}: {note}" for note in run.notes]
        parts.append(part)
    return template(TEMPLATE).render(
        title=runs[0].name if len(runs) == 1 else f"{len(runs)} runs",
        comparison=comparison(runs) if len(runs) > 1 else [],
        parts=parts,
        definitions=DEFINITIONS,
        source=paper.SOURCE,
        version=__version__,
    )


def template(name: str) -> Template:
    """A page's template; what it is given is escaped, what it lacks is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def state(run: Run) -> str:
    """How far the run got."""
    history = run.history
    if not history.stages:
        return "Unfinished: nothing is recorded yet."
    stand_in = "" if history.finished else " The newest measurements stand in for a final evaluation."
    if run.finished:
        return f"Finished: {len(run.plan)} {'stage' if len(run.plan) == 1 else 'stages'}.{stand_in}"
    return f"Unfinished: {tables.ended(run)} of {len(run.plan)} stages have ended.{stand_in}"


def comparison(runs: Sequence[Run]) -> list[Section]:
    """Several runs beside each other."""
    groups = grouped(runs)
    published = {
        name: figure.success
        for name, of in groups.items()
        if (figure := paper.published(of[0].settings.get("mode", ""), of[0].order, of[0].tasks))
    }
    histories = {name: [run.history for run in of] for name, of in groups.items()}
    result = [Section("Comparison", "", (tables.comparison(groups), tables.runs(runs)))]
    if any(history.stages for of in histories.values() for history in of):
        drawn = plots.average_success(histories, published)
        text = "Mean success over the tasks met, after each stage. Thin: single runs; thick: the mean of a kind of run."
        result.append(Section("Average success", "", (), (picture(drawn, "Average success", text),)))
    result.append(Section("Final success by task", "", (tables.by_task(runs),)))
    return result


def grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs that differ in their seeds only, by the name of their kind."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    return groups


def sections(run: Run, style: TaskStyle, episodes: int, notes: list[str]) -> Iterator[Section]:
    """Everything about one run; parts for which it has no data are left out."""
    history = run.history
    if history.measurements:
        yield Section("Results by task", "", (tables.per_task(run),))
        yield Section("Success over training", "", (), tuple(_training(run, style)))
    recall = tables.few_shot(run)
    if recall:
        drawn = plots.few_shot(history, style)
        text = "Success over the environment steps of each stage that met a task; the later the meeting, the darker."
        yield Section("Few-shot recall", "", (recall,), (_vector(run, drawn, "Few-shot recall", text),))
    if history.stages:
        yield Section("Stages", "", (tables.per_stage(run),))
    yield from _knowledge(run, style)
    arms = tables.cross_embodiment(run)
    if arms:
        yield Section("Cross-embodiment", "", (arms,))
    if episodes:
        yield _episodes(run, episodes, notes)
    if history.losses:
        text = "Each loss over gradient updates, the mean of a round; thin lines: starts of stages."
        yield Section("Losses", "", (), (picture(plots.losses(history), "Losses", text),), folded=True)
    yield Section("Settings", "", (tables.settings(run.settings),), folded=True)


def _training(run: Run, style: TaskStyle) -> Iterator[Picture]:
    history = run.history
    text = "Success of each task over the environment steps of the run; shaded: the stages that practise the task."
    yield _vector(run, plots.success_per_task(history, style), "Success by task", text)
    if history.stages:
        text = "Success in per cent after each stage; framed: tasks new in that stage; blank: not measured."
        yield _vector(run, plots.success_matrix(history), "Success after each stage", text)
    if len(history.stages) > 1:
        published = paper.published(run.settings.get("mode", ""), run.order, run.tasks)
        drawn = plots.average_success({run.group: [history]}, {run.group: published.success} if published else {})
        yield picture(drawn, "Average success", "Mean success over the tasks met, after each stage.")
        text = "Success at the end of a task's own stage minus final success."
        yield _vector(run, plots.forgetting_bars(history, style), "Forgetting", text)


def _knowledge(run: Run, style: TaskStyle) -> Iterator[Section]:
    pictures = []
    if run.history.mixtures:
        text = "Left: components against tasks met, large: a stage's last fit. Right: purity of the components."
        pictures.append(picture(plots.knowledge(run.history), "Components and purity", text))
    if run.latents:
        last = run.latents[-1]
        text = (
            f"t-SNE of latents after stage {last.stage + 1}, in units of their deviation within components, coloured "
            "by task and by component; a component has the name and colour of the task of most of its latents."
        )
        drawn = latents.tsne_by_task_and_component(last, style)
        pictures.append(picture(drawn, "Latents by task and by component", text, vector=False))
    if len(run.latents) > 1:
        drawn = latents.tsne_stages(run.latents, style)
        text = "t-SNE of latents after each stage, coloured by task."
        pictures.append(picture(drawn, "Latents stage by stage", text, vector=False))
    if any(each.knowledge for each in run.latents):
        drawn = latents.mixtures(run.latents, style)
        text = "Latents in the two directions that part them most; an ellipse of two deviations for each component."
        pictures.append(picture(drawn, "Mixture stage by stage", text, vector=False))
    if pictures:
        yield Section("Knowledge space", "", (), tuple(pictures))


def _episodes(run: Run, episodes: int, notes: list[str]) -> Section:
    from legion_core.report.episodes import film  # needs the simulator, which other pages do not

    title = "Episodes"
    if run.policy is None:
        return Section(title, "No episodes: the run has left no policy yet.")
    bundle = PolicyBundle.load(run.policy)
    met = {task for stage in run.history.stages for task in stage.seen}
    tasks = [task for task in run.tasks if task in met and task in bundle.task_names]
    try:
        strips = film(bundle, tasks, arm=run.arm, episodes=episodes)
    except LegionError as error:
        notes.append(f"{run.name}: no pictures of episodes: {error}")
        return Section(title, f"No pictures of episodes: {error}.")
    text = f"By the policy in {run.policy.relative_to(run.path)}, on layouts that were never trained on."
    return Section(title, text, strips=tuple(strips))


def _vector(run: Run, drawn: Figure, title: str, text: str) -> Picture:
    """A picture that grows with the number of tasks: vectors only as long as there are few."""
    return picture(drawn, title, text, vector=len(run.tasks) <= LABELLED_TASKS)


def require_folder(output: Path) -> None:
    """Raise RunError, before any work is done, where the page cannot be written."""
    if not output.absolute().parent.is_dir():
        raise RunError(f"cannot write {output}: no such folder")


def write_page(output: Path, text: str) -> None:
    """Write the whole file or leave what was there; raises RunError."""
    try:
        with tempfile.TemporaryDirectory(dir=output.absolute().parent, prefix=".report-") as temporary:
            draft = Path(temporary) / output.name
            draft.write_text(text, encoding="utf-8")
            draft.replace(output)
    except OSError as error:
        raise RunError(f"cannot write {output}: {error.strerror}") from error


DEFINITIONS = (
    ("own stage", "the stage that practises a task while the one before did not; a few-shot run has several a task"),
    ("mean success", "mean over the tasks met of their success on evaluation layouts, which are never trained on"),
    ("forgetting", "success at the end of a task's (last) own stage minus final success"),
    (
        "forward transfer",
        "success at the end of a task's first own stage, having learned others before, as in the paper; beside it "
        "stands success at the start of that stage, before anything was learned about the task, and the mean over it",
    ),
    (
        "few-shot gain",
        "(area - first area) / (1 - first area), where an area is the mean success over the steps of a stage",
    ),
    ("purity", "share of the latents whose component has most of its latents from the same task"),
    ("evidence bound", "lower bound on the log evidence of the latents under the mixture, which its fit maximises"),
)
