"""What travels from a source of sound: blocks of mono samples with the time they were captured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import VasaCamError

Floats = npt.NDArray[np.float32]

NS_A_SECOND: Final = 1_000_000_000


class SourceLostError(VasaCamError):
    """A source of sound is gone while it was in use; starting it again may bring it back."""


@dataclass(frozen=True, eq=False)
class AudioBlock:
    """Consecutive samples of a voice.

    samples: float32 [n], mono, -1..1. rate_hz: samples a second. capture_ns: monotonic time at
    which the first of them was captured.
    """

    samples: Floats
    rate_hz: int
    capture_ns: int

    @property
    def end_ns(self) -> int:
        """When the sample after the last one is captured, in nanoseconds."""
        return self.capture_ns + duration_ns(len(self.samples), self.rate_hz)


def duration_ns(samples: int, rate_hz: float) -> int:
    """How long so many samples last, in nanoseconds."""
    return round(samples * NS_A_SECOND / rate_hz)


class Clock(Protocol):
    """Where sources get the time from; a test or an accelerated run brings its own."""

    def now_ns(self) -> int:
        """The time in nanoseconds; never goes back."""
        ...

    def sleep_until(self, deadline_ns: int) -> None:
        """Return at `deadline_ns` or soon after it; at once when it has passed."""
        ...


class MonotonicClock:
    """The machine's own monotonic clock."""

    def now_ns(self) -> int:
        """time.monotonic_ns()."""
        return time.monotonic_ns()

    def sleep_until(self, deadline_ns: int) -> None:
        """Sleep until then."""
        remaining_ns = deadline_ns - time.monotonic_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / NS_A_SECOND)


MONOTONIC: Final[Clock] = MonotonicClock()
