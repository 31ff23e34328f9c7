"""Bytes and operations against examples counted by hand."""

from __future__ import annotations

import numpy as np
from sample_meshes import grid_tensors

from vasa_cam import ops
from vasa_cam.bench.cases.layered import compose_over_work, expression_work, warp_mesh_work
from vasa_cam.bench.cases.pixel import pixel_work
from vasa_cam.bench.cases.sampler import WindowSize, sampler_work
from vasa_cam.bench.cases.spade import Norm, block_work, segments_work
from vasa_cam.bench.cases.volume import (
    VolumeSize,
    dense_motion_input_work,
    dense_motion_warp_work,
    warp_volume_work,
)
from vasa_cam.bench.networks import NetworkSize, random_tensors


def test_pixel() -> None:
    """4 x 2 pixels: 24 bytes in, 8 luma and 2 x 2 chroma samples out."""
    work = pixel_work(2, 4, "i420")
    assert work.bytes_moved == 24 + 8 + 2 + 2
    # 8 pixels of 3 products and 3 sums; 2 blocks of 9 sums for the means, 6 products and 6 sums.
    assert work.flops == 8 * 6 + 2 * (9 + 6 + 6)
    assert pixel_work(2, 4, "nv12") == work
    packed = pixel_work(2, 4, "bgra")
    assert (packed.bytes_moved, packed.flops) == (24 + 32, 0)


def test_compose_over() -> None:
    work = compose_over_work(2)
    assert (work.bytes_moved, work.flops) == (4 * 3 + 4 * 4 + 4 * 3, 4 * 3 * 5)


def test_expression(rng: np.random.Generator) -> None:
    """2 x 2 vertices, 3 coarse ones, 5 shapes, 2 entries a row, 2 triangles."""
    tensors = grid_tensors(rng, 2, 2, coarse=3, shapes=5, row_entries=2, contacts=1)
    work = expression_work(tensors)
    # Every shape's 3 x 4 numbers times its weight and added; 8 entries of 4 numbers likewise.
    assert work.flops == 5 * 12 * 2 + 8 * 4 * 2 + 2 * 24 + 4 * 60
    floats = 5 * 3 * 4 + 8 + 1 + 3 + 9 + 12 + 4 + 4
    ints = 5 + 8 + 2 * 11 + 2 + 6
    assert work.bytes_moved == 4 * (floats + ints) + 4 * 5 + 4 * 5 * 4


def test_warp_mesh() -> None:
    uv = np.array([[0, 0], [3, 0], [0, 3]], np.float32)
    triangles = np.array([[0, 1, 2]], np.int32)
    texture = np.full((4, 4, 4), 255, np.uint8)
    work = warp_mesh_work(ops.WarpMesh(uv, triangles, texture), side=4, covered=10)
    assert work.bytes_moved == 24 + 12 + 64 + 3 * (12 + 8) + 64
    assert work.flops == 1800


def test_sampler() -> None:
    """Two layers, width 4, hidden 8, 3 channels; 2 passes of 5 conditions and 1 frame, 3 steps."""
    size, window = NetworkSize(2, 4, 8, 3, 1), WindowSize(2, 5, 1, 3)
    work = sampler_work(size, window)

    def layer(tokens: int, wanted: int) -> int:
        keys_and_values = tokens * (4 * 4 * 2) * 2
        query_and_out = wanted * (4 * 4 * 2) * 2
        scores_and_mix = wanted * tokens * 4 * 2 * 2
        up_and_down = wanted * (4 * 8 * 2) * 2
        return keys_and_values + query_and_out + scores_and_mix + up_and_down

    noisy_and_head = 1 * (3 * 4 * 2) * 2
    assert work.flops == 3 * 2 * (layer(6, 6) + layer(6, 1) + noisy_and_head)
    weights = sum(array.size for array in random_tensors(np.random.default_rng(0), size).values())
    conditions, times, positions, noise_and_out = 2 * 5 * 4, 3 * 4, 1 * 4, 2 * 3
    assert work.bytes_moved == 4 * (weights + conditions + times + positions + noise_and_out)


def test_spade_block() -> None:
    """A norm of 2 x 3-channel input enlarged to 4 x 4 pixels, and another of the same input."""
    first, second = Norm(2, 3, 2, 0.2), Norm(2, 3, 2, 1.0, shares_input=True)
    one, two = block_work((first,), "float16"), block_work((first, second), "float16")
    assert one.bytes_moved == 2 * (4 * 3 + 16 * 6 + 16 * 3)
    assert one.flops == 4 * 12 + 6 * 48
    assert two.bytes_moved - one.bytes_moved == 2 * (16 * 6 + 16 * 3)
    assert two.flops - one.flops == 6 * 48


def test_spade_segments() -> None:
    """A map of 2 x 2 pixels and 3 channels, to 5 channels of 8 x 8 pixels."""
    work = segments_work(2, (3, 5), 4, "float32")
    assert work.flops == 2 * (16 + 4 + 4 + 1) * 4 * 3 * 5
    assert work.bytes_moved == 4 * (4 * 3 + 64 * 5 + 9 * 3 * 5)


def test_warp_volume() -> None:
    """2 samples of 2 x 3 x 4 voxels and 5 channels in half precision."""
    work = warp_volume_work(VolumeSize(2, 2, 3, 4, 5), "float16")
    assert work.bytes_moved == 2 * 24 * 5 * 2 * 2 + 2 * 24 * 3 * 4
    # Eight neighbours of five channels, a product and a sum each, and their weights.
    assert work.flops == 48 * (8 * 5 * 2 + 30)


def test_dense_motion() -> None:
    """2 x 2 x 2 voxels, 3 keypoints: 4 candidates of one heat and 4 looked-up channels."""
    size = VolumeSize(1, 2, 2, 2, 6, 3)
    work = dense_motion_input_work(size, "float32")
    assert work.bytes_moved == 8 * 4 * 4 + 8 * 4 * 4 * 5 + 2 * 3 * 3 * 4
    # Seven interpolations of three operations a channel; eight operations a keypoint's heat.
    assert work.flops == 8 * (4 * 4 * 7 * 3 + 3 * 8)
    work = dense_motion_warp_work(size, "float16")
    assert work.bytes_moved == 8 * 4 * 2 + 2 * 8 * 6 * 2 + 2 * 3 * 3 * 4
    assert work.flops == 8 * (4 * 4 + 6 * 3 + 16 * 6 + 30)
