"""Spectral norm folded into weights, once, when a checkpoint is converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.checkpoints.stored import RefusedError

_SUFFIX: Final = "weight_orig"


def fold_spectral_norm(state: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """`state` with every weight_orig, weight_u, weight_v replaced by the weight they stand for.

    weight = weight_orig / (u . W v) with W = weight_orig as [out, everything else] and the stored
    u and v as they are, in float64, given as float32 (spec: the public decoder in eval mode).
    Raises RefusedError when u or v are missing, of another size, or give no usable norm.
    """
    folded = dict(state)
    for key in [key for key in state if key.endswith(_SUFFIX)]:
        root = key[: -len(_SUFFIX)]
        weight = folded.pop(key).astype(np.float64)
        rows = weight.reshape(len(weight), -1)
        try:
            u, v = (folded.pop(f"{root}weight_{part}").astype(np.float64) for part in "uv")
        except KeyError as error:
            raise RefusedError(f"{key} comes without {error.args[0]}.") from error
        if (u.shape, v.shape) != ((rows.shape[0],), (rows.shape[1],)):
            raise RefusedError(f"{root}weight_u or weight_v do not fit {key}.")
        sigma = float(u @ rows @ v)
        if not np.isfinite(sigma) or abs(sigma) < 1e-12:
            raise RefusedError(
                f"the spectral norm of {root}weight is {sigma}: nothing to divide by."
            )
        folded[f"{root}weight"] = (weight / sigma).astype(np.float32)
    return folded
