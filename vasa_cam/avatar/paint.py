"""Small picture arithmetic shared by the enrolment steps that paint textures."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.mediapipe_tasks import load_cv2
from vasa_cam.numeric import smoothstep

Reals = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int32]


def vector(*values: float) -> Floats:
    """The values as float32 [n]."""
    return np.array(values, np.float32)


_BLOCK: Final = 8192
"""Points handled at once where memory grows with points times outline."""
LUMA: Final = vector(0.299, 0.587, 0.114)
"""Rec. 601 weights of R, G and B."""


def bump(value: Reals, centre: float, width: float) -> Floats:
    """A bell of height 1: exp(-((value - centre) / width)^2)."""
    return np.asarray(np.exp(-(((value - centre) / width) ** 2)), np.float32)


def colourfulness(skin: Reals) -> float:
    """0 for the skin of a grey photo, 1 for that of a colour photo, from its mean colour [3]."""
    chroma = float(np.ptp(skin)) / max(float(skin.max()), 1.0)
    return float(smoothstep(0.02, 0.08, vector(chroma))[0])


def fade_to_grey(picture: Floats, colour: float) -> Floats:
    """The picture [..., 3] with this share of its colour left."""
    grey = (picture @ LUMA)[..., None]
    return np.asarray(grey + (picture - grey) * colour, np.float32)


def to_bytes(picture: Reals) -> Bytes:
    """Round and clip to 0..255."""
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


def sample(picture: Reals, at: Reals) -> Floats:
    """Bilinear lookup of [h, w] or [h, w, c] at [..., 2] (x, y), clamped to the picture's edge."""
    x = np.clip(at[..., 0], 0, picture.shape[1] - 1.001)
    y = np.clip(at[..., 1], 0, picture.shape[0] - 1.001)
    left, top = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    u, v = x - left, y - top
    if picture.ndim == 3:
        u, v = u[..., None], v[..., None]
    upper = picture[top, left] * (1 - u) + picture[top, left + 1] * u
    lower = picture[top + 1, left] * (1 - u) + picture[top + 1, left + 1] * u
    return np.asarray(upper * (1 - v) + lower * v, np.float32)


def blur(picture: Reals, sigma: float) -> Floats:
    """Gaussian blur of [h, w] or [h, w, c], sigma in pixels."""
    cv2 = load_cv2()
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def inside_distance(outline: Reals, at: Reals) -> Floats:
    """Signed distance of points [..., 2] to a closed outline [n, 2]: positive inside."""
    points = at.reshape(-1, 2)
    blocks = [
        _inside_distance(outline, points[first : first + _BLOCK])
        for first in range(0, len(points), _BLOCK)
    ]
    return np.concatenate(blocks).reshape(at.shape[:-1]) if blocks else np.zeros(0, np.float32)


def _inside_distance(outline: Reals, points: Reals) -> Floats:
    start, end = outline, np.roll(outline, -1, axis=0)
    edge = end - start
    rel = points[:, None] - start
    length = np.maximum((edge * edge).sum(-1), 1e-9)
    t = np.clip((rel * edge).sum(-1) / length, 0.0, 1.0)
    near = np.sqrt(((rel - t[..., None] * edge) ** 2).sum(-1).min(-1))
    y = points[:, 1:2]
    crosses = (start[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(np.abs(edge[:, 1]) < 1e-9, 1e-9, edge[:, 1])
    cut = start[:, 0] + (y - start[:, 1]) * edge[:, 0] / rise
    odd = (crosses & (points[:, 0:1] < cut)).sum(-1) % 2 == 1
    return np.asarray(np.where(odd, near, -near), np.float32)
