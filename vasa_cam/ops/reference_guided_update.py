"""The plain meaning of `guided_update` in NumPy, in float64."""

from __future__ import annotations

import numpy as np

from vasa_cam.ops._check import Array
from vasa_cam.ops.guided_update import UpdateCoefficients


def guided_update(
    x_t: Array,  # [...]
    outputs: Array,  # [P, ...]
    weights: Array,  # [P]
    coefficients: UpdateCoefficients,
    noise: Array | None = None,
    *,
    clean: Array | None = None,
    out: Array | None = None,
) -> Array:
    """As `vasa_cam.ops.guided_update`, without its checks."""
    keep, step, sigma = coefficients
    x_0 = np.tensordot(np.asarray(weights, np.float64), np.asarray(outputs, np.float64), axes=1)
    following = keep * np.asarray(x_t, np.float64) + step * x_0
    if sigma != 0.0:
        following = following + sigma * np.asarray(noise, np.float64)
    if clean is not None:
        clean[...] = x_0
    if out is None:
        out = np.empty(np.shape(x_t), np.float32)
    out[...] = following
    return out
