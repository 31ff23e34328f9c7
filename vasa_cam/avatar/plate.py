"""The two colour layers behind a matte: the background without the person, the person without it.

photo = person * alpha + plate * (1 - alpha): the plate is filled by texture first, the person's
colours are then solved for, and what is left over goes to the plate, so that rest motion shows the
photo itself and moving the person shows no halo of the old background.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.mediapipe_tasks import load_cv2
from vasa_cam.avatar.patch_fill import fill_hole
from vasa_cam.avatar.spread import spread_colours

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

BAND: Final = 0.16
"""Depth of textured fill behind the silhouette, in face widths: more than motion ever reveals."""
_SEEN: Final = 0.02  # alpha above which a pixel holds some of the person
_RIM: Final = 0.008  # of the face's width, 2 px of 260: a wider hole shows as a halo at rest
_PERSON_RANGE: Final = 60.0  # grey levels by which an edge may deviate from the person near it
_UNEXPLAINED: Final = 20.0
_LEFT_OVER: Final = 6.0  # grey levels by which the plate may deviate from its fill at the rim


def fill_plate(rgb: U8, alpha: F32, inside: Mask, face_width: float) -> U8:
    """uint8 [H, W, 3] with the person and a tight rim of about 2 px replaced by background.

    inside: bool [H, W], pixels of the photo itself; only these serve as texture.
    """
    cv2 = load_cv2()
    rim = 2 * max(2, round(_RIM * face_width)) + 1
    hole = cv2.dilate((alpha > _SEEN).astype(np.uint8), np.ones((rim, rim), np.uint8)) > 0
    if hole.all():
        return np.full_like(rgb, 128)
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
    filled: U8 = fill_hole(rgb, hole, inside, depth < BAND * face_width)
    return filled


def split_colours(rgb: U8, alpha: F32, plate: U8) -> tuple[U8, F32, U8]:
    """(person colours, alpha, plate) that compose to `rgb`; uint8, float32, uint8 as given.

    Person colours hold everywhere, also where alpha is 0: there the nearest person's colour. Where
    no pair of plausible colours explains a pixel, it is given whole to the layer it is nearer to.
    """
    image, behind = rgb.astype(np.float32), plate.astype(np.float32)
    a = alpha[..., None]
    solid = np.clip((alpha - 0.9) / 0.09, 0, 1).astype(np.float32)
    spread = spread_colours(image, solid)
    exact = (image - (1 - a) * behind) / np.maximum(a, 1e-3)
    exact = np.clip(exact, spread - _PERSON_RANGE, spread + _PERSON_RANGE)
    # Thin coverage amplifies noise in `exact`, so that it yields to the neighbourhood's colour.
    trust = np.clip((a - 0.1) / 0.4, 0, 1)
    person = np.where(a > 0.995, image, np.clip(exact * trust + spread * (1 - trust), 0, 255))
    person = np.round(person)
    wanted = (image - a * person) / np.maximum(1 - a, 0.05)
    share = np.clip((0.9 - a) / 0.3, 0, 1) * (a > 0)
    shift = np.clip(wanted - behind, -_LEFT_OVER, _LEFT_OVER) * share
    behind = np.clip(behind + shift, 0, 255)
    unexplained = np.abs(image - a * person - (1 - a) * behind).max(2) > _UNEXPLAINED
    whole, thin = unexplained & (alpha >= 0.5), unexplained & (alpha < 0.5)
    person[whole] = image[whole]
    behind[thin] = np.clip(wanted[thin], 0, 255)
    opaque = np.where(whole, 1, alpha).astype(np.float32)
    return person.astype(np.uint8), opaque, (behind + 0.5).astype(np.uint8)
