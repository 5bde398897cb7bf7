"""The page of a recording: one HTML file that holds everything in it, and its pictures in one PNG beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from legion_core import __version__
from legion_core.errors import LegionError, RecordingError
from legion_core.report.page import Section, require_folder, template, write_page
from legion_core.report.style import picture
from legion_core.report.tables import Fact, Table
from legion_ros import topics
from legion_ros.recording import pictures
from legion_ros.recording.pictures import Draw
from legion_ros.recording.recording import SETTINGS, Recording
from legion_ros.recording.story import Story
from legion_ros.stamps import NS_PER_S

TEMPLATE = "recording.html"
PNG_RESOLUTION = 130
"""Dots an inch."""
DRAWN: tuple[tuple[str, Draw, str, tuple[str, ...]], ...] = (
    (
        "Timeline",
        pictures.timeline,
        "Tasks, steps of missions and emergency stops. Ticks: sentences; triangles: successes that the simulator saw.",
        (topics.TASK,),
    ),
    (
        "Hand path",
        pictures.hand_path,
        "Three projections, in the frame of the simulation, coloured by task; grey: the object; stars: goals.",
        (topics.OBSERVATION,),
    ),
    (
        "Actions",
        pictures.actions,
        "What the policy wanted: 1 is a step of 1 cm, or a closing gripper. Red: emergency stop.",
        (topics.ACTION,),
    ),
    (
        "Guard",
        pictures.interventions,
        "Interventions since the begin of the recording, by name.",
        (topics.DIAGNOSTICS,),
    ),
    (
        "Latency",
        pictures.latency,
        "Between the publication of a joint state and of the command that answers it. Right: by part.",
        (topics.OBSERVATION, topics.ACTION),
    ),
    (
        "Components",
        pictures.responsibilities,
        "How much each component of the knowledge space explains the latent.",
        (topics.LATENT,),
    ),
    (
        "Latent",
        pictures.latent_plane,
        "The way of the latent over the components, in units of their deviation; ellipses of two deviations.",
        (topics.LATENT,),
    ),
)
"""Title, picture, caption, and the topics that it needs."""


def write_recording_report(recording: Recording, output: Path) -> list[str]:
    """Write the page to `output` and the pictures to a PNG of the same name; returns what could not be shown.

    Raises:
        RecordingError: there is nothing in the recording.
        RunError: a file cannot be written.
    """
    require_folder(output)
    story, notes = Story(recording), [f"The file is {recording.damage}."] if recording.damage else []
    drawn: dict[str, Draw] = {}
    sections = []
    for title, draw, text, needed in DRAWN:
        missing = [topic for topic in needed if not recording.count(topic)]
        if missing:
            notes.append(f"{title}: no {', '.join(missing)} in the recording.")
            continue
        try:
            shown = picture(pictures.alone(draw, story), title, text, vector=False)
        except LegionError as error:
            notes.append(f"{title}: {error}.")
            continue
        drawn[title] = draw
        sections.append(Section(title, pictures=(shown,)))
    begin = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(story.begin_ns / NS_PER_S))
    page = template(TEMPLATE).render(
        title=recording.path.name,
        begin=f"Begun {begin}, {story.end_s:.1f} s long.",
        headline=_facts(story),
        notes=notes,
        sections=[*sections, *_tables(story)],
        version=__version__,
    )
    write_page(output, page)
    if drawn:
        _write_png(pictures.overview(drawn, story), output.with_suffix(".png"))
    return notes


def _facts(story: Story) -> list[Fact]:
    recording, told = story.recording, story.interventions
    intervened = int((told.values[-1] - told.values[0]).sum()) if told.values.size else 0
    facts = [
        Fact("tasks", str(len(story.tasks)), f"{len({span.name for span in story.tasks})} different"),
        Fact("successes", str(len(story.successes)), "as the simulator saw"),
        Fact("emergency stops", str(len(story.e_stops)), f"{sum(s.end_s - s.begin_s for s in story.e_stops):.1f} s"),
        Fact("guard", str(intervened), "interventions"),
        Fact("messages", str(sum(len(topic.raw) for topic in recording.topics.values())), recording.full_name("")),
    ]
    try:
        latency = story.latency.total_ms
    except RecordingError:
        latency = np.empty(0)
    if len(latency):
        median, p99 = np.percentile(latency, (50, 99))
        facts.insert(4, Fact("latency, median", f"{median:.1f} ms", f"99th percentile {p99:.1f} ms"))
    return facts


def _tables(story: Story) -> Iterator[Section]:
    recording = story.recording
    said = [(f"{sentence.at_s:.1f}", sentence.text or "(nothing)", sentence.reply) for sentence in story.sentences]
    if said:
        yield _listed("Sentences", ("s", "said", "reply"), said)
    wrong = [(f"{each.at_s:.1f}", each.node, each.message, str(each.reports)) for each in story.problems]
    if wrong:
        yield _listed("Problems", ("first, s", "node", "message", "reports"), wrong)
    found = [(name, topic.kind, str(len(topic.raw))) for name, topic in sorted(recording.topics.items())]
    yield _listed("Topics", ("topic", "type", "messages"), found, folded=True)
    settings = list(recording.metadata.get(SETTINGS, {}).items())
    for node, values in sorted(recording.parameters.items()):
        settings += [(f"{node}: {key}", json.dumps(value)) for key, value in sorted(values.items())]
    yield _listed("Settings", ("setting", "value"), settings, folded=True)


def _listed(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]], folded: bool = False) -> Section:
    return Section(title, tables=(Table(head, tuple(rows), prose=True),), folded=folded)


def _write_png(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path, dpi=PNG_RESOLUTION)
    except OSError as error:
        raise RecordingError(f"cannot write {path}: {error.strerror}") from error
