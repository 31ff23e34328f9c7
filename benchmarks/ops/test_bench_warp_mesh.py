"""`warp_mesh` against cv2.remap, which does only its last part: the bicubic lookup.

The mesh is the size of an avatar's: about 20,000 triangles of 13 pixels at 512 x 512, two thirds of
the frame covered, silhouettes inside it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from contender import benchmark_against

from vasa_cam import ops
from vasa_cam.ops import reference_warp_mesh

SIZE = 512


def portrait_mesh(size: int) -> ops.WarpMesh:
    """A grid of 4 px (at 512) over a texture whose person is an ellipse."""
    count = round(size / SIZE * 122)
    x, y = np.meshgrid(*[np.linspace(0, size - 1, count)] * 2)
    first = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    corners = [[first, first + 1, first + count], [first + count, first + 1, first + count + 1]]
    triangles = np.concatenate([np.stack(corner, 1) for corner in corners]).astype(np.int32)
    pixel_y, pixel_x = np.mgrid[0:size, 0:size] / size
    waves = [127 + 120 * np.sin(size * pixel_x / k) * np.cos(size * pixel_y / 7) for k in (5, 8, 9)]
    away = np.hypot((pixel_x - 0.5) / 0.43, (pixel_y - 0.53) / 0.51)
    texture = np.stack([*waves, np.clip((1 - away) * 60, 0, 1) * 255], -1).astype(np.uint8)
    detail = np.random.default_rng(0).integers(-127, 128, (size, size)).astype(np.int8)
    uv = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)
    return ops.WarpMesh(uv, triangles, texture, detail)


def posed(mesh: ops.WarpMesh, motion: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and attributes of a frame: still, turned, or turned with folds everywhere."""
    x, y = mesh.uv.T / size
    z = 0.16 * np.hypot(x - 0.5, y - 0.5)
    strength = 0.0 if motion == "still" else 1.0
    moved_x = x + strength * (0.012 * np.sin(12 * y) + 0.3 * (z - 0.08))
    moved_y = y + strength * 0.01 * np.cos(16 * x)
    vertices = np.stack([moved_x, moved_y, z], 1) * size
    fold = np.maximum(0, np.sin(7 * x)) if motion == "folded" else np.zeros_like(x)
    attributes = np.stack([1 + strength * 0.1 * np.sin(10 * x), fold], 1)
    return vertices.astype(np.float32), attributes.astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("motion", ["still", "turned", "folded"])
@pytest.mark.parametrize("size", [SIZE, 1080])
def test_warp_mesh(benchmark: Any, size: int, motion: str, threads: int) -> None:
    mesh = portrait_mesh(size)
    vertices, attributes = posed(mesh, motion, size)
    benchmark.extra_info["triangles"] = len(mesh.drawn)
    ops.set_num_threads(threads)
    cv2.setNumThreads(threads)
    out = np.empty((size, size, 4), np.uint8)
    ops.warp_mesh(mesh, vertices, attributes, out=out)
    wanted = reference_warp_mesh.warp_mesh(
        mesh, vertices, attributes, ops.WarpOptions(), out=np.empty_like(out)
    )
    assert (np.abs(out.astype(int) - wanted).max(-1) > 2).mean() < 1e-3
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    map_x, map_y = x + 3 * np.sin(y / 40), y + 3 * np.cos(x / 30)
    benchmark_against(
        benchmark,
        lambda: ops.warp_mesh(mesh, vertices, attributes, out=out),
        lambda: cv2.remap(mesh.texture, map_x, map_y, cv2.INTER_CUBIC),
        "cv2.remap, bicubic: the lookup alone, its map given",
    )


@pytest.mark.cuda
def test_warp_mesh_cuda(benchmark: Any) -> None:
    import cupy

    on_cpu = portrait_mesh(SIZE)
    on_gpu = ops.WarpMesh(
        on_cpu.uv, on_cpu.drawn, on_cpu.texture, on_cpu.detail, device=("cuda", 0)
    )
    vertices, attributes = posed(on_cpu, "folded", SIZE)
    out = np.empty((SIZE, SIZE, 4), np.uint8)
    gpu_out = cupy.empty((SIZE, SIZE, 4), cupy.uint8)
    gpu_arrays = cupy.asarray(vertices), cupy.asarray(attributes)

    def ours() -> None:
        ops.warp_mesh(on_gpu, *gpu_arrays, out=gpu_out)
        cupy.cuda.get_current_stream().synchronize()

    ours()
    ops.warp_mesh(on_cpu, vertices, attributes, out=out)
    assert (np.abs(gpu_out.get().astype(int) - out).max(-1) > 2).mean() < 1e-3
    benchmark_against(
        benchmark,
        ours,
        lambda: ops.warp_mesh(on_cpu, vertices, attributes, out=out),
        "the CPU twin",
    )
