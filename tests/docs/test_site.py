"""The documentation site: built strictly and without a network, complete, and readable from disk."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed")
pytest.importorskip("rclpy", reason="ROS 2 is not installed")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("documentation") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


class Loaded(HTMLParser):
    """Collects what a page makes a browser load."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        sources = [given.get("src")] if tag != "link" else [given.get("href")]
        self.found += [source for source in sources if source]


def test_every_page_is_built(site: Path) -> None:
    pages = {str(page.relative_to(ROOT / "docs").with_suffix("")) for page in (ROOT / "docs").glob("*.md")}
    built = {str(page.relative_to(site).with_suffix("")) for page in site.rglob("*.html")}
    assert pages <= built
    assert {"reference/topics", "reference/commands", "reference/legion_core"} <= built
    assert not list(site.rglob("*.py"))


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for source in Loaded(page).found:
            assert not re.match(r"(https?:)?//", source), f"{page.name}: {source}"
        assert 'class="mermaid"' not in page.read_text(encoding="utf-8"), "its script would be fetched"
    styles = "".join(style.read_text(encoding="utf-8") for style in site.rglob("*.css"))
    assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", styles)


def test_what_is_no_page_is_named_and_not_linked(site: Path) -> None:
    page = (site / "own_robot.html").read_text(encoding="utf-8")
    assert "<code>config/robots/mujoco.yaml</code>" in page
    assert not re.search(r'href="\.\./(config|legion_|urdf|examples)', page)


def test_every_link_leads_somewhere_on_the_forge() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for target in re.findall(r"\]\(((?!https?:)[^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_tables_of_diagnostics_are_filled_in(site: Path) -> None:
    page = (site / "diagnostics.html").read_text(encoding="utf-8")
    assert "<code>no_controller</code>" in page
    assert "<code>stopping_distance</code>" in page
    assert "<!-- table" not in page


def test_the_python_api_is_described(site: Path) -> None:
    page = (site / "reference" / "legion_core.html").read_text(encoding="utf-8")
    assert 'id="legion_core.policy.LegionPolicy.act"' in page
    assert "One policy step." in page


def test_the_search_works_from_disk_and_without_a_network(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, asked = browser.new_page(), list[str]()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{site.as_uri()}/index.html")
        page.locator("input.md-search__input").press_sequentially("stopping_distance", delay=20)
        page.wait_for_selector(".md-search-result__link", timeout=60_000)
        assert "diagnostics" in str(page.locator(".md-search-result__link").first.get_attribute("href"))
        browser.close()
    assert len(asked) > 3
    assert all(url.startswith(("file:", "data:")) for url in asked), asked
