"""Colours carried from where they are known to where they are not: smooth, without streaks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.mediapipe_tasks import load_cv2

F32 = npt.NDArray[np.float32]


def spread_colours(image: F32, weight: F32) -> F32:
    """float32 [H, W, C] equal to `image` where `weight` [H, W] is 1, its surroundings elsewhere.

    Pull-push (Gortler et al., "The Lumigraph", 1996): every halving carries known colours twice as
    far, and each pixel takes the finest scale that reaches it. Black when nothing is known.
    """
    cv2 = load_cv2()
    height, width = weight.shape
    known = weight[..., None]
    if max(height, width) <= 2:
        total = max(float(weight.sum()), 1e-6)
        mean = (image * known).sum((0, 1)) / total
        return np.broadcast_to(mean, image.shape).astype(np.float32)
    size = ((width + 1) // 2, (height + 1) // 2)
    small_weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(image * known, size, interpolation=cv2.INTER_AREA)
    small = small / np.maximum(small_weight, 1e-6)[..., None]
    coarse = spread_colours(small, np.minimum(2 * small_weight, 1))
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    spread: F32 = image * known + smooth * (1 - known)
    return spread
