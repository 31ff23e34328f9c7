"""An enrolled avatar as the photo and the landmarks that the volume renderer starts from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.file import Avatar
from vasa_cam.landmarks import COARSE_VERTICES, LEFT_IRIS, RIGHT_IRIS

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]


def avatar_photo(avatar: Avatar) -> tuple[U8, F32]:
    """The avatar's canvas as photographed, u8 [H, W, 3], and landmarks [478, 2] on it."""
    picture = avatar.plate_rgb
    for layer in (avatar.texture_rgba, avatar.glasses_rgba):
        if len(layer):
            picture = _over(picture, layer)
    points = np.zeros((COARSE_VERTICES + 10, 2), np.float32)
    points[:COARSE_VERTICES] = avatar.rest_px[:COARSE_VERTICES, :2]
    eyes = ((RIGHT_IRIS, avatar.right_eye_params), (LEFT_IRIS, avatar.left_eye_params))
    for iris, (_, _, x, y, radius, *_) in eyes:
        rim = np.array([[0, 0], [1, 0], [0, -1], [-1, 0], [0, 1]])
        points[list(iris)] = radius * rim + (x, y)
    return picture, points


def _over(picture: U8, layer: U8) -> U8:
    share = layer[..., 3:].astype(np.float32) / 255.0
    mixed = picture + share * (layer[..., :3].astype(np.float32) - picture)
    return np.rint(mixed).astype(np.uint8)
