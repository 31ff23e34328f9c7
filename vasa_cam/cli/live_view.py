"""What `vasa-cam live` shows while it runs: figures and keys in a terminal, else some lines."""

from __future__ import annotations

import contextlib
import logging
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from vasa_cam.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from vasa_cam.live.session import Session

KEYS: Final = "p pause   m mute   x panic   q quit"
_REFRESH_HZ: Final = 2.0
_POLL_S: Final = 0.25
_LINE_S: Final = 30.0


@contextmanager
def keys_and_view(console: Console, session: Session) -> Iterator[None]:
    """Inside, the terminal shows the daemon's figures, and single keys control it."""
    from rich.live import Live

    live = Live(
        get_renderable=lambda: _view(session),
        console=console,
        refresh_per_second=_REFRESH_HZ,
        transient=True,
    )
    with _pressed_keys(session), live, _log_through(sys.stderr):
        yield


@contextmanager
def plain_log(console: Console, session: Session) -> Iterator[None]:
    """Inside, a line about the state is printed every half minute."""
    done = threading.Event()

    def report() -> None:
        while not done.wait(_LINE_S):
            console.print(one_line(session.daemon.status()), soft_wrap=True, markup=False)

    thread = threading.Thread(target=report, name="report", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def one_line(status: dict[str, Any]) -> str:
    """The state in some words: frames a second, latency, load."""
    hops = status.get("hops_ms", {})
    words = [f"{status.get('uptime_s', 0):.0f} s"]
    if interval := hops.get("frame_interval", {}).get("p50"):
        words.append(f"{1000 / interval:.1f} frames a second")
    if end_to_end := hops.get("end_to_end", {}):
        words.append(f"sound to picture {end_to_end['p50']:.0f} ms, p95 {end_to_end['p95']:.0f} ms")
    counters = status.get("counters", {})
    words.append(f"{counters.get('frames_repeated', 0)} repeats")
    if "cpu_cores" in status:
        words.append(f"{status['cpu_cores']:.2f} cores")
    if problem := status.get("source", {}).get("problem"):
        words.append(problem)
    return ", ".join(words)


def press(session: Session, key: str) -> None:
    """Do what a key stands for; other keys do nothing."""
    daemon = session.daemon
    if key in ("p", "m"):
        state = daemon.status()["state"]
        pairs = {"p": ("paused", "resume", "pause"), "m": ("muted", "unmute", "mute")}
        name, undo, do = pairs[key]
        daemon.handle({"command": undo if state[name] else do})
    elif key == "x":
        daemon.toggle_panic()
    elif key in ("q", "\x03"):
        daemon.stop()


def _view(session: Session) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from vasa_cam.cli.status import status_view

    return Group(status_view(session.daemon.status()), Text(KEYS, style="bold"))


@contextmanager
def _log_through(stream: Any) -> Iterator[None]:
    """Log lines go to this stream, which is the live view's, so that they appear above it."""
    handlers = [
        one for one in logging.getLogger().handlers if isinstance(one, logging.StreamHandler)
    ]
    before = [(one, one.setStream(stream)) for one in handlers]
    try:
        yield
    finally:
        for handler, old in before:
            if old is not None:
                handler.setStream(old)


@contextmanager
def _pressed_keys(session: Session) -> Iterator[None]:
    """Inside, keys are read one by one; the terminal is put back at the end, whatever happens."""
    done = threading.Event()
    with _unbuffered_keyboard():
        thread = threading.Thread(target=_read_keys, args=(session, done), name="keys", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _read_keys(session: Session, done: threading.Event) -> None:
    while not done.is_set():
        try:
            key = _next_key()
        except OSError:
            return  # the terminal is gone
        with contextlib.suppress(InputError):
            press(session, key)


if sys.platform == "win32":
    import msvcrt
    import time

    @contextmanager
    def _unbuffered_keyboard() -> Iterator[None]:
        yield

    def _next_key() -> str:
        """A key, or "" when none was pressed for a while."""
        if not msvcrt.kbhit():
            time.sleep(_POLL_S)
            return ""
        return msvcrt.getwch()
else:
    import os
    import termios
    import tty

    @contextmanager
    def _unbuffered_keyboard() -> Iterator[None]:
        before = termios.tcgetattr(sys.stdin)
        try:
            tty.setcbreak(sys.stdin)
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    def _next_key() -> str:
        """A key, or "" when none was pressed for a while. Raises OSError at the end of input."""
        ready, _, _ = select.select([sys.stdin], [], [], _POLL_S)
        if not ready:
            return ""
        key = os.read(sys.stdin.fileno(), 1)
        if not key:
            raise OSError("end of input")
        return key.decode("latin-1")
