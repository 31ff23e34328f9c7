"""Beyond the photo's edges: the canvas's overscan, continued without streaks.

The background is mirrored and loses detail with distance. A person cut off by the frame goes on:
straight at the bottom; at the top and the sides the outline closes to a dome that keeps its width
and slope at the cut. Their colours are mirrored within a narrow strip: hair goes on as hair.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.mediapipe_tasks import load_cv2

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

Borders = tuple[int, int, int, int]
"""Rows and columns to add: top, bottom, left, right."""

_STRIP_TOP: Final = 0.05  # of the canvas's height: how deep hair is mirrored
_STRIP: Final = 0.02  # elsewhere, where collars and necks would repeat as blobs
_BLUR: Final = 0.012  # of the canvas's height: blur at the outermost pixel


def extend_background(pixels: F32, borders: Borders) -> F32:
    """Mirrored beyond the edges, ever softer; float32 [H, W] or [H, W, C] to the canvas's size."""
    cv2 = load_cv2()
    return _soften(cv2.copyMakeBorder(pixels, *borders, cv2.BORDER_REFLECT), borders)


def extend_person(colours: F32, borders: Borders) -> F32:
    """Person colours [H, W, 3] beyond the edges, mirrored within a narrow strip, ever softer."""
    top, bottom, left, right = borders
    height, width = colours.shape[:2]
    whole = height + top + bottom
    strips = [max(2, round(share * whole)) for share in (_STRIP_TOP, _STRIP)]
    rows = _zigzag(height, top, bottom, (strips[0], strips[1]))
    columns = _zigzag(width, left, right, (strips[1], strips[1]))
    return _soften(np.ascontiguousarray(colours[rows[:, None], columns[None, :]]), borders)


def extend_alpha(alpha: F32, borders: Borders) -> F32:
    """The matte [H, W] beyond the edges: domes at the top and the sides, straight at the bottom."""
    top, bottom, left, right = borders
    before = _close_outwards(alpha.T, left, grounded=True).T
    after = _close_outwards(alpha[:, ::-1].T, right, grounded=True).T[:, ::-1]
    wide = np.hstack([before, alpha, after])
    above = _close_outwards(wide, top, grounded=False)
    below = np.clip((wide[-1:] - 0.3) / 0.4, 0, 1)  # a half-transparent edge would make a veil
    whole: F32 = np.vstack([above, wide, np.repeat(below, bottom, 0)]).clip(0, 1)
    return whole.astype(np.float32)


def _close_outwards(alpha: F32, rows: int, grounded: bool) -> F32:
    """[rows, W] before the first row of `alpha`: every run on it closing to a dome.

    grounded: a run that reaches the end of the row stands there and closes on its other side only,
    as shoulders do at the sides of a photo.
    """
    outside = np.zeros((rows, alpha.shape[1]), np.float32)
    if rows:
        for start, stop in _runs(alpha[0] > 0.1):
            stands = grounded and stop == alpha.shape[1]
            outside = np.maximum(outside, _dome(alpha, (start, stop), rows, stands))
    return outside


def _soften(pixels: F32, borders: Borders) -> F32:
    """Blur what lies beyond the photo, more with distance from it."""
    cv2 = load_cv2()
    top, bottom, left, right = borders
    height, width = pixels.shape[:2]
    rows = np.maximum(top - np.arange(height), np.arange(height) - (height - bottom - 1))
    columns = np.maximum(left - np.arange(width), np.arange(width) - (width - right - 1))
    distance = np.maximum(rows[:, None], columns[None, :]).clip(0).astype(np.float32)
    if not distance.any():
        return pixels
    amount = np.clip(distance / max(top, bottom, left, right), 0, 1)
    result = pixels
    for share in (0.5, 1.0):
        blurred = cv2.GaussianBlur(pixels, (0, 0), max(0.5, share * _BLUR * height))
        weight = np.clip(amount * 2 - (share - 0.5) * 2, 0, 1)
        weight = weight if pixels.ndim == 2 else weight[..., None]
        result = result * (1 - weight) + blurred * weight
    return result.astype(np.float32)


def _zigzag(length: int, before: int, after: int, strips: tuple[int, int]) -> I64:
    """Indices of a line continued at both ends by going back and forth within a strip."""
    first, last = (
        _bounce(count, min(strip, length - 1))
        for count, strip in zip((before, after), strips, strict=True)
    )
    return np.concatenate([first[::-1], np.arange(length), length - 1 - last]).astype(np.int64)


def _bounce(count: int, strip: int) -> I64:
    """0, 1, ... strip, ... 1, 0, 1, ...: `count` steps."""
    steps = np.arange(count)
    return strip - np.abs(steps % (2 * strip) - strip) if strip > 0 else np.zeros_like(steps)


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and stop of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _dome(alpha: F32, run: tuple[int, int], rows: int, stands: bool) -> F32:
    """[rows, W] before the first row of `alpha`: its run start .. stop closing away from it.

    Near its top an outline is a parabola, width squared proportional to the depth below the apex,
    so that the widths at the cut and a little below it give the apex. Where the run stands, half a
    dome is drawn.
    """
    start, stop = run
    half = max(float(stop - start), 1.0) if stands else max((stop - start) / 2, 1.0)
    middle = stop - 1 if stands else (start + stop - 1) / 2
    depth = max(2, min(len(alpha) - 1, round(0.25 * half)))
    reach = 4 * depth
    below = alpha[depth, max(0, start - reach) : stop + (0 if stands else reach)] > 0.1
    wider = np.count_nonzero(below) * (1.0 if stands else 0.5)
    apex = float(np.clip(depth * half**2 / max(wider**2 - half**2, 1.0), 1.0, 0.8 * half))
    closing = np.sqrt(np.clip(1 - np.arange(rows, 0, -1) / apex, 0, 1))[:, None]
    columns = np.arange(alpha.shape[1])[None, :]
    source = middle + (columns - middle) / np.maximum(closing, 1e-3)
    profile = np.zeros(alpha.shape[1], np.float32)
    profile[start:stop] = np.clip((alpha[0, start:stop] - 0.3) / 0.4, 0, 1)
    closed = np.interp(source, np.arange(alpha.shape[1]), profile, left=0, right=0)
    if stands:
        closed[:, stop - 1] = profile[stop - 1]
    dome: F32 = (closed * np.clip(closing * half / 2, 0, 1)).astype(np.float32)
    return dome
