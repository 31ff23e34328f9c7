"""LivePortrait's motion space, "liveportrait-21": what the volume renderer draws.

A frame says how 21 implicit keypoints of a face move. With x_c the canonical keypoints of a source
(rows, x to the image right, y down, z inward, in -1..1), a frame places them at

    x = scale (x_c R + exp) + (t_x, t_y, 0),    R = (Rz(roll) Ry(yaw) Rx(pitch))^T

with right-handed rotations about the axes and angles in degrees; t_z is carried and not used. The
keypoints have no names; which of them the mouth and the eyes use is known (`LIP_KEYPOINTS`,
`EYE_KEYPOINTS`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.space import LIVEPORTRAIT_SPACE
from vasa_cam.numeric import interpolated

Floats = npt.NDArray[np.float32]

KEYPOINTS: Final = 21
LIP_KEYPOINTS: Final = (6, 12, 14, 17, 19, 20)
EYE_KEYPOINTS: Final = (11, 13, 15, 16, 18)

EXPRESSION: Final = slice(0, 63)
SCALE: Final = slice(63, 64)
TRANSLATION: Final = slice(64, 67)
ANGLES: Final = slice(67, 70)
"""Pitch, yaw, roll; with the three slices above the layout of `LatentMotion.rows`."""

LATENT_SIZE: Final = 70

ANGLE_BINS: Final = 66
_BIN_DEG, _FIRST_BIN_DEG = 3.0, -97.5


@dataclass(frozen=True, eq=False)
class LatentMotion:
    """A run of frames in LivePortrait's space at a constant rate; all arrays are float32.

    exp: [T, 21, 3], offsets of the keypoints, before the scale. scale: [T], above 0. translation:
    [T, 3]. pitch, yaw, roll: [T], degrees. fps: frames a second, above 0. Raises ValueError when a
    shape or type differs, a value is not finite, or scale or fps is not above 0.
    """

    space: ClassVar[str] = LIVEPORTRAIT_SPACE

    exp: Floats
    scale: Floats
    translation: Floats
    pitch: Floats
    yaw: Floats
    roll: Floats
    fps: float

    def __post_init__(self) -> None:
        count = len(self.exp)
        shapes = {
            "exp": (count, KEYPOINTS, 3),
            "scale": (count,),
            "translation": (count, 3),
            "pitch": (count,),
            "yaw": (count,),
            "roll": (count,),
        }
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values.shape != shape or values.dtype != np.float32:
                raise ValueError(
                    f"LatentMotion: {name} must be float32 {list(shape)}, "
                    f"got {values.dtype} {list(values.shape)}"
                )
            if not np.isfinite(values).all():
                raise ValueError(f"LatentMotion: {name} holds values that are not finite")
        if not (self.scale > 0).all():
            raise ValueError("LatentMotion: scale must be above 0")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"LatentMotion: fps must be above 0, got {self.fps}")

    def __len__(self) -> int:
        return len(self.exp)

    @property
    def duration_s(self) -> float:
        """Length in seconds: T / fps."""
        return len(self) / self.fps

    def rows(self) -> Floats:
        """All numbers of a frame in a row, float32 [T, 70]: exp, scale, translation, angles."""
        return np.concatenate(
            [
                self.exp.reshape(-1, KEYPOINTS * 3),
                self.scale[:, None],
                self.translation,
                np.stack([self.pitch, self.yaw, self.roll], axis=1),
            ],
            axis=1,
        )

    @classmethod
    def from_rows(cls, rows: Floats, fps: float) -> LatentMotion:
        """The motion whose `rows()` are these, float32 [T, 70]. Raises ValueError."""
        if rows.ndim != 2 or rows.shape[1] != LATENT_SIZE:
            raise ValueError(f"LatentMotion: rows must be [T, {LATENT_SIZE}], got {rows.shape}")
        pitch, yaw, roll = np.ascontiguousarray(rows[:, ANGLES].T)
        return cls(
            exp=np.ascontiguousarray(rows[:, EXPRESSION]).reshape(-1, KEYPOINTS, 3),
            scale=np.ascontiguousarray(rows[:, SCALE.start]),
            translation=np.ascontiguousarray(rows[:, TRANSLATION]),
            pitch=pitch,
            yaw=yaw,
            roll=roll,
            fps=fps,
        )

    @classmethod
    def joined(cls, parts: Sequence[LatentMotion]) -> LatentMotion:
        """Parts of one motion after each other. Raises ValueError unless their fps is the same."""
        rates = {part.fps for part in parts}
        if len(rates) != 1:
            raise ValueError(f"LatentMotion: parts must have one fps, got {sorted(rates)}")
        return cls.from_rows(np.concatenate([part.rows() for part in parts]), parts[0].fps)

    def cut(self, first: int, last: int) -> LatentMotion:
        """Frames first..last-1."""
        return LatentMotion.from_rows(self.rows()[first:last], self.fps)

    def resampled(self, fps: float) -> LatentMotion:
        """The same motion at another rate, by cubic (Catmull-Rom) interpolation in time.

        Frame k of the result is at k / fps seconds. The scale stays within that of the frames
        around. Raises ValueError when fps is not above 0.
        """
        if not (np.isfinite(fps) and fps > 0):
            raise ValueError(f"LatentMotion: fps must be above 0, got {fps}")
        if fps == self.fps or len(self) == 0:
            return LatentMotion.from_rows(self.rows(), fps)
        count = max(1, round(self.duration_s * fps))
        at = np.arange(count) * (self.fps / fps)
        rows = interpolated(self.rows(), at)
        # A cubic overshoots, and a scale must stay above 0.
        before = np.clip(np.floor(at).astype(np.int64), 0, len(self) - 1)
        ends = self.scale[before], self.scale[np.minimum(before + 1, len(self) - 1)]
        rows[:, SCALE.start] = np.clip(rows[:, SCALE.start], np.minimum(*ends), np.maximum(*ends))
        return LatentMotion.from_rows(rows, fps)


def angle_deg(bins: Floats) -> Floats:
    """Angles float32 [..] of scores over bins of 3 degrees [.., 66]: their mean, -97.5 .. 97.5."""
    weights = np.exp(bins - bins.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    # No matrix product: its rounding depends on how many frames are asked for at once.
    mean = (weights * np.arange(bins.shape[-1], dtype=np.float32)).sum(axis=-1)
    return np.asarray(_BIN_DEG * mean + _FIRST_BIN_DEG, np.float32)
