"""The page's texts as HTML. Whatever comes from a topic is escaped: nothing of it is ever markup, let alone run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from legion_ros.web.history import Attempts
from legion_ros.web.state import Health, Line, MissionState, PageState

RED, ORANGE, GREEN, GREY, BLUE = "#c92a2a", "#d9730d", "#2b8a3e", "#868e96", "#1971c2"
GUARD_COLOURS = {"clear": GREEN, "slow": ORANGE, "hold": ORANGE, "stop": RED}
LEVELS = {0: ("well", GREEN), 1: ("warning", ORANGE), 2: ("error", RED), 3: ("silent", RED)}
STEP_MARKS = {"waiting": "○", "running": "▶", "succeeded": "✓", "failed": "✗", "skipped": "»"}


def banner(state: PageState) -> str:
    """Emergency stop, task and guard."""
    stop = ""
    if state.e_stop:
        reason = "engaged" if state.stop_reason in ("", "none") else state.stop_reason
        stop = _bar(f"EMERGENCY STOP: {reason}", RED)
    if state.stop_asked:
        stop += _bar(state.stop_asked, ORANGE)
    chips = [_chip(state.task or "no task", BLUE if state.task else GREY)]
    acting = state.task and not state.e_stop
    if acting and state.guard in GUARD_COLOURS:
        chips.append(_chip(f"guard: {state.guard}", GUARD_COLOURS[state.guard]))
    if acting and state.component:
        chips.append(_chip(f"acts as in {state.component}, {state.certainty:.0%} sure", GREY))
    return f'<div id="legion-banner" style="padding:0.3em 0.5em">{stop}{"".join(chips)}</div>'


def lines(said: Iterable[Line]) -> str:
    """What was said, the newest first."""
    colours = {True: GREEN, False: RED, None: GREY}
    rows = "".join(
        f'<div><b style="color:{colours[line.good]}">{escape(line.who)}</b> {escape(line.text)}</div>'
        for line in reversed(list(said))
    )
    return f'<div id="legion-lines" style="padding:0.3em 0.5em;font-size:0.8em">{rows}</div>'


def mission(state: MissionState) -> str:
    """How the mission stands, step by step."""
    if not state.state:
        return _note("No mission node is running.")
    steps = "".join(
        f"<div>{STEP_MARKS.get(step.state, '?')} {escape(step.task)}"
        f' <span style="color:{GREY}">{escape(step.state)}, attempt {step.attempt}, {step.seconds:.1f} s</span></div>'
        for step in state.steps
    )
    head = f"<b>{escape(state.title or 'no mission')}</b> {_chip(state.state, BLUE)}<div>{escape(state.text)}</div>"
    return f'<div id="legion-mission" style="padding:0.3em 0.5em;font-size:0.85em">{head}{steps}</div>'


def tally(tasks: Mapping[str, Attempts]) -> str:
    """Successes by task since the page was opened first."""
    rows = "".join(
        f'<tr><td>{escape(task)}</td><td style="text-align:right">{count.done} of {count.begun}</td></tr>'
        for task, count in sorted(tasks.items())
    )
    return f'<table id="legion-tally" style="padding:0.3em 0.5em;font-size:0.85em">{rows}</table>'


def health(reports: Iterable[Health]) -> str:
    """Each node, the troubled ones first, with what to do."""
    rows = []
    for report in sorted(reports, key=lambda each: (-each.level, each.name)):
        word, colour = LEVELS.get(report.level, LEVELS[2])
        mends = "".join(f'<div style="color:{BLUE}">→ {escape(mend)}</div>' for mend in report.mends)
        name = f'<b style="color:{colour}" title="{word}">{escape(report.name.strip("/"))}</b>'
        rows.append(f'<div style="margin-bottom:0.2em">{name}: {escape(report.message)}{mends}</div>')
    inner = "".join(rows) or "Nothing was reported yet."
    return f'<div id="legion-health" style="padding:0.3em 0.5em;font-size:0.75em;line-height:1.4">{inner}</div>'


def _note(text: str) -> str:
    return f'<div style="padding:0.3em 0.5em;font-size:0.85em;color:{GREY}">{escape(text)}</div>'


def _chip(text: str, colour: str) -> str:
    style = f"background:{colour};color:#fff;border-radius:0.8em;padding:0.1em 0.6em;margin-right:0.3em"
    return f'<span style="{style};font-size:0.8em;display:inline-block">{escape(text)}</span>'


def _bar(text: str, colour: str) -> str:
    style = f"background:{colour};color:#fff;padding:0.4em;margin-bottom:0.3em;font-weight:bold;text-align:center"
    return f'<div role="alert" style="{style}">{escape(text)}</div>'
