"""What an avatar file holds: every tensor's name, dtype and shape, and the rules values obey.

Shapes are written with letters for sizes that vary ("Hc" canvas height, "N" vertices, ...); a
letter means the same number everywhere in one file. `check_tensors` is the single place where an
avatar is validated, on writing as on reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

COARSE_VERTICES: Final = 468
SHAPE_COUNT: Final = 53
"""52 ARKit shapes and the rest correction."""
MAX_CANVAS_PX: Final = 8192
MAX_MAGNITUDE: Final = 1e6
"""No length, weight or colour is larger: products of such values stay finite in float32."""


@dataclass(frozen=True)
class TensorSpec:
    """One tensor: numpy dtype name, shape (numbers, or letters for free sizes), allowed values."""

    dtype: str
    shape: tuple[int | str, ...]
    low: float | None = None
    high: float | None = None
    index_into: int | str | None = None
    """For indices: the size (number or letter) that every value must stay below."""


def _eye(side: str, letter: str) -> dict[str, TensorSpec]:
    height, width = f"He{letter}", f"We{letter}"
    return {
        f"{side}_eye_sclera": TensorSpec("uint8", (height, width, 3)),
        f"{side}_eye_iris": TensorSpec("uint8", (height, width, 4)),
        f"{side}_eye_params": TensorSpec("float32", (8,)),
        f"{side}_eye_lid": TensorSpec("uint8", (32, 64, 3)),
    }


TENSORS: Final[dict[str, TensorSpec]] = {
    "texture_rgba": TensorSpec("uint8", ("Hc", "Wc", 4)),
    "plate_rgb": TensorSpec("uint8", ("Hc", "Wc", 3)),
    "detail": TensorSpec("int8", ("Hc", "Wc")),
    "glasses_rgba": TensorSpec("uint8", ("Hg", "Wg", 4)),
    "rest_px": TensorSpec("float32", ("N", 3)),
    "triangles": TensorSpec("int32", ("T", 3), index_into="N"),
    "rigid_weight": TensorSpec("float32", ("N",), 0.0, 1.0),
    "shade_weight": TensorSpec("float32", ("N",), 0.0, 1.0),
    "shapes": TensorSpec("float32", (SHAPE_COUNT, COARSE_VERTICES, 4)),
    "operator_indptr": TensorSpec("int32", ("N+1",)),
    "operator_indices": TensorSpec("int32", ("nnz",), index_into=COARSE_VERTICES),
    "operator_values": TensorSpec("float32", ("nnz",)),
    "contact_pairs": TensorSpec("int32", ("P", 2), index_into=COARSE_VERTICES),
    "contact_entries": TensorSpec("int32", ("E", 2)),
    "contact_weights": TensorSpec("float32", ("E",)),
    **_eye("right", "r"),
    **_eye("left", "l"),
    "interior_vertices": TensorSpec("float32", ("K", 3)),
    "interior_uv": TensorSpec("float32", ("K", 2)),
    "interior_triangles": TensorSpec("int32", ("Ti", 3), index_into="K"),
    "interior_jaw_weight": TensorSpec("float32", ("K",), 0.0, 1.0),
    "interior_tongue": TensorSpec("float32", ("K", 3)),
    "interior_atlas": TensorSpec("uint8", ("Ha", "Wa", 4)),
    "cavity_rgb": TensorSpec("float32", (3,), 0.0, 255.0),
    "jaw_params": TensorSpec("float32", (8,)),
}
"""Every tensor of an avatar file of version 1."""

_MUST_NOT_BE_EMPTY: Final = ("Hc", "Wc", "N", "T", "K", "Ti", "Ha", "Wa")
_EYE_SIZES: Final = ("Her", "Wer", "Hel", "Wel")


def _text(shape: tuple[int | str, ...]) -> str:
    return "[" + ", ".join(str(size) for size in shape) + "]"


def _check_shape(name: str, spec: TensorSpec, array: Array, sizes: dict[str, int]) -> None:
    if array.dtype != np.dtype(spec.dtype):
        raise ValueError(f"{name} must be {spec.dtype}, got {array.dtype}")
    wrong = ValueError(f"{name} must be {_text(spec.shape)}, got {list(array.shape)}")
    if array.ndim != len(spec.shape):
        raise wrong
    for size, got in zip(spec.shape, array.shape, strict=True):
        if isinstance(size, int):
            if size != got:
                raise wrong
        elif sizes.setdefault(size, got) != got:
            raise ValueError(
                f"{name} must be {_text(spec.shape)} with {size} = {sizes[size]}, "
                f"got {list(array.shape)}"
            )


def _check_values(name: str, spec: TensorSpec, array: Array, sizes: Mapping[str, int]) -> None:
    if array.size == 0 or array.dtype in (np.uint8, np.int8):
        return
    if array.dtype == np.float32:
        low = -MAX_MAGNITUDE if spec.low is None else spec.low
        high = MAX_MAGNITUDE if spec.high is None else spec.high
        # NaN makes both comparisons false, so that one test covers range and finiteness.
        if not (array.min() >= low and array.max() <= high):
            raise ValueError(f"{name} must hold finite values in {low:g} .. {high:g}")
    elif spec.index_into is not None:
        limit = sizes[spec.index_into] if isinstance(spec.index_into, str) else spec.index_into
        if array.min() < 0 or array.max() >= limit:
            raise ValueError(f"{name} must hold indices from 0 to {limit - 1}")


def _check_links(tensors: Mapping[str, Array], sizes: Mapping[str, int]) -> None:
    """Rules between tensors: the CSR operator, contact entries, glasses, eyes."""
    indptr = tensors["operator_indptr"]
    if indptr[0] != 0 or indptr[-1] != sizes["nnz"] or (np.diff(indptr) < 0).any():
        raise ValueError("operator_indptr must rise from 0 to the number of operator values")
    entries = tensors["contact_entries"]
    limits = (sizes["P"], COARSE_VERTICES)
    if entries.size and ((entries < 0).any() or (entries >= limits).any()):
        raise ValueError("contact_entries must hold (pair, coarse vertex) indices")
    if (sizes["Hg"], sizes["Wg"]) not in ((0, 0), (sizes["Hc"], sizes["Wc"])):
        raise ValueError("glasses_rgba must be empty or as large as the canvas")
    for side in ("right", "left"):
        iris_radius, eyeball_radius = tensors[f"{side}_eye_params"][4:6]
        if iris_radius <= 0 or eyeball_radius <= 0:
            raise ValueError(f"{side}_eye_params must hold radii above 0")


def check_tensors(tensors: Mapping[str, Array]) -> dict[str, int]:
    """Check names, dtypes, shapes, finiteness and index ranges; returns the sizes by letter.

    Raises ValueError naming the first tensor that is wrong, what was expected and what was found.
    """
    missing = sorted(TENSORS.keys() - tensors.keys())
    extra = sorted(tensors.keys() - TENSORS.keys())
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    if extra:
        raise ValueError(f"{extra[0]!r} is not part of an avatar")
    sizes: dict[str, int] = {}
    for name, spec in TENSORS.items():
        _check_shape(name, spec, tensors[name], sizes)
    empty = [letter for letter in (*_MUST_NOT_BE_EMPTY, *_EYE_SIZES) if sizes[letter] == 0]
    if empty:
        raise ValueError(f"its size {empty[0]} is 0")
    if sizes["N+1"] != sizes["N"] + 1:
        raise ValueError(f"operator_indptr must be [N+1] with N = {sizes['N']}")
    if max(sizes["Hc"], sizes["Wc"]) > MAX_CANVAS_PX:
        raise ValueError(f"its canvas is larger than {MAX_CANVAS_PX} px")
    for name, spec in TENSORS.items():
        _check_values(name, spec, tensors[name], sizes)
    _check_links(tensors, sizes)
    return sizes
