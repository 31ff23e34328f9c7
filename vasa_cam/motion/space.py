"""The motion space: 58 numbers a frame that people can read, record, edit and replay.

A frame is float32 [58]: 52 ARKit coefficients (0..1), a head rotation vector (radians) and a head
translation (inter-ocular distances). Axes are the image's: x right, y down, z away from the camera.
So rx > 0 nods the nose down, ry > 0 turns it to the image left, rz > 0 tilts the head clockwise.
Left and right in names are the subject's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_EYE: Final = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")

ARKIT_NAMES: Final[tuple[str, ...]] = (
    *(f"eye{name}Left" for name in _EYE),
    *(f"eye{name}Right" for name in _EYE),
    *("jawForward", "jawRight", "jawLeft", "jawOpen"),
    *("mouthClose", "mouthFunnel", "mouthPucker", "mouthRight", "mouthLeft"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft", "browDownRight"),
    *("browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff"),
    *("cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut"),
)
"""The 52 coefficients in Live Link Face's order."""

COEFFICIENTS: Final = 52
ROTATION: Final = slice(52, 55)
TRANSLATION: Final = slice(55, 58)
MOTION_SIZE: Final = 58
MOTION_RATE_HZ: Final = 25.0

INDEX: Final[dict[str, int]] = {name: index for index, name in enumerate(ARKIT_NAMES)}
"""Coefficient name -> position in a motion frame."""


def neutral(frames: int = 1) -> Floats:
    """Rest motion, float32 [frames, 58]: the portrait as photographed, mouth closed."""
    return np.zeros((frames, MOTION_SIZE), np.float32)


@dataclass(frozen=True)
class Motion:
    """A run of motion frames at a constant rate.

    frames: float32 [T, 58], the layout of this module. rate_hz: frames a second.
    Raises ValueError when the shape is not [T, 58] or a value is not finite.
    """

    frames: Floats
    rate_hz: float = MOTION_RATE_HZ

    def __post_init__(self) -> None:
        if self.frames.ndim != 2 or self.frames.shape[1] != MOTION_SIZE:
            raise ValueError(f"Motion: frames must be [T, {MOTION_SIZE}], got {self.frames.shape}")
        if not np.isfinite(self.frames).all():
            raise ValueError("Motion: frames hold values that are not finite")

    @property
    def duration_s(self) -> float:
        """Length in seconds: T / rate_hz."""
        return len(self.frames) / self.rate_hz

    def resampled(self, rate_hz: float) -> Motion:
        """The same motion at another rate, by cubic (Catmull-Rom) interpolation in time.

        Coefficients stay in 0..1; frame k of the result is at k / rate_hz seconds.
        """
        if rate_hz == self.rate_hz or len(self.frames) < 2:
            return Motion(self.frames, rate_hz)
        count = max(1, round(self.duration_s * rate_hz))
        at = np.arange(count) * (self.rate_hz / rate_hz)
        base = np.floor(at).astype(np.int64)
        u = (at - base).astype(np.float32)[:, None]
        last = len(self.frames) - 1
        p0, p1, p2, p3 = (self.frames[np.clip(base + k, 0, last)] for k in (-1, 0, 1, 2))
        frames = p1 + 0.5 * u * (
            p2 - p0 + u * (2 * p0 - 5 * p1 + 4 * p2 - p3 + u * (3 * (p1 - p2) + p3 - p0))
        )
        frames[:, :COEFFICIENTS] = np.clip(frames[:, :COEFFICIENTS], 0.0, 1.0)
        return Motion(frames.astype(np.float32), rate_hz)
