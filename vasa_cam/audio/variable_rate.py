"""Resampling whose rate can change at any time, by soxr, which knows where in time it is."""

from __future__ import annotations

from typing import Final

from vasa_cam.audio.blocks import NS_A_SECOND, AudioBlock, Floats

MAX_SPEED_CHANGE: Final = 0.08
"""How far the speed may be from 1."""


class VariableRate:
    """push(samples float32 [n] at rate_hz, speed) -> float32 [m] at out_rate_hz.

    soxr's variable-rate stream: interpolation errors are below -100 dB; 240 input samples wait in
    it (600 when the rate is halved or more). A speed above 1 uses up input faster.
    """

    def __init__(self, rate_hz: int, out_rate_hz: int) -> None:
        import soxr

        self.rate_hz = rate_hz
        self._out_rate_hz = out_rate_hz
        fastest = rate_hz * (1.0 + MAX_SPEED_CHANGE)
        self._stream = soxr.ResampleStream(fastest, out_rate_hz, 1, dtype="float32", vr=True)
        self._speed = 0.0
        self._pushed = 0
        # Of the next output sample, in input samples.
        self._position = 0.0

    def next_capture_ns(self, block: AudioBlock) -> float:
        """When the next output sample was captured, if `block` is pushed next."""
        waiting_s = (self._pushed - self._position) / self.rate_hz
        return block.capture_ns - waiting_s * NS_A_SECOND

    def push(self, samples: Floats, speed: float) -> Floats:
        """Take samples, return what they complete."""
        if speed != self._speed:
            self._speed = speed
            self._stream.set_io_ratio(self.rate_hz * speed, self._out_rate_hz, 0)
        out: Floats = self._stream.resample_chunk(samples)
        self._pushed += len(samples)
        self._position += len(out) * speed * self.rate_hz / self._out_rate_hz
        return out
