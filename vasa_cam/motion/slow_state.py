"""What a window of motion cannot show by itself: clocks, slow averages, the blink rate asked for.

A pure function of what was heard and emitted so far, kept as a few numbers; training and live use
run the same code.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.channels import BLINK, LOOK_CHANNELS, ROTATION_CHANNELS
from vasa_cam.motion.space import MOTION_RATE_HZ

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_BLINK_CLOCKS_S: Final = (0.4, 1.2, 4.0)
_SHIFT_CLOCKS_S: Final = (0.4, 1.5)
_POSE_AVERAGES_S: Final = (1.0, 5.0)
_POSE_UNIT_RAD: Final = 0.06
_LIDS_CLOSED: Final = 0.5
_SHIFT: Final = 0.06  # of 35 degrees in a frame: faster than any drift of the eyes
BREATH_HZ: Final = 0.24

SLOW_SIZE: Final = len(_BLINK_CLOCKS_S) + len(_SHIFT_CLOCKS_S) + 3 * len(_POSE_AVERAGES_S) + 2 + 1

PROSODY_SIZE: Final = 6


class SlowState:
    """advance(channels [54]) after each emitted frame; row(...) before the next window.

    breath_phase: radians, where breathing starts.
    """

    def __init__(self, breath_phase: float) -> None:
        self._blink_age_s = 2.0
        self._shift_age_s = 1.0
        self._averages = np.zeros((len(_POSE_AVERAGES_S), 3))
        keep = np.exp(-1.0 / (MOTION_RATE_HZ * np.asarray(_POSE_AVERAGES_S)))
        self._keep = keep[:, None]
        self._phase = breath_phase
        self._frame = 0
        self._last_look: Floats | None = None

    def row(self, blinks: float) -> Floats:
        """float32 [SLOW_SIZE]. blinks: the gain of their rate that is asked for."""
        angle = 2.0 * np.pi * BREATH_HZ * self._frame / MOTION_RATE_HZ + self._phase
        clocks = [np.exp(-self._blink_age_s / scale) for scale in _BLINK_CLOCKS_S]
        clocks += [np.exp(-self._shift_age_s / scale) for scale in _SHIFT_CLOCKS_S]
        pose = (self._averages / _POSE_UNIT_RAD).reshape(-1)
        rest = [np.sin(angle), np.cos(angle), blinks - 1.0]
        return np.asarray([*clocks, *pose, *rest], np.float32)

    def advance(self, channels: Floats) -> None:
        """Take in an emitted frame, float32 [54]."""
        self._frame += 1
        closed = float(channels[BLINK].mean()) > _LIDS_CLOSED
        self._blink_age_s = 0.0 if closed else self._blink_age_s + 1.0 / MOTION_RATE_HZ
        look = channels[LOOK_CHANNELS]
        moved = self._last_look is not None and np.abs(look - self._last_look).max() > _SHIFT
        self._shift_age_s = 0.0 if moved else self._shift_age_s + 1.0 / MOTION_RATE_HZ
        self._last_look = look.copy()
        pose = np.asarray(channels[ROTATION_CHANNELS], np.float64)
        self._averages = self._keep * self._averages + (1.0 - self._keep) * pose


class ProsodyFollower:
    """Loudness at several speeds. push(loudness [T], speech [T]) -> float32 [T, PROSODY_SIZE].

    Loudness, its fast, calm and slow averages, the speaker's mean, and how much is being said.
    """

    def __init__(self) -> None:
        self._state: Doubles | None = None
        self._activity = 0.0

    def push(self, loudness: Floats, speech: Floats) -> Floats:
        """Advance by T frames."""
        rows = np.empty((len(loudness), PROSODY_SIZE), np.float32)
        for row, loud, said in zip(rows, loudness.tolist(), speech.tolist(), strict=True):
            if self._state is None:
                self._state = np.full(4, loud)
            fast, calm, slow, mean = self._state
            fast += 0.5 * (loud - fast)
            calm += 0.5 * (fast - calm)
            slow += 0.08 * (loud - slow)
            mean += 0.02 * said * (loud - mean)
            self._state[:] = fast, calm, slow, mean
            self._activity += (0.12 if said > self._activity else 0.05) * (said - self._activity)
            row[:] = loud, fast, calm, slow, mean, self._activity
        return rows
