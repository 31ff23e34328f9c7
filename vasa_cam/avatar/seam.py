"""Where closed lips meet: the darkest seam between the inner-lip landmarks.

A tracker places the two inner lips a few pixels apart on a closed mouth. Rendering cuts the mesh
there, so a cut beside the real seam would open the mouth inside a lip. Dynamic programming finds
the seam; both inner lips move onto it and the outer rings follow in part.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.landmarks import LOWER_LIP_RINGS, MOUTH_CORNERS, UPPER_LIP_RINGS

Floats = npt.NDArray[np.float32]

CLOSED_GAP: Final = 0.025
"""Inner-lip gap over mouth width below which a photographed mouth counts as closed. On 46 portraits
lips that touch measure up to 0.018, parted ones 0.031 and more."""

_MIDDLES: Final = (13, 14)
_STEP: Final = 0.5
_REACH: Final = 5.0
# The share of the inner lip's move that each ring makes, outer ring first.
_RING_SHARE: Final = (0.0, 0.2, 0.55, 1.0)


def is_closed(points_px: Floats) -> bool:
    """Whether the lips touch: inner gap under CLOSED_GAP of the mouth's width.

    points_px: float32 [>=468, 3], MediaPipe landmarks in pixels.
    """
    width = np.linalg.norm(points_px[MOUTH_CORNERS[0], :2] - points_px[MOUTH_CORNERS[1], :2])
    gap = np.linalg.norm(points_px[_MIDDLES[0], :2] - points_px[_MIDDLES[1], :2])
    return bool(gap < CLOSED_GAP * width)


def snap_seam(luma: Floats, points_px: Floats) -> Floats:
    """Moves the lip landmarks of a closed mouth so that both inner lips lie on the dark seam.

    luma: float32 [H, W] of the canvas; points_px: float32 [>=468, 3]. Returns new points.
    """
    points = points_px.astype(np.float64).copy()
    inner_upper, inner_lower = np.asarray(UPPER_LIP_RINGS[3]), np.asarray(LOWER_LIP_RINGS[3])
    axis = points[MOUTH_CORNERS[1], :2] - points[MOUTH_CORNERS[0], :2]
    width = float(np.linalg.norm(axis))
    down = np.array([-axis[1], axis[0]]) / width
    middle = 0.5 * (points[inner_upper] + points[inner_lower])
    offsets = np.arange(-_REACH, _REACH + 0.1, _STEP) * width / 90.0
    cost = _seam_cost(luma, middle[:, :2], down, offsets)
    shift = _cheapest_path(cost, offsets)
    target = middle.copy()
    target[:, :2] += shift[:, None] * down
    for upper_ring, lower_ring, share in _rings():
        for ring, start in ((upper_ring, inner_upper), (lower_ring, inner_lower)):
            move = target - points_px[start]
            if share < 1.0:
                move[:, 2] = 0.0
                points[ring[1:-1]] += share * move[1:-1]
            else:
                points[ring] = target
    return np.asarray(points, np.float32)


def join_depths(points_px: Floats) -> Floats:
    """The landmarks with both inner lips at one depth, so that closed lips stay shut in a turn.

    points_px: float32 [468, 3] of a closed mouth, depth settled. Returns new points.
    """
    points: Floats = points_px.copy()
    upper, lower = np.asarray(UPPER_LIP_RINGS[3]), np.asarray(LOWER_LIP_RINGS[3])
    points[upper, 2] = points[lower, 2] = 0.5 * (points[upper, 2] + points[lower, 2])
    return points


def _rings() -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], float]]:
    return [
        (np.asarray(upper), np.asarray(lower), share)
        for upper, lower, share in zip(UPPER_LIP_RINGS, LOWER_LIP_RINGS, _RING_SHARE, strict=True)
        if share > 0.0
    ]


def _seam_cost(
    luma: Floats,
    middle: npt.NDArray[np.float64],
    down: npt.NDArray[np.float64],
    offsets: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Darkness along each column of candidate seam points, plus a pull to the landmarks."""
    at = middle[:, None, :] + offsets[None, :, None] * down
    height, width = luma.shape
    x = np.clip(at[..., 0], 0, width - 1.001)
    y = np.clip(at[..., 1], 0, height - 1.001)
    x0, y0 = x.astype(np.int64), y.astype(np.int64)
    u, v = x - x0, y - y0
    value = (1 - v) * ((1 - u) * luma[y0, x0] + u * luma[y0, x0 + 1]) + v * (
        (1 - u) * luma[y0 + 1, x0] + u * luma[y0 + 1, x0 + 1]
    )
    return np.asarray(value + 0.25 * offsets[None, :] ** 2, np.float64)


def _cheapest_path(
    cost: npt.NDArray[np.float64], offsets: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Viterbi through the columns with a quadratic jump penalty, lightly smoothed."""
    jump = 4.0 * (offsets[:, None] - offsets[None, :]) ** 2
    total = cost[0]
    back = []
    for column in cost[1:]:
        step = total[None, :] + jump
        back.append(step.argmin(1))
        total = column + step.min(1)
    index = int(total.argmin())
    path = [index]
    for choice in reversed(back):
        index = int(choice[index])
        path.append(index)
    shift = offsets[np.array(path[::-1])]
    padded = np.pad(shift, 1, mode="edge")
    return np.asarray(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:], np.float64)
