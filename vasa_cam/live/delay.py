"""The one delay: how long after its capture a moment is shown, and heard.

It is what the pipeline needs, measured: the lag of motion frames, one frame more because a moment
between two needs the second, and the time to draw. It goes up fast when frames come late and down
slowly; both so gently that picture and voice can follow by running a little slower or faster. When
a time of need (a starved processor) is over, it jumps back instead.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from vasa_cam.live.clock import NS_A_MS, NS_A_SECOND
from vasa_cam.motion.space import MOTION_RATE_HZ

FRAME_NS: Final = round(NS_A_SECOND / MOTION_RATE_HZ)
_KEPT: Final = 150  # arrivals: six seconds
_OUTLIERS: Final = 4  # of them are not waited for: what is as rare shows the last motion instead
_FEW: Final = 25  # arrivals: one second


@dataclass(frozen=True)
class DelayConfig:
    """How the delay follows what is needed; times in milliseconds.

    start_ms: before anything is measured. margin_ms: added to what is measured. min_ms, max_ms:
    limits. rise, fall: how fast it changes, milliseconds a second. slack_ms: so little too much is
    left alone. jump_up_ms: so much too little is corrected at once. jump_down_ms: so much more than
    the last second needed is, too, at most every calm_s seconds. settle_s: so long after the first
    motion, changes are jumps.
    """

    start_ms: float = 170.0
    margin_ms: float = 3.0
    min_ms: float = 40.0
    max_ms: float = 600.0
    rise_ms_per_s: float = 40.0
    fall_ms_per_s: float = 10.0
    slack_ms: float = 4.0
    jump_up_ms: float = 250.0
    jump_down_ms: float = 60.0
    calm_s: float = 10.0
    settle_s: float = 1.5


class DelayControl:
    """Keeps `delay_ns`. The motion thread reports arrivals, the render thread asks and reports.

    jumps: how often the delay changed at once.
    """

    def __init__(self, config: DelayConfig | None = None) -> None:
        self.config = config or DelayConfig()
        self.jumps = 0
        self.delay_ns = round(self.config.start_ms * NS_A_MS)
        self._lock = threading.Lock()
        self._lags_ns: deque[int] = deque(maxlen=_KEPT)
        self._lead_ns = 0
        self._needed_ns: int | None = None
        self._since_ns = 0
        self._settling = True
        self._fell_ns = 0
        self._updated_ns: int | None = None

    def arrived(self, lag_ns: int) -> None:
        """A motion frame came in, so long after the moment that it belongs to."""
        limit_ns = round(self.config.max_ms * NS_A_MS)
        with self._lock:
            # Longer than the limit is no lag to settle for but a break: a suspension, a stall.
            if 0 <= lag_ns <= limit_ns:
                self._lags_ns.append(lag_ns)
                self._needed_ns = None

    def drawing_takes(self, lead_ns: int) -> None:
        """A frame's drawing begins so long before its deadline."""
        with self._lock:
            if lead_ns != self._lead_ns:
                self._lead_ns = lead_ns
                self._needed_ns = None

    def update(self, now_ns: int) -> int:
        """Advance to a moment; returns the delay in nanoseconds."""
        with self._lock:
            elapsed_ns, self._updated_ns = now_ns - (self._updated_ns or now_ns), now_ns
            if not self._lags_ns:
                return self.delay_ns
            if self._needed_ns is None:
                self._needed_ns = self._measure()
            self._since_ns = self._since_ns or now_ns
            self._approach(self._needed_ns, now_ns, elapsed_ns)
            return self.delay_ns

    @property
    def needed_ns(self) -> int | None:
        """What the delay moves towards; None before anything was measured."""
        with self._lock:
            return self._measure() if self._lags_ns else None

    def _measure(self) -> int:
        lags = sorted(self._lags_ns)
        return self._needs(lags[-1 - min(_OUTLIERS, len(lags) // _FEW)])

    def _needs(self, lag_ns: int) -> int:
        """The delay for motion that comes with this lag."""
        config = self.config
        needed = lag_ns + FRAME_NS + self._lead_ns + round(config.margin_ms * NS_A_MS)
        return min(max(needed, round(config.min_ms * NS_A_MS)), round(config.max_ms * NS_A_MS))

    def _approach(self, needed_ns: int, now_ns: int, elapsed_ns: int) -> None:
        config = self.config
        error_ns = needed_ns - self.delay_ns
        settling = self._settling
        self._settling = settling and now_ns - self._since_ns < config.settle_s * NS_A_SECOND
        # Downwards only when settled: fewer arrivals are known before than there will be.
        jump = settling and (error_ns > 0 or not self._settling)
        if jump or error_ns > config.jump_up_ms * NS_A_MS:
            self._jump(needed_ns)
            return
        if not settling and self._is_calm_again(now_ns):
            return
        if -config.slack_ms * NS_A_MS < error_ns < 0:
            return
        seconds = min(max(elapsed_ns, 0), NS_A_SECOND) / NS_A_SECOND
        rise = round(config.rise_ms_per_s * NS_A_MS * seconds)
        fall = round(config.fall_ms_per_s * NS_A_MS * seconds)
        self.delay_ns += min(max(error_ns, -fall), rise)

    def _is_calm_again(self, now_ns: int) -> bool:
        """Jump down and forget the bad time when the last second needed far less."""
        config = self.config
        recent = list(self._lags_ns)[-_FEW:]
        excess_ns = self.delay_ns - self._needs(max(recent))
        rested = now_ns - self._fell_ns > config.calm_s * NS_A_SECOND
        if len(recent) < _FEW or excess_ns < config.jump_down_ms * NS_A_MS or not rested:
            return False
        self._lags_ns.clear()
        self._lags_ns.extend(recent)
        self._needed_ns, self._fell_ns = None, now_ns
        self._jump(self._measure())
        return True

    def _jump(self, delay_ns: int) -> None:
        self.jumps += delay_ns != self.delay_ns
        self.delay_ns = delay_ns
