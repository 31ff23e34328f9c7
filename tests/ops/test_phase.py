"""`phase_weights` and `phase_expand`: against their reference and the plain convolutions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from tolerances import tolerance

from vasa_cam import ops
from vasa_cam.ops import reference_spade

SIZES = ((1, 1, 1, 1), (2, 3, 5, 7), (1, 6, 4, 48), (2, 2, 9, 33))


def part_shapes(size: tuple[int, int, int, int], factor: int) -> list[tuple[int, ...]]:
    images, height, width, channels = size
    corners = (images, height + 1, width + 1, 4 * channels)
    if factor == 1:
        return [size]
    if factor == 2:
        return [corners]
    edges = (images, height + 1, width, 2 * channels), (images, height, width + 1, 2 * channels)
    return [corners, *edges, size]


def convolve(x: np.ndarray, kernel: np.ndarray, padding: tuple[int, int]) -> np.ndarray:
    """A plain convolution with zero padding, channels last: x [N, H, W, I], kernel [O, I, y, x]."""
    y, z = padding
    padded = np.pad(x, ((0, 0), (y, y), (z, z), (0, 0)))
    height = padded.shape[1] - kernel.shape[2] + 1
    width = padded.shape[2] - kernel.shape[3] + 1
    out = np.zeros((len(x), height, width, len(kernel)))
    for dy, dx in itertools.product(range(kernel.shape[2]), range(kernel.shape[3])):
        out += padded[:, dy : dy + height, dx : dx + width] @ kernel[:, :, dy, dx].T
    return out


def phases(x: np.ndarray, weight: np.ndarray, factor: int) -> list[np.ndarray]:
    return [
        convolve(x, kernel, (kernel.shape[2] // 2, kernel.shape[3] // 2))
        for kernel in ops.phase_weights(weight, factor)
    ]


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 5, 4, 6)])
def test_phases_are_the_convolution_of_the_upsampled_map(
    rng: np.random.Generator, shape: tuple[int, ...], factor: int
) -> None:
    x, weight = rng.standard_normal(shape), rng.standard_normal((5, shape[-1], 3, 3))
    bias = rng.standard_normal(5)
    expected = convolve(x.repeat(factor, 1).repeat(factor, 2), weight, (1, 1)) + bias
    parts = phases(x, weight, factor)
    found = reference_spade.phase_expand(parts, bias, factor, relu=False)
    allowed = tolerance("spade.phase_weights").absolute * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=allowed)
    rectified = ops.phase_expand(
        [part.astype(np.float32) for part in parts], bias.astype(np.float32), factor
    )
    np.testing.assert_allclose(rectified, np.maximum(expected, 0), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("factor", "products"), [(1, 9), (2, 16), (4, 25)])
def test_counts_the_products_that_it_claims(factor: int, products: int) -> None:
    kernels = ops.phase_weights(np.ones((3, 2, 3, 3), np.float32), factor)
    assert sum(kernel.size for kernel in kernels) == products * 3 * 2
    assert all(kernel.dtype == np.float32 and kernel.flags.c_contiguous for kernel in kernels)
    # Every pixel of an inside sees all nine weights: f * f times the sum of them.
    assert sum(kernel.sum() for kernel in kernels) == {1: 9, 2: 36, 4: 81}[factor] * 3 * 2


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("size", SIZES)
def test_expansion_matches_the_reference(
    simd: str,
    rng: np.random.Generator,
    size: tuple[int, int, int, int],
    factor: int,
    relu: bool,
    dtype: str,
) -> None:
    parts = [rng.standard_normal(shape).astype(dtype) for shape in part_shapes(size, factor)]
    bias = rng.standard_normal(size[-1]).astype(np.float32)
    for groups in (None, 1, size[-1]):
        found = ops.phase_expand(parts, bias, factor, groups=groups, relu=relu)
        expected = reference_spade.phase_expand(parts, bias, factor, groups=groups, relu=relu)
        assert found.shape == expected.shape and found.dtype == dtype
        allowed = tolerance(f"spade.{dtype}").absolute * max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found, expected, rtol=0, atol=allowed)


def test_nan_stays_in_its_pixels(simd: str, rng: np.random.Generator) -> None:
    shapes = part_shapes((1, 3, 4, 20), 4)
    for index, pixels in enumerate((1, 2, 2, 4)):
        parts = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
        parts[index][0, 1, 1, 3] = np.nan
        found = np.isnan(ops.phase_expand(parts, np.zeros(20, np.float32), 4))
        assert found.sum() == pixels and found[..., 3].sum() == pixels


def test_writes_only_its_output_whatever_the_alignment(simd: str, rng: np.random.Generator) -> None:
    def apart(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        size = int(np.prod(shape))
        memory = np.full(size + 64, 77, np.float32)
        return memory, memory[31 : 31 + size].reshape(shape)

    parts = [apart(shape)[1] for shape in part_shapes((2, 3, 5, 24), 4)]
    for part in parts:
        part[...] = rng.standard_normal(part.shape)
    bias = apart((24,))[1]
    bias[...] = rng.standard_normal(24)
    guard, out = apart((3, 2, 12, 20, 8))
    results = set()
    for threads in (1, 2, 3):
        ops.set_num_threads(threads)
        assert ops.phase_expand(parts, bias, 4, groups=3, out=out) is out
        results.add(out.tobytes())
    assert len(results) == 1
    assert (guard[:31] == 77).all() and (guard[-33:] == 77).all()
    expected = reference_spade.phase_expand(parts, bias, 4, groups=3)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5)


def test_nothing_gives_nothing() -> None:
    bias = np.zeros(3, np.float32)
    none = [np.zeros(shape, np.float32) for shape in part_shapes((0, 2, 2, 3), 4)]
    assert ops.phase_expand(none, bias, 4).shape == (0, 8, 8, 3)
    thin = [np.zeros((1, 1, 5, 12), np.float32)]
    assert ops.phase_expand(thin, bias, 2).shape == (1, 0, 8, 3)


@pytest.mark.neural
@pytest.mark.parametrize("factor", [2, 4])
def test_is_torchs_convolution_of_the_upsampled_map(factor: int) -> None:
    import torch
    from torch.nn import functional

    generator = torch.Generator().manual_seed(7)
    x = torch.randn((1, 256, 10, 12), generator=generator, dtype=torch.float64)
    weight = torch.randn((6, 256, 3, 3), generator=generator, dtype=torch.float64)
    expected = functional.conv2d(
        functional.interpolate(x, scale_factor=factor, mode="nearest"), weight, padding=1
    )
    parts: list[Any] = []
    for kernel in map(torch.from_numpy, ops.phase_weights(weight.numpy(), factor)):
        padding = (kernel.shape[2] // 2, kernel.shape[3] // 2)
        parts.append(functional.conv2d(x, kernel, padding=padding).permute(0, 2, 3, 1).numpy())
    found = reference_spade.phase_expand(parts, np.zeros(6), factor, relu=False)
    error = np.abs(found - expected.permute(0, 2, 3, 1).numpy()).max()
    assert error <= tolerance("spade.phase_weights").absolute * float(expected.abs().max())
