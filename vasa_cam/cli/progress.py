"""The progress bar of long commands: share done, speed, time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def frame_progress(what: str, fps: float | None = None) -> Iterator[Callable[[int, int], None]]:
    """Gives a function to call with (frames done, frames in all); shows them on stderr.

    fps: frames in a second of video; with it the speed is shown against real time too.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # Without a terminal rich would still write an empty line at the end.
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=None, speed="")
        started = time.monotonic()

        def report(done: int, total: int) -> None:
            rate = done / max(1e-6, time.monotonic() - started)
            speed = f"{rate:.0f} fps"
            if fps is not None:
                speed += f", {rate / fps:.1f} x real time"
            bar.update(task, completed=done, total=total, speed=speed)

        yield report
