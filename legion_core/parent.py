"""Processes that end with the one that started them, whatever the way it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent dies."""
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int | None = None) -> None:
    """Let the kernel kill this process when its parent ends; elsewhere than on Linux it does nothing.

    With the process id of the `parent` it ends at once where that one has died already, of which the kernel says
    nothing. It may run between fork and exec: it neither imports nor allocates anything of note.
    """
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent not in (None, os.getppid()):
            os._exit(1)
