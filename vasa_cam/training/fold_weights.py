"""How much wrinkle each coefficient adds at each coarse vertex."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.fold_lines import FOLD_LINES
from vasa_cam.motion.space import INDEX

Array = npt.NDArray[np.float64]

REACH_CM = 0.9
"""Weights fall to zero this far beyond a region's lines, after a plateau of half as much."""

TWO_SIDED = {
    "mouthSmile": {"nasolabial": 0.95, "dimple": 0.45, "crow": 0.4, "under_eye": 0.45},
    "cheekSquint": {"nasolabial": 0.55, "crow": 0.75, "under_eye": 0.75},
    "noseSneer": {"nasolabial": 0.8, "nose_bridge": 0.9, "under_eye": 0.25},
    "mouthUpperUp": {"nasolabial": 0.7},
    "eyeSquint": {"crow": 0.6, "under_eye": 0.6},
    "eyeBlink": {"crow": 0.22, "under_eye": 0.15},
    "mouthDimple": {"nasolabial": 0.25, "dimple": 0.9, "corner": 0.4},
    "mouthStretch": {"nasolabial": 0.35, "corner": 0.3},
    "mouthFrown": {"corner": 0.9, "chin": 0.35},
    "mouthPress": {"corner": 0.35},
    "mouthLowerDown": {"corner": 0.2},
    "browDown": {"glabella": 0.9, "nose_bridge": 0.45},
    "browOuterUp": {"forehead": 0.8},
    "eyeWide": {"forehead": 0.15},
}
WHOLE = {
    "browInnerUp": {"forehead": 0.95},
    "mouthShrugLower": {"chin": 0.9, "corner": 0.25},
    "mouthShrugUpper": {"chin": 0.3},
    "mouthRollLower": {"chin": 0.35},
    "jawOpen": {"nasolabial": 0.25},
    "mouthPucker": {"nasolabial": 0.15},
}


def _distance_to_path(points: Array, path: Array) -> Array:
    best = np.full(len(points), np.inf)
    for start, end in itertools.pairwise(path):
        along = end - start
        share = np.clip(((points - start) @ along) / (along @ along), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - start - share[:, None] * along, axis=1))
    return best


def region_weights(vertices: Array) -> dict[tuple[str, int], Array]:
    """(region, side -1 subject's right | +1 left) -> weight [468] in 0..1."""
    out: dict[tuple[str, int], Array] = {}
    for line in FOLD_LINES:
        for side in (-1, 1):
            path = np.asarray(line.points) * np.array([side, 1.0])
            distance = _distance_to_path(vertices[:, :2], path)
            t = np.clip((REACH_CM - distance) / (0.5 * REACH_CM), 0, 1)
            # Lines across the middle belong half to each side, changing over within a centimetre.
            half = np.clip(0.5 + side * vertices[:, 0] / 1.2, 0, 1) if line.single else 1.0
            weight = t * t * (3 - 2 * t) * half
            key = (line.region, side)
            out[key] = np.maximum(out.get(key, np.zeros(len(vertices))), weight)
    return out


def fold_weights(vertices: Array) -> Array:
    """[52, 468] in 0..1: wrinkle intensity that a coefficient of 1 adds at a vertex."""
    regions = region_weights(vertices)
    out = np.zeros((len(INDEX), len(vertices)))
    for stem, strengths in TWO_SIDED.items():
        for suffix, side in (("Right", -1), ("Left", 1)):
            for region, strength in strengths.items():
                row = out[INDEX[stem + suffix]]
                np.maximum(row, strength * regions[region, side], out=row)
    for name, strengths in WHOLE.items():
        for region, strength in strengths.items():
            both = np.minimum(regions[region, -1] + regions[region, 1], 1.0)
            np.maximum(out[INDEX[name]], strength * both, out=out[INDEX[name]])
    return out
