"""When was sample number n captured, or when will it be heard? From noisy notes of a callback."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from vasa_cam.audio.blocks import NS_A_SECOND

_STAMPS: Final = 256
_WINDOW_S: Final = 0.5
_WINDOWS: Final = 40
_WINDOWS_FOR_SLOPE: Final = 8
_MAX_DRIFT: Final = 1e-3
# Later than this for a whole window: samples were lost, or the device was held up.
_STEP_NS: Final = 10_000_000
_RISE: Final = 2e-3


class StampRing:
    """Notes (count, time) that a callback leaves for a thread, in memory that is allocated once.

    When the thread sleeps through 256 of them, the oldest are lost, which does no harm.
    """

    def __init__(self) -> None:
        self._notes = np.zeros((_STAMPS, 2), np.int64)
        self._written = 0
        self._read = 0

    def note(self, count: int, time_ns: int) -> None:
        """Called by the callback: `time_ns` is the time of sample number `count`."""
        row = self._notes[self._written % _STAMPS]
        row[0] = count
        row[1] = time_ns
        self._written += 1

    def take(self) -> list[tuple[int, int]]:
        """Called by the thread: the notes since the last call, oldest first."""
        written = self._written
        # The half that the callback may be overwriting meanwhile is left out.
        first = max(self._read, written - _STAMPS // 2)
        self._read = written
        rows = self._notes[np.arange(first, written) % _STAMPS]
        return [(int(count), int(time_ns)) for count, time_ns in rows]


class SampleClock:
    """The time of every sample of a device, from callbacks that come early never and late often.

    A callback can be late by any amount, so the truth is the lower edge of what is noted. Of every
    half second the earliest note counts, and a line through the last twenty seconds of these gives
    the device's rate by our clock. An earlier note is believed at once; a later edge is followed by
    2 ms a second, or at once when it stays more than 10 ms later for a whole half second (samples
    were lost).

    rate_hz: the nominal rate. patience: so many notes in a row that are 10 ms too late are a step
    already; for notes that are right although the callback is late, because they say when the
    device will be heard. steps: how often the time jumped later.
    """

    def __init__(self, rate_hz: int, patience: int | None = None) -> None:
        self.rate_hz = rate_hz
        self.steps = 0
        self._patience = patience
        self._late_edges: list[tuple[float, float]] = []
        self._first: tuple[int, int] | None = None
        self._edges: deque[tuple[float, float]] = deque(maxlen=_WINDOWS)
        # The estimate: at `_knot_s` a sample is `_knot_ns` late against the nominal rate, and
        # later by `_slope` nanoseconds with every second.
        self._knot_s = 0.0
        self._knot_ns = 0.0
        self._slope = 0.0
        self._window_s = 0.0
        self._edge: tuple[float, float] | None = None

    @property
    def ready(self) -> bool:
        """Whether a note was taken yet."""
        return self._first is not None

    @property
    def drift(self) -> float:
        """How much longer a sample lasts than nominally: 1e-4 is 100 ppm slow."""
        return self._slope / NS_A_SECOND

    def add(self, count: int, time_ns: int) -> None:
        """Sample number `count` passed at `time_ns` or before; counts never fall."""
        if self._first is None:
            self._first = (count, time_ns)
            self._window_s = _WINDOW_S
        first_count, first_ns = self._first
        at_s = (count - first_count) / self.rate_hz
        late_ns = time_ns - first_ns - at_s * NS_A_SECOND
        if self._edge is None or self._over(at_s, late_ns) < self._over(*self._edge):
            self._edge = (at_s, late_ns)
        if self._over(at_s, late_ns) < 0.0:
            self._knot_s, self._knot_ns = at_s, late_ns
        if self._patience is not None:
            self._watch(at_s, late_ns, self._patience)
        if at_s >= self._window_s:
            self._end_window(at_s)

    def time_ns(self, count: float) -> int:
        """When sample number `count` passes; needs `ready`."""
        assert self._first is not None
        at_s = (count - self._first[0]) / self.rate_hz
        return self._first[1] + round(at_s * NS_A_SECOND + self._estimate_ns(at_s))

    def _estimate_ns(self, at_s: float) -> float:
        return self._knot_ns + self._slope * (at_s - self._knot_s)

    def _over(self, at_s: float, late_ns: float) -> float:
        return late_ns - self._estimate_ns(at_s)

    def _watch(self, at_s: float, late_ns: float, patience: int) -> None:
        if self._over(at_s, late_ns) <= _STEP_NS:
            self._late_edges.clear()
            return
        self._late_edges.append((at_s, late_ns))
        if len(self._late_edges) >= patience:
            self._step(min(self._late_edges, key=lambda edge: self._over(*edge)))

    def _step(self, edge: tuple[float, float]) -> None:
        self.steps += 1
        self._edges.clear()
        self._edges.append(edge)
        self._late_edges.clear()
        self._edge = None
        self._knot_s, self._knot_ns = edge

    def _end_window(self, at_s: float) -> None:
        edge, self._edge = self._edge, None
        elapsed_s = at_s - self._window_s + _WINDOW_S
        self._window_s = at_s + _WINDOW_S
        if edge is None:
            return
        if self._over(*edge) > _STEP_NS:
            self._step(edge)
            return
        self._edges.append(edge)
        if len(self._edges) < _WINDOWS_FOR_SLOPE:
            rise_ns = self._over(*edge)
            self._knot_s, self._knot_ns = at_s, self._estimate_ns(at_s)
        else:
            times, lates = np.array(self._edges).T
            middle = times.mean()
            away = times - middle
            slope = float(away @ lates / (away @ away))
            slope = float(np.clip(slope, -_MAX_DRIFT * NS_A_SECOND, _MAX_DRIFT * NS_A_SECOND))
            # The knot moves to the present before the slope changes, so that nothing jumps.
            self._knot_s, self._knot_ns = at_s, self._estimate_ns(at_s)
            self._slope = slope
            rise_ns = float(lates.mean()) + slope * (at_s - middle) - self._knot_ns
        limit_ns = _RISE * NS_A_SECOND * elapsed_s
        self._knot_ns += float(np.clip(rise_ns, -limit_ns, limit_ns))
