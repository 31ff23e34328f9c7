"""Landmarks from a JSON file, for faces that no tracker reads (`--landmarks points.json`).

The file holds a list of 478 points of MediaPipe's face mesh, or 468 without the irises, each [x, y]
or [x, y, z] in pixels of the upright photo (x right, y down, z away); or an object with that list
under "points" or "landmarks".
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.landmarks import COARSE_VERTICES, EYE_CORNERS

F32 = npt.NDArray[np.float32]

LANDMARKS: Final = 478
_MAX_BYTES: Final = 4_000_000
_IRIS_SHARE: Final = 0.2
"""Iris radius over the eye's width: 11.7 mm across in an opening of about 29 mm."""
_FOREHEAD, _CHIN = 10, 152


def read_landmarks(path: Path, photo_size: tuple[int, int]) -> F32:
    """float32 [478, 3] from a JSON file; irises and depth are estimated where they are missing.

    photo_size: width and height that the points must lie in, a face's width of slack around it.
    Raises InputError, one sentence, when the file or its points cannot be used.
    """
    points = _parse(Path(path))
    try:
        return complete_landmarks(points, photo_size)
    except ValueError as error:
        raise InputError(f"The landmarks in {path} cannot be used: {error}.") from error


def _parse(path: Path) -> list[list[float]]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} is too large for {LANDMARKS} points; give one face's points.")
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"Cannot read the landmarks {path}: {reason}; check the path.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not JSON; expected a list of {LANDMARKS} points [x, y] or [x, y, z]."
        ) from error
    if isinstance(values, dict):
        values = values.get("points", values.get("landmarks"))
    problem = _problem(values)
    if problem:
        raise InputError(
            f"{path} must hold {LANDMARKS} (or {COARSE_VERTICES}) points [x, y] or [x, y, z] in "
            f"pixels, got {problem}."
        )
    return [[float(number) for number in point] for point in values]


def _problem(values: Any) -> str | None:
    """What is wrong with the parsed JSON, or None."""
    if not isinstance(values, list):
        return "no list of points"
    if len(values) not in (COARSE_VERTICES, LANDMARKS):
        return f"{len(values)} of them"
    lengths = {len(point) if isinstance(point, list) else 0 for point in values}
    if lengths not in ({2}, {3}):
        return "points that are not all pairs or all triples of numbers"
    for point in values:
        for number in point:
            plain = isinstance(number, int | float) and not isinstance(number, bool)
            if not plain or abs(number) > 1e6 or not math.isfinite(number):
                return f"the value {str(number)[:20]!r}"
    return None


def complete_landmarks(points: list[list[float]], photo_size: tuple[int, int]) -> F32:
    """Points [468 or 478, 2 or 3] to float32 [478, 3], checked to be an upright face in the photo.

    Raises ValueError saying what is wrong.
    """
    given = np.array(points, np.float64)
    xy = given[:, :2]
    low, high = xy[:COARSE_VERTICES].min(0), xy[:COARSE_VERTICES].max(0)
    slack = high[0] - low[0]
    if (low < -slack).any() or (high > np.array(photo_size) + slack).any():
        width, height = photo_size
        raise ValueError(f"they lie outside the upright photo of {width} x {height} px")
    _check_upright(xy)
    if len(xy) == COARSE_VERTICES:
        xy = np.vstack([xy, _irises(xy)])
    if given.shape[1] == 2:
        depth = _canonical_depth(xy[:COARSE_VERTICES])
    else:
        depth = given[:COARSE_VERTICES, 2]
    if len(given) == LANDMARKS and given.shape[1] == 3:
        depth = given[:, 2]
    else:
        eyes = [np.full(5, depth[list(corners)].mean()) for corners in EYE_CORNERS]
        depth = np.concatenate([depth, *eyes])
    return np.column_stack([xy, depth]).astype(np.float32)


def _check_upright(xy: npt.NDArray[np.float64]) -> None:
    right, left = (xy[list(corners)].mean(0) for corners in EYE_CORNERS)
    across, down = left - right, xy[_CHIN] - xy[_FOREHEAD]
    if min(np.hypot(*across), np.hypot(*down)) < 1:
        raise ValueError("eyes, forehead and chin coincide")
    if across[0] <= abs(across[1]) or down[1] <= abs(down[0]):
        raise ValueError(
            "they are not an upright face with the subject's right eye (33, 133) on the image's "
            "left and the chin (152) below the forehead (10)"
        )


def _irises(xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[10, 2]: a centre and four rim points (right, top, left, bottom) for either eye."""
    from vasa_cam.landmarks import (
        LEFT_LOWER_LID,
        LEFT_UPPER_LID,
        RIGHT_LOWER_LID,
        RIGHT_UPPER_LID,
    )

    circles = []
    lids = (RIGHT_UPPER_LID + RIGHT_LOWER_LID, LEFT_UPPER_LID + LEFT_LOWER_LID)
    for ring, corners in zip(lids, EYE_CORNERS, strict=True):
        centre = xy[list(ring)].mean(0)
        radius = _IRIS_SHARE * np.hypot(*(xy[corners[1]] - xy[corners[0]]))
        rim = centre + radius * np.array([[1, 0], [0, -1], [-1, 0], [0, 1]])
        circles.append(np.vstack([centre, rim]))
    return np.vstack(circles)


def _canonical_depth(xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Depth in px from the canonical face, turned and scaled to fit the points (weak perspective).

    The two rows of the least-squares projection give scale and two axes; the third is their cross
    product.
    """
    from vasa_cam.face_model import load_face_model

    model = load_face_model().vertices.astype(np.float64)
    centred = model - model.mean(0)
    rows = np.linalg.lstsq(centred, xy - xy.mean(0), rcond=None)[0].T
    u, scales, vt = np.linalg.svd(rows, full_matrices=False)
    axes = u @ vt
    depth: npt.NDArray[np.float64] = scales.mean() * (centred @ np.cross(axes[0], axes[1]))
    return depth
