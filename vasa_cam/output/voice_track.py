"""The voice of a recording: timed pieces from another thread become one unbroken track.

Pieces say when they are heard. A microphone's clock is never quite the computer's, so the pieces
are resampled by a hair to follow their times: no gaps, no clicks, no drift over hours. Only a jump
of more than 40 ms, a pause or a source that was lost, is heard as a (faded) cut.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_JUMP_S: Final = 0.040
_HELD_S: Final = 20.0
_FADE_S: Final = 0.004
_AHEAD_S: Final = 0.1
"""Read ahead of what is taken, because the resampler gives its last samples late."""
_SETTLE_S: Final = 4.0
"""Time in which an error of position shrinks to a third."""
_FIRST_SETTLE_S: Final = 0.5
_MAX_STRETCH: Final = 0.005
_NS: Final = 1_000_000_000


@dataclass(frozen=True, eq=False)
class _Piece:
    samples: Floats
    rate_hz: int
    play_ns: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate_hz


class VoiceTrack:
    """Mono sound at `rate_hz`. `push` may be called from any thread, `take` from one.

    lost_s: sound that came too late or too much at once, in seconds.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.lost_s = 0.0
        self._pieces: deque[_Piece] = deque()
        self._held_s = 0.0
        self._lock = threading.Lock()
        self._run: _Run | None = None
        self._ready: deque[tuple[int, Floats]] = deque()

    def push(self, samples: Floats, rate_hz: int, play_ns: int) -> None:
        """The next piece, float32 [n] mono, copied. Beyond 20 s unread, the oldest are dropped."""
        piece = _Piece(np.array(samples, np.float32), rate_hz, play_ns)
        with self._lock:
            self._pieces.append(piece)
            self._held_s += piece.seconds
            while self._held_s > _HELD_S:
                self._lose(self._pieces.popleft())

    def take(self, start: int, stop: int, origin_ns: int) -> Floats:
        """Samples `start` to `stop` of the track, float32 [stop - start]; silence where none came.

        origin_ns: the time of sample 0. What lies before `start` is lost; what lies after `stop`
        is kept for later.
        """
        for piece in self._due(origin_ns + round((stop / self.rate_hz + _AHEAD_S) * _NS)):
            self._place(piece, (piece.play_ns - origin_ns) / _NS * self.rate_hz)
        block: Floats = np.zeros(max(0, stop - start), np.float32)
        later: deque[tuple[int, Floats]] = deque()
        for at, samples in self._ready:
            first, last = max(at, start), min(at + len(samples), stop)
            if first < last:
                block[first - start : last - start] = samples[first - at : last - at]
            if at + len(samples) > stop:
                later.append((max(at, stop), samples[max(0, stop - at) :]))
            if at < start:
                self.lost_s += min(start - at, len(samples)) / self.rate_hz
        self._ready = later
        return block

    def cut(self) -> None:
        """The time of sample 0 changes: what was prepared by the old one is left out."""
        self._ready.clear()
        self._run = None

    def _due(self, until_ns: int) -> list[_Piece]:
        with self._lock:
            due = [piece for piece in self._pieces if piece.play_ns < until_ns]
            if due:
                self._pieces = deque(p for p in self._pieces if p.play_ns >= until_ns)
                self._held_s = sum(piece.seconds for piece in self._pieces)
        return due

    def _lose(self, piece: _Piece) -> None:
        self._held_s -= piece.seconds
        self.lost_s += piece.seconds

    def _place(self, piece: _Piece, at: float) -> None:
        """Resample a piece and put it where it is heard, sample `at` of the track."""
        run = self._run
        if run is None or run.source_hz != piece.rate_hz or run.misses(at):
            if run is not None:
                self._finish(run)
            self._end_before(round(at))
            run = self._run = _Run(piece.rate_hz, self.rate_hz, round(at))
        self._add(run, run.follow(piece.samples, at))

    def _finish(self, run: _Run) -> None:
        tail = run.rest()
        count = min(len(tail), round(_FADE_S * self.rate_hz))
        if count:
            tail[len(tail) - count :] *= np.linspace(1.0, 0.0, count, dtype=np.float32)
        self._add(run, tail)

    def _end_before(self, stop: int) -> None:
        """Take back, faded, what was to be heard from `stop` on: the delay has become shorter."""
        kept: deque[tuple[int, Floats]] = deque()
        for at, samples in self._ready:
            count = max(0, min(len(samples), stop - at))
            if count < len(samples):
                fade = min(count, round(_FADE_S * self.rate_hz))
                samples[count - fade : count] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
            if count:
                kept.append((at, samples[:count]))
        self._ready = kept

    def _add(self, run: _Run, samples: Floats) -> None:
        if not len(samples):
            return
        fade = round(_FADE_S * self.rate_hz)
        if run.made < fade:
            rise = (np.arange(run.made, run.made + len(samples)) / fade).astype(np.float32)
            samples *= np.minimum(rise, 1.0)
        self._ready.append((run.start + run.made, samples))
        run.made += len(samples)


class _Run:
    """Sound without a break. start: its first sample in the track; made: samples so far."""

    def __init__(self, source_hz: int, rate_hz: int, start: int) -> None:
        import soxr

        self.source_hz, self._rate_hz, self.start = source_hz, rate_hz, start
        self.made = 0
        self._expected = float(start)
        self._speed = 1.0
        self._resampler = soxr.ResampleStream(
            source_hz * (1 + _MAX_STRETCH), rate_hz, 1, dtype="float32", vr=True
        )
        self._resampler.set_io_ratio(source_hz, rate_hz)

    def misses(self, at: float) -> bool:
        """Whether a piece heard at `at` (samples of the track) cannot join."""
        return abs(at - self._expected) > _JUMP_S * self._rate_hz

    def follow(self, samples: Floats, at: float) -> Floats:
        """The resampled piece; the ratio leans towards where it should be."""
        error_s = (at - self._expected) / self._rate_hz
        # Quicker at first: the run began wherever its first piece happened to be.
        settle_s = min(_SETTLE_S, _FIRST_SETTLE_S + self.made / self._rate_hz / 2)
        stretch = float(np.clip(error_s / settle_s, -_MAX_STRETCH, _MAX_STRETCH))
        made: Floats = self._resampler.resample_chunk(samples)
        count = len(samples) / self.source_hz * self._rate_hz
        self._expected += count * self._speed
        self._speed = 1.0 + stretch
        self._resampler.set_io_ratio(self.source_hz / self._speed, self._rate_hz)
        return made

    def rest(self) -> Floats:
        """What the resampler still holds."""
        tail: Floats = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        return tail
