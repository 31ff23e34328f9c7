"""The plain meaning of `expression` in NumPy, in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vasa_cam.ops.expression import ExpressionMesh, ExpressionTensors, Floats, Pose

Doubles = npt.NDArray[np.float64]

NEAREST_DEPTH = 0.1
"""Perspective stops growing at a tenth of the camera's distance, so that it stays finite."""
SHADE_RATIO = (0.72, 1.14)
"""Stronger relighting than this looked worse than none (design note on the layered renderer)."""
FOLD_MAX = 1.5
DISPLAY_GAMMA = 2.2


def expression(
    mesh: ExpressionMesh,
    weights: Floats,  # [S]
    pose: Pose,
    out: tuple[Floats, Floats] | None = None,
) -> tuple[Floats, Floats]:
    """As `vasa_cam.ops.expression`, without its checks."""
    tensors = mesh.tensors
    rest = tensors.rest.astype(np.float64)
    displacement = _dense_displacement(tensors, weights.astype(np.float64))
    expressed = rest + displacement[:, :3]
    posed = _posed(expressed, tensors.rigid.astype(np.float64), pose)
    light = np.asarray(mesh.light.direction, np.float64)

    nearest = NEAREST_DEPTH * pose.focal_px
    pivot_z = pose.pivot_px[2]
    depth_before = np.maximum(pose.focal_px + expressed[:, 2] - pivot_z, nearest)
    depth_after = np.maximum(pose.focal_px + posed[:, 2] - pivot_z, nearest)
    magnification = (depth_before / depth_after)[:, None]
    principal = np.asarray(pose.principal_px, np.float64)
    screen = (posed[:, :2] - principal) * magnification + principal

    has_normal, before = _lambert(tensors, rest, light, mesh.light.ambient)
    _, after = _lambert(tensors, posed, light, mesh.light.ambient)
    ratio = np.clip(after / before, *SHADE_RATIO)
    gain = tensors.shade_weight.astype(np.float64) * mesh.light.relight
    shade = np.where(has_normal, (1 + gain * (ratio - 1)) ** (1 / DISPLAY_GAMMA), 1.0)

    if out is None:
        out = np.empty((len(rest), 3), np.float32), np.empty((len(rest), 2), np.float32)
    vertices, attributes = out
    vertices[:, :2] = screen * pose.scale + np.asarray(pose.offset_px, np.float64)
    vertices[:, 2] = posed[:, 2] * pose.scale
    attributes[:, 0] = shade
    attributes[:, 1] = np.clip(displacement[:, 3], 0, FOLD_MAX)
    return vertices, attributes


def _dense_displacement(tensors: ExpressionTensors, weights: Doubles) -> Doubles:
    """x, y, z and fold of every dense vertex, [N, 4]."""
    coarse = np.einsum("s,svc->vc", weights, tensors.shapes.astype(np.float64))
    down = tensors.contact_down.astype(np.float64)
    moved = tensors.rest_coarse + coarse[:, :3]
    upper, lower = tensors.contact_pairs.T
    overlap = np.maximum(0, (moved[upper] - moved[lower]) @ down)
    pair, vertex = tensors.contact_entries.T
    push = tensors.contact_weights.astype(np.float64) * overlap[pair]
    np.add.at(coarse[:, :3], vertex, push[:, None] * down)

    dense = np.zeros((len(tensors.rest), 4))
    rows = np.repeat(np.arange(len(tensors.rest)), np.diff(tensors.operator_indptr))
    values = tensors.operator_values.astype(np.float64)[:, None]
    np.add.at(dense, rows, values * coarse[tensors.operator_indices])
    return dense


def _posed(points: Doubles, rigid: Doubles, pose: Pose) -> Doubles:
    pivot = np.asarray(pose.pivot_px, np.float64)
    rotation = np.asarray(pose.rotation, np.float64)
    translation = np.asarray(pose.translation_px, np.float64)
    head = (points - pivot) @ rotation.T + pivot + translation
    return np.asarray(points + rigid[:, None] * (head - points))


def _lambert(
    tensors: ExpressionTensors, points: Doubles, light: Doubles, ambient: float
) -> tuple[npt.NDArray[np.bool_], Doubles]:
    """Which vertices have a triangle, and the light that each vertex gets."""
    triangles = tensors.normal_triangles
    at_rest = _triangle_normals(tensors.rest.astype(np.float64), triangles)
    # Outward is towards the camera: -z for most of the surface at rest.
    sign = -1.0 if at_rest[:, 2].sum() > 0 else 1.0
    normals = np.zeros_like(points)
    corner_normals = np.repeat(_triangle_normals(points, triangles) * sign, 3, axis=0)
    np.add.at(normals, triangles.ravel(), corner_normals)
    length = np.sqrt((normals**2).sum(1))
    cosine = normals @ light / np.maximum(length, 1e-12)
    has_normal = np.bincount(triangles.ravel(), minlength=len(points)) > 0
    return has_normal, ambient + (1 - ambient) * np.maximum(0, cosine)


def _triangle_normals(points: Doubles, triangles: npt.NDArray[np.int32]) -> Doubles:
    """Normals with twice the triangle's area as length, [F, 3]."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)
