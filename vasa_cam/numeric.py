"""Small numeric helpers that several parts share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def smoothstep(low: float, high: float, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """0 at and below `low`, 1 at and above `high`, a cubic with flat ends between; float32.

    `low` may be larger than `high`: then it falls.
    """
    t = np.clip((np.asarray(x) - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def interpolated(
    rows: npt.NDArray[np.float32], at: npt.NDArray[np.floating[Any]]
) -> npt.NDArray[np.float32]:
    """Rows float32 [T, n] at fractional places, float32 [m, n], by Catmull-Rom's cubic.

    at: [m], in rows; beyond either end the nearest row stays.
    """
    last = len(rows) - 1
    at = np.clip(at, 0, last)
    base = np.floor(at).astype(np.int64)
    u = (at - base).astype(np.float32)[:, None]
    p0, p1, p2, p3 = (rows[np.clip(base + k, 0, last)] for k in (-1, 0, 1, 2))
    between = p1 + 0.5 * u * (
        p2 - p0 + u * (2 * p0 - 5 * p1 + 4 * p2 - p3 + u * (3 * (p1 - p2) + p3 - p0))
    )
    return np.asarray(between, np.float32)
