"""Where a Chromium is, and how it draws without a graphics card: for tests, benchmark and pictures of the page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ("--enable-unsafe-swiftshader", "--no-sandbox")
"""What Chromium needs to draw without a graphics card. (Software OpenGL for the rest of the page too costs half as much
again.)"""


def find_chromium() -> str | None:
    """The program that CHROMIUM names, one on the path, or playwright's own; None where there is none."""
    named = os.environ.get("CHROMIUM")
    found = named or next((path for path in map(shutil.which, NAMES) if path), None)
    if found:
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None
