"""Hair that falls over the forehead: it must not bend with the brows beneath it.

Inside the face's outline nothing but colour tells hair from skin: pixels above the brows are
compared with this person's own hair and own cheeks.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from vasa_cam.landmarks import FACE_OVAL, LEFT_BROW, RIGHT_BROW
from vasa_cam.numeric import smoothstep

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_CHEEKS: Final = (50, 280, 205, 425, 101, 330, 117, 346)
_FEWEST_SAMPLES: Final = 60
_LEAST_CONTRAST: Final = 2.5
"""Distance of the two mean colours in standard deviations; below it colour tells nothing."""
_BEYOND_OUTLINE: Final = 0.1
_NOISE: Final = 36.0
"""Variance added to both colours, so that a flat painted cheek doesn't exclude everything else."""


def find_fringe(canvas_rgb: Bytes, points_px: Floats, hair: Floats) -> Floats:
    """How far each pixel above the brows is hair, float32 [Hc, Wc] in 0..1; soft edges.

    canvas_rgb: uint8 [Hc, Wc, 3]; points_px: float32 [>=468, >=2]; hair: float32 [Hc, Wc], hair
    around the face. All zeros where hair and skin have the same colour, or there is no hair.
    """
    points = points_px[:468, :2].astype(np.float64)
    size = float(np.ptp(points[:, 1]))
    empty = np.zeros(hair.shape, np.float32)
    near = _polygon(points[list(FACE_OVAL)], hair.shape, grow=0.18 * size)
    locks = canvas_rgb[(hair > 0.85) & near]
    skin = np.concatenate([_around(canvas_rgb, points[k], 0.02 * size) for k in _CHEEKS])
    if len(locks) < _FEWEST_SAMPLES or len(skin) < _FEWEST_SAMPLES:
        return empty
    hair_mean, hair_spread = _model(locks)
    skin_mean, skin_spread = _model(skin)
    between = hair_mean - skin_mean
    contrast = between @ np.linalg.solve(0.5 * (hair_spread + skin_spread), between)
    if contrast < _LEAST_CONTRAST**2:
        return empty
    forehead = _forehead(points, hair.shape)
    rows, columns = np.nonzero(forehead)
    if not len(rows):
        return empty
    colours = canvas_rgb[rows, columns].astype(np.float64)
    to_skin = _distance(colours, skin_mean, skin_spread)
    to_hair = _distance(colours, hair_mean, hair_spread)
    found = empty.copy()
    found[rows, columns] = smoothstep(0.45, 0.6, to_skin / (to_skin + to_hair + 1e-6))
    return _soften(found, 0.02 * size)


def _forehead(points: Doubles, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Above a curve a little over the brows, and a little beyond the face's outline, so that this
    mask and that of the hair around the face leave no gap."""
    oval = points[list(FACE_OVAL)]
    lift = 0.02 * float(np.ptp(points[:, 1]))
    brows = np.concatenate([points[list(RIGHT_BROW[:5])], points[list(LEFT_BROW[:5])]])
    brows = brows[brows[:, 0].argsort()] - [0.0, lift]
    limit = np.interp(np.arange(shape[1]), brows[:, 0], brows[:, 1])
    above = np.arange(shape[0])[:, None] < limit[None]
    reach = _BEYOND_OUTLINE * float(np.ptp(points[:, 1]))
    return np.asarray(_polygon(oval, shape, grow=reach) & above)


def _polygon(outline: Doubles, shape: tuple[int, int], grow: float) -> npt.NDArray[np.bool_]:
    """Pixels inside an outline that is pushed outwards by `grow` px."""
    center = outline.mean(0)
    arm = outline - center
    pushed = center + arm * (1.0 + grow / np.linalg.norm(arm, axis=1, keepdims=True))
    mask = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in pushed], fill=1)
    return np.asarray(mask, bool)


def _around(picture: Bytes, center: Doubles, reach: float) -> Bytes:
    """Pixels [n, 3] of a square around a point."""
    x, y = (round(float(value)) for value in center)
    side = max(2, round(reach))
    patch = picture[max(0, y - side) : y + side + 1, max(0, x - side) : x + side + 1]
    return patch.reshape(-1, 3)


def _model(samples: Bytes) -> tuple[Doubles, Doubles]:
    """Mean and covariance of colours [n, 3]."""
    values = samples.astype(np.float64)
    return values.mean(0), np.cov(values.T) + _NOISE * np.eye(3)


def _distance(colours: Doubles, mean: Doubles, spread: Doubles) -> Doubles:
    """Mahalanobis distance of colours [n, 3] from a model."""
    away = colours - mean
    return np.asarray(np.sqrt(np.einsum("nc,cd,nd->n", away, np.linalg.inv(spread), away)))


def _soften(mask: Floats, radius_px: float) -> Floats:
    """Single strands and pores vanish, edges become slopes that a mesh can follow."""
    picture = Image.fromarray(np.rint(mask * 255.0).astype(np.uint8))
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(radius_px)), np.float32) / 255.0
    return smoothstep(0.25, 0.75, blurred)
