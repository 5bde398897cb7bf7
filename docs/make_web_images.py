"""Pictures of the operator's page for the documentation: the real graph, the real page, a real browser.

Run: python docs/make_web_images.py [FOLDER]     (needs a Chromium: on the path, or named in CHROMIUM)
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from legion_core.errors import ConfigurationError
from legion_ros.client import LegionClient
from legion_ros.deployment import DeploymentOptions, deployment_graph
from legion_ros.domain import own_domain
from legion_ros.starter import Starter
from legion_ros.web.chromium import FLAGS, find_chromium

SIZE = {"width": 1280, "height": 720}
PATIENCE_MS = 180_000
QUALITY = 85


def take_pictures(page: Any, client: LegionClient, save: Callable[[str], None]) -> None:
    """A refused sentence, three tasks, and an emergency stop, each with another tab."""
    page.locator("#webgl-software-rendering button").click(timeout=PATIENCE_MS)
    type_in(page, "peel a banana")
    for sentence, name, picture in (
        ("press the button", "Plots", ""),
        ("open the door", "Plots", "web_plots"),
        ("open the window", "Latent", "web_page"),
    ):
        type_in(page, sentence)
        page.get_by_role("tab", name=name).click(timeout=PATIENCE_MS)
        client.wait(lambda: client.success is not None, 60.0)
        client.spin(3.0)
        if picture:
            save(picture)
    page.get_by_role("button", name="EMERGENCY STOP", exact=True).click(timeout=PATIENCE_MS)
    page.get_by_role("tab", name="Health").click(timeout=PATIENCE_MS)
    page.locator("#legion-banner", has_text="EMERGENCY STOP: operator").wait_for(timeout=PATIENCE_MS)
    client.spin(3.0)
    save("web_stop")


def type_in(page: Any, sentence: str) -> None:
    """Type a sentence and press Enter."""
    box = page.locator("form input")
    box.fill(sentence)
    box.press("Enter")
    page.locator("#legion-lines", has_text=f"“{sentence}”").wait_for(timeout=PATIENCE_MS)


def main() -> None:
    """Deploy, look, press."""
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    folder.mkdir(parents=True, exist_ok=True)
    program = find_chromium()
    if program is None:
        raise ConfigurationError("there is no Chromium; install one, or name it in CHROMIUM")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    graph = deployment_graph(DeploymentOptions(web=True, web_port=port))
    with own_domain(), Starter(graph) as starter, LegionClient() as client, sync_playwright() as playwright:
        for _ in starter.wait_ready():
            pass
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport=SIZE)
        page.goto(f"http://127.0.0.1:{port}/", timeout=PATIENCE_MS)

        def save(name: str) -> None:
            page.screenshot(path=folder / f"{name}.jpg", type="jpeg", quality=QUALITY, timeout=PATIENCE_MS)

        take_pictures(page, client, save)
        browser.close()


if __name__ == "__main__":
    main()
