"""Any rate to the 16 kHz that the motion model listens at, with two milliseconds of delay.

soxr's streams hold back 12 to 37 ms of sound (measured in 10 ms blocks), a quarter of the latency
budget; the delayed voice, which has the time, goes through soxr. This is a short windowed-sinc
filter bank instead.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.audio.file import SPEECH_RATE_HZ

Floats = npt.NDArray[np.float32]

_BETA: Final = 5.65  # Kaiser window, about 60 dB of stop band
_WIDTH_S: Final = 4.5e-3  # of the filter: 0.8 kHz from the pass band to the stop band
_MAX_PHASES: Final = 640


@lru_cache(maxsize=8)
def _bank(rate_hz: int, phases: int) -> Floats:
    """Filters float32 [phases, 2 h]: phase p is for a position p / phases after tap h - 1."""
    narrow_hz = min(rate_hz, SPEECH_RATE_HZ)
    half = ceil(0.5 * _WIDTH_S * SPEECH_RATE_HZ / narrow_hz * rate_hz)
    taps = np.arange(-half + 1, half + 1) - np.arange(phases)[:, None] / phases
    inside = np.clip(1.0 - (taps / half) ** 2, 0.0, None)
    bank = np.sinc(taps * narrow_hz / rate_hz) * np.i0(_BETA * np.sqrt(inside))
    return np.asarray(bank / bank.sum(axis=1, keepdims=True), np.float32)


class SpeechResampler:
    """push(samples float32 [n] at rate_hz) -> float32 [m] at 16 kHz; the blocking changes nothing.

    Output sample k belongs to the time of input sample k * rate_hz / 16000. delay_s: how much
    sound after that time it waits for.
    """

    def __init__(self, rate_hz: int) -> None:
        if rate_hz <= 0:
            raise ValueError(f"SpeechResampler: rate_hz must be above 0, got {rate_hz}")
        common = gcd(rate_hz, SPEECH_RATE_HZ)
        self.rate_hz = rate_hz
        self._step, self._parts = rate_hz // common, SPEECH_RATE_HZ // common
        self._bank = _bank(rate_hz, min(self._parts, _MAX_PHASES))
        self._half = self._bank.shape[1] // 2
        # Whole input samples between the first of `_rest` and the next output's position.
        self._ahead = self._half - 1
        self._phase = 0  # of the next output, in 1 / _parts of an input sample
        self._rest = np.zeros(self._half - 1, np.float32)
        self.delay_s = 0.0 if rate_hz == SPEECH_RATE_HZ else self._half / rate_hz

    def push(self, samples: Floats) -> Floats:
        """Take samples, return those at 16 kHz that they complete."""
        if self.rate_hz == SPEECH_RATE_HZ:
            return samples
        self._rest = np.concatenate([self._rest, samples])
        # Output j is at (phase + j step) / parts input samples after the next position.
        room = len(self._rest) - self._half - self._ahead
        count = max(0, -((self._phase - room * self._parts) // self._step))
        if count == 0:
            return np.zeros(0, np.float32)
        at = self._phase + np.arange(count + 1, dtype=np.int64) * self._step
        whole, part = np.divmod(at, self._parts)
        first = self._ahead - self._half + 1 + whole[:-1]
        windows = np.lib.stride_tricks.sliding_window_view(self._rest, 2 * self._half)[first]
        out = self._filter(windows, part[:-1])
        used = self._ahead - self._half + 1 + int(whole[-1])
        used = min(used, len(self._rest))
        self._rest = self._rest[used:]
        self._ahead += int(whole[-1]) - used
        self._phase = int(part[-1])
        return out

    def _filter(self, windows: Floats, part: npt.NDArray[np.int64]) -> Floats:
        phases = len(self._bank)
        if phases == 1:
            return np.asarray(windows @ self._bank[0], np.float32)
        nearest = part if phases == self._parts else np.rint(part * (phases / self._parts))
        rows = self._bank[np.minimum(nearest.astype(np.int64), phases - 1)]
        return np.asarray(np.einsum("ij,ij->i", windows, rows), np.float32)
