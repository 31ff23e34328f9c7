"""`expression` at the size of a real avatar, against the NumPy and SciPy way of computing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from contender import benchmark_against
from sample_meshes import grid_tensors, turned_pose
from scipy.sparse import csr_matrix

from vasa_cam import ops
from vasa_cam.ops import ExpressionMesh, ExpressionTensors, Pose, reference_expression

ROWS, COLUMNS = 105, 105  # 11,025 vertices, 21,632 triangles


def float32_numpy(tensors: ExpressionTensors, pose: Pose) -> Callable[[np.ndarray], np.ndarray]:
    """The dense part in float32 with library calls: matrix product, sparse product, normals.

    Everything that can be prepared is. Contacts, perspective and shading are left out, which
    favours this side.
    """
    shapes = tensors.shapes.reshape(len(tensors.shapes), -1)
    matrix = csr_matrix(
        (tensors.operator_values, tensors.operator_indices, tensors.operator_indptr),
        (len(tensors.rest), len(tensors.rest_coarse)),
    )
    faces = len(tensors.normal_triangles)
    gather = csr_matrix(
        (
            np.ones(3 * faces, np.float32),
            (tensors.normal_triangles.ravel(), np.repeat(np.arange(faces), 3)),
        ),
        (len(tensors.rest), faces),
    )
    rotation = np.asarray(pose.rotation, np.float32)
    pivot = np.asarray(pose.pivot_px, np.float32)
    a, b, c = tensors.normal_triangles.T

    def run(weights: np.ndarray) -> np.ndarray:
        coarse = (weights @ shapes).reshape(-1, 4)
        points = tensors.rest + (matrix @ coarse)[:, :3]
        head = (points - pivot) @ rotation.T + pivot
        posed = points + tensors.rigid[:, None] * (head - points)
        normals = gather @ np.cross(posed[b] - posed[a], posed[c] - posed[a])
        return normals / np.linalg.norm(normals, axis=1, keepdims=True)

    return run


@pytest.mark.parametrize("threads", [1, 2])
def test_expression(benchmark: Any, threads: int) -> None:
    rng = np.random.default_rng(0)
    tensors = grid_tensors(rng, ROWS, COLUMNS)
    mesh = ExpressionMesh(tensors)
    pose = turned_pose()
    weights = rng.uniform(0, 1, mesh.shape_count).astype(np.float32)
    ops.set_num_threads(threads)
    out = ops.expression(mesh, weights, pose)
    expected, _ = reference_expression.expression(mesh, weights, pose)
    np.testing.assert_allclose(out[0], expected, rtol=0, atol=2e-3)
    theirs = float32_numpy(tensors, pose)
    benchmark_against(
        benchmark,
        lambda: ops.expression(mesh, weights, pose, out),
        lambda: theirs(weights),
        "NumPy and SciPy in float32, without contacts, perspective and shading",
    )


@pytest.mark.cuda
def test_expression_cuda(benchmark: Any) -> None:
    import cupy

    rng = np.random.default_rng(0)
    tensors = grid_tensors(rng, ROWS, COLUMNS)
    weights = rng.uniform(0, 1, len(tensors.shapes)).astype(np.float32)
    on_cpu, on_gpu = ExpressionMesh(tensors), ExpressionMesh(tensors, device=("cuda", 0))
    cpu_out = ops.expression(on_cpu, weights, turned_pose())
    gpu_weights = cupy.asarray(weights)
    gpu_out = ops.expression(on_gpu, gpu_weights, turned_pose())
    np.testing.assert_allclose(cupy.asnumpy(gpu_out[0]), cpu_out[0], rtol=0, atol=2e-3)

    def ours() -> None:
        ops.expression(on_gpu, gpu_weights, turned_pose(), gpu_out)
        cupy.cuda.get_current_stream().synchronize()

    benchmark_against(
        benchmark,
        ours,
        lambda: ops.expression(on_cpu, weights, turned_pose(), cpu_out),
        "the CPU twin",
    )
