"""Which square of a photo the networks see, by face landmarks; without torch and OpenCV.

A point layout is told by its number of points: 5, 68, 101, 106, 203 or MediaPipe's 478. The square
is upright in the face: from the middle of the eyes to the mouth its y axis runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.landmarks import LEFT_BROW, RIGHT_BROW

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

# Points whose mean is one eye, the other eye, and the mouth.
_FEATURES: Final[dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]] = {
    5: ((0,), (1,), (3, 4)),
    68: ((36, 39), (42, 45), (48, 54)),
    101: ((39, 42, 45, 48), (51, 54, 57, 60), (75, 81)),
    106: ((33, 35, 40, 39), (87, 89, 94, 93), (52, 61)),
    203: ((0, 6, 12, 18), (24, 30, 36, 42), (48, 66)),
    478: ((468,), (473,), (14,)),
}
# Height over width of each eye and of the mouth: upper and lower, then the two corners.
_OPENINGS: Final[dict[int, tuple[tuple[int, int, int, int], ...]]] = {
    203: ((6, 18, 0, 12), (30, 42, 24, 36), (90, 102, 48, 66)),
    478: ((159, 145, 33, 133), (386, 374, 362, 263), (13, 14, 78, 308)),
}
_SHORTEST: Final = 1e-3

MEASURED_LAYOUTS: Final = tuple(_OPENINGS)
"""Numbers of landmarks in which `openings` finds eyes and mouth."""


@dataclass(frozen=True)
class CropConfig:
    """What is cut out: side in pixels; scale over the larger side of the landmarks' box; how far
    down from its centre, in sides (negative is up); rotate: upright in the face, or in the photo.
    """

    side_px: int = 512
    scale: float = 2.3
    down: float = -0.125
    rotate: bool = True


SOURCE: Final = CropConfig()
"""For the photo, LivePortrait's own."""

DRIVING: Final = CropConfig(scale=2.2, down=-0.1, rotate=False)
"""For the frames of a driving video, one square for all of them."""


@dataclass(frozen=True, eq=False)
class Crop:
    """A square of a photo. matrix: float64 [3, 3], photo pixels (x, y, 1) to the square's.

    Pixel centres are at whole numbers in both.
    """

    matrix: F64
    side_px: int

    @property
    def inverse(self) -> F64:
        """The square's pixels to the photo's, float64 [3, 3]."""
        return np.asarray(np.linalg.inv(self.matrix), np.float64)

    def points(self, points_px: npt.ArrayLike) -> F32:
        """Photo points [n, 2] in the square."""
        points = np.asarray(points_px, np.float64)
        return np.asarray(points @ self.matrix[:2, :2].T + self.matrix[:2, 2], np.float32)


@dataclass(frozen=True, eq=False)
class FaceBox:
    """A square around a face: centre (x, y) and side in px, angle in radians, clockwise."""

    centre: F64
    side: float
    angle: float


def eyes_and_mouth(points_px: npt.ArrayLike) -> F64:
    """The middle of the eyes and the mouth, float64 [2, 2], of landmarks [n, 2 or 3] in a photo.

    Raises InputError unless n is that of a known layout and all values are finite.
    """
    points = np.asarray(points_px, np.float64)
    known = points.ndim == 2 and points.shape[1] in (2, 3) and len(points) in _FEATURES
    if not known or not np.isfinite(points).all():
        raise InputError(
            f"expected {', '.join(map(str, _FEATURES))} finite face landmarks (x, y), "
            f"got an array {list(points.shape)}: use the landmarks of one face of these layouts."
        )
    first, second, mouth = (
        points[list(group), :2].mean(axis=0) for group in _FEATURES[len(points)]
    )
    return np.stack([(first + second) / 2, mouth])


def openings(points_px: npt.ArrayLike) -> F32:
    """How far the two eyes and the mouth are open, height over width, float32 [3].

    points_px: 203 landmarks, or MediaPipe's 478. Raises InputError for another number.
    """
    points = np.asarray(points_px, np.float64)
    if points.ndim != 2 or len(points) not in _OPENINGS:
        raise InputError(
            f"expected {' or '.join(map(str, _OPENINGS))} face landmarks, got an array "
            f"{list(points.shape)}: eyes and mouth cannot be measured in other layouts."
        )
    ratios = []
    for upper, lower, left, right in _OPENINGS[len(points)]:
        height = np.linalg.norm(points[upper, :2] - points[lower, :2])
        width = np.linalg.norm(points[left, :2] - points[right, :2])
        ratios.append(height / (width + 1e-6))
    return np.array(ratios, np.float32)


def face_box(points_px: npt.ArrayLike, scale: float, down: float) -> FaceBox:
    """The square around landmarks [n, 2 or 3], upright in the face; InputError as eyes_and_mouth.

    MediaPipe's mesh covers the forehead, the layouts that the public weights were trained with do
    not: its points above the brows do not count.
    """
    points = np.asarray(points_px, np.float64)
    eyes, mouth = eyes_and_mouth(points)
    points = points[:, :2]
    down_axis = mouth - eyes
    length = float(np.linalg.norm(down_axis))
    down_axis = np.array([0.0, 1.0]) if length <= _SHORTEST else down_axis / length
    axes = np.stack([[down_axis[1], -down_axis[0]], down_axis])
    middle = points.mean(axis=0)
    upright = (points - middle) @ axes.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    if len(points) == 478:
        low[1] = upright[[*LEFT_BROW, *RIGHT_BROW], 1].min()
    side = float((high - low).max()) * scale
    if not side > 0:
        raise InputError("the face landmarks are all the same point: use those of a real face.")
    centre = middle + ((low + high) / 2) @ axes + down * side * down_axis
    angle = math.acos(float(np.clip(axes[0, 0], -1.0, 1.0)))
    return FaceBox(centre, side, -angle if axes[0, 1] < 0 else angle)


def crop_of(box: FaceBox, side_px: int, rotate: bool = True) -> Crop:
    """The crop that shows a face box, `side_px` wide and high."""
    scale = side_px / box.side
    angle = box.angle if rotate else 0.0
    turn = scale * np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = side_px / 2 - turn @ box.centre
    return Crop(matrix, side_px)


def find_crop(points_px: npt.ArrayLike, config: CropConfig = SOURCE) -> Crop:
    """The crop of a photo around landmarks [n, 2 or 3]; InputError as for eyes_and_mouth."""
    return crop_of(face_box(points_px, config.scale, config.down), config.side_px, config.rotate)


def common_crop(frames_px: list[F32], config: CropConfig = DRIVING) -> Crop:
    """One crop for all frames of a video: the mean of their boxes, not rotated.

    frames_px: landmarks [n, 2 or 3] of every frame with a face. Raises InputError without any.
    """
    if not frames_px:
        raise InputError("no frame of the video shows a face: use a video of one person.")
    boxes = [face_box(points, config.scale, config.down) for points in frames_px]
    centre = np.mean([box.centre for box in boxes], axis=0)
    mean = FaceBox(centre, float(np.mean([box.side for box in boxes])), 0.0)
    return crop_of(mean, config.side_px, rotate=False)


def warp(picture: U8, matrix: F64, size: tuple[int, int]) -> U8:
    """Bilinear samples of u8 [H, W, C], zeros outside, rounded, as u8 [height, width, C].

    matrix: float64 [3, 3], pixels of the result (x, y, 1) to pixels of `picture`. size: width and
    height of the result.
    """
    width, height = size
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    at_x, at_y = (row[0] * x + row[1] * y + row[2] for row in matrix[:2])
    # Two pixels of zeros around the picture stand for everything outside of it.
    padded = np.pad(picture, ((2, 2), (2, 2), (0, 0)))
    at_x = np.clip(at_x, -2.0, picture.shape[1]) + 2.0
    at_y = np.clip(at_y, -2.0, picture.shape[0]) + 2.0
    left, top = np.floor(at_x).astype(np.intp), np.floor(at_y).astype(np.intp)
    u, v = (at_x - left)[..., None], (at_y - top)[..., None]
    upper = padded[top, left] * (1 - u) + padded[top, left + 1] * u
    lower = padded[top + 1, left] * (1 - u) + padded[top + 1, left + 1] * u
    return np.asarray(np.rint(upper * (1 - v) + lower * v), np.uint8)


def cut_out(photo: U8, crop: Crop) -> U8:
    """The crop of a photo u8 [H, W, 3] as u8 [side, side, 3], black outside the photo."""
    return warp(photo, crop.inverse, (crop.side_px, crop.side_px))


def network_input(picture: U8, side: int) -> F32:
    """A crop u8 [S, S, 3] as a network takes it: float32 [3, side, side], 0 .. 1.

    Every value is the mean of S / side by S / side pixels. Raises ValueError unless S is a multiple
    of the side.
    """
    size = len(picture)
    if picture.shape != (size, size, 3) or size % side:
        raise ValueError(f"a picture must be [n x {side}, n x {side}, 3], got {picture.shape}")
    step = size // side
    means = picture.reshape(side, step, side, step, 3).mean(axis=(1, 3), dtype=np.float64)
    return np.ascontiguousarray((means / 255.0).transpose(2, 0, 1), np.float32)


def border_mask(side_px: int) -> U8:
    """How much of a frame is pasted, u8 [side, side]: 255 inside, fading out over 16 of 512 px.

    Round corners; the first row and column are 0.
    """
    reach = side_px / 32
    place = np.arange(side_px)
    missing = np.maximum(0.0, 1.0 - np.minimum(place, side_px - place) / reach)
    return np.asarray(
        255 * (1 - np.minimum(1.0, np.hypot(*np.meshgrid(missing, missing)))), np.uint8
    )
