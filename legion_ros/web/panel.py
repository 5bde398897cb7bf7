"""The page's panel: what the operator can press and type, and what is told beside the scene."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Protocol

import numpy as np
import viser

from legion_ros.web import texts
from legion_ros.web.server import PageServer
from legion_ros.web.state import PageState

WORDS = ("Pause", "Continue", "Again", "Skip", "What can you do")
"""Sentences that are worth a button."""
NO_MISSION = "(choose)"
PANEL_WIDTH, PLOT_HEIGHT = 330, 170
"""Pixels."""


class Operator(Protocol):
    """What the page may ask of the graph; called from threads of the server."""

    def say(self, sentence: str) -> None:
        """A sentence."""

    def e_stop(self, engage: bool) -> None:
        """Engage or clear the emergency stop."""

    def reset_scene(self) -> None:
        """A new episode of the simulator."""

    def start_mission(self, name: str) -> None:
        """A mission by its name."""

    def talk(self, pressed: bool) -> None:
        """Push to talk."""


def sentence_of(text: str) -> str:
    """What was typed, as a sentence: one line of printable characters."""
    return " ".join("".join(letter for letter in text if letter.isprintable() or letter.isspace()).split())


class Panel:
    """The same panel in every browser. `missions` are titles by name; `simulated` offers to reset the scene."""

    def __init__(self, server: PageServer, operator: Operator, missions: Mapping[str, str], simulated: bool) -> None:
        self._server, self._operator = server, operator
        gui = server.gui
        gui.main_panel.dock_left()
        gui.main_panel.set_width(PANEL_WIDTH)
        # what is pressed stands above what grows, and what may appear is as high when it does not
        braked = "The arm brakes and stays until this is cleared"
        engage = gui.add_button("EMERGENCY STOP", color="red", icon=viser.Icon.HAND_STOP, hint=braked)
        engage.on_click(lambda _: operator.e_stop(True))
        self._banner = gui.add_html(texts.banner(PageState()))
        self._sentences()
        stop = gui.add_button("Stop", color="orange", hint="The task ends; the arm holds")
        stop.on_click(lambda _: operator.say("stop"))
        words = gui.add_button_group("", WORDS)
        words.on_click(lambda event: operator.say(event.target.value.lower()))
        if simulated:
            gui.add_button("Reset scene", color="gray").on_click(lambda _: operator.reset_scene())
        self._clear = gui.add_button(
            "Clear emergency stop", color="gray", disabled=True, hint="Motion starts again with the task"
        )
        self._clear.on_click(lambda _: operator.e_stop(False))
        self._talk: Any = gui.add_checkbox("Push to talk", False, visible=False)
        self._talk.on_update(self._hold)
        self._holder: int | None = None
        self._lines = gui.add_html("")
        self._tabs(missions)

    def _sentences(self) -> None:
        gui = self._server.gui
        form = gui.add_form(None)
        with form:
            typed = gui.add_text("Task", "")
            gui.add_button("Say").on_click(lambda _: form.submit())

        async def say(_: Any) -> None:  # at once: a thread of its own might find what is typed next
            if sentence := sentence_of(typed.value):
                self._operator.say(sentence)

        form.on_submit(say)

    def _tabs(self, missions: Mapping[str, str]) -> None:
        gui = self._server.gui
        tabs = gui.add_panel()
        tabs.dock_right()
        tabs.set_width(PANEL_WIDTH)
        with tabs.add_tab("Latent"):
            self._latent = gui.add_html("")
        with tabs.add_tab("Plots"):
            zeros = (np.zeros(1),) * 3
            self._episodes = _plot(gui, zeros, "Distance left (cm), success", ("distance", "success"), 60.0)
            self._latencies = _plot(gui, zeros, "Joint state in to command out (ms)", ("median", "99 %"), 300.0)
            self._tally = gui.add_html("")
        with tabs.add_tab("Mission"):
            if missions:
                self._choose(missions)
            self._mission = gui.add_html("")
        with tabs.add_tab("Health"):
            self._health = gui.add_html("")

    def _choose(self, missions: Mapping[str, str]) -> None:
        names = {title: name for name, title in missions.items()}
        chosen = self._server.gui.add_dropdown("Mission", (NO_MISSION, *names), initial_value=NO_MISSION)

        def start(_: Any) -> None:
            if chosen.value in names:
                self._operator.start_mission(names[chosen.value])

        self._server.gui.add_button("Start mission").on_click(start)

    async def _hold(self, event: Any) -> None:
        self._holder = event.client_id
        self._operator.talk(event.target.value)

    def offer_talk(self, offered: bool, browsers: Container[int]) -> None:
        """Show push to talk, or hide it; let go of it with the browser that holds it."""
        self._talk.visible = offered
        if not offered or self._holder not in browsers:
            self.release_talk()

    def release_talk(self) -> None:
        """Nobody holds it any more."""
        if self._talk.value:
            self._talk.value = False

    def show(self, state: PageState, latent: str) -> None:
        """What must be seen soon; `latent` is the map of the latent space."""
        self._banner.content = texts.banner(state)
        self._clear.disabled = not (state.e_stop or state.stop_asked)
        self._lines.content = texts.lines(tuple(state.lines))
        self._mission.content = texts.mission(state.mission)
        self._latent.content = latent

    def show_slow(self, state: PageState) -> None:
        """What changes slowly."""
        self._episodes.data = state.episodes.arrays()
        self._latencies.data = state.latencies.arrays()
        self._tally.content = texts.tally(dict(state.tally.tasks))
        self._health.content = texts.health(state.health)


def _plot(gui: Any, data: tuple[Any, ...], title: str, names: tuple[str, str], span_s: float) -> Any:
    """Two curves over the `span_s` before now, each with a scale of its own where the second is 0 or 1."""
    own_scale = "y" if names[1] != "success" else "done"
    series = (
        {"label": "s"},
        {"label": names[0], "stroke": texts.BLUE, "width": 2},
        {"label": names[1], "stroke": texts.ORANGE, "width": 2, "scale": own_scale},
    )
    # a fixed span: viser keeps that of the data which a plot is first drawn with, and this is a single row
    scales = {"x": {"time": False, "range": [-span_s, 0.0]}, "y": {"auto": True}, "done": {"range": [-0.05, 1.05]}}
    return gui.add_uplot(data=data, series=series, title=title, scales=scales, height=PLOT_HEIGHT)
