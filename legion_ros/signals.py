"""What Ctrl-C and SIGTERM do for a while."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ending_signals(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    """Give Ctrl-C and SIGTERM to `handler` meanwhile; only the main thread can, others leave them as they are."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(number, signal.signal(number, handler)) for number in ENDING]
    try:
        yield
    finally:
        for number, handler_before in before:
            signal.signal(number, handler_before)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the end: Python loses an exception that is raised in some callbacks of C."""
    caught: list[int] = []
    with ending_signals(lambda number, _: caught.append(number)):
        yield
    if caught:
        signal.raise_signal(caught[0])
