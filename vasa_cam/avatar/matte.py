"""The person's matte: MediaPipe's selfie segmenter, refined to soft hair edges.

Alpha is float32 [H, W] in 0 .. 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.mediapipe_tasks import load_cv2, load_tasks, quiet_stderr, task_image
from vasa_cam.avatar.models import SELFIE_SEGMENTER, find_model

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]


def segment_person(rgb: U8, models_dir: Path | None = None) -> F32:
    """The segmenter's confidence that a pixel shows the person, float32 [H, W]."""
    path = find_model(SELFIE_SEGMENTER, models_dir)
    _, vision = load_tasks()
    from mediapipe.tasks.python import BaseOptions

    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=str(path)),
        output_confidence_masks=True,
        output_category_mask=False,
    )
    with quiet_stderr(), vision.ImageSegmenter.create_from_options(options) as segmenter:
        mask = segmenter.segment(task_image(rgb)).confidence_masks[0].numpy_view()
        return np.array(mask, np.float32).reshape(rgb.shape[:2])


def refine_matte(rgb: U8, confidence: F32) -> F32:
    """A clean alpha from a coarse confidence: largest component, holes filled, soft edges."""
    cv2 = load_cv2()
    alpha = np.clip((confidence - 0.35) / 0.4, 0, 1)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.3).astype(np.uint8))
    if count > 1:
        alpha = alpha * (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax())
    refined = cv2.ximgproc.guidedFilter(rgb, alpha.astype(np.float32), 8, 60.0)
    return np.clip(refined, 0, 1).astype(np.float32)
