"""Timing an op against another way of doing the same, fairly: in turns, in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def benchmark_against(
    benchmark: Any,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    name: str,
    rounds: int = 30,
) -> None:
    """Benchmark `ours`; note the other's median in ms and how many times longer it takes.

    The two take turns, so that a busy moment of the machine meets both.
    """
    ours()
    theirs()
    pairs = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]
    our_median, their_median = (statistics.median(column) for column in zip(*pairs, strict=True))
    benchmark.extra_info["against"] = name
    benchmark.extra_info["against_ms"] = round(1e3 * their_median, 4)
    benchmark.extra_info["times_faster"] = round(their_median / our_median, 2)
    benchmark(ours)
