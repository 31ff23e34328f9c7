"""Meshes for the tests and benchmarks of `expression`: a curved grid that looks like a face's."""

from __future__ import annotations

import numpy as np

from vasa_cam.ops import ExpressionTensors, Pose

SPACING_PX = 4.0


def grid_triangles(rows: int, columns: int) -> np.ndarray:
    """Two triangles a cell, all wound in one sense, int32 [2 (rows - 1) (columns - 1), 3]."""
    index = np.arange(rows * columns).reshape(rows, columns)
    corners = (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:])
    a, b, c, d = (corner.ravel() for corner in corners)
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    return np.ascontiguousarray(triangles, np.int32)


def grid_points(rows: int, columns: int) -> np.ndarray:
    """A bulge towards the camera, float32 [rows * columns, 3] px."""
    y, x = np.mgrid[0:rows, 0:columns] * SPACING_PX
    z = (
        -30.0
        * np.cos((x - SPACING_PX * columns / 2) / 120)
        * np.cos((y - SPACING_PX * rows / 2) / 90)
    )
    return np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)


def grid_tensors(
    rng: np.random.Generator,
    rows: int,
    columns: int,
    coarse: int = 468,
    shapes: int = 53,
    row_entries: int = 9,
    contacts: int = 40,
) -> ExpressionTensors:
    """Random shapes on the grid; each dense vertex follows `row_entries` coarse ones."""
    dense = rows * columns
    rest = grid_points(rows, columns)
    per_row = row_entries if coarse else 0
    values = rng.uniform(0.1, 1.0, (dense, per_row)).astype(np.float32)
    values /= np.maximum(values.sum(1, keepdims=True), 1e-6)
    pairs = 11 if coarse else 0
    entries = contacts if coarse else 0
    members = [rng.integers(0, max(pairs, 1), entries), rng.integers(0, max(coarse, 1), entries)]
    return ExpressionTensors(
        shapes=(rng.normal(0, 1, (shapes, coarse, 4)) * [1, 1, 1, 0.2]).astype(np.float32),
        operator_indptr=(np.arange(dense + 1) * per_row).astype(np.int32),
        operator_indices=rng.integers(0, max(coarse, 1), dense * per_row).astype(np.int32),
        operator_values=np.ascontiguousarray(values.ravel()),
        contact_pairs=rng.integers(0, max(coarse, 1), (pairs, 2)).astype(np.int32),
        contact_entries=np.stack(members, 1).astype(np.int32),
        contact_weights=rng.normal(0, 0.3, entries).astype(np.float32),
        contact_down=np.array([0.0, 1.0, 0.0], np.float32),
        rest_coarse=rng.uniform(0, SPACING_PX * max(rows, 1), (coarse, 3)).astype(np.float32),
        rest=rest,
        rigid=rng.uniform(0, 1, dense).astype(np.float32),
        shade_weight=rng.uniform(0, 1, dense).astype(np.float32),
        normal_triangles=grid_triangles(rows, columns),
    )


def rotation_about(axis: int, angle_rad: float) -> np.ndarray:
    """Right-handed rotation about x (0), y (1) or z (2), float64 [3, 3]."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def turned_pose(angle_rad: float = 0.2) -> Pose:
    """A head turned and nodding, moved, and scaled to another output."""
    rotation = rotation_about(1, angle_rad) @ rotation_about(0, 0.5 * angle_rad)
    return Pose(
        rotation, (3.0, -2.0, 5.0), (200.0, 190.0, 30.0), 900.0, (210.0, 205.0), 1.3, (5, 7)
    )


def still_pose() -> Pose:
    """The pose of the photo, at its own scale."""
    return Pose(np.eye(3), (0.0, 0.0, 0.0), (200.0, 190.0, 30.0), 900.0, (210.0, 205.0))
