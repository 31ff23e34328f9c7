"""A ring of samples between an audio callback and a thread: one writes, one reads, nobody waits."""

from __future__ import annotations

import numpy as np

from vasa_cam.audio.blocks import Floats


class RingBuffer:
    """Single producer, single consumer ring of float32 frames in memory that is allocated once.

    capacity: frames it holds. channels: samples a frame. Neither `write` nor `read` locks or
    allocates sample memory, so either side may be an audio callback. Each side moves only its own
    counter, and moves it after the samples are there; CPython publishes an attribute as a whole.
    overflow: frames that found no room and were dropped (the newest are dropped; the reader sees a
    gap in `written`).
    """

    def __init__(self, capacity: int, channels: int = 1) -> None:
        if capacity < 1 or channels < 1:
            raise ValueError(
                f"RingBuffer: capacity and channels must be at least 1, got {capacity}, {channels}"
            )
        self.capacity = capacity
        self.channels = channels
        self.overflow = 0
        self._data = np.zeros((capacity, channels), np.float32)
        self._written = 0
        self._read = 0

    @property
    def written(self) -> int:
        """Frames written since the beginning."""
        return self._written

    @property
    def consumed(self) -> int:
        """Frames read or skipped since the beginning."""
        return self._read

    @property
    def available(self) -> int:
        """Frames that can be read now; the writer may add more meanwhile."""
        return self._written - self._read

    @property
    def free(self) -> int:
        """Frames that can be written now; the reader may free more meanwhile."""
        return self.capacity - (self._written - self._read)

    def write(self, frames: Floats) -> int:
        """Append float32 [n, channels]; returns how many fitted. For the producer only."""
        wanted = len(frames)
        count = min(wanted, self.free)
        start = self._written % self.capacity
        first = min(count, self.capacity - start)
        self._data[start : start + first] = frames[:first]
        self._data[: count - first] = frames[first:count]
        self._written += count
        self.overflow += wanted - count
        return count

    def read(self, out: Floats) -> int:
        """Fill float32 [n, channels] from its beginning; returns how many frames there were.

        For the consumer only. The rest of `out` stays as it is.
        """
        count = self.peek(out)
        self._read += count
        return count

    def peek(self, out: Floats) -> int:
        """As `read`, but the frames stay in the ring."""
        count = min(len(out), self._written - self._read)
        start = self._read % self.capacity
        first = min(count, self.capacity - start)
        out[:first] = self._data[start : start + first]
        out[first:count] = self._data[: count - first]
        return count

    def skip(self, frames: int) -> int:
        """Drop up to so many of the oldest frames; returns how many. For the consumer only."""
        count = max(0, min(frames, self._written - self._read))
        self._read += count
        return count
