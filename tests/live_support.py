"""What the tests of the live daemon share: clocks under their control, sinks that remember."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np

from vasa_cam.audio.blocks import AudioBlock
from vasa_cam.avatar.file import Avatar, load_avatar
from vasa_cam.errors import InputError

MS = 1_000_000
SECOND = 1_000_000_000
ASSETS = Path(str(resources.files("vasa_cam") / "assets"))
SPEECH = ASSETS / "demo_speech.flac"


def astronaut() -> Avatar:
    return load_avatar(ASSETS / "astronaut.vasa")


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait in real time; the generous limit is for machines with better things to do."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


class VirtualClock:
    """Time that passes only when all threads that live by it are asleep, and then at once.

    sleepers: how many threads sleep on it when nothing is left to do.
    """

    def __init__(self, sleepers: int, start_ns: int = 1000 * SECOND) -> None:
        self._now_ns = start_ns
        self._sleepers = sleepers
        self._deadlines: list[list[int]] = []  # each a box of one, so that a jump can move it
        self._changed = threading.Condition()
        self._free = False

    def now_ns(self) -> int:
        return self._now_ns

    def sleep_until(self, deadline_ns: int) -> None:
        with self._changed:
            if deadline_ns <= self._now_ns or self._free:
                return
            mine = [deadline_ns]
            self._deadlines.append(mine)
            self._changed.notify_all()
            self._changed.wait_for(lambda: mine[0] <= self._now_ns or self._free)
            self._deadlines = [box for box in self._deadlines if box is not mine]

    def run(self, seconds: float, timeout_s: float = 60.0) -> None:
        """Let so much time pass, waking sleepers one deadline after the other."""
        end_ns = self._now_ns + round(seconds * SECOND)
        give_up = time.monotonic() + timeout_s
        with self._changed:
            while self._now_ns < end_ns:
                assert self._changed.wait_for(self._all_asleep, 60.0), (
                    f"only {len(self._asleep())} of {self._sleepers} threads wait for the clock"
                )
                self._now_ns = min(end_ns, min((box[0] for box in self._deadlines), default=end_ns))
                self._changed.notify_all()
                assert time.monotonic() < give_up, "virtual time passes too slowly"
            self._changed.wait_for(self._all_asleep, 60.0)

    def jump(self, seconds: float) -> None:
        """Set the clock while everybody sleeps, forwards (a suspension) or back (a reset).

        Who sleeps when it goes back sleeps on as long as he would have.
        """
        with self._changed:
            assert self._changed.wait_for(self._all_asleep, 60.0)
            self._now_ns += round(seconds * SECOND)
            for box in self._deadlines if seconds < 0 else ():
                box[0] += round(seconds * SECOND)
            self._changed.notify_all()

    def free(self) -> None:
        """Nobody sleeps any more: the end of a test."""
        with self._changed:
            self._free = True
            self._changed.notify_all()

    def _asleep(self) -> list[int]:
        return [box[0] for box in self._deadlines if box[0] > self._now_ns]

    def _all_asleep(self) -> bool:
        return self._free or len(self._asleep()) >= self._sleepers


class FakeClock:
    """A clock that stands still; a test sets it. Sleeping moves it on."""

    def __init__(self, start_ns: int = 1000 * SECOND) -> None:
        self.time_ns = start_ns

    def now_ns(self) -> int:
        return self.time_ns

    def sleep_until(self, deadline_ns: int) -> None:
        self.time_ns = max(self.time_ns, deadline_ns)


class MemorySink:
    """Remembers what it was sent. keep: copies of the pixels, too."""

    def __init__(self, name: str = "memory", alpha: bool = False, keep: bool = False) -> None:
        self.name = name
        self.wants_alpha = alpha
        self.keep = keep
        self.opened = self.closed = 0
        self.frames: list[tuple[int, int, int, int]] = []  # capture, shown, sequence, taken
        self.pixels: list[np.ndarray] = []
        self.mirror = False

    def open(self) -> None:
        self.opened += 1

    def send(self, frame: np.ndarray, capture_ns: int, shown_ns: int, sequence: int) -> None:
        assert frame.dtype == np.uint8 and not frame.flags.writeable
        assert frame.shape[2] == (4 if self.wants_alpha else 3)
        self.frames.append((capture_ns, shown_ns, sequence, time.monotonic_ns()))
        if self.keep:
            self.pixels.append(frame.copy())

    def close(self) -> None:
        self.closed += 1

    def set_mirror(self, on: bool) -> None:
        self.mirror = on


class TonePieces:
    """A source that a test feeds block by block and can pull out."""

    def __init__(self, rate_hz: int = 16000) -> None:
        self.name = "test source"
        self.rate_hz = rate_hz
        self.ended = False
        self.drops = 0
        self.starts = self.stops = 0
        self.refuse = False
        self.error: Exception | None = None
        self.blocks: list[AudioBlock] = []

    def start(self) -> None:
        self.starts += 1
        if self.refuse:
            raise InputError("no microphone; plug one in.")

    def read(self, timeout_s: float) -> AudioBlock | None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return self.blocks.pop(0) if self.blocks else None

    def stop(self) -> None:
        self.stops += 1
