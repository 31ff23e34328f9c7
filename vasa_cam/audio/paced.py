"""Sources that no device paces: silence, a file, and speech that a program sends.

They hand out a block when its last sample would have been captured, as a microphone does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from vasa_cam.audio.blocks import MONOTONIC, NS_A_SECOND, AudioBlock, Clock, Floats, duration_ns
from vasa_cam.audio.file import SPEECH_RATE_HZ, probe_audio, stereo_blocks
from vasa_cam.errors import InputError

BLOCK_MS: Final = 10
"""Length of a block in milliseconds: the capture block of the latency budget."""

# A reader that comes later than this (suspended, starved) finds that time stood still for the
# source: it gets what it missed late, not in a burst.
_PATIENCE_NS: Final = NS_A_SECOND // 2


class PacedSource:
    """Base: asks `_next_samples` for a block whenever the next one is due.

    rate_hz: samples a second. block_ms: length of a block. speed: how much faster than real time
    the samples are handed out; capture times are squeezed by as much. drops: samples that were lost
    (none here).
    """

    def __init__(
        self,
        name: str,
        rate_hz: int,
        *,
        block_ms: int = BLOCK_MS,
        speed: float = 1.0,
        clock: Clock = MONOTONIC,
    ) -> None:
        if not (np.isfinite(speed) and speed > 0.0):
            raise InputError(f"The speed of a source must be above 0, got {speed}.")
        self.name = name
        self.rate_hz = rate_hz
        self.block_samples = max(1, round(rate_hz * block_ms / 1000))
        self.drops = 0
        self.ended = False
        self._clock = clock
        self._speed = speed
        self._start_ns = 0
        self._position = 0

    def start(self) -> None:
        """Begin now; the first block is due one block later."""
        self.ended = False
        self._start_ns = self._clock.now_ns()
        self._position = 0

    def read(self, timeout_s: float) -> AudioBlock | None:
        """The next block, or None when it is not due within `timeout_s` seconds or none is left."""
        deadline_ns = self._clock.now_ns() + round(timeout_s * NS_A_SECOND)
        due_ns = self._time_ns(self._position + self.block_samples)
        if due_ns > deadline_ns:
            self._clock.sleep_until(deadline_ns)
            return None
        self._clock.sleep_until(due_ns)
        late_ns = self._clock.now_ns() - due_ns
        if late_ns > _PATIENCE_NS:
            self._start_ns += late_ns
        samples = self._next_samples()
        if samples is None:
            self.ended = True
            return None
        block = AudioBlock(samples, self.rate_hz, self._time_ns(self._position))
        self._position += len(samples)
        return block

    def stop(self) -> None:
        """Let go of what was opened; the source can be started again."""

    def _time_ns(self, position: int) -> int:
        return self._start_ns + round(duration_ns(position, self.rate_hz) / self._speed)

    def _next_samples(self) -> Floats | None:
        """The next block, float32 [n], n >= 1; None at the end."""
        raise NotImplementedError


class SilenceSource(PacedSource):
    """Zeros for ever: the avatar idles. Also stands in for a microphone that is gone."""

    def __init__(
        self,
        rate_hz: int = SPEECH_RATE_HZ,
        *,
        block_ms: int = BLOCK_MS,
        clock: Clock = MONOTONIC,
    ) -> None:
        super().__init__("silence", rate_hz, block_ms=block_ms, clock=clock)
        self._zeros = np.zeros(self.block_samples, np.float32)
        self._zeros.flags.writeable = False

    def _next_samples(self) -> Floats:
        return self._zeros


class FileSource(PacedSource):
    """A sound file, or the sound of a video, as if it were spoken now.

    loop: begin again at the end, for ever. speed: how much faster than real time. Raises InputError
    for a file that cannot be read; `start` opens it anew from its beginning.
    """

    def __init__(
        self,
        path: Path,
        *,
        loop: bool = False,
        block_ms: int = BLOCK_MS,
        speed: float = 1.0,
        clock: Clock = MONOTONIC,
    ) -> None:
        rate_hz = probe_audio(path).rate_hz
        super().__init__(f"file {path}", rate_hz, block_ms=block_ms, speed=speed, clock=clock)
        self._path = path
        self._loop = loop
        self._decoded: Iterator[Floats] | None = None
        self._rest = np.zeros(0, np.float32)

    def start(self) -> None:
        """Open the file and begin now."""
        self._decoded = stereo_blocks(self._path)
        self._rest = np.zeros(0, np.float32)
        super().start()

    def stop(self) -> None:
        """Close the file."""
        # Closing the generator closes the container that it holds.
        close = getattr(self._decoded, "close", None)
        if close is not None:
            close()
        self._decoded = None

    def _next_samples(self) -> Floats | None:
        wanted = self.block_samples
        while len(self._rest) < wanted and self._decoded is not None:
            stereo = next(self._decoded, None)
            if stereo is None:
                self._decoded = stereo_blocks(self._path) if self._loop else None
                continue
            mono = stereo.mean(axis=1, dtype=np.float32)
            self._rest = np.concatenate([self._rest, mono])
        samples, self._rest = self._rest[:wanted], self._rest[wanted:]
        return samples if len(samples) else None
