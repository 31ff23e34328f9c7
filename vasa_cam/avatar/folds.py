"""The wrinkle map: creases drawn where this face will fold, faint until an expression asks for it.

Lines live on the canonical face and ride on the person's landmarks. Across a line there is a thin
dark core, a wider soft shadow and, on the bulging side, a broad highlight. Width and strength vary
along the line and fade out at its ends, as skin does.
"""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.fold_lines import FOLD_LINES, FoldLine
from vasa_cam.face_model import FaceModel, load_face_model
from vasa_cam.landmarks import COARSE_VERTICES, EYE_CORNERS

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

IOD_CM: Final = 6.302
"""Distance of the eye centres on the canonical face."""
SAMPLES: Final = 32
SHADOW_SHARE: Final = 0.5
SHADOW_WIDTHS: Final = 3.0
HIGHLIGHT_OFFSET_WIDTHS: Final = 3.2
HIGHLIGHT_WIDTHS: Final = 2.6
MIN_CORE_PX: Final = 0.75
"""A thinner core would flicker between pixels."""
REACH_WIDTHS: Final = 8.0
JITTER_CM: Final = 0.035
SWELL_CM: Final = 3.0
"""Strength and width swell about once in this length."""
FULL: Final = 127.0


def draw_detail(points_px: Floats, canvas_size: tuple[int, int]) -> npt.NDArray[np.int8]:
    """Wrinkle map of a face, int8 [Hc, Wc]: -127 the darkest crease .. +127 the highlight.

    points_px: [468, 2] landmarks in canvas pixels; canvas_size: (Wc, Hc). A renderer multiplies
    colours by 1 + gain * weight * value / 127, with a gain of about 0.25. The map is a function of
    its inputs alone. Raises ValueError for other shapes.
    """
    if points_px.shape != (COARSE_VERTICES, 2):
        raise ValueError(f"points_px must be [{COARSE_VERTICES}, 2], got {points_px.shape}")
    points = points_px.astype(np.float64)
    width, height = canvas_size
    eyes = [points[list(corners)].mean(0) for corners in EYE_CORNERS]
    px_per_cm = float(np.linalg.norm(eyes[1] - eyes[0])) / IOD_CM
    model = load_face_model()
    dark = np.zeros((height, width))
    bright = np.zeros((height, width))
    for number, line in enumerate(FOLD_LINES):
        for side in (1,) if line.single else (-1, 1):
            random = np.random.default_rng(zlib.crc32(f"{line.region} {number} {side}".encode()))
            path = _smooth_path(_on_face(model, _wavering(line, side, random), points))
            _draw_line((dark, bright), path, line, px_per_cm, side, random.uniform(size=2))
    value = np.clip(bright - dark, -1.0, 1.0)
    return np.rint(value * FULL).astype(np.int8)


def _wavering(line: FoldLine, side: int, random: np.random.Generator) -> Array:
    """The line's points on its side of the face, each a little out of place."""
    points = np.asarray(line.points) + random.normal(0, JITTER_CM, (len(line.points), 2))
    return np.asarray(points * np.array([side, 1.0]))


def _on_face(model: FaceModel, path_cm: Array, points_px: Array) -> Array:
    """Canonical (x, y) points [n, 2] -> pixels [n, 2], by the triangle each lies in."""
    corners = model.vertices[model.triangles].astype(np.float64)
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    area = np.where(np.abs(area) < 1e-6, np.inf, area)
    offset = path_cm[:, None] - a[None, :, :2]
    v = (offset[..., 0] * ac[:, 1] - offset[..., 1] * ac[:, 0]) / area
    w = (ab[:, 0] * offset[..., 1] - ab[:, 1] * offset[..., 0]) / area
    shares = np.stack([1 - v - w, v, w], axis=2)
    # The nearest triangle is the one whose smallest share is largest; outside, it extrapolates.
    best = np.where(np.isinf(area), -np.inf, shares.min(2)).argmax(1)
    chosen = shares[np.arange(len(path_cm)), best]
    return np.asarray((points_px[model.triangles[best]] * chosen[..., None]).sum(1))


def _smooth_path(points: Array) -> Array:
    """Catmull-Rom curve [SAMPLES, 2] through the points, evenly spaced in parameter."""
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    at = np.linspace(0, len(points) - 1 - 1e-9, SAMPLES)
    i = at.astype(int)
    t = (at - i)[:, None]
    p0, p1, p2, p3 = (padded[i + k] for k in range(4))
    return np.asarray(
        p1
        + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    )


def _draw_line(
    maps: tuple[Array, Array],
    path: Array,
    line: FoldLine,
    px_per_cm: float,
    side: int,
    phases: Array,
) -> None:
    """Adds one line's crease to the first of `maps` and its ridge to the second, both [H, W].

    phases: [2] in 0..1, where the line's strength and width swell.
    """
    dark, bright = maps
    core = max(line.width_cm * px_per_cm, MIN_CORE_PX)
    # A core held up to the pixel grid carries the same ink as the thin one it stands for.
    depth = line.depth * min(1.0, line.width_cm * px_per_cm / core) ** 0.5
    reach = REACH_WIDTHS * core
    height, width = dark.shape
    low = np.maximum(np.floor(path.min(0) - reach).astype(int), 0)
    high = np.minimum(np.ceil(path.max(0) + reach).astype(int) + 1, [width, height])
    if (high <= low).any():
        return
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    y, x = np.mgrid[window]
    distance, along = _signed_distance(np.stack([x, y], axis=-1).astype(np.float64), path)
    envelope = np.sin(np.pi * np.clip(along, 0, 1)) ** 0.7 * depth
    waves = np.linalg.norm(np.diff(path, axis=0), axis=1).sum() / (SWELL_CM * px_per_cm)
    envelope *= 0.78 + 0.22 * np.sin(2 * np.pi * (waves * along + phases[0]))
    spread = core * (0.75 + 0.5 * np.sin(np.pi * along))
    spread *= 1 + 0.15 * np.sin(2 * np.pi * (1.3 * waves * along + phases[1]))
    shade = np.exp(-((distance / spread) ** 2))
    shade += SHADOW_SHARE * np.exp(-((distance / (SHADOW_WIDTHS * spread)) ** 2))
    shade *= envelope / (1 + SHADOW_SHARE)
    np.maximum(dark[window], shade, out=dark[window])
    ridge_at = np.sign(line.highlight) * side * HIGHLIGHT_OFFSET_WIDTHS * spread
    ridge = np.exp(-(((distance - ridge_at) / (HIGHLIGHT_WIDTHS * spread)) ** 2))
    ridge *= abs(line.highlight) * envelope
    np.maximum(bright[window], ridge, out=bright[window])


def _signed_distance(pixels: Array, path: Array) -> tuple[Array, Array]:
    """Distance of pixels [h, w, 2] to a path, positive to its right; place along it 0..1."""
    best = np.full(pixels.shape[:2], np.inf)
    signed = np.zeros_like(best)
    place = np.zeros_like(best)
    for k in range(len(path) - 1):
        step = path[k + 1] - path[k]
        length = max(float(step @ step), 1e-12)
        offset = pixels - path[k]
        share = np.clip(offset @ step / length, 0, 1)
        away = np.linalg.norm(offset - share[..., None] * step, axis=2)
        nearer = away < best
        best[nearer] = away[nearer]
        cross = step[0] * offset[..., 1] - step[1] * offset[..., 0]
        signed[nearer] = (np.where(cross >= 0, 1.0, -1.0) * away)[nearer]
        place[nearer] = ((k + share) / (len(path) - 1))[nearer]
    return signed, place
