"""Gaze coefficients from the tracker's iris landmarks."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.landmarks import EYE_CORNERS, LEFT_IRIS, RIGHT_IRIS
from vasa_cam.motion.space import COEFFICIENTS, INDEX

Floats = npt.NDArray[np.float32]

EYE_RADIUS_IOD: Final = 0.19
"""An eyeball's radius: 1.2 cm of 6.3."""
FULL_GAZE_RAD: Final = float(np.radians(35.0))
"""Turn of the eye that a coefficient of 1 means."""


def gaze_coefficients(landmarks: Floats) -> Floats:
    """eyeLook* coefficients float32 [T, 52] (all others zero) from landmarks [T, 478, 3].

    landmarks: head frame, inter-ocular distances, our axes. The eye turns by the iris centre's
    displacement from its median place between the eye's corners, over the eyeball's radius.
    """
    out = np.zeros((len(landmarks), COEFFICIENTS), np.float32)
    irises = (RIGHT_IRIS, LEFT_IRIS)
    # The subject's right eye looks outwards when it turns to the image left, the left one right.
    sides = (("Right", "Out", "In"), ("Left", "In", "Out"))
    for (side, leftward, rightward), iris, corners in zip(sides, irises, EYE_CORNERS, strict=True):
        offset = landmarks[:, iris[0], :2] - landmarks[:, list(corners), :2].mean(1)
        offset = offset - np.median(offset, axis=0)
        turn = np.arcsin(np.clip(offset / EYE_RADIUS_IOD, -1, 1)) / FULL_GAZE_RAD
        for name, amount in (
            (rightward, turn[:, 0]),
            (leftward, -turn[:, 0]),
            ("Down", turn[:, 1]),
            ("Up", -turn[:, 1]),
        ):
            out[:, INDEX[f"eyeLook{name}{side}"]] = np.clip(amount, 0, 1)
    return out
