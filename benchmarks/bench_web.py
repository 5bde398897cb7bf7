"""The operator's page: how often the moving scene is renewed in a browser, and what that costs the graph.

The whole graph runs in real time while one task follows the other. Rounds with nobody looking and with one page open
alternate; the added CPU is that of all processes of the graph together, web_node among them, and that of the browser is
told apart. The first page has no screen: it takes what a browser would take and counts. The second is a Chromium that
draws without a graphics card, where there is one: it shares the processors with the graph, and what counts are frames
in which the hand stands elsewhere than in the frame before, in the time in which the arm moves.
Run: python benchmarks/bench_web.py [--seconds 20] [--rounds 2] [--no-browser] [--policy FOLDER] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from statistics import fmean as mean
from typing import Any

import numpy as np

from legion_core.bundle import PolicyBundle
from legion_core.errors import LegionError
from legion_ros.client import LegionClient
from legion_ros.deployment import DeploymentOptions, deployment_graph
from legion_ros.domain import own_domain
from legion_ros.starter import Starter
from legion_ros.web.chromium import FLAGS, find_chromium
from legion_ros.web.client import PageClient

BARS = {"pictures/s": 15.0, "drawn/s while the arm moves": 15.0, "added CPU %": 25.0}
SECONDS_A_TASK = 8.0
SETTLE_S, PATIENCE_MS = 3.0, 120_000
STILL_MS, STILL_M = 500, 0.005
"""The arm stood still where it is drawn no more than this far away after more than this time without a change."""
COUNT_FRAMES = f"""() => {{
  const renderer = window.__viserTestpoints.rendererInfo.render, nodes = window.__viserMutable.nodeRefFromName;
  let frame = -1, pose = [], then = 0;
  window.seen = {{frames: 0, changed: 0, moving_s: 0}};
  const look = (now) => {{
    const hand = nodes["/scene/hand"];
    if (hand && renderer.frame !== frame) {{
      const drawn = hand.matrixWorld.elements, gap = now - then;
      window.seen.frames++;
      if (drawn.some((value, index) => value !== pose[index])) {{
        const way = Math.hypot(...[12, 13, 14].map((index) => drawn[index] - pose[index]));
        window.seen.changed++;
        if (then && (gap < {STILL_MS} || way > {STILL_M})) window.seen.moving_s += gap / 1000;
        [pose, then] = [drawn.slice(), now];
      }}
      frame = renderer.frame;
    }}
    requestAnimationFrame(look);
  }};
  requestAnimationFrame(look);
}}"""


def cpu_s(pid: int) -> float:
    """Processor time of a process so far; 0 if it has ended."""
    with suppress(FileNotFoundError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def browser_cpu_s() -> float:
    """That of all Chromium processes below this one."""
    return sum(cpu_s(pid) for pid in descendants(os.getpid()) if "chrom" in name_of(pid))


def descendants(pid: int) -> Iterator[int]:
    """The processes below a process; those that end meanwhile are left out."""
    with suppress(FileNotFoundError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (thread / "children").read_text(encoding="ascii").split()):
                yield child
                yield from descendants(child)


def name_of(pid: int) -> str:
    """Name of the program; '' if it has ended."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    return ""


class Work:
    """The graph at work: one task after the other."""

    def __init__(self, starter: Starter, client: LegionClient, bundle: PolicyBundle) -> None:
        self._starter, self._client = starter, client
        self._tasks = itertools.cycle(bundle.manifest.tasks)

    def cpu(self, seconds: float) -> dict[str, float]:
        """Processor time of each node over that time, in % of one core."""
        pids = {process.spec.name: process.pid for process in self._starter.processes if process.pid}
        before, began = {name: cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
        while time.monotonic() - began < seconds:
            self._client.say(next(self._tasks).description)
            self._client.spin(SECONDS_A_TASK)
        self._starter.poll()  # raises if a node was lost meanwhile
        took_s = time.monotonic() - began
        return {name: 100 * (cpu_s(pid) - before[name]) / took_s for name, pid in pids.items()}


Figures = Callable[[], dict[str, float]]
"""What a page has to tell of the time since it was asked last."""


@contextmanager
def undrawn(url: str) -> Iterator[Figures]:
    """A page without a screen."""
    with PageClient(url) as page:
        ends, last = threading.Event(), [time.monotonic(), 0.0]

        def read() -> None:
            while not ends.is_set():
                page.look(0.2)

        def figures() -> dict[str, float]:
            (then, before), (now, count) = last, (time.monotonic(), len(page.moves))
            last[:] = now, count
            gaps = np.diff(page.moves[int(before) : count]) if count > before + 1 else np.array((np.nan,))
            median, late = (float(1e3 * value) for value in np.percentile(gaps, (50, 95)))
            return {"pictures/s": (count - before) / (now - then), "gap median ms": median, "gap p95 ms": late}

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield figures
        finally:
            ends.set()
            reader.join()


@contextmanager
def drawn(url: str, program: str) -> Iterator[Figures]:
    """The page in a Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1000, "height": 600})
        page.goto(url, timeout=PATIENCE_MS)
        page.locator("#legion-banner").wait_for(timeout=PATIENCE_MS)
        page.evaluate(COUNT_FRAMES)

        def seen() -> dict[str, float]:
            counts: dict[str, float] = page.evaluate("() => window.seen")
            return {**counts, "s": time.monotonic(), "cpu_s": browser_cpu_s()}

        last = seen()

        def figures() -> dict[str, float]:
            now = seen()
            took = {name: value - last[name] for name, value in now.items()}
            last.update(now)
            return {
                "drawn/s while the arm moves": took["changed"] / max(took["moving_s"], 1e-9),
                "seconds in which it moved": took["moving_s"],
                "frames/s": took["frames"] / took["s"],
                "browser CPU %": 100 * took["cpu_s"] / took["s"],
                "browser CPU ms a frame": 1e3 * took["cpu_s"] / max(took["frames"], 1.0),
            }

        yield figures
        browser.close()


def measure(
    work: Work, look: Callable[[], AbstractContextManager[Figures]], seconds: float, rounds: int
) -> dict[str, Any]:
    """Rounds without and with a page; means over the rounds."""
    alone, watched, pages = [], [], []
    for _ in range(rounds):
        alone.append(work.cpu(seconds))
        with look() as figures:
            work.cpu(SETTLE_S)
            figures()
            watched.append(work.cpu(seconds))
            pages.append(figures())
    added = {name: mean(row[name] for row in watched) - mean(row[name] for row in alone) for name in alone[0]}
    return {
        **{name: mean(page[name] for page in pages) for name in pages[0]},
        "added CPU %": sum(added.values()),
        "nobody looks: web_node CPU %": mean(row["web_node"] for row in alone),
        "added CPU % by node": added,
    }


def run(policy: str, seconds: float, rounds: int, program: str | None) -> dict[str, dict[str, Any]]:
    """Figures by kind of page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, graph = f"http://127.0.0.1:{port}", deployment_graph(DeploymentOptions(policy=policy, web=True, web_port=port))
    with own_domain(), Starter(graph) as starter, LegionClient() as client:
        for _ in starter.wait_ready():
            pass
        work = Work(starter, client, PolicyBundle.load(policy or None))
        rows = {"page without a screen": measure(work, lambda: undrawn(url), seconds, rounds)}
        if program:
            rows["Chromium"] = measure(work, lambda: drawn(url, program), seconds, rounds)
    return rows


def kept(name: str, value: Any) -> bool:
    """Whether a figure keeps its bar, if it has one."""
    if name not in BARS:
        return True
    return bool(value <= BARS[name] if "CPU" in name else value >= BARS[name])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="", help="bundle folder (default: the shipped one)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long a round lasts")
    parser.add_argument("--rounds", type=int, default=2, help="rounds without and with each page")
    parser.add_argument("--no-browser", action="store_true", help="only the page without a screen")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    program = None if options.no_browser else find_chromium()
    try:
        rows = run(options.policy, options.seconds, options.rounds, program)
    except LegionError as error:
        print(f"bench_web: {error}", file=sys.stderr)
        return 1
    for kind, figures in rows.items():
        print(f"| {kind} | measured | bar |\n|---|---|---|")
        for name, value in figures.items():
            shown = f"{value:.1f}" if isinstance(value, float) else ", ".join(f"{k} {v:+.1f}" for k, v in value.items())
            print(f"| {name} | {shown} | {BARS.get(name, '')} |")
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(not all(kept(name, value) for figures in rows.values() for name, value in figures.items()))


if __name__ == "__main__":
    sys.exit(main())
