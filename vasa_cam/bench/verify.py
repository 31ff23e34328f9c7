"""Results against the reference: nothing is timed before it is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vasa_cam.bench.case import Arrays, Check


class WrongResultError(Exception):
    """A way of computing a case does not agree with the reference; the message says how far."""


def fetched(result: Any) -> list[np.ndarray[Any, Any]]:
    """A result as NumPy arrays of its own memory: of an array or several, NumPy, torch or CuPy."""
    parts = result if isinstance(result, tuple | list) else (result,)
    return [_numpy(part) for part in parts]


def _numpy(array: Any) -> np.ndarray[Any, Any]:
    library = type(array).__module__.partition(".")[0]
    if library == "torch":
        array = array.detach()
        if array.is_floating_point():
            array = array.float()  # NumPy has no bfloat16
        array = array.cpu().numpy()
    elif library == "cupy":
        array = array.get()
    return np.array(array)


def verify(found: Arrays, expected: Arrays, check: Check) -> float:
    """The largest difference (absolute, or relative in the L2 norm) of results that agree.

    Raises WrongResultError for another number or shape of arrays, for NaN or infinity where the
    reference has none, and for a difference beyond the limit.
    """
    if len(found) != len(expected):
        raise WrongResultError(f"expected {len(expected)} arrays, got {len(found)}")
    worst = 0.0
    for index, (ours, wanted) in enumerate(zip(found, expected, strict=True)):
        if ours.shape != wanted.shape:
            raise WrongResultError(
                f"array {index}: expected the shape {list(wanted.shape)}, got {list(ours.shape)}"
            )
        if ours.size:
            worst = max(worst, _difference(ours, wanted, check, index))
    return worst


def _difference(
    ours: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any], check: Check, index: int
) -> float:
    a, b = ours.astype(np.float64), wanted.astype(np.float64)
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        raise WrongResultError(f"array {index}: NaN or infinity where the reference has none")
    finite = np.isfinite(b)
    away = np.abs(a - b, where=finite, out=np.zeros_like(b))
    if check.kind == "relative_l2":
        norm = math.sqrt(float(np.square(b[finite]).sum()))
        error = math.sqrt(float(np.square(away).sum())) / max(norm, 1e-30)
        if error > check.limit:
            raise WrongResultError(
                f"array {index}: a relative L2 error of {error:.3g}, at most {check.limit:.3g}"
            )
        return error
    beyond = float((away > check.limit).mean())
    if beyond > check.share:
        raise WrongResultError(
            f"array {index}: off by up to {away.max():.4g}, at most {check.limit:.4g} is allowed"
            + (f" outside {check.share:.3%} of the elements" if check.share else "")
        )
    return float(away.max()) if not check.share else float(np.quantile(away, 1 - check.share))
