"""The face model: the canonical mesh, its subdivision, and ARKit's 52 shapes on it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

ASSET = "face_model.safetensors"


@dataclass(frozen=True)
class FaceModel:
    """The face model asset. V = 468 coarse vertices, ND dense ones. Our axes, cm.

    vertices f32 [V, 3] the canonical face; triangles i32 [T0, 3] without mouth and eye openings.
    offsets f32 [52, V, 3] ARKit's shapes in the order of motion/space.py, relative to a face whose
    mouth is closed. folds f32 [52, V] how much wrinkle each coefficient adds at a vertex, 0..1.
    sub_indptr, sub_indices, sub_values: CSR [ND, V] of two Loop subdivisions, rows sum to one.
    dense_triangles i32 [., 3] skin; fill_triangles i32 [., 3] strips across mouth and eyes.
    lip_*, *_lid_* i32 [n] dense boundary chains, image-left to image-right, shared corners
    included, equally long above and below; right is the subject's right. oval i32: outer border.
    contact_pairs i32 [P, 2], contact_entries i32 [E, 2], contact_weights f32 [E]: see
    ops.expression.
    """

    vertices: Floats
    triangles: Ints
    offsets: Floats
    folds: Floats
    sub_indptr: Ints
    sub_indices: Ints
    sub_values: Floats
    dense_triangles: Ints
    fill_triangles: Ints
    lip_upper: Ints
    lip_lower: Ints
    right_lid_upper: Ints
    right_lid_lower: Ints
    left_lid_upper: Ints
    left_lid_lower: Ints
    oval: Ints
    contact_pairs: Ints
    contact_entries: Ints
    contact_weights: Floats

    @property
    def dense_count(self) -> int:
        """ND, the number of dense vertices."""
        return len(self.sub_indptr) - 1

    def subdivide(self, coarse: npt.NDArray[np.floating]) -> Floats:
        """Dense values [ND, ...] of coarse values [V, ...] (positions, colours, weights)."""
        flat = np.ascontiguousarray(coarse, np.float32).reshape(len(coarse), -1)
        weighted = flat[self.sub_indices] * self.sub_values[:, None]
        dense = np.add.reduceat(weighted, self.sub_indptr[:-1], axis=0)
        return np.asarray(dense.reshape(-1, *coarse.shape[1:]), np.float32)


@cache
def load_face_model() -> FaceModel:
    """The packaged face model, loaded once; its arrays are read-only and shared."""
    tensors = load((resources.files("vasa_cam") / "assets" / ASSET).read_bytes())
    arrays: dict[str, Any] = {}
    for field in fields(FaceModel):
        value = tensors[field.name]
        wide = value.astype(np.float32) if value.dtype == np.float16 else value.copy()
        wide.flags.writeable = False
        arrays[field.name] = wide
    return FaceModel(**arrays)
