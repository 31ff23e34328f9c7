"""Signals of the operating system: stop on the usual ones, panic on SIGUSR1."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from vasa_cam.live.daemon import LiveDaemon

_STOPPING: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_PANIC: Final = "SIGUSR1"


@contextmanager
def stop_on_signals(daemon: LiveDaemon) -> Iterator[None]:
    """Stop the daemon on SIGINT, SIGTERM and SIGHUP; SIGUSR1 enters and leaves panic.

    Main thread only. A second SIGINT does what it did before: it ends the program the hard way.
    """
    before: dict[int, Any] = {}

    def stop(number: int, _frame: FrameType | None) -> None:
        daemon.stop()
        signal.signal(number, before[number])

    def panic(_number: int, _frame: FrameType | None) -> None:
        daemon.toggle_panic()

    handlers = dict.fromkeys(_STOPPING, stop) | {_PANIC: panic}
    for name, handler in handlers.items():
        number = getattr(signal, name, None)
        if number is not None:
            before[number] = signal.getsignal(number)
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
