"""The process as the operating system sees it: priority, cores, threads; CPU time and memory."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vasa_cam import ops

_SWITCH_S: Final = 0.001  # of Python's threads; its 5 ms are a fifth of a frame
_STATM: Final = Path("/proc/self/statm")

_log = logging.getLogger(__name__)


@contextmanager
def tuned_process(threads: int, cores: Sequence[int] = (), niceness: int = 0) -> Iterator[None]:
    """Set up the process for steady frames, and put back what can be put back.

    threads: that draw one frame. cores: numbers of the cores to run on, none for all. niceness: a
    negative one needs a right that ordinary users lack; then the log says so.
    """
    before_threads, before_switch = ops.get_num_threads(), sys.getswitchinterval()
    ops.set_num_threads(threads)
    sys.setswitchinterval(_SWITCH_S)
    before_cores = _run_on(cores)
    before_niceness = _set_niceness(niceness)
    # What exists now lives as long as the process: the collector need not walk through it again.
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before_switch)
        ops.set_num_threads(before_threads)
        if before_cores is not None:
            _run_on(before_cores)
        if before_niceness is not None:
            _set_niceness(before_niceness)


def lower_thread_priority() -> None:
    """Let the calling thread yield to the others, where the system knows priorities of threads."""
    if sys.platform == "linux":
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        except OSError as error:
            _log.debug("the priority of a thread could not be lowered: %s", error)


def _run_on(cores: Sequence[int]) -> tuple[int, ...] | None:
    """Restrict the process to cores; the cores before, or None when nothing was changed."""
    if not cores:
        return None
    if not hasattr(os, "sched_setaffinity"):
        _log.warning("this system offers no choice of cores; the setting does nothing")
        return None
    before = tuple(os.sched_getaffinity(0))
    if missing := sorted(set(cores) - set(before)):
        _log.warning("core %s is not there; the daemon may run on all", missing[0])
        return None
    # The main thread's mask is what later threads start with.
    os.sched_setaffinity(0, cores)
    return before


def _set_niceness(niceness: int) -> int | None:
    if not hasattr(os, "setpriority") or os.getpriority(os.PRIO_PROCESS, 0) == niceness:
        return None
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    except OSError:
        _log.warning(
            "a niceness of %d is not permitted to this user; it stays %d", niceness, before
        )
        return None
    return before


class Usage:
    """CPU time and memory of this process, cheap enough to ask for at any time."""

    def __init__(self) -> None:
        self._cpu_s, self._wall_s = time.process_time(), time.monotonic()
        self._cores = 0.0

    def cores(self) -> float:
        """Cores kept busy, mean since the last time this was asked at least half a second ago."""
        cpu_s, wall_s = time.process_time(), time.monotonic()
        if wall_s - self._wall_s >= 0.5:
            self._cores = (cpu_s - self._cpu_s) / (wall_s - self._wall_s)
            self._cpu_s, self._wall_s = cpu_s, wall_s
        return self._cores


def resident_mib() -> float:
    """Memory in use, in mebibytes; 0 where the system does not say (only Linux does here)."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
