"""The photo that the volume renderer moves: upright, of a size to work with, its face found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from vasa_cam.avatar.detect import choose_face, detect_faces
from vasa_cam.avatar.file import load_avatar
from vasa_cam.avatar.image import load_image
from vasa_cam.render.volume.avatar_source import avatar_photo

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]

LONG_SIDE_PX: Final = 1280
"""Larger photos are made smaller: a frame has 512 x 512 pixels of face, whatever is around it."""

_PLAIN: Final = 200  # grey behind pictures that come without a background


@dataclass(frozen=True, eq=False)
class SourcePhoto:
    """rgb: u8 [H, W, 3], both sides even. landmarks_px: float32 [478, 2 or 3]. notes: sentences."""

    rgb: U8
    landmarks_px: F32
    notes: tuple[str, ...] = ()


def read_photo(path: Path, models_dir: Path | None = None) -> SourcePhoto:
    """Read a photo and find its largest face with MediaPipe; or a .vasa avatar, which knows it.

    Raises InputError when it cannot be read or shows no face, MissingDependencyError when MediaPipe
    cannot start.
    """
    if path.suffix.lower() == ".vasa":
        rgb, points = fitted(*avatar_photo(load_avatar(path)))
        return SourcePhoto(rgb, points)
    photo = load_image(path)
    rgb = photo.rgb
    if photo.alpha is not None:
        share = photo.alpha[..., None].astype(np.float32) / 255.0
        rgb = np.rint(share * rgb + (1.0 - share) * _PLAIN).astype(np.uint8)
    face, notes = choose_face(detect_faces(rgb, models_dir))
    rgb, points = fitted(rgb, face.landmarks_px)
    return SourcePhoto(rgb, points, tuple(notes))


def fitted(rgb: U8, points_px: F32, long_side_px: int = LONG_SIDE_PX) -> tuple[U8, F32]:
    """A picture and points in it, made smaller where needed; odd sides lose their last pixel.

    rgb: u8 [H, W, 3]. points_px: float32 [n, 2 or 3]. Pixel centres are at whole numbers.
    """
    height, width = rgb.shape[:2]
    shrink = min(1.0, long_side_px / max(height, width))
    if shrink < 1.0:
        size = max(2, round(width * shrink)), max(2, round(height * shrink))
        rgb = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))
        scale = np.array([size[0] / width, size[1] / height, size[0] / width], np.float32)
        half = np.array([0.5, 0.5, 0.0], np.float32)
        axes = points_px.shape[1]
        points_px = (points_px + half[:axes]) * scale[:axes] - half[:axes]
    rows, columns = rgb.shape[0] // 2 * 2, rgb.shape[1] // 2 * 2
    return np.ascontiguousarray(rgb[:rows, :columns]), points_px.astype(np.float32)
