"""The page's texts as HTML. Whatever comes from a topic is escaped: nothing of it is ever markup, let alone run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from legion_ros.web.history import Attempts
from legion_ros.web.state import Health, Line, MissionState, PageState

RED, ORANGE, GREEN, GREY, BLUE = "#c92a2a", "#d9730d", "#2b8a3e", "#868e96", "#1971c2"
GUARD_COLOURS = {"clear": GREEN, "slow": ORANGE, "hold": ORANGE, "stop": RED}
MISSION_COLOURS = {"idle": GREY, "paused": ORANGE, "held": ORANGE, "succeeded": GREEN, "failed": RED, "aborted": RED}
LEVELS = {0: ("well", GREEN), 1: ("warning", ORANGE), 2: ("error", RED), 3: ("silent", RED)}
WRAP = "overflow-wrap:anywhere"
"""A word that is longer than the panel is wide goes on in the next line."""
STEP_MARKS = {"waiting": "○", "running": "▶", "succeeded": "✓", "failed": "✗", "skipped": "»"}


def banner(state: PageState) -> str:
    """Emergency stop, task and guard. It is as high in every state, so that no button moves from under the hand."""
    task = (state.task or "no task", BLUE if state.task else GREY)
    chips = []
    if state.stop_asked:
        bar = _bar(state.stop_asked, ORANGE, alert=True)
    elif state.e_stop:
        reason = "engaged" if state.stop_reason in ("", "none") else state.stop_reason
        bar = _bar(f"EMERGENCY STOP: {reason}", RED, alert=True)
        chips.append(_chip(*task))
    else:
        bar = _bar(*task, alert=False)
    if state.silent:
        chips.append(_chip("nothing is heard of what moves the arm", RED))
    elif state.task and not state.e_stop:
        if state.guard in GUARD_COLOURS:
            chips.append(_chip(f"guard: {state.guard}", GUARD_COLOURS[state.guard]))
        if state.component:
            chips.append(_chip(f"acts as in {state.component}, {state.certainty:.0%} sure", GREY))
    elif not (state.task or state.e_stop):
        chips.append(_note("Type below what is to be done."))
    below = f'<div style="height:3.4em;overflow:hidden">{"".join(chips)}</div>'
    return f'<div id="legion-banner" style="padding:0.3em 0.5em 0">{bar}{below}</div>'


def lines(said: Iterable[Line]) -> str:
    """What was said, the newest first."""
    colours = {True: GREEN, False: RED, None: GREY}
    rows = "".join(
        f'<div><b style="color:{colours[line.good]}">{escape(line.who)}</b> {escape(line.text)}</div>'
        for line in reversed(list(said))
    )
    return f'<div id="legion-lines" style="padding:0.3em 0.5em;font-size:0.8em;{WRAP}">{rows}</div>'


def mission(state: MissionState) -> str:
    """How the mission stands, step by step."""
    if not state.state:
        return _note("No mission node is running.")
    steps = "".join(
        f"<div>{STEP_MARKS.get(step.state, '?')} {escape(step.task)}"
        f' <span style="color:{GREY}">{escape(step.state)}, attempt {step.attempt}, {step.seconds:.1f} s</span></div>'
        for step in state.steps
    )
    chip = _chip(state.state, MISSION_COLOURS.get(state.state, BLUE))
    head = f"<b>{escape(state.title or 'no mission')}</b> {chip}<div>{escape(state.text)}</div>"
    return f'<div id="legion-mission" style="padding:0.3em 0.5em;font-size:0.85em;{WRAP}">{head}{steps}</div>'


def tally(tasks: Mapping[str, Attempts]) -> str:
    """Successes by task since the page was opened first."""
    rows = "".join(
        f'<tr><td>{escape(task)}</td><td style="text-align:right">{count.done} of {count.begun}</td></tr>'
        for task, count in sorted(tasks.items())
    )
    return f'<table id="legion-tally" style="padding:0.3em 0.5em;font-size:0.85em">{rows}</table>'


def health(reports: Sequence[Health]) -> str:
    """Each part, the troubled ones first, with what to do; a group is as its worst part, so it is not told."""
    groups = {report.name.rpartition("/")[0] for report in reports}
    parts = [report for report in reports if report.name not in groups]
    rows = []
    for report in sorted(parts, key=lambda each: (-each.level, each.name)):
        word, colour = LEVELS.get(report.level, LEVELS[2])
        mends = "".join(f'<div style="color:{BLUE}">→ {escape(mend)}</div>' for mend in report.mends)
        name = f'<b style="color:{colour}" title="{word}">{escape(report.name.rpartition("/")[2])}</b>'
        rows.append(f'<div style="margin-bottom:0.2em">{name}: {escape(report.message)}{mends}</div>')
    inner = "".join(rows) or "Nothing was reported yet."
    return f'<div id="legion-health" style="padding:0.3em 0.5em;font-size:0.8em;line-height:1.4;{WRAP}">{inner}</div>'


def _note(text: str) -> str:
    return f'<div style="padding:0.3em 0.5em;font-size:0.85em;color:{GREY}">{escape(text)}</div>'


def _chip(text: str, colour: str) -> str:
    style = f"background:{colour};color:#fff;border-radius:0.8em;padding:0.1em 0.6em;margin-right:0.3em"
    return f'<span style="{style};font-size:0.8em;display:inline-block">{escape(text)}</span>'


def _bar(text: str, colour: str, alert: bool) -> str:
    """A line of state; an alert stands out from all others."""
    role, paint = ("alert", f"background:{colour};color:#fff") if alert else ("status", f"color:{colour}")
    inner = "display:flex;align-items:center;justify-content:center;text-align:center;font-weight:bold;line-height:1.2"
    style = f"{paint};border:2px solid {colour};height:2.8em;overflow:hidden;margin-bottom:0.3em;{inner}"
    return f'<div role="{role}" style="{style}">{escape(text)}</div>'
