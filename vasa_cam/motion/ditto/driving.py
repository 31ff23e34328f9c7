"""How Ditto moves a source: its motion becomes the source's own, in LivePortrait's space.

The change since the first frame of the first clip is added to the source's expression, translation
and scores of the angles' bins; lips and eyes take the expression, all else keeps the source's. Eyes
counter the head's turn a little, so that they keep looking at the camera.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.ditto.condition import (
    EXPRESSION,
    PITCH,
    ROLL,
    SCALE,
    TRANSLATION,
    YAW,
    DittoSource,
)
from vasa_cam.motion.latent import (
    EYE_KEYPOINTS,
    KEYPOINTS,
    LIP_KEYPOINTS,
    LatentMotion,
    angle_deg,
)

Floats = npt.NDArray[np.float32]

FPS: Final = 25.0

# Keypoints beside the irises; eyes turn by these shares of the head, and move so much a degree.
_LEFT, _RIGHT = 11, 15
_YAW_SHARE, _PITCH_SHARE = 0.26, 0.28
_INNER_STEP, _OUTER_STEP = 0.0007, 0.001


def driven(
    rows: Floats, first: Floats, source: DittoSource, *, relative: bool = True, eyes: bool = True
) -> LatentMotion:
    """Motion of a source, to be drawn as it is (absolute), at 25 frames a second.

    rows: float32 [T, 265], the generator's motion. first: [265], where relative motion starts.
    eyes: the eyes take the generator's expression, too.
    """
    own = source.motion
    moved = own + (rows - first) if relative else rows
    exp = np.tile(own[EXPRESSION].reshape(1, KEYPOINTS, 3), (len(rows), 1, 1))
    taken = [*LIP_KEYPOINTS, *(EYE_KEYPOINTS if eyes else ())]
    exp[:, taken] = moved[:, EXPRESSION].reshape(-1, KEYPOINTS, 3)[:, taken]
    pitch, yaw, roll = (angle_deg(moved[:, bins]) for bins in (PITCH, YAW, ROLL))
    _keep_looking(exp, pitch - angle_deg(own[PITCH]), yaw - angle_deg(own[YAW]))
    scale = np.full(len(rows), 1 + own[SCALE.start], np.float32)
    translation = np.ascontiguousarray(moved[:, TRANSLATION], np.float32)
    return LatentMotion(exp, scale, translation, pitch, yaw, roll, FPS)


def _keep_looking(exp: Floats, pitch: Floats, yaw: Floats) -> None:
    """Move the irises' keypoints of exp [T, 21, 3] against turns [T], degrees, in place."""
    x, y = _YAW_SHARE * yaw, _PITCH_SHARE * pitch
    right = x > 0
    exp[:, _LEFT, 0] += x * np.where(right, _INNER_STEP, _OUTER_STEP)
    exp[:, _RIGHT, 0] += x * np.where(right, _OUTER_STEP, _INNER_STEP)
    for keypoint in (_LEFT, _RIGHT):
        exp[:, keypoint, 1] -= y * _OUTER_STEP
