"""Word from a node to whoever started it that it does its work: one line on an inherited pipe."""

from __future__ import annotations

import os

READY_FD = "LEGION_READY_FD"
"""Environment variable with the number of the pipe; absent when nobody waits."""


def announce_ready() -> None:
    """Tell the starter, if there is one."""
    descriptor = os.environ.pop(READY_FD, "")
    if descriptor:
        os.write(int(descriptor), b"ready\n")
        os.close(int(descriptor))
