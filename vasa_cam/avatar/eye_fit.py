"""Eyes that a tracker misses: lid landmarks moved onto the eye that the picture shows.

Trackers learn from photographs. On a drawn or sculpted face with large eyes they put the lids
inside the white, so that neither blink nor gaze would fit. The white itself tells: it must not go
on beyond the lids.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vasa_cam.avatar.paint import LUMA, Bytes, Floats, Reals, blur, sample
from vasa_cam.landmarks import (
    LEFT_IRIS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_IRIS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    Ring,
)

_RAYS: Final = 72
_FARTHEST: Final = 1.5
"""The search goes out to this multiple of the tracked lid outline."""
_MISSED: Final = 1.05
_MISSED_SHARE: Final = 0.28
"""The tracker missed an eye whose white reaches beyond _MISSED on this share of the rays. Test
portraits: at most 0.2 on one eye of a photo, 0.38 on both eyes of the cartoon."""
_ENOUGH_RAYS: Final = 12
_PASSES: Final = 3
_START: Final = 0.84
_SCALE_STEP: Final = 0.02
_EDGE_STEPS: Final = 4
_DARKER: Final = 0.82
_HUE_CHANGE: Final = 0.03
_SPREAD: Final = 0.45
"""Landmarks around the eye follow within this many eye widths."""


def fit_eye_landmarks(canvas_rgb: Bytes, landmarks_px: Floats) -> tuple[Floats, bool]:
    """Move the lids onto the visible eyes where the tracker missed them.

    canvas_rgb: uint8 [H, W, 3]. landmarks_px: float32 [478, 2 or 3]. Returns the landmarks (new
    where moved) and whether anything moved. Well tracked eyes are left exactly as they are.
    """
    fitted = landmarks_px.copy()
    factors = []
    eyes = (
        (RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_IRIS),
        (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_IRIS),
    )
    for upper, lower, iris in eyes:
        outline = landmarks_px[[*upper, *lower[::-1]], :2]
        factors.append(_reach(canvas_rgb, outline, landmarks_px[list(iris), :2]))
    if not all(_missed(factor) for factor in factors):
        return fitted, False
    for upper, lower, iris in eyes:
        for _ in range(_PASSES):
            outline = fitted[[*upper, *lower[::-1]], :2]
            factor = _reach(canvas_rgb, outline, fitted[list(iris), :2])
            _move(fitted, upper, lower, _closed_curve(factor))
    return fitted, True


def _missed(factor: Floats) -> bool:
    """Whether the white goes on beyond the lids on many of the rays that can tell."""
    known = factor[np.isfinite(factor)]
    return len(known) >= _ENOUGH_RAYS and bool((known > _MISSED).mean() > _MISSED_SHARE)


def _reach(canvas: Bytes, outline: Floats, iris: Floats) -> Floats:
    """How far the white goes on every ray, in multiples of the outline, float32 [rays].

    Not a number on rays that start in the iris, a lid or a reflection.
    """
    centre = outline.mean(0)
    rays = _rays()
    border = _radial(outline, centre, rays)
    scale = np.arange(_START, _FARTHEST, _SCALE_STEP, dtype=np.float32)
    at = centre + rays[None] * (border[None] * scale[:, None])[..., None]
    seen = sample(blur(canvas.astype(np.float32), 0.6), at)
    luma, hue = seen @ LUMA, _hue(seen)
    radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
    white = (np.linalg.norm(at - iris[0], axis=-1) > 1.15 * radius).all(0)
    if not white.any():
        return np.full(_RAYS, np.nan, np.float32)
    white &= luma[0] > 0.75 * np.percentile(luma[0, white], 80)
    step = _EDGE_STEPS
    edge = luma[step:] < _DARKER * luma[:-step]
    edge |= np.linalg.norm(hue[step:] - hue[:-step], axis=-1) > _HUE_CHANGE
    end = scale[edge.argmax(0)] + 0.5 * step * _SCALE_STEP
    return np.where(white & edge.any(0), end, np.nan).astype(np.float32)


def _closed_curve(factor: Floats) -> Floats:
    """Factors for all rays from those known: interpolated around the eye and smoothed."""
    # An edge well inside the lids is a reflection or the iris, not the lid.
    known = np.flatnonzero(np.nan_to_num(factor) > 0.95)
    around = np.concatenate([known - _RAYS, known, known + _RAYS])
    full = np.interp(np.arange(-_RAYS, 2 * _RAYS), around, np.tile(factor[known], 3))
    windows = np.lib.stride_tricks.sliding_window_view(full, 7)
    steady = np.percentile(windows, 75, axis=-1).astype(np.float32)
    return np.maximum(blur(steady[None], 2.0)[0, _RAYS - 3 : 2 * _RAYS - 3], 1.0)


def _hue(colour: Reals) -> Floats:
    """Red and blue share of a colour, [..., 2], independent of brightness."""
    total = np.maximum(colour.sum(-1, keepdims=True), 1.0)
    return np.asarray(colour[..., [0, 2]] / total, np.float32)


def _rays() -> Floats:
    angle = np.arange(_RAYS) * (2 * np.pi / _RAYS)
    return np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32)


def _radial(outline: Floats, centre: Floats, rays: Floats) -> Floats:
    """Distance from the centre to the outline along every ray."""
    start = outline - centre
    edge = np.roll(start, -1, axis=0) - start
    cross = rays[:, None, 0] * edge[:, 1] - rays[:, None, 1] * edge[:, 0]
    safe = np.where(np.abs(cross) < 1e-9, 1e-9, cross)
    distance = (start[:, 0] * edge[:, 1] - start[:, 1] * edge[:, 0]) / safe
    along = (start[:, 0] * rays[:, None, 1] - start[:, 1] * rays[:, None, 0]) / safe
    hit = (along >= -1e-6) & (along <= 1 + 1e-6) & (distance > 0)
    return np.asarray(np.where(hit, distance, 0.0).max(1), np.float32)


def _move(points_px: Floats, upper: Ring, lower: Ring, factor: Floats) -> None:
    """Scale the lids about the eye's centre by the factor of their ray; neighbours follow."""
    lids = list(dict.fromkeys([*upper, *lower]))
    points = points_px[lids, :2].copy()
    centre = points.mean(0)
    offset = points - centre
    turn = np.arctan2(offset[:, 1], offset[:, 0]) % (2 * np.pi) / (2 * np.pi) * _RAYS
    ring = np.append(factor, factor[0])
    shift = offset * (np.interp(turn, np.arange(_RAYS + 1), ring) - 1.0)[:, None]
    width = float(np.linalg.norm(points[0] - points_px[upper[-1], :2]))
    others = np.setdiff1d(np.arange(468), lids)
    distance = np.linalg.norm(points_px[others, None, :2] - points[None], axis=-1)
    near = distance.min(1)
    share = np.exp(-((near / (_SPREAD * width)) ** 2)) * (near < 1.2 * width)
    weight = np.exp(-((distance / (0.25 * width)) ** 2)) + 1e-9
    follow = (weight / weight.sum(1, keepdims=True)) @ shift
    points_px[others, :2] += follow * share[:, None]
    points_px[lids, :2] = points + shift
