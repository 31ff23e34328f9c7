"""Small numeric helpers that several parts share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def smoothstep(low: float, high: float, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """0 at and below `low`, 1 at and above `high`, a cubic with flat ends between; float32.

    `low` may be larger than `high`: then it falls.
    """
    t = np.clip((np.asarray(x) - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)
