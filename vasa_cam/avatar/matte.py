"""The person's matte: MediaPipe's selfie segmenter, refined to soft hair edges.

The segmenter (256 x 256) says roughly where the person is. A guided filter (He, Sun and Tang, 2010)
ties its edge to the picture's; in the band around that edge, where person and background differ
clearly in colour, alpha is the pixel's place between the two local colours, which finds single
strands of hair. Alpha is float32 [H, W] in 0 .. 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.mediapipe_tasks import load_cv2, load_tasks, quiet_stderr, task_image
from vasa_cam.avatar.models import SELFIE_SEGMENTER, find_model

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]

_NOISE: Final = 180.0  # squared grey levels, three channels: grain that is no difference in colour
_LEAST_FACE_COVER: Final = 0.6
_FALLBACK_PX: Final = 320


def segment_person(rgb: U8, landmarks: F32, models_dir: Path | None = None) -> F32:
    """The segmenter's confidence that a pixel shows the person, float32 [H, W].

    It looks at the whole picture and at the largest square around the face, because it squeezes
    what it gets into a square of 256 px; each also mirrored, the mean of both is steadier.
    """
    cv2 = load_cv2()
    path = find_model(SELFIE_SEGMENTER, models_dir)
    _, vision = load_tasks()
    from mediapipe.tasks.python import BaseOptions

    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=str(path)),
        output_confidence_masks=True,
        output_category_mask=False,
    )
    height, width = rgb.shape[:2]
    side = min(height, width)
    x, y = landmarks[:468, :2].mean(0)
    left = int(np.clip(x - side / 2, 0, width - side))
    top = int(np.clip(y - side / 2, 0, height - side))
    square = (slice(top, top + side), slice(left, left + side))
    with quiet_stderr(), vision.ImageSegmenter.create_from_options(options) as segmenter:
        confidence = _segment(segmenter, rgb)
        if height != width:
            near = np.zeros((height, width), np.float32)
            near[square] = 1
            margin = max(1, side // 16) | 1
            near = cv2.blur(cv2.erode(near, np.ones((margin, margin))), (margin, margin))
            closer = np.zeros_like(confidence)
            closer[square] = _segment(segmenter, rgb[square])
            confidence = confidence * (1 - near) + closer * near
    return confidence.astype(np.float32)


def _segment(segmenter: Any, rgb: U8) -> F32:
    total = np.zeros(rgb.shape[:2], np.float32)
    for flip in (1, -1):
        mask = segmenter.segment(task_image(rgb[:, ::flip])).confidence_masks[0].numpy_view()
        total += 0.5 * mask.reshape(total.shape)[:, ::flip]
    return total


def find_matte(rgb: U8, landmarks: F32, models_dir: Path | None = None) -> tuple[F32, list[str]]:
    """Alpha of the person whose face landmarks [478, 3] (pixels of `rgb`) are given, and notes.

    When the segmenter does not see this face as part of a person (some drawings), head and
    shoulders are cut out by colour instead and a note says so.
    """
    face = face_mask(landmarks, rgb.shape[:2])
    confidence = segment_person(rgb, landmarks, models_dir)
    notes = []
    if float(confidence[face > 0].mean()) < _LEAST_FACE_COVER:
        confidence = _cut_by_colour(rgb, landmarks)
        notes.append(
            "The person segmenter did not recognise this face, so head and shoulders were cut out "
            "by colour; a photo with a transparent background gives cleaner edges."
        )
    return refine_matte(rgb, confidence, face), notes


def face_mask(landmarks: F32, shape: tuple[int, ...]) -> U8:
    """1 inside the hull of the face's landmarks, uint8 [H, W]."""
    cv2 = load_cv2()
    hull = cv2.convexHull(np.round(landmarks[:468, :2]).astype(np.int32))
    mask: U8 = cv2.fillPoly(np.zeros(shape[:2], np.uint8), [hull], 1)
    return mask


def refine_matte(rgb: U8, confidence: F32, face: U8) -> F32:
    """A clean alpha from a coarse confidence; `face` (0/1) is inside for certain."""
    cv2 = load_cv2()
    unit = face_height(face) / 300.0  # the radii below were chosen at faces of 300 px
    alpha = _one_piece(np.clip((confidence - 0.35) / 0.4, 0, 1).astype(np.float32), face)
    alpha = _decided(alpha, 10 * unit)
    radius = max(2, round(8 * unit))
    guided = np.clip(cv2.ximgproc.guidedFilter(rgb, alpha, radius, 60.0), 0, 1)
    strands, trust = _colour_alpha(rgb, alpha, unit)
    mixed = guided * (1 - trust) + strands * trust
    clean = _one_piece(np.clip((mixed - 0.02) / 0.96, 0, 1).astype(np.float32), face)
    clean = _without_attachments(clean, face, unit)
    return np.asarray(np.clip(np.maximum(clean, face), 0, 1), np.float32)


def face_height(face: U8) -> float:
    """Rows that a face mask covers."""
    return float(max(1, int(np.count_nonzero(face.any(axis=1)))))


def _one_piece(alpha: F32, face: U8) -> F32:
    """Only the piece that holds the face, small holes in it filled."""
    cv2 = load_cv2()
    count, labels = cv2.connectedComponents(((alpha > 0.1) | (face > 0)).astype(np.uint8))
    if count > 2:
        alpha = alpha * (labels == np.bincount(labels[face > 0]).argmax())
    _, labels, stats, _ = cv2.connectedComponentsWithStats((alpha < 0.5).astype(np.uint8))
    small = stats[:, cv2.CC_STAT_AREA] < 0.01 * face_height(face) ** 2
    small[0] = False  # label 0 is the person
    height, width = alpha.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    enclosed = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    return np.where((small & enclosed)[labels], 1.0, alpha).astype(np.float32)


def _without_attachments(alpha: F32, face: U8, unit: float) -> F32:
    """Beside the body, what hangs on it by a thin bridge is background of a similar colour.

    Above the chin nothing is taken away: there thin bridges are hair.
    """
    cv2 = load_cv2()

    def disc(radius: float) -> U8:
        side = 2 * max(1, round(radius)) + 1
        return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)

    solid = cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_OPEN, disc(7 * unit))
    _, labels = cv2.connectedComponents(np.maximum(solid, face))
    body = (labels == labels[np.nonzero(face)][0]).astype(np.uint8)
    near = cv2.GaussianBlur(cv2.dilate(body, disc(8 * unit)).astype(np.float32), (0, 0), 1.5 * unit)
    chin = int(np.nonzero(face)[0].max())
    return np.concatenate([alpha[:chin], alpha[chin:] * near[chin:]]).astype(np.float32)


def _decided(alpha: F32, reach: float) -> F32:
    """Without haze: farther than `reach` px from the edge, alpha is 0 or 1."""
    cv2 = load_cv2()
    solid = (alpha > 0.5).astype(np.uint8)
    inwards = cv2.distanceTransform(solid, cv2.DIST_L2, 5)
    outwards = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5)
    doubt = np.clip(2 - np.maximum(inwards, outwards) / reach, 0, 1)
    decided: F32 = alpha * doubt + solid * (1 - doubt)
    return decided.astype(np.float32)


def _colour_alpha(rgb: U8, alpha: F32, unit: float) -> tuple[F32, F32]:
    """Alpha by colour in the band around the edge, and how far to trust it, both [H, W]."""
    cv2 = load_cv2()
    image = rgb.astype(np.float32)
    inner_px, outer_px, sigma = 6 * unit, 14 * unit, 10 * unit
    inwards = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    outwards = cv2.distanceTransform((alpha <= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    person, person_spread, person_mass = _local_colour(image, inwards > inner_px, sigma)
    ground, ground_spread, ground_mass = _local_colour(image, outwards > outer_px, sigma)
    axis = person - ground
    contrast = (axis * axis).sum(2) + 1e-3
    place = ((image - ground) * axis).sum(2) / contrast
    low = np.sqrt(ground_spread / 3 / contrast)  # one standard deviation along the axis
    high = 1 - np.sqrt(person_spread / 3 / contrast)
    strands = np.clip((place - low) / np.maximum(high - low, 0.2), 0, 1)
    trust = contrast / (contrast + 2 * (person_spread + ground_spread) + _NOISE)
    trust = np.clip((trust - 0.35) / 0.4, 0, 1)
    ramp = 3 * unit  # fades the band in and out
    trust *= np.clip((inner_px - inwards) / ramp + 1, 0, 1)
    trust *= np.clip((outer_px - outwards) / ramp + 1, 0, 1)
    trust *= (person_mass > 1e-3) & (ground_mass > 1e-3)
    return strands.astype(np.float32), trust.astype(np.float32)


def _local_colour(image: F32, mask: npt.NDArray[np.bool_], sigma: float) -> tuple[F32, F32, F32]:
    """Gaussian-weighted mean [H, W, 3], variance summed over channels and mass of masked pixels."""
    cv2 = load_cv2()
    height, width = mask.shape
    step = max(1, int(sigma / 8))  # a wide blur needs no fine pixels
    size = (max(1, width // step), max(1, height // step))
    weight = mask.astype(np.float32)
    stack = np.dstack([image * weight[..., None], (image**2).sum(2) * weight, weight])
    small = cv2.resize(stack, size, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / step)
    blurred = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    mass = blurred[..., 4]
    floor = mass + 1e-6
    mean = blurred[..., :3] / floor[..., None]
    return mean, np.maximum(blurred[..., 3] / floor - (mean * mean).sum(2), 0), mass


def _cut_by_colour(rgb: U8, landmarks: F32) -> F32:
    """GrabCut (Rother, Kolmogorov and Blake, 2004) from a head ellipse and shoulders below it."""
    cv2 = load_cv2()
    scale = min(1.0, _FALLBACK_PX / max(rgb.shape[:2]))
    size = (max(8, round(rgb.shape[1] * scale)), max(8, round(rgb.shape[0] * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    points = landmarks[:468, :2] * scale
    low, high = points.min(0), points.max(0)
    (x, y), (width, height) = (low + high) / 2, high - low
    rows, columns = np.mgrid[: size[1], : size[0]].astype(np.float32)
    head = ((columns - x) / (0.8 * width)) ** 2 + (
        (rows - y + 0.12 * height) / (0.85 * height)
    ) ** 2
    below = (rows - high[1]) / height
    shoulders = (below > -0.1) & (
        np.abs(columns - x) < (0.3 + 1.6 * np.clip(below, 0, 0.7)) * width
    )
    labels = np.full(size[::-1], cv2.GC_BGD, np.uint8)
    labels[(head < 1.7) | (below > 0)] = cv2.GC_PR_BGD
    labels[(head < 1) | shoulders] = cv2.GC_PR_FGD
    labels[cv2.erode(face_mask(points, size[::-1]), np.ones((5, 5), np.uint8)) > 0] = cv2.GC_FGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(small, labels, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    person = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.float32)
    person = cv2.GaussianBlur(person, (0, 0), 1.0)
    confidence: F32 = cv2.resize(person, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return confidence
