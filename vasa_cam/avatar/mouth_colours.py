"""Colours of a mouth's inside, measured on the portrait.

Nothing in a mouth is white: enamel is bounded by the brightest white the face itself shows, the
whites of the eyes, and by the skin's brightness. So a dim photo, a brown painting or a flat cartoon
each gets teeth that belong to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vasa_cam.avatar.paint import LUMA, Bytes, Floats, smoothstep, vector
from vasa_cam.landmarks import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)

_CHEEKS: Final = (50, 280, 205, 425, 101, 330, 151, 9)
_LIPS: Final = (85, 315, 16, 72, 302, 11, 180, 404)
_ENAMEL: Final = vector(1.0, 0.945, 0.845)
"""Hue of enamel under neutral light, brightest channel 1."""
_USUAL_SKIN_HUE: Final = vector(1.26, 0.98, 0.76)


@dataclass(frozen=True)
class MouthColours:
    """sRGB 0..255, float32 [3] each.

    enamel: front teeth. gum. tongue. flesh: cheeks and palate near the lips. dark: the deep of the
    mouth. gloss: added where wet skin shines.
    """

    enamel: Floats
    gum: Floats
    tongue: Floats
    flesh: Floats
    dark: Floats
    gloss: Floats


@dataclass(frozen=True)
class OwnTeeth:
    """The photo's visible upper teeth: origin (x, y) of a patch, share float32 [h, w] in 0..1."""

    origin: tuple[int, int]
    share: Floats
    rgb: Floats


def measure_colours(canvas: Bytes, points_px: Floats, teeth: OwnTeeth | None) -> MouthColours:
    """Colours from lips, skin, the whites of the eyes and, when seen, the photo's own teeth."""
    photo = canvas.astype(np.float32)
    skin = np.median(_around(photo, points_px[list(_CHEEKS), :2]), 0)
    lip = np.median(_around(photo, points_px[list(_LIPS), :2]), 0)
    skin_luma = max(float(skin @ LUMA), 1.0)
    white = whites(canvas, points_px)
    cast = np.clip((skin / skin.mean() / _USUAL_SKIN_HUE) ** 0.5, 0.8, 1.2)
    limit = min(0.42 * 255 + 0.75 * skin_luma, 1.55 * skin_luma + 25.0, float(white @ LUMA))
    enamel = _ENAMEL * cast
    enamel = enamel / float(enamel @ LUMA) * limit
    if teeth is not None:
        sure = teeth.share > 0.8
        if sure.sum() >= 20:
            enamel = np.percentile(teeth.rgb[sure], 65, axis=0)
    flesh = _towards_red(0.55 * lip + 0.10 * skin)
    return MouthColours(
        enamel=np.asarray(np.minimum(enamel, 250.0), np.float32),
        gum=_towards_red(0.74 * lip + 0.16 * skin),
        tongue=_towards_red(0.72 * lip + 0.16 * skin),
        flesh=(flesh * 0.62).astype(np.float32),
        dark=(flesh * vector(0.24, 0.17, 0.17)).astype(np.float32),
        gloss=(0.5 * enamel).astype(np.float32),
    )


def whites(canvas: Bytes, points_px: Floats) -> Floats:
    """Colour of the eyes' whites, float32 [3]: the brighter and paler quarter of both lid openings."""
    import cv2

    mask = np.zeros(canvas.shape[:2], np.uint8)
    for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID)):
        outline = points_px[[*upper, *lower[::-1]], :2]
        cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    seen = canvas[mask > 0].astype(np.float32)
    if len(seen) < 16:
        skin = np.median(_around(canvas.astype(np.float32), points_px[list(_CHEEKS), :2]), 0)
        return np.asarray(np.full(3, min(235.0, 1.25 * float(skin @ LUMA))), np.float32)
    score = seen @ LUMA - 0.8 * (seen.max(1) - seen.min(1))
    # The very brightest are catchlights.
    low, high = np.percentile(score, [72, 94])
    return np.asarray(np.median(seen[(score >= low) & (score <= high)], 0), np.float32)


def own_teeth(canvas: Bytes, opening_px: Floats) -> OwnTeeth | None:
    """The photo's own upper teeth inside the open lips, or None when none are visible.

    opening_px: float [n, 2], the closed outline of the mouth opening.
    """
    import cv2

    low = np.floor(opening_px.min(0) - 4).astype(int)
    high = np.ceil(opening_px.max(0) + 5).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, canvas.shape[1::-1])
    patch = canvas[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    if min(patch.shape[:2]) < 6:
        return None
    scale = 4
    mask = np.zeros((patch.shape[0] * scale, patch.shape[1] * scale), np.uint8)
    outline = np.round((opening_px - low + 0.5) * scale - 0.5).astype(np.int32)
    cv2.fillPoly(mask, [outline], 255)
    inside = cv2.resize(mask, patch.shape[1::-1], interpolation=cv2.INTER_AREA) / np.float32(255)
    core = inside > 0.95
    if core.sum() < 30:
        return None
    luma = patch @ LUMA
    saturation = (patch.max(2) - patch.min(2)) / (patch.max(2) + 1.0)
    bright = float(np.percentile(luma[core], 85))
    share = smoothstep(0.50 * bright, 0.72 * bright, luma) * smoothstep(0.50, 0.32, saturation)
    share = share * smoothstep(0.4, 0.95, inside)
    if float((share > 0.7).sum()) < max(20.0, 0.06 * float(core.sum())):
        return None
    return OwnTeeth((int(low[0]), int(low[1])), _first_run(share), patch)


def _first_run(share: Floats) -> Floats:
    """Keep, in every column, the teeth above the first dark gap: what lies below is the lower row."""
    started = np.maximum.accumulate(share, axis=0)
    dip = np.where(started > 0.5, share, 1.0)
    still = np.minimum.accumulate(dip, axis=0)
    return np.asarray(share * smoothstep(0.15, 0.45, still), np.float32)


def _around(photo: Floats, centres: Floats) -> Floats:
    """Pixels of 5 x 5 squares around points [n, 2]; float32 [n * 25, 3]."""
    step = np.arange(-2, 3)
    y = np.round(centres[:, 1]).astype(int)[:, None, None] + step[:, None]
    x = np.round(centres[:, 0]).astype(int)[:, None, None] + step[None, :]
    y, x = np.clip(y, 0, photo.shape[0] - 1), np.clip(x, 0, photo.shape[1] - 1)
    return np.asarray(photo[y, x].reshape(-1, 3), np.float32)


def _towards_red(colour: Floats) -> Floats:
    """Flesh is never grey or green: red leads by at least a little."""
    red = float(colour[0])
    return np.float32([red, min(float(colour[1]), 0.64 * red), min(float(colour[2]), 0.66 * red)])
