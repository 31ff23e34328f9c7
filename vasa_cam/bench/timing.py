"""Times of several calls that do the same work: in turns, so that a busy moment meets all."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from vasa_cam.bench.case import Call
from vasa_cam.bench.devices import Clock, Device

FEWEST_ROUNDS: Final = 5
MOST_ROUNDS: Final = 200
MOST_COLD_ROUNDS: Final = 15
_LONG_ROUND_S: Final = 5.0
_FEWEST_LONG_ROUNDS: Final = 3


@dataclass(frozen=True)
class Times:
    """Seconds of one call: the median and the 10th and 90th percentile of so many readings."""

    median_s: float
    p10_s: float
    p90_s: float
    readings: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        """The statistics of these readings; percentiles between two are interpolated."""
        p10, median, p90 = np.percentile(np.asarray(seconds), (10, 50, 90))
        return cls(float(median), float(p10), float(p90), len(seconds))


def take_turns(
    device: Device, calls: Sequence[tuple[Call, Clock]], seconds: float, cold: bool
) -> list[Times]:
    """Times of every call by its clock, from rounds in which each has one reading.

    seconds: about how long to measure each call; there are 5 rounds at least (3 of rounds that take
    more than 5 s) and 200 at most, 15 with cold caches.
    """
    repeats = [1 if cold else device.repeats(call) for call, _ in calls]
    taken: list[list[float]] = [[] for _ in calls]
    start = time.perf_counter()
    with _no_garbage_collection():
        for finished in range(1, (MOST_COLD_ROUNDS if cold else MOST_ROUNDS) + 1):
            tellers = [
                device.reading(call, many, cold, clock)
                for (call, clock), many in zip(calls, repeats, strict=True)
            ]
            device.finish()
            for column, tell in zip(taken, tellers, strict=True):
                column.append(tell())
            passed = time.perf_counter() - start
            long = passed / finished > _LONG_ROUND_S
            enough = finished >= (_FEWEST_LONG_ROUNDS if long else FEWEST_ROUNDS)
            if enough and passed > seconds * len(calls):
                break
    return [Times.of(column) for column in taken]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    before = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
