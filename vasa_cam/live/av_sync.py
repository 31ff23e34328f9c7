"""Keeps the voice on the picture's time: the controller of the voice's playing speed.

The picture is paced by the machine's monotonic clock, so only two clocks can drift: the
microphone's and the sound output's. The delay line says how much later than wanted the voice will
be heard; the controller answers with a speed so near to 1 that nobody hears it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Final

from vasa_cam.errors import InputError

OFFSET_LIMIT_MS: Final = 20.0
"""How far voice and picture may be apart, in milliseconds, before people notice."""


@dataclass(frozen=True)
class DriftConfig:
    """How drift is answered.

    settle_s: an error shrinks to a third in so long. integral_s: the drift itself is learnt in so
    long. smooth_s: time constant of the low-pass on the measured error. limit: the speed stays
    within 1 +- this. slew_per_s: how much the speed may change in a second.
    """

    settle_s: float = 4.0
    integral_s: float = 30.0
    smooth_s: float = 0.5
    limit: float = 0.005
    slew_per_s: float = 0.002

    def __post_init__(self) -> None:
        positive = (self.settle_s, self.integral_s, self.smooth_s, self.limit, self.slew_per_s)
        if not all(value > 0.0 for value in positive) or self.limit > 0.05:
            raise InputError(
                f"times, limit and slew of the drift control must be above 0, and the limit at "
                f"most 0.05; got {self}."
            )


DEFAULT_DRIFT: Final = DriftConfig()


class DriftController:
    """A proportional-integral loop from the error in time to a playing speed near 1.

    drift: what it has learnt, as a share: 1e-4 says that the voice must be played 100 ppm faster.
    """

    def __init__(self, config: DriftConfig = DEFAULT_DRIFT) -> None:
        self._config = config
        self._error_s = 0.0
        self._speed = 0.0
        self.drift = 0.0

    def speed(self, error_s: float, elapsed_s: float) -> float:
        """The speed for the next `elapsed_s` seconds; error_s > 0: the voice is heard too late."""
        config = self._config
        if elapsed_s <= 0.0:
            return 1.0 + self._speed
        weight = 1.0 - exp(-elapsed_s / config.smooth_s)
        self._error_s += weight * (error_s - self._error_s)
        wanted = self._error_s / config.settle_s + self.drift
        limited = min(max(wanted, -config.limit), config.limit)
        if wanted == limited:
            # Not while the limit holds it: a large error must not be learnt as drift.
            gain = elapsed_s / (config.settle_s * config.integral_s)
            self.drift += gain * self._error_s
        step = config.slew_per_s * elapsed_s
        self._speed += min(max(limited - self._speed, -step), step)
        return 1.0 + self._speed
