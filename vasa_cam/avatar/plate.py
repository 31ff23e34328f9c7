"""The background plate: what the photo would show without the person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.mediapipe_tasks import load_cv2

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]


def fill_plate(rgb: U8, alpha: F32) -> U8:
    """uint8 [H, W, 3] with the person (and a tight rim of 5 px) replaced by background."""
    cv2 = load_cv2()
    hole = (cv2.dilate(alpha, np.ones((5, 5))) > 0.05).astype(np.uint8)
    height, width = hole.shape
    half = (width // 2, height // 2)
    small = cv2.resize(rgb, half, interpolation=cv2.INTER_AREA)
    small_hole = cv2.resize(hole, half, interpolation=cv2.INTER_NEAREST)
    small = cv2.inpaint(small, cv2.dilate(small_hole, np.ones((3, 3))), 4, cv2.INPAINT_TELEA)
    filled = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 1.2)[..., None]
    return np.clip(rgb * (1 - soft) + filled * soft + 0.5, 0, 255).astype(np.uint8)
