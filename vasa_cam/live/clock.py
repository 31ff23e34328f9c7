"""The one clock of the daemon. Everything is in nanoseconds of `time.monotonic_ns()`."""

from __future__ import annotations

import time

from vasa_cam.audio.blocks import MONOTONIC, NS_A_SECOND, Clock, MonotonicClock

__all__ = ["MONOTONIC", "NS_A_MS", "NS_A_SECOND", "Clock", "MonotonicClock", "ScaledClock"]

NS_A_MS = 1_000_000


class ScaledClock:
    """The monotonic clock run faster: hours of operation in minutes, for soak tests.

    speed: seconds of this clock in a second of the machine's. It starts at the machine's time.
    """

    def __init__(self, speed: float) -> None:
        if not speed > 0.0:
            raise ValueError(f"ScaledClock: speed must be above 0, got {speed}")
        self.speed = speed
        self._origin_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """The scaled time."""
        return self._origin_ns + round((time.monotonic_ns() - self._origin_ns) * self.speed)

    def sleep_until(self, deadline_ns: int) -> None:
        """Return at the scaled `deadline_ns` or soon after it; at once when it has passed."""
        remaining_ns = deadline_ns - self.now_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / self.speed / NS_A_SECOND)
