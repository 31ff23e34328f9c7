"""Glasses as a layer of their own, so that they stay stiff while brows and lids move beneath.

A frame is looked for in a normalised picture of the eyes as a thin ridge, darker or brighter than
the skin: across the bridge of the nose, and along the lower three quarters of a superellipse around
either eye, mirror images of each other. All of it has to be there; a thin or rimless frame is left
in the skin, where it bends too little to be seen. Lenses, their tint and their reflections always
stay in the skin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.mediapipe_tasks import load_cv2
from vasa_cam.avatar.patch_fill import fill_hole
from vasa_cam.landmarks import (
    EYE_CORNERS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

_EYES_PX: Final = 96
"""Distance of the eyes in the normalised picture."""
_WIDTH, _HEIGHT = 3 * _EYES_PX, 2 * _EYES_PX
_EYE_ROW: Final = 0.45 * _HEIGHT

# Measured on 41 portraits of people, three paintings and a cartoon, and on Grace Hopper's thick
# frame: she scores 0.08 around the eyes and 0.21 on the bridge; the highest scores without a thick
# frame are 0.016 around the eyes, and 0.16 on the bridge (a crease, and two rimless glasses).
_LEAST_BRIDGE: Final = 0.07
_LEAST_RIM: Final = 0.035
_LEAST_COVER: Final = 0.45
_HALF_WIDTH: Final = 6
"""Hundredths of the eye distance that a frame reaches at most to either side of its middle."""
_TOP_ABOVE_EYE: Final = 0.2
"""A rim passes over the eye's centre at least this high: lids and lashes lie below."""
_COLOUR_WEIGHT: Final = 0.25
_CHEEKBONES: Final = {-1: 234, 1: 454}
_LID_RINGS: Final = (
    RIGHT_UPPER_LID + RIGHT_LOWER_LID[::-1],
    LEFT_UPPER_LID + LEFT_LOWER_LID[::-1],
)


@dataclass(frozen=True)
class _Rim:
    """Two half superellipses: centre (from the eye, x outwards) and half axes in eye distances."""

    x: float
    y: float
    half_width: float
    half_height: float
    exponent: float
    taper: float
    """How much wider the rim is at its top than in its middle, and narrower at the bottom."""
    half_height_above: float


def split_glasses(rgb: U8, landmarks: F32) -> tuple[U8, U8]:
    """(glasses uint8 [H, W, 4], person without them uint8 [H, W, 3]).

    landmarks: float32 [478, 3] in pixels of `rgb` [H, W, 3]. Without glasses that can be split
    safely, the first is [0, 0, 4] and the second `rgb` itself. Laid over the second, the first
    shows `rgb`.
    """
    cover = find_frame(rgb, landmarks)
    if cover is None:
        return np.zeros((0, 0, 4), np.uint8), rgb
    cv2 = load_cv2()
    unit = _eye_distance(landmarks) / _EYES_PX
    grown = cv2.dilate(cover, _disc(1.4 * unit))
    alpha = cv2.GaussianBlur(grown, (0, 0), max(0.5, 0.6 * unit))
    hole = cv2.dilate((alpha > 0.02).astype(np.uint8), _disc(unit)) > 0
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    margin = round(0.3 * _EYES_PX * unit)
    part = (
        slice(max(0, rows[0] - margin), rows[-1] + margin),
        slice(max(0, columns[0] - margin), columns[-1] + margin),
    )
    usable = _skin(landmarks, rgb.shape[:2]) & ~hole
    filled = rgb.copy()
    filled[part] = fill_hole(rgb[part], hole[part], usable[part], hole[part])
    # Under the thin edge of the frame the skin stays as it is, so that both together show `rgb`.
    share = np.clip((alpha - 0.3) / 0.6, 0, 1)[..., None]
    bare = (rgb * (1 - share) + filled * share + 0.5).astype(np.uint8)
    opacity = np.clip(alpha * 255 + 0.5, 0, 255).astype(np.uint8)
    glasses = np.dstack([np.where(opacity[..., None] > 0, rgb, 0).astype(np.uint8), opacity])
    return glasses, bare


def find_frame(rgb: U8, landmarks: F32) -> F32 | None:
    """Where the frame of a pair of glasses is, float32 [H, W] 0 .. 1, or None without one."""
    cv2 = load_cv2()
    to_patch = _normalising(landmarks)
    how = cv2.INTER_AREA if to_patch[0, 0] < 1 else cv2.INTER_CUBIC
    patch = cv2.warpAffine(
        rgb, to_patch, (_WIDTH, _HEIGHT), flags=how, borderMode=cv2.BORDER_REPLICATE
    )
    ridge = _ridges(patch)
    contrast, bridge_row = _bridge(ridge)
    if contrast < _LEAST_BRIDGE:
        return None
    rim = _fit_rim(cv2.GaussianBlur(ridge, (0, 0), 1.0))
    if rim is None:
        return None
    eyes = cv2.transform(landmarks[None, :468, :2], to_patch)[0]
    likeness = ridge + _COLOUR_WEIGHT * _like_frame(patch, rim)
    rim = _fit_above(cv2.GaussianBlur(likeness, (0, 0), 1.0), rim)
    frame = _frame_pixels(likeness, rim, bridge_row, eyes)
    height, width = rgb.shape[:2]
    cover: F32 = cv2.warpAffine(
        frame, to_patch, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return cover


def _eye_distance(landmarks: F32) -> float:
    right, left = (landmarks[list(corners), :2].mean(0) for corners in EYE_CORNERS)
    return float(np.hypot(*(left - right)))


def _normalising(landmarks: F32) -> npt.NDArray[np.float64]:
    """[2, 3]: pixels to the normalised picture, eyes level and 96 px apart."""
    right, left = (landmarks[list(corners), :2].mean(0) for corners in EYE_CORNERS)
    cosine, sine = (left - right) * _EYES_PX / max(float(np.sum((left - right) ** 2)), 1e-6)
    turn = np.array([[cosine, sine], [-sine, cosine]], np.float64)
    shift = np.array([_WIDTH / 2, _EYE_ROW]) - turn @ ((left + right) / 2)
    return np.column_stack([turn, shift])


def _ridges(patch: U8) -> F32:
    """Contrast of thin lines against their surroundings, either sign, float32 [h, w]."""
    cv2 = load_cv2()
    smooth = cv2.GaussianBlur(patch.astype(np.float32), (0, 0), 0.8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15))
    strongest = np.zeros(patch.shape[:2], np.float32)
    for channel in (smooth.mean(2), smooth[..., 2]):  # blue shows amber frames on skin
        level = cv2.GaussianBlur(channel, (0, 0), 12) + 20
        for kind in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT):
            line = cv2.morphologyEx(channel, kind, disc) / level
            strongest = np.maximum(strongest, line)
    return strongest.astype(np.float32)


def _bridge(ridge: F32) -> tuple[float, int]:
    """Contrast and row of the strongest level line across the nose between the eyes."""
    profile = ridge[:, _WIDTH // 2 - 7 : _WIDTH // 2 + 8].mean(1)
    beside = np.maximum(np.roll(profile, 7), np.roll(profile, -7))
    low, high = int(_EYE_ROW - 0.28 * _EYES_PX), int(_EYE_ROW + 0.3 * _EYES_PX)
    row = int(np.argmax((profile - beside)[low:high])) + low
    return float(profile[row] - beside[row]), row


def _fit_rim(ridge: F32) -> _Rim | None:
    """The superellipse with the most ridge along it around both eyes, if that is enough."""
    grid = np.meshgrid(
        np.arange(-0.04, 0.13, 0.03),
        np.arange(-0.1, 0.2, 0.03),
        np.arange(0.27, 0.44, 0.025),
        np.arange(0.16, 0.4, 0.03),
        np.array([2.0, 2.6, 3.5]),
        np.array([0.0, 0.15, 0.3]),
        indexing="ij",
    )
    trials = np.stack([axis.ravel() for axis in grid], 1).astype(np.float32)
    angles = np.radians(np.arange(-15, 200, 5, dtype=np.float32))  # brows hide the rest
    scores, covers = [], []
    for side in (-1, 1):
        on = _along(ridge, trials, angles, side, 0.0)
        beside = np.maximum(
            _along(ridge, trials, angles, side, 0.07), _along(ridge, trials, angles, side, -0.07)
        )
        stands_out = np.clip(on - beside, -0.1, 0.15)
        scores.append(stands_out.mean(1))
        covers.append((stands_out > 0.02).mean(1))
    both = np.minimum(*scores)
    best = int(both.argmax())
    if both[best] < _LEAST_RIM or min(cover[best] for cover in covers) < _LEAST_COVER:
        return None
    x, y, half_width, half_height, exponent, taper = (float(value) for value in trials[best])
    return _Rim(x, y, half_width, half_height, exponent, taper, half_height)


def _along(ridge: F32, trials: F32, angles: F32, side: int, offset: float) -> F32:
    """[trials, angles] ridge on the superellipses, grown by `offset` eye distances."""
    x, y, half_width, half_height, exponent, taper = (trials[:, k : k + 1] for k in range(6))
    cosine, sine = np.cos(angles), np.sin(angles)
    across = np.sign(cosine) * np.abs(cosine) ** (2 / exponent)
    down = np.sign(sine) * np.abs(sine) ** (2 / exponent)
    across = across * (1 - taper * down)
    columns = _WIDTH / 2 + side * _EYES_PX * (0.5 + x + (half_width + offset) * across)
    rows = _EYE_ROW + _EYES_PX * (y + (half_height + offset) * down)
    found: F32 = ridge[
        _clipped(rows, _HEIGHT),
        _clipped(columns, _WIDTH),
    ]
    return found


def _like_frame(patch: U8, rim: _Rim) -> F32:
    """How like the frame's colour and unlike the skin's a pixel is, 0 .. 1, [h, w].

    The frame's colour is that along its lower half, the skin's that inside the lower half.
    """
    angles = np.radians(np.arange(20, 161, 5, dtype=np.float32))
    image = patch.astype(np.float32)
    frame_colours, skin_colours = [], []
    for side in (-1, 1):
        rows, columns = _rim_grid(rim, angles, np.array([-0.07, 0.0], np.float32), side)
        picked = image[_clipped(rows, _HEIGHT), _clipped(columns, _WIDTH)]
        skin_colours.append(picked[:, 0])
        frame_colours.append(picked[:, 1])
    frame = np.median(np.concatenate(frame_colours), 0)
    skin = np.median(np.concatenate(skin_colours), 0)
    span = max(float(np.linalg.norm(frame - skin)), 20.0)
    like = np.clip(1 - 1.6 * np.linalg.norm(image - frame, axis=2) / span, 0, 1)
    # Two-coloured frames are dark above: darker than brows are.
    dark = np.clip((0.42 - image.mean(2) / max(float(skin.mean()), 1.0)) / 0.12, 0, 1)
    either: F32 = np.maximum(like, dark).astype(np.float32)
    return either


def _fit_above(likeness: F32, rim: _Rim) -> _Rim:
    """The same rim with the height of its upper half that follows the frame best."""
    angles = np.radians(np.arange(205, 336, 5, dtype=np.float32))
    offsets = np.array([-0.07, 0.0], np.float32)  # brows may lie above: only the inside counts
    best, most = rim, -np.inf
    lowest = max(0.15, rim.y + _TOP_ABOVE_EYE)
    for height in np.arange(lowest, max(0.46, lowest + 0.05), 0.01):
        trial = replace(rim, half_height_above=float(height))
        gain = 0.0
        for side in (-1, 1):
            rows, columns = _rim_grid(trial, angles, offsets, side)
            found = likeness[_clipped(rows, _HEIGHT), _clipped(columns, _WIDTH)]
            gain += float((found[:, 1] - found[:, 0]).mean())
        if gain > most:
            best, most = trial, gain
    return best


def _clipped(positions: npt.NDArray[np.floating], size: int) -> I64:
    """Rounded to whole pixels inside the picture."""
    whole: I64 = np.clip(np.rint(positions), 0, size - 1).astype(np.int64)
    return whole


def _frame_pixels(ridge: F32, rim: _Rim, bridge_row: int, eyes: F32) -> F32:
    """Frame in the normalised picture: both rims, bridge and temples, each traced along a line."""
    cv2 = load_cv2()
    free = ridge.copy()
    for ring in _LID_RINGS:
        opening = np.round(eyes[list(ring)]).astype(np.int32)
        eye = cv2.fillPoly(np.zeros(ridge.shape, np.uint8), [opening], 1)
        free[cv2.dilate(eye, _disc(0.065 * _EYES_PX)) > 0] = 0
    frame = np.zeros(ridge.shape, np.uint8)
    angles = np.radians(np.arange(0, 361, 3, dtype=np.float32))
    offsets = np.arange(-0.1, 0.14, 0.01, dtype=np.float32)
    for side in (-1, 1):
        _draw_traced(frame, free, *_rim_grid(rim, angles, offsets, side), least=0.04)
    steps = np.arange(-0.12, 0.12, 0.01, dtype=np.float32) * _EYES_PX
    inner = _EYES_PX * (0.5 + rim.x - rim.half_width + 0.06)
    across = np.arange(-inner, inner + 1, 2, dtype=np.float32)
    rows = np.broadcast_to(bridge_row + steps, (len(across), len(steps)))
    columns = np.broadcast_to(_WIDTH / 2 + across[:, None], rows.shape)
    _draw_traced(frame, free, rows, columns, least=0.04)
    for side in (-1, 1):
        _draw_temple(frame, free, rim, eyes, side)
    closed: F32 = cv2.morphologyEx(frame, cv2.MORPH_CLOSE, _disc(1)).astype(np.float32)
    return closed


def _rim_grid(rim: _Rim, angles: F32, offsets: F32, side: int) -> tuple[F32, F32]:
    """Rows and columns [angles, offsets] across the fitted rim, from inside to outside."""
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    across = np.sign(cosine) * np.abs(cosine) ** (2 / rim.exponent)
    down = np.sign(sine) * np.abs(sine) ** (2 / rim.exponent)
    across = across * (1 - rim.taper * down)
    columns = _WIDTH / 2 + side * _EYES_PX * (0.5 + rim.x + (rim.half_width + offsets) * across)
    height = np.where(down < 0, rim.half_height_above, rim.half_height)
    rows = _EYE_ROW + _EYES_PX * (rim.y + (height + offsets) * down)
    return rows.astype(np.float32), columns.astype(np.float32)


def _draw_temple(frame: U8, ridge: F32, rim: _Rim, eyes: F32, side: int) -> None:
    """The piece from the rim's outer edge to the face's outline, where it stands out clearly."""
    outline = abs(float(eyes[_CHEEKBONES[side], 0]) - _WIDTH / 2)
    start = _EYES_PX * (0.5 + rim.x + rim.half_width - 0.08)
    if outline - start < 4:
        return
    out = np.arange(start, outline, 2, dtype=np.float32)
    steps = np.arange(-0.3, 0.1, 0.01, dtype=np.float32) * _EYES_PX
    rows = np.broadcast_to(_EYE_ROW + steps, (len(out), len(steps)))
    columns = np.broadcast_to((_WIDTH / 2 + side * out)[:, None], rows.shape)
    _draw_traced(frame, ridge, rows, columns, least=0.12)


def _draw_traced(frame: U8, ridge: F32, rows: F32, columns: F32, least: float) -> None:
    """Draw the line of most ridge through a grid of samples [n, k], one sample of k a step.

    The smoothest strong path by dynamic programming; at every step as wide as the ridge stays
    above 45 % of its height there. Steps whose ridge is under `least` are left out.
    """
    cv2 = load_cv2()
    rows, columns = np.ascontiguousarray(rows), np.ascontiguousarray(columns)
    found = cv2.remap(ridge, columns, rows, cv2.INTER_LINEAR)
    path = _best_path(found)
    low, high = _extent(found, path)
    corners = np.stack([columns, rows], 2)
    for step in range(len(path) - 1):
        here, there = (found[k, path[k]] for k in (step, step + 1))
        if min(here, there) >= least:
            quad = [
                corners[step, low[step]],
                corners[step, high[step]],
                corners[step + 1, high[step + 1]],
                corners[step + 1, low[step + 1]],
            ]
            cv2.fillPoly(frame, [np.round(quad).astype(np.int32)], 1)


def _best_path(found: F32) -> I64:
    """[n] column of each row of `found` [n, k], maximal in sum less the jumps squared."""
    count = found.shape[1]
    jumps = 0.01 * np.subtract.outer(np.arange(count), np.arange(count)) ** 2
    total, back = found[0].copy(), []
    for row in found[1:]:
        arriving = total[None, :] - jumps
        back.append(arriving.argmax(1))
        total = arriving.max(1) + row
    path = [int(total.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return np.array(path[::-1], np.int64)


def _extent(found: F32, path: I64) -> tuple[I64, I64]:
    """First and last column around `path` where the ridge stays above 45 % of its height."""
    low, high = path.copy(), path.copy()
    for row, (values, at) in enumerate(zip(found, path, strict=True)):
        floor = 0.45 * values[at]
        while low[row] > max(0, at - _HALF_WIDTH) and values[low[row] - 1] > floor:
            low[row] -= 1
        while high[row] < min(len(values) - 1, at + _HALF_WIDTH) and values[high[row] + 1] > floor:
            high[row] += 1
    return low, high


def _skin(landmarks: F32, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The face without its eye openings, bool [H, W]: what may be painted under a frame."""
    cv2 = load_cv2()
    points = np.round(landmarks[:468, :2]).astype(np.int32)
    mask = cv2.fillPoly(np.zeros(shape, np.uint8), [cv2.convexHull(points)], 1)
    for ring in _LID_RINGS:
        cv2.fillPoly(mask, [points[list(ring)]], 0)
    return np.asarray(mask > 0)


def _disc(radius: float) -> U8:
    cv2 = load_cv2()
    size = 2 * max(1, round(radius)) + 1
    disc: U8 = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return disc
