"""What the operator sees while the graph runs: one live line, and a summary of one screen at the end."""

from __future__ import annotations

import math
import shutil
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from legion_ros.client import Episode, LegionClient

PLAIN_PERIOD_S = 2.0
"""Where the output is no terminal the live line is printed this often."""
PIPELINE = (
    ("mujoco_node", "robot"),
    ("real2sim_node", "observation"),
    ("policy_node", "policy"),
    ("sim2real_node", "command"),
)


class Progress:
    """A status line that redraws itself below the lines printed before it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._last = 0.0
        self._drawn = False

    def line(self, text: str) -> None:
        """Print a line that stays."""
        self._clear()
        print(text, file=self._stream, flush=True)

    def show(self, client: LegionClient) -> None:
        """Redraw the live line from what the client has heard."""
        now = time.monotonic()
        if now - self._last < (0.0 if self._live else PLAIN_PERIOD_S):
            return
        self._last = now
        text = status_line(client)
        if self._live:
            width = shutil.get_terminal_size().columns
            self._stream.write(f"\r\x1b[K{text[: width - 1]}")
            self._stream.flush()
            self._drawn = True
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the cursor on a fresh line."""
        if self._drawn:
            self._stream.write("\n")
            self._drawn = False

    def _clear(self) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._drawn = False


def status_line(client: LegionClient) -> str:
    """Task, step, distance, interventions and rates; problems when there are any."""
    parts = [client.task or "no task"]
    episode = client.episode
    if episode is not None:
        parts.append(f"step {episode.step}")
        parts.append(f"{_millimetres_left(episode)} to go")
        if episode.success:
            parts.append("done")
    parts.append(f"guard {interventions(client)}")
    rates = [
        f"{name} {client.status_value(node, 'rate_hz', 0.0):.0f}" for node, name in PIPELINE if node in client.status
    ]
    parts.append(" ".join(rates) + " Hz" if rates else "no diagnostics yet")
    parts += [f"{name}: {status.message}" for name, status in client.status.items() if status.level > 0]
    return " | ".join(parts)


def _millimetres_left(episode: Episode) -> str:
    """What the task's success rule measures; unknown before the first step."""
    distance_m = episode.values["distance"]
    return "- mm" if math.isnan(distance_m) else f"{1000 * distance_m:.0f} mm"


def interventions(client: LegionClient) -> int:
    """How often the guard has changed a command so far."""
    return int(client.status_value("sim2real_node", "interventions", 0.0))


def summary(client: LegionClient, seconds: float) -> str:
    """The outcome in one screen."""
    episode = client.success or client.episode
    rows = [("result", "success" if client.success else "not done in time"), ("task", client.task or "none")]
    if episode is not None:
        rows.append(("steps", str(episode.step)))
        rows.append(("left to the target", _millimetres_left(episode)))
    rows.append(("time", f"{seconds:.1f} s"))
    guard = client.status["sim2real_node"].values if "sim2real_node" in client.status else {}
    counts = ", ".join(f"{name} {count}" for name, count in client.interventions().items() if count)
    rows.append(("guard interventions", f"{interventions(client)}" + (f" ({counts})" if counts else "")))
    if "latency_median_ms" in guard:
        text = f"median {float(guard['latency_median_ms']):.1f} ms, p99 {float(guard['latency_p99_ms']):.1f} ms"
        rows.append(("joint state to command", text))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)
