"""Smooth deformation fields on the face mesh from a few handles.

A field is known at handle vertices and minimises a mix of the squared Laplacian and the squared
gradient elsewhere (biharmonic with a little membrane, as in Botsch and Kobbelt, "An intuitive
framework for real-time freeform modeling", 2004). The mesh must be cut at the mouth and the eyes,
or one lip would drag the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MEMBRANE = 2e-4
RIDGE = 1e-6


class HandleField:
    """Solves fields on one mesh. vertices: [V, 3] cm; triangles: i32 [T, 3] of the cut mesh."""

    def __init__(
        self, vertices: npt.NDArray[np.floating], triangles: npt.NDArray[np.int32]
    ) -> None:
        count = len(vertices)
        weight = np.zeros((count, count))
        a = triangles[:, [0, 1, 2]].ravel()
        b = triangles[:, [1, 2, 0]].ravel()
        length = np.linalg.norm(vertices[a] - vertices[b], axis=1)
        weight[a, b] = weight[b, a] = 1 / (length + 0.1)
        degree = weight.sum(1)
        stiffness = np.diag(degree) - weight
        laplacian = stiffness / np.maximum(degree, 1e-9)[:, None]
        self._energy = laplacian.T @ laplacian + RIDGE * np.eye(count) + MEMBRANE * stiffness

    def solve(self, handles: Mapping[int, npt.ArrayLike]) -> Array:
        """Field [V, 3] (or [V] for scalar handles) that equals `handles` at their vertices."""
        fixed = np.fromiter(handles, np.int64, len(handles))
        values = np.asarray([handles[int(i)] for i in fixed], np.float64)
        field = np.zeros((len(self._energy), *values.shape[1:]))
        field[fixed] = values
        free = np.setdiff1d(np.arange(len(field)), fixed)
        right = -self._energy[np.ix_(free, fixed)] @ values
        field[free] = np.linalg.solve(self._energy[np.ix_(free, free)], right)
        return field
