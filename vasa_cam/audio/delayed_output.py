"""The reading end of the delayed voice: what an output's callback does, without lock or memory."""

from __future__ import annotations

from typing import Final

import numpy as np

from vasa_cam.audio.blocks import Floats
from vasa_cam.audio.ring_buffer import RingBuffer
from vasa_cam.audio.sample_clock import StampRing

_FADE_S: Final = 0.005
_LARGEST_CALLBACK_S: Final = 0.2
# The device's own report of its latency is nonsense until it plays.
_CALLBACKS_TO_SETTLE: Final = 8


class DelayedOutput:
    """A ring of mono samples that one thread writes and an audio callback renders.

    rate_hz: of the output. capacity_s: what the ring holds. muted: set by anybody; fades within
    5 ms. stamps: notes (frame, time at which it is heard) for whoever writes. underruns: how often
    the voice broke off for lack of samples; silence is heard then.
    """

    def __init__(self, rate_hz: int, capacity_s: float) -> None:
        self.stamps = StampRing()
        self.muted = False
        self.underruns = 0
        self.fade_samples = fade = max(1, round(rate_hz * _FADE_S))
        self.rise: Floats = np.linspace(0.0, 1.0, fade + 2, dtype=np.float32)[1:-1]
        self.fall: Floats = np.ascontiguousarray(self.rise[::-1])
        self._ring = RingBuffer(round(rate_hz * capacity_s))
        self._mono: Floats = np.zeros((round(rate_hz * _LARGEST_CALLBACK_S), 1), np.float32)
        self._old: Floats = np.zeros((fade, 1), np.float32)
        self._callbacks = 0
        self._rendered = 0
        self._playing = False
        self._silent = False
        self._last = 0.0
        # Written by the writer.
        self._skip_wanted = 0
        self._skip_wanted_seen = 0
        # Written by the reader, in one go: frames heard and not from the ring, frames skipped.
        self._reader = (0, 0)

    @property
    def free(self) -> int:
        """Samples that can be written. For the writer."""
        return self._ring.free

    @property
    def waiting(self) -> int:
        """Samples that wait to be heard. For the writer."""
        return self._ring.available - (self._skip_wanted - self._reader[1])

    def write(self, samples: Floats) -> None:
        """Append float32 [n]; what finds no room is lost. For the writer."""
        self._ring.write(samples[:, None])

    def frame_of_next(self) -> int:
        """Which frame of the output the next written sample will be, as things are."""
        shift, skipped = self._reader
        return self._ring.written + shift - (self._skip_wanted - skipped)

    def request_skip(self, frames: int) -> int:
        """Let the callback leave out so many of the oldest samples, with a cross-fade.

        Returns how many it will be: what is left must last until more is written.
        """
        count = max(0, min(frames, self.waiting - 4 * self.fade_samples))
        self._skip_wanted += count
        return count

    def render(self, out: Floats, heard_ns: int) -> None:
        """Fill float32 [n, channels], all channels alike. For the callback.

        heard_ns: when the first of these frames will be heard.
        """
        self._callbacks += 1
        if self._callbacks > _CALLBACKS_TO_SETTLE:
            self.stamps.note(self._rendered, heard_ns)
        step = len(self._mono)
        for start in range(0, len(out), step):
            self._render_part(out[start : start + step])

    def _render_part(self, out: Floats) -> None:
        count = len(out)
        mono = self._mono[:count, 0]
        read = self._read(count)
        if read and not self._playing:
            faded = min(read, self.fade_samples)
            np.multiply(mono[:faded], self.rise[:faded], out=mono[:faded])
        if read < count:
            last = float(mono[read - 1]) if read else self._last
            faded = min(count - read, self.fade_samples)
            np.multiply(self.fall[:faded], last, out=mono[read : read + faded])
            mono[read + faded :] = 0.0
            self.underruns += self._playing
        self._playing = read == count
        self._apply_mute(mono)
        self._last = 0.0 if read < count else float(mono[-1])
        np.copyto(out, self._mono[:count])
        self._rendered += count
        self._reader = (self._rendered - self._ring.consumed, self._skip_wanted_seen)

    def _read(self, count: int) -> int:
        self._skip_wanted_seen = self._skip_wanted
        skip = self._skip_wanted_seen - self._reader[1]
        if skip <= 0:
            return self._ring.read(self._mono[:count])
        faded = min(self._ring.peek(self._old), count)
        self._ring.skip(skip)
        read = self._ring.read(self._mono[:count])
        faded = min(faded, read)
        mono, old = self._mono[:faded, 0], self._old[:faded, 0]
        np.multiply(mono, self.rise[:faded], out=mono)
        np.multiply(old, self.fall[:faded], out=old)
        np.add(mono, old, out=mono)
        return read

    def _apply_mute(self, mono: Floats) -> None:
        silent, before = self.muted, self._silent
        self._silent = silent
        if not silent and not before:
            return
        faded = min(len(mono), self.fade_samples)
        if silent != before:
            ramp = self.fall if silent else self.rise
            np.multiply(mono[:faded], ramp[:faded], out=mono[:faded])
        else:
            faded = 0
        if silent:
            mono[faded:] = 0.0
