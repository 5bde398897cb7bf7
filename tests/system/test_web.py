"""The page in a real browser: a task is typed, the arm moves on the screen, the buttons stop it."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from running import deployment

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("metaworld", reason="the simulator is not installed")
pytest.importorskip("sentence_transformers", reason="the language model is not installed")
pytest.importorskip("viser", reason="the web extra is not installed")
pytest.importorskip("playwright", reason="no browser can be driven")

import imageio.v3 as imageio

from legion_ros.web.chromium import FLAGS, find_chromium

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: install one, or name it in CHROMIUM")
SIZE = {"width": 900, "height": 500}
"""Small: the scene is drawn without a graphics card."""
SCENE = {"x": 340, "y": 0, "width": 220, "height": 500}
"""Between the panels."""
PATIENCE_MS = 120_000
REST_S = 3.0
"""An arm whose picture is the same for so long stands still; one at work moves within a second."""
CHANGED = 0.003
"""The share of the scene's pixels that differ when the arm has moved."""


class Browser:
    """The page, what it asked for, and what it said went wrong."""

    def __init__(self, page: Any, client: Any, starter: Any) -> None:
        self.page, self.client, self.starter = page, client, starter
        self.asked: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("websocket", lambda connection: self.asked.append(connection.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def picture(self) -> np.ndarray:
        """The scene as it is on the screen, (height, width, 3)."""
        return np.asarray(imageio.imread(self.page.screenshot(clip=SCENE, timeout=PATIENCE_MS)))[..., :3].astype(int)

    def changes(self, timeout_s: float = 90.0) -> bool:
        """Whether the picture changes: the arm moves."""
        before, end = self.picture(), time.monotonic() + timeout_s
        while time.monotonic() < end:
            if changed(before, self.picture()) > CHANGED:
                return True
        return False

    def rests(self, timeout_s: float = 90.0) -> bool:
        """Whether the picture comes to rest, however late it is drawn: the arm stands still."""
        before, since, end = self.picture(), time.monotonic(), time.monotonic() + timeout_s
        while time.monotonic() < end:
            if changed(before, now := self.picture()) > CHANGED:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > REST_S:
                return True
        return False

    def say(self, sentence: str) -> None:
        """Type a sentence and press Enter."""
        box = self.page.locator("form input")
        box.fill(sentence, timeout=PATIENCE_MS)
        box.press("Enter")

    def wait_for(self, part: str, text: str) -> None:
        """Until that part of the panel holds that text."""
        found = self.page.locator(f"#legion-{part}", has_text=re.compile(re.escape(text)))
        found.wait_for(timeout=PATIENCE_MS)


def changed(before: np.ndarray, after: np.ndarray) -> float:
    """The share of pixels that differ clearly."""
    return float((np.abs(before - after).max(axis=-1) > 40).mean())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with deployment(web=True, web_port=port) as (starter, client), sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        made = Browser(chromium.new_page(viewport=SIZE), client, starter)
        made.page.goto(f"http://127.0.0.1:{port}/", timeout=PATIENCE_MS)
        made.wait_for("banner", "no task")
        made.page.locator("#webgl-software-rendering button").click(timeout=PATIENCE_MS)
        yield made
        chromium.close()


def test_a_typed_task_moves_the_arm_on_the_screen(browser: Browser) -> None:
    browser.say("press the button")
    browser.wait_for("lines", "understood")
    browser.wait_for("banner", "button-press-topdown")
    assert browser.changes()
    assert browser.client.wait(lambda: browser.client.success is not None, 60.0)


def test_the_buttons_stop_the_arm(browser: Browser) -> None:
    press = browser.page.get_by_role("button", name="EMERGENCY STOP", exact=True)
    stop = browser.page.get_by_role("button", name="Stop", exact=True)
    browser.say("open the window")
    browser.wait_for("banner", "window-open")
    assert browser.changes()
    time.sleep(2.0)  # the new scene is there, the arm under way
    place = stop.bounding_box()
    press.click(timeout=PATIENCE_MS)
    browser.wait_for("banner", "EMERGENCY STOP: operator")
    assert stop.bounding_box() == place, "no button moves from under the hand"
    assert browser.rests(), "a stopped arm stands still on the screen too"
    browser.page.get_by_role("button", name="Clear emergency stop").click(timeout=PATIENCE_MS)
    browser.page.locator("#legion-banner [role=alert]").wait_for(state="hidden", timeout=PATIENCE_MS)
    stop.click(timeout=PATIENCE_MS)
    browser.wait_for("banner", "no task")
    assert browser.client.wait(lambda: browser.client.task == "", 20.0)


def test_every_tab_has_something_to_tell(browser: Browser) -> None:
    for tab, seen in (("Latent", "svg ellipse"), ("Plots", "#legion-tally td"), ("Health", "#legion-health b")):
        browser.page.get_by_role("tab", name=tab).click(timeout=PATIENCE_MS)
        browser.page.locator(seen).first.wait_for(timeout=PATIENCE_MS)


def test_a_long_word_stays_in_the_panel(browser: Browser) -> None:
    word = "W" * 200
    browser.say(word)
    browser.wait_for("lines", word)
    assert browser.page.locator("#legion-lines").evaluate("part => part.scrollWidth <= part.clientWidth")


def test_the_page_comes_back_with_its_node(browser: Browser) -> None:
    node = browser.starter["web_node"]
    os.kill(node.pid, signal.SIGKILL)

    def back() -> bool:
        browser.starter.poll()
        return bool(node.restarts == 1 and node.ready)

    assert browser.client.wait(back, 60.0)
    answered, end = browser.page.locator("#legion-lines", has_text="refused"), time.monotonic() + 60.0
    while not answered.count():  # the browser connects again when it gets to it
        assert time.monotonic() < end
        browser.say("peel a banana")
        browser.page.wait_for_timeout(2000)


def test_nothing_leaves_this_machine(browser: Browser) -> None:
    assert {"http", "ws"} <= {urlsplit(url).scheme for url in browser.asked}
    outside = [url for url in browser.asked if urlsplit(url).scheme not in ("data", "blob")]
    assert {urlsplit(url).hostname for url in outside} == {"127.0.0.1"}
    assert browser.errors == []
