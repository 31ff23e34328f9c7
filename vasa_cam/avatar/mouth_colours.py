"""Colours of a mouth's inside, measured on the portrait.

Nothing in a mouth is white: enamel is bounded by the brightest white the face itself shows, the
whites of the eyes, and by the skin's brightness. So a dim photo, a brown painting or a flat cartoon
each gets teeth that belong to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vasa_cam.avatar.mediapipe_tasks import load_cv2
from vasa_cam.avatar.own_teeth import OwnTeeth
from vasa_cam.avatar.paint import LUMA, Bytes, Floats, colourfulness, vector
from vasa_cam.landmarks import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)

_CHEEKS: Final = (50, 280, 205, 425, 101, 330, 151, 9)
_LIPS: Final = (85, 315, 16, 72, 302, 11, 180, 404)
_SURE: Final = 0.8
_ENOUGH: Final = 20
_ENAMEL: Final = vector(1.0, 0.87, 0.75)
"""Hue of front teeth in portraits, brightest channel 1."""
_USUAL_SKIN: Final = vector(1.0, 0.78, 0.65)


@dataclass(frozen=True)
class MouthColours:
    """Colours as sRGB 0..255, float32 [3] each.

    enamel: front teeth. gum. tongue. flesh: cheeks and palate near the lips. dark: the deep of the
    mouth. gloss: added where wet skin shines. colourfulness: 0 in a grey photo, 1 in a colour one.
    """

    enamel: Floats
    gum: Floats
    tongue: Floats
    flesh: Floats
    dark: Floats
    gloss: Floats
    colourfulness: float


def measure_colours(canvas: Bytes, points_px: Floats, teeth: OwnTeeth | None) -> MouthColours:
    """Colours from lips, skin, the whites of the eyes and, when seen, the photo's own teeth.

    canvas: uint8 [H, W, 3]. points_px: float32 [>=468, 2 or 3], landmarks.
    """
    photo = canvas.astype(np.float32)
    skin = np.median(_around(photo, points_px[list(_CHEEKS), :2]), 0)
    lip = np.median(_around(photo, points_px[list(_LIPS), :2]), 0)
    face = points_px[:, :2]
    (left, top), (right, bottom) = np.clip(face.min(0), 0, None), face.max(0)
    seen = photo[int(top) : int(bottom) + 1, int(left) : int(right) + 1] @ LUMA
    enamel = _enamel(skin, whites(canvas, points_px), float(np.percentile(seen, 98)))
    if teeth is not None and (teeth.share > _SURE).sum() >= _ENOUGH:
        own = np.percentile(teeth.rgb[teeth.share > _SURE], 65, axis=0)
        # Teeth that peep out of the lips' shadow are brighter than they look.
        enamel = own * max(1.0, 0.85 * float(enamel @ LUMA) / float(own @ LUMA))
    redness = colourfulness(skin)
    light = 0.5 * float(lip @ LUMA) + 0.5 * min(float(skin @ LUMA), 1.6 * float(lip @ LUMA))
    flesh = lip / max(float(lip @ LUMA), 1.0) * light
    flesh = flesh + (_as_flesh(flesh, skin) - flesh) * redness
    return MouthColours(
        enamel=np.asarray(np.minimum(enamel, 250.0), np.float32),
        gum=np.asarray(flesh * 0.92, np.float32),
        tongue=np.asarray(flesh * 0.76, np.float32),
        flesh=np.asarray(flesh * 0.80, np.float32),
        dark=np.asarray(flesh * (0.19 + redness * vector(0.10, -0.02, -0.01)), np.float32),
        gloss=np.asarray(0.5 * enamel, np.float32),
        colourfulness=redness,
    )


def _enamel(skin: Floats, white: Floats, brightest: float) -> Floats:
    """Tone of unseen teeth.

    Over the test portraits that smile, front teeth have luma 185 +- 10 and the hue of the eyes'
    whites; with the skin's brightness (that is, with the exposure) it changes slowly.
    """
    level = 180.0 * (max(float(skin @ LUMA), 1.0) / 165.0) ** 0.45
    level = min(level, brightest, 1.6 * float(white @ LUMA) + 20.0)
    hue = _ENAMEL * np.clip((skin / skin.max() / _USUAL_SKIN) ** 0.5, 0.8, 1.25)
    # Eyes that hardly show their white tell the colour of lids.
    pale = np.maximum(white / white.max(), vector(0.85, 0.74, 0.45))
    hue = 0.65 * hue / hue.max() + 0.35 * pale
    return np.asarray(hue / float(hue @ LUMA) * level, np.float32)


def whites(canvas: Bytes, points_px: Floats) -> Floats:
    """Colour of the eyes' whites, float32 [3]: the brighter, paler part of both eyes."""
    cv2 = load_cv2()
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


def _around(photo: Floats, centres: Floats) -> Floats:
    """Pixels of 5 x 5 squares around points [n, 2]; float32 [n * 25, 3]."""
    step = np.arange(-2, 3)
    y = np.round(centres[:, 1]).astype(int)[:, None, None] + step[:, None]
    x = np.round(centres[:, 0]).astype(int)[:, None, None] + step[None, :]
    y, x = np.clip(y, 0, photo.shape[0] - 1), np.clip(x, 0, photo.shape[1] - 1)
    return np.asarray(photo[y, x].reshape(-1, 3), np.float32)


def _as_flesh(colour: Floats, skin: Floats) -> Floats:
    """The same brightness as living tissue under the photo's light, which the skin tells.

    Under neutral light red clearly leads and blue is a little under green.
    """
    cast = np.clip((skin / max(float(skin.max()), 1.0) / _USUAL_SKIN) ** 0.7, 0.6, 1.2)
    level = float(colour @ LUMA)
    red = max(float(colour[0]), 1.25 * level)
    green = min(float(colour[1]), 0.60 * float(cast[1]) * red)
    blue_limits = vector(0.80, 0.98) * float(cast[2] / cast[1]) * green
    blue = min(max(float(colour[2]), float(blue_limits[0])), float(blue_limits[1]))
    tissue = vector(red, green, blue)
    return tissue * (level / max(float(tissue @ LUMA), 1.0))
