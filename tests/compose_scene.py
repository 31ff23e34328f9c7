"""A scene for the tests of the compose ops: a frame, an eye's patches, lens-shaped openings."""

from __future__ import annotations

import numpy as np
from tolerances import tolerance

from vasa_cam import ops

ORIGIN = (80, 70)
"""Where the eye's patches lie in the test frame."""
POINTS = 33


def pictures(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def lens(rise: float, fall: float, turn: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An opening from (100, 100) to (140, 100): vertices, upper and lower chain."""
    s = np.linspace(0, 1, POINTS)
    upper = np.column_stack([100 + 40 * s, 100 - rise * np.sin(np.pi * s)])
    lower = np.column_stack([100 + 40 * s, 100 + fall * np.sin(np.pi * s)])
    cosine, sine = np.cos(turn), np.sin(turn)
    middle = np.array([120, 100])
    points = (np.concatenate([upper, lower]) - middle) @ np.array([[cosine, sine], [-sine, cosine]])
    vertices = np.column_stack([points + middle, np.zeros(2 * POINTS)]).astype(np.float32)
    chain = np.arange(POINTS, dtype=np.int32)
    return vertices, chain, chain + np.int32(POINTS)


def opening(rise: float, fall: float, turn: float = 0.0) -> np.ndarray:
    return ops.aperture(*lens(rise, fall, turn))


def polygon_area(opening_px: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    vertices, upper, lower = opening_px
    x, y = vertices[np.concatenate([upper, lower[::-1]]), :2].astype(np.float64).T
    return float(abs(np.sum(x * np.roll(y, 1) - y * np.roll(x, 1))) / 2)


def eye_parts(seed: int = 0) -> tuple[np.ndarray, ops.EyeParams, tuple[np.ndarray, ...]]:
    """A frame, the parameters of an eye at rest in it, and its sclera, iris and lid."""
    frame, lid = pictures(seed, (200, 230, 3), (32, 64, 3))
    patch = np.ascontiguousarray(frame[70:130, 80:160])
    y, x = np.mgrid[0:60, 0:80]
    alpha = np.clip(10 - np.hypot(x - 40, y - 30), 0, 1) * 255
    iris = np.dstack([patch, alpha.astype(np.uint8)])
    rest = opening(10, 12)
    rest[:2] -= ORIGIN
    params = ops.EyeParams(
        patch_from_screen=(1, 0, -ORIGIN[0], 0, 1, -ORIGIN[1]),
        rest_aperture=rest,
        iris_centre_px=(40, 30),
        iris_radius_px=9.0,
        eyeball_radius_px=18.0,
    )
    return frame, params, (patch, iris, lid)


MOUTH = ops.MouthParams(cavity_rgb=(60, 20, 18), px_per_cm=20.0)


def with_alpha(frame: np.ndarray, channels: int) -> np.ndarray:
    if channels == 3:
        return frame.copy()
    return np.dstack([frame, np.full(frame.shape[:2], 200, np.uint8)])


def assert_close(found: np.ndarray, wanted: np.ndarray, name: str) -> None:
    difference = np.abs(found.astype(int) - wanted)
    allowed = tolerance(name)
    assert difference.max(initial=0) <= allowed.absolute
    # Three more than the share, so that a small frame can have some that round otherwise.
    assert (difference > 0).sum() <= allowed.share * difference.size + 3
