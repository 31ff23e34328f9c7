"""Faces in a photo: 478 landmarks each, by MediaPipe's Face Landmarker in image mode.

The detector sees the whole picture first and, when that shows nothing, overlapping tiles at
doubling scale, so that a face of 100 px is found in a 50-megapixel photo. Every face is then
measured again in several shifted and scaled crops and the median is taken: one crop's landmarks
scatter by 0.35 % of the distance between the eyes, the median of nine by about 0.1 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.mediapipe_tasks import load_cv2, load_tasks, quiet_stderr, task_image
from vasa_cam.avatar.models import FACE_LANDMARKER, find_model
from vasa_cam.errors import InputError, MissingDependencyError

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]

LANDMARKS: Final = 478
MIN_FACE_PX: Final = 100
"""Height of the smallest face that is enrolled, forehead to chin."""

_MAX_FACES: Final = 10
_SMALLEST_TILE_PX: Final = 400  # a 100 px face fills a quarter of it, enough for the detector
_DETECT_PX: Final = 512
_CROPS: Final = tuple(
    (scale, dx, dy)
    for scale, shift in ((1.5, 0.04), (1.75, 0.06), (2.0, 0.08))
    for dx, dy in ((-shift, -shift / 2), (shift, -shift / 2), (0.0, shift))
)


@dataclass(frozen=True)
class Face:
    """One face: landmarks float32 [478, 3] in photo pixels (x right, y down, z away)."""

    landmarks_px: F32

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, width, height around the face, forehead to chin."""
        low, high = self.landmarks_px[:468, :2].min(0), self.landmarks_px[:468, :2].max(0)
        return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])

    @property
    def height(self) -> float:
        return self.box[3]


class _Landmarker:
    """The MediaPipe task; use as a context manager."""

    def __init__(self, models_dir: Path | None) -> None:
        path = find_model(FACE_LANDMARKER, models_dir)
        _, vision = load_tasks()
        from mediapipe.tasks.python import BaseOptions

        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(path)), num_faces=_MAX_FACES
        )
        try:
            with quiet_stderr():
                self._task: Any = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise MissingDependencyError(
                f"MediaPipe's face landmarker cannot start ({reason}); on Debian or Ubuntu "
                "install: apt-get install libgl1 libegl1 libgles2"
            ) from error

    def __enter__(self) -> _Landmarker:
        return self

    def __exit__(self, *_error: object) -> None:
        with quiet_stderr():
            self._task.close()

    def faces(self, rgb: U8) -> list[F32]:
        """Landmarks of every face in `rgb`, float32 [478, 3] in its pixels."""
        height, width = rgb.shape[:2]
        with quiet_stderr():
            found = self._task.detect(task_image(rgb)).face_landmarks
        # MediaPipe's z has the scale of x; its pixel centres are at half integers, ours at whole.
        scale = np.array([width, height, width], np.float32)
        half = np.array([0.5, 0.5, 0.0], np.float32)
        return [
            np.array([[p.x, p.y, p.z] for p in face], np.float32) * scale - half for face in found
        ]

    def faces_in(self, rgb: U8, x: int, y: int, side: int) -> list[F32]:
        """The same for a square of the photo, which may reach beyond its edges."""
        cv2 = load_cv2()
        rows = np.clip(np.arange(y, y + side), 0, rgb.shape[0] - 1)
        columns = np.clip(np.arange(x, x + side), 0, rgb.shape[1] - 1)
        square = rgb[rows[:, None], columns[None, :]]
        how = cv2.INTER_AREA if side > _DETECT_PX else cv2.INTER_CUBIC
        square = cv2.resize(square, (_DETECT_PX, _DETECT_PX), interpolation=how)
        scale = side / _DETECT_PX
        corner = np.array([x, y, 0], np.float32)
        half = np.array([0.5, 0.5, 0.0], np.float32)
        return [(face + half) * scale - half + corner for face in self.faces(square)]


def detect_faces(rgb: U8, models_dir: Path | None = None) -> list[Face]:
    """Every face that was found in uint8 [H, W, 3], the largest first; may be empty.

    Raises InputError when the model file cannot be had, MissingDependencyError when MediaPipe
    cannot start.
    """
    with _Landmarker(models_dir) as landmarker:
        found = _search(landmarker, rgb)
        faces = [Face(_measure(landmarker, rgb, face)) for face in found]
    return sorted(_distinct(faces), key=lambda face: -face.height)


def _search(landmarker: _Landmarker, rgb: U8) -> list[Face]:
    """Whole picture, then tiles of half, quarter, ... its shorter side until a face appears."""
    height, width = rgb.shape[:2]
    cv2 = load_cv2()
    shrink = max(1.0, max(height, width) / (3 * _DETECT_PX))
    small = rgb
    if shrink > 1.0:
        size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    found = [Face(face * np.float32(shrink)) for face in landmarker.faces(small)]
    side = min(height, width)
    while not found and side > _SMALLEST_TILE_PX:
        side = max(_SMALLEST_TILE_PX, side // 2)
        for y in _tile_starts(height, side):
            for x in _tile_starts(width, side):
                found += [Face(face) for face in landmarker.faces_in(rgb, x, y, side)]
    return _distinct(found)


def _tile_starts(length: int, side: int) -> list[int]:
    """Starts of half-overlapping tiles that cover 0 .. length."""
    if length <= side:
        return [(length - side) // 2]
    count = int(np.ceil((length - side) / (side / 2))) + 1
    return [round(start) for start in np.linspace(0, length - side, count)]


def _measure(landmarker: _Landmarker, rgb: U8, face: Face) -> F32:
    """Landmarks again, the median over shifted and scaled crops around `face`."""
    x, y, width, height = face.box
    centre = np.array([x + width / 2, y + height / 2])
    size = max(width, height)
    measured = []
    for scale, dx, dy in _CROPS:
        side = max(16, round(scale * size))
        left, top = np.round(centre + np.array([dx, dy]) * size - side / 2).astype(int)
        candidates = landmarker.faces_in(rgb, int(left), int(top), side)
        if candidates:
            distances = [
                np.abs(c[:468, :2].mean(0) - face.landmarks_px[:468, :2].mean(0)).max()
                for c in candidates
            ]
            nearest = int(np.argmin(distances))
            if distances[nearest] < 0.3 * size:
                measured.append(candidates[nearest])
    if len(measured) < 3:
        return face.landmarks_px
    return np.median(np.stack(measured), axis=0).astype(np.float32)


def _distinct(faces: list[Face]) -> list[Face]:
    """Without doubles: of faces whose centres lie within half a face, the first is kept."""
    kept: list[Face] = []
    for face in faces:
        centre = face.landmarks_px[:468, :2].mean(0)
        near = (
            np.abs(centre - other.landmarks_px[:468, :2].mean(0)).max() < 0.5 * other.height
            for other in kept
        )
        if not any(near):
            kept.append(face)
    return kept


def choose_face(faces: list[Face], number: int | None = None) -> tuple[Face, list[str]]:
    """The face to enrol and notes on the choice; `number` counts from 1, the largest first.

    Raises InputError when there is no face, no face of that number, or it is under 100 px high.
    """
    if not faces:
        raise InputError(
            "No face was found; use a photo that shows a face from the front, upright and at "
            f"least {MIN_FACE_PX} px high, or give its points with --landmarks."
        )
    if number is not None and not 1 <= number <= len(faces):
        count = "1 face was" if len(faces) == 1 else f"{len(faces)} faces were"
        raise InputError(
            f"There is no face {number}: {count} found; give --face a number from 1 to "
            f"{len(faces)}, the largest is 1."
        )
    face = faces[(number or 1) - 1]
    check_face_size(face)
    notes = []
    if len(faces) > 1:
        x, y, width, height = (round(value) for value in face.box)
        which = f"face {number}" if number else "the largest"
        notes.append(
            f"{len(faces)} faces were found; {which} was taken, {width} x {height} px at "
            f"({x}, {y}); --face N takes another."
        )
    return face, notes


def check_face_size(face: Face) -> None:
    """Raises InputError when `face` is under 100 px high."""
    if face.height < MIN_FACE_PX:
        raise InputError(
            f"The face is {face.height:.0f} px high, at least {MIN_FACE_PX} px are needed; use a "
            "larger photo or a closer crop."
        )
