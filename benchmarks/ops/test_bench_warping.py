"""`warp_volume` and `dense_motion` at the volume renderer's sizes, against torch.

Torch does the plain sequence, a flow field for every keypoint included, on tensors in its own order
of axes. `vasa-cam bench` has the comparisons on a GPU, by the device's own clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from contender import benchmark_against

from vasa_cam import ops
from vasa_cam.ops import reference_dense_motion, reference_warp_volume

DEPTH, SIDE, CHANNELS, KEYPOINTS = 16, 64, 32, 21
SIZE = (DEPTH, SIDE, SIDE)


def moving_points(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    source = rng.uniform(-0.8, 0.8, (1, KEYPOINTS, 3))
    driving = source + rng.normal(0, 0.05, source.shape)
    return source.astype(np.float32), driving.astype(np.float32)


def moved_grid(rng: np.random.Generator) -> np.ndarray:
    """The identity, bent by up to a tenth."""
    grid = reference_dense_motion.identity_grid(*SIZE)
    bend = 0.1 * np.sin(3 * grid[..., ::-1] + rng.uniform(0, 6, 3))
    return np.asarray((grid + bend)[None], np.float32)


def channels_first(torch: Any, array: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))


def torch_input(
    torch: Any, compressed: Any, source: np.ndarray, driving: np.ndarray
) -> Callable[[], Any]:
    """The hourglass input as it is usually written."""
    grid = torch.from_numpy(reference_dense_motion.identity_grid(*SIZE).astype(np.float32))
    source, driving = torch.from_numpy(source), torch.from_numpy(driving)

    def heat(points: Any) -> Any:
        away = grid - points[:, :, None, None, None]
        return torch.exp(-50 * (away**2).sum(-1))

    def run() -> Any:
        moved = grid + (source - driving)[:, :, None, None, None]
        motion = torch.cat([grid[None, None], moved], 1)[0]
        repeated = compressed.expand(KEYPOINTS + 1, -1, -1, -1, -1)
        deformed = torch.nn.functional.grid_sample(repeated, motion, align_corners=False)
        heats = heat(driving) - heat(source)
        heats = torch.cat([torch.zeros_like(heats[:, :1]), heats], 1)[0, :, None]
        return torch.cat([heats, deformed], 1).flatten(0, 1)[None]

    return run


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_warp_volume(benchmark: Any, dtype: str, threads: int) -> None:
    torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
    rng = np.random.default_rng(0)
    volume = rng.standard_normal((1, *SIZE, CHANNELS)).astype(dtype)
    grid = moved_grid(rng)
    ops.set_num_threads(threads)
    torch.set_num_threads(threads)
    out = ops.warp_volume(volume, grid)
    given = channels_first(torch, volume)
    places = torch.from_numpy(grid.astype(dtype))
    wanted = reference_warp_volume.warp_volume(volume, grid)
    limit = 1e-4 if dtype == "float32" else 4e-3
    assert np.abs(out - wanted).max() <= limit

    def theirs() -> Any:
        return torch.nn.functional.grid_sample(given, places, align_corners=False)

    # In float16 torch has float16 coordinates too, which is less work and another result.
    if dtype == "float32":
        assert np.abs(np.moveaxis(theirs().numpy(), 1, -1) - wanted).max() <= limit
    benchmark.extra_info["threads"] = threads
    benchmark_against(
        benchmark, lambda: ops.warp_volume(volume, grid, out=out), theirs, "torch grid_sample", 10
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_dense_motion_input(benchmark: Any, threads: int) -> None:
    torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
    rng = np.random.default_rng(0)
    compressed = rng.standard_normal((1, *SIZE, 4)).astype(np.float32)
    source, driving = moving_points(rng)
    ops.set_num_threads(threads)
    torch.set_num_threads(threads)
    out = ops.dense_motion_input(compressed, source, driving)
    theirs = torch_input(torch, channels_first(torch, compressed), source, driving)
    assert np.abs(np.moveaxis(theirs().numpy(), 1, -1) - out).max() <= 2e-4
    benchmark.extra_info["threads"] = threads
    benchmark_against(
        benchmark,
        lambda: ops.dense_motion_input(compressed, source, driving, out=out),
        theirs,
        "torch, the plain sequence",
        5,
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_dense_motion_warp(benchmark: Any, threads: int) -> None:
    torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((1, *SIZE, KEYPOINTS + 1)).astype(np.float32)
    volume = rng.standard_normal((1, *SIZE, CHANNELS)).astype(np.float32)
    source, driving = moving_points(rng)
    ops.set_num_threads(threads)
    torch.set_num_threads(threads)
    out = ops.dense_motion_warp(logits, source, driving, volume)
    masks, given = channels_first(torch, logits), channels_first(torch, volume)
    motion = reference_dense_motion.sparse_motion(source, driving, SIZE).astype(np.float32)
    fields = torch.from_numpy(motion)

    def theirs() -> Any:
        weights = masks.softmax(1)[..., None]
        deformation = (weights * fields).sum(1)
        return torch.nn.functional.grid_sample(given, deformation, align_corners=False)

    assert np.abs(np.moveaxis(theirs().numpy(), 1, -1) - out).max() <= 4e-4
    benchmark.extra_info["threads"] = threads
    benchmark_against(
        benchmark,
        lambda: ops.dense_motion_warp(logits, source, driving, volume, out=out),
        theirs,
        "torch, the plain sequence, its candidates' fields given",
        5,
    )
