"""When the samples of a stream were captured: blocks' time stamps without their jitter."""

from __future__ import annotations

from typing import Final

from vasa_cam.audio.blocks import AudioBlock, duration_ns
from vasa_cam.live.clock import NS_A_MS

BREAK_NS: Final = 60 * NS_A_MS
"""A time stamp further off than this is a gap in the sound, not jitter."""

_GAIN: Final = 1 / 32


class SampleTimes:
    """Capture times of one source's samples, from the blocks that it gave.

    Follows the drift of the device's clock slowly, jumps over gaps. breaks: how many there were.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.position = 0  # samples heard so far
        self.breaks = 0
        self._start_ns: int | None = None  # capture time that sample 0 would have had

    def hear(self, block: AudioBlock) -> None:
        """Take the stamp of the next block."""
        seen_ns = block.capture_ns - duration_ns(self.position, self.rate_hz)
        self.position += len(block.samples)
        if self._start_ns is None:
            self._start_ns = seen_ns
        error_ns = seen_ns - self._start_ns
        if abs(error_ns) > BREAK_NS:
            self._start_ns = seen_ns
            self.breaks += 1
        else:
            self._start_ns += round(error_ns * _GAIN)

    def time_ns(self, position_s: float) -> int:
        """Capture time of a place in the stream, in seconds of its own clock from sample 0."""
        return (self._start_ns or 0) + round(position_s * 1e9)
