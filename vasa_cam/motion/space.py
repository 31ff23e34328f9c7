"""The motion space: 58 numbers a frame that people can read, record, edit and replay.

A frame is float32 [58]: 52 ARKit coefficients (0..1), a head rotation vector (radians) and a head
translation (inter-ocular distances). Axes are the image's: x right, y down, z away from the camera.
So rx > 0 nods the nose down, ry > 0 turns it to the image left, rz > 0 tilts the head clockwise.
Left and right in names are the subject's own.

Motion spaces have names. This one is "arkit-58"; a renderer with a latent of its own has another
(`vasa_cam.motion.latent`), and `check_space` refuses motion of one space for a renderer of another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.numeric import interpolated

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

FACE_SPACE: Final = "arkit-58"
"""Name of this module's space: what the layered renderer draws."""

LIVEPORTRAIT_SPACE: Final = "liveportrait-21"
"""Name of the space of `vasa_cam.motion.latent`: what the volume renderer draws."""

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

    space: ClassVar[str] = FACE_SPACE

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
        frames = interpolated(self.frames, at)
        frames[:, :COEFFICIENTS] = np.clip(frames[:, :COEFFICIENTS], 0.0, 1.0)
        return Motion(frames, rate_hz)


def check_space(motion: str, renderer: str, takes: str) -> None:
    """Raise InputError unless a renderer draws motion of a space.

    motion: name of the motion's space; renderer: what the user calls the renderer; takes: name of
    the space it draws.
    """
    if motion != takes:
        raise InputError(
            f"the {renderer} renderer draws motion of the space {takes} and this motion is "
            f"{motion}: choose a motion source and a renderer of the same space."
        )
