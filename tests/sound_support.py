"""What the tests of live sound share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vasa_cam.audio.blocks import NS_A_SECOND, AudioBlock, Floats
from vasa_cam.audio.delay_line import DelayLine
from vasa_cam.audio.sample_clock import SampleClock

Floats64 = npt.NDArray[np.float64]

ORIGIN_NS = 1000 * NS_A_SECOND


class FakeClock:
    """Time that passes only when somebody sleeps, or is moved by hand."""

    def __init__(self) -> None:
        self.now = 5 * NS_A_SECOND

    def now_ns(self) -> int:
        return self.now

    def sleep_until(self, deadline_ns: int) -> None:
        self.now = max(self.now, deadline_ns)


@dataclass
class Voice:
    """Two simulated sound devices with a delay line between them.

    The microphone and the output run off their nominal rates by so many ppm, and their callbacks
    are late by chance. signal(t) is what the microphone hears at true time t, in seconds.

    heard: what came out, with `heard_s`, the true time of each sample. errors_s: what the delay
    line thought its error was, one a block.
    """

    line: DelayLine
    signal: Callable[[Floats64], Floats64]
    rng: np.random.Generator
    rate_hz: int = 48_000
    mic_ppm: float = 0.0
    out_ppm: float = 0.0
    jitter_s: float = 0.002
    output_latency_s: float = 0.03
    block_s: float = 0.01
    errors_s: list[float] = field(default_factory=list)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self._mic_rate = self.rate_hz * (1.0 + self.mic_ppm * 1e-6)
        self._out_rate = self.line.rate_hz * (1.0 + self.out_ppm * 1e-6)
        self._mic_block = round(self.rate_hz * self.block_s)
        self._out_block = round(self.line.rate_hz * self.block_s)
        self._mic_samples = self._out_frames = 0
        self._clock = SampleClock(self.rate_hz)
        self._out = np.zeros((self._out_block, 2), np.float32)
        self._parts: list[Floats] = []
        self._starts: list[float] = []
        self._queue: list[tuple[float, AudioBlock]] = []
        self.lost_blocks = 0
        self.push_late_s = 0.0
        self.mic_stalled_until_s = 0.0
        self._out_shift_s = 0.0

    @property
    def heard(self) -> Floats:
        return np.concatenate(self._parts)

    @property
    def heard_s(self) -> Floats64:
        ramp = np.arange(self._out_block) / self._out_rate
        return np.concatenate([start + ramp for start in self._starts])

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end_s = self.now_s + seconds
        while True:
            mic_s = (self._mic_samples + self._mic_block) / self._mic_rate
            out_s = self._out_start_s()
            self.now_s = min(mic_s, out_s)
            if self.now_s > end_s:
                self.now_s = end_s
                return
            if mic_s <= out_s:
                self._capture(mic_s)
            else:
                self._play(out_s)

    def forget(self) -> None:
        """Let go of what was heard so far."""
        self._parts.clear()
        self._starts.clear()
        self.errors_s.clear()

    def stall_output(self, seconds: float) -> None:
        """The output takes nothing for a while, then goes on at its rate."""
        self._out_shift_s += seconds

    def _out_start_s(self) -> float:
        return self._out_frames / self._out_rate + self._out_shift_s

    def _capture(self, mic_s: float) -> None:
        first, self._mic_samples = self._mic_samples, self._mic_samples + self._mic_block
        arrived_s = mic_s + float(self.rng.exponential(self.jitter_s))
        if self.lost_blocks > 0:
            self.lost_blocks -= 1
            return
        self._clock.add(self._mic_samples, ORIGIN_NS + round(arrived_s * 1e9))
        times = np.arange(first, self._mic_samples) / self._mic_rate
        samples = self.signal(times).astype(np.float32)
        block = AudioBlock(samples, self.rate_hz, self._clock.time_ns(first))
        self._queue.append((mic_s, block))
        if self.now_s < self.mic_stalled_until_s:
            return
        while self._queue and mic_s - self._queue[0][0] >= self.push_late_s:
            self.line.push(self._queue.pop(0)[1])
            self.errors_s.append(self.line.error_s)

    def _play(self, out_s: float) -> None:
        # A late callback sees its device's buffer shorter by as much; the report is honest.
        heard_s = out_s + self.output_latency_s + float(self.rng.normal(0.0, 1e-4))
        self.line.output.render(self._out, ORIGIN_NS + round(heard_s * 1e9))
        self._parts.append(self._out[:, 0].copy())
        self._starts.append(out_s + self.output_latency_s)
        self._out_frames += self._out_block
