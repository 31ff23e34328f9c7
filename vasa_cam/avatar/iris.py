"""The iris of a portrait: where it is, and the whole disc of which a photo shows a part."""

from __future__ import annotations

from typing import Final

import numpy as np

from vasa_cam.avatar.paint import (
    LUMA,
    Bools,
    Bytes,
    Floats,
    Reals,
    blur,
    bump,
    inside_distance,
    sample,
    vector,
)
from vasa_cam.numeric import smoothstep

_RINGS: Final = 28
_ANGLES: Final = 96
_REACH: Final = 1.3
_CATCHLIGHT: Final = 45.0
"""Grey levels above its ring from which a pixel is a reflection, not iris."""


def find_iris(canvas_rgb: Bytes, outline_px: Floats, iris_px: Floats) -> tuple[Floats, float]:
    """Iris centre (float32 [2]) and radius, refined from the landmarks by an edge search.

    outline_px: float32 [n, 2], the closed lid outline. iris_px: float32 [5, 2], centre and rim. The
    rim is where brightness rises most along rays to the sides (lids hide top and bottom). The
    centre moves by at most 0.12 radii, the radius by a factor of 0.9 to 1.25.
    """
    centre = iris_px[0]
    radius = float(np.linalg.norm(iris_px[1:] - centre, axis=1).mean())
    grey = blur(canvas_rgb.astype(np.float32) @ LUMA, max(0.6, radius * 0.08))
    angles = np.radians(np.concatenate([np.arange(-44, 45, 8), np.arange(136, 225, 8)]))
    rays = np.stack([np.cos(angles), np.sin(angles)], 1)
    best, found = 0.0, (centre, radius * 1.04)
    offsets = np.linspace(-0.12, 0.12, 5)
    for dx, dy in ((x, y) for x in offsets for y in offsets):
        middle = centre + vector(dx, dy) * radius
        for scale in np.linspace(0.9, 1.25, 15):
            reach = radius * float(scale)
            seen = inside_distance(outline_px, middle + rays * (reach * 1.12)) > radius * 0.05
            score = _rise(grey, middle, rays[seen], reach) * (1.0 - 1.2 * (dx * dx + dy * dy))
            if score > best:
                best, found = score, (middle, reach * 1.02)
    return np.asarray(found[0], np.float32), float(found[1])


def _rise(grey: Floats, middle: Reals, rays: Reals, reach: float) -> float:
    """How much brighter it is just outside a circle than just inside; both sides count alike."""
    if len(rays) < 5:
        return 0.0
    rise = sample(grey, middle + rays * (reach * 1.12)) - sample(
        grey, middle + rays * (reach * 0.88)
    )
    right = rays[:, 0] > 0
    if right.all() or not right.any():
        return 0.8 * float(rise.mean())
    return 0.5 * float(rise[right].mean() + rise[~right].mean())


def iris_disc(
    photo: Floats, sclera: Floats, inside: Floats, centre: Floats, radius: float
) -> Floats:
    """The complete iris, float32 [h, w, 3], in the grid of the photo patch.

    photo, sclera: float32 [h, w, 3], without the lid's shadow. inside: float32 [h, w], signed px to
    the lid outline. centre: float32 [2] in the patch, radius: px. What the lids hide is taken from
    mirrored and turned parts of the same ring; the rim runs into the sclera.
    """
    rho = ((np.arange(_RINGS) + 0.5) / _RINGS * _REACH).astype(np.float32)
    theta = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
    spokes = np.stack([np.cos(theta), np.sin(theta)], -1)
    at = centre + rho[:, None, None] * radius * spokes[None]
    seen = sample(inside, at) > 0.16 * radius
    full = _complete(sample(photo, at), sample(sclera, at), seen, rho)
    y, x = np.mgrid[0 : photo.shape[0], 0 : photo.shape[1]].astype(np.float32)
    dx, dy = x - centre[0], y - centre[1]
    angle = np.arctan2(dy, dx) % (2 * np.pi) / (2 * np.pi) * _ANGLES
    ring = np.clip(np.hypot(dx, dy) / (radius * _REACH) * _RINGS - 0.5, 0.0, _RINGS - 1.001)
    return sample(np.concatenate([full, full[:, :1]], 1), np.stack([angle, ring], -1))


def _complete(polar: Floats, behind: Floats, seen: Bools, rho: Floats) -> Floats:
    """Fill the unseen part of an unwrapped iris [rings, angles, 3]."""
    profile = _ring_profile(polar, seen)
    flat = np.broadcast_to(profile[:, None], polar.shape)
    usable = seen & (polar @ LUMA < (profile @ LUMA)[:, None] + _CATCHLIGHT)
    texture, missing = np.zeros_like(polar), np.ones(seen.shape, bool)
    index = np.arange(_ANGLES)
    # Mirrored top to bottom first, then turned: each source fills what is still missing.
    for source in (-index, _ANGLES // 2 - index, index + _ANGLES // 2, index + 29, index + 61):
        turned = source % _ANGLES
        take = missing & usable[:, turned]
        texture[take] = (polar[:, turned] - flat)[take]
        missing &= ~take
    full = flat + 0.9 * texture * smoothstep(1.02, 0.9, rho)[:, None, None]
    full = full + (behind - full) * smoothstep(0.97, 1.12, rho)[:, None, None]
    return np.asarray(full * (1.0 - 0.14 * bump(rho, 0.95, 0.08))[:, None, None], np.float32)


def _ring_profile(polar: Floats, seen: Bools) -> Floats:
    """Usual colour of every ring, float32 [rings, 3], without reflections; gaps from outside in."""
    luma = polar @ LUMA
    profile = np.zeros((len(polar), 3), np.float32)
    last = np.median(polar[seen], 0) * 0.8 if seen.any() else vector(60.0, 50.0, 45.0)
    for ring in range(len(polar) - 1, -1, -1):
        row = seen[ring]
        if row.sum() >= 4:
            level = luma[ring, row]
            usual = np.abs(level - np.median(level)) <= max(14.0, 1.5 * float(level.std()))
            last = np.median(polar[ring, row][usual], 0)
        profile[ring] = last
    return profile
