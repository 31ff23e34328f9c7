"""`spade`: statistics, modulation and the decoder's tail against their reference and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import tolerance

from vasa_cam import ops
from vasa_cam.ops import reference_spade

NUMPY_TYPES = ("float32", "float16")
# Images, height, width, channels: of whole vectors, of less than one, with a remainder, and more
# pixels than a part has.
SHAPES = ((1, 1, 1, 1), (2, 3, 5, 7), (1, 9, 4, 64), (2, 17, 31, 19), (1, 40, 33, 72))


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


def assert_close(found: Any, expected: np.ndarray, name: str) -> None:
    assert found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    allowed = tolerance(f"spade.{name}").absolute * scale
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, rtol=0, atol=allowed)


def assert_statistics(found: np.ndarray, x: np.ndarray) -> None:
    expected = reference_spade.instance_statistics(x)
    assert found.dtype == np.float32 and found.shape == expected.shape
    scale = max(1.0, float(np.abs(x.astype(np.float64)).max(initial=0)))
    allowed = tolerance("spade.mean").absolute * scale
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=0, atol=allowed)
    relative = tolerance("spade.rstd").absolute
    np.testing.assert_allclose(found[:, 1], expected[:, 1], rtol=relative, atol=0)


@pytest.mark.parametrize("dtype", NUMPY_TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_match_the_reference(
    simd: str, rng: np.random.Generator, shape: tuple[int, ...], dtype: str
) -> None:
    x = (3 * normal(rng, shape) + normal(rng, (shape[-1],))).astype(dtype)
    assert_statistics(ops.instance_statistics(x), x)


def test_a_large_mean_costs_no_digits(simd: str, rng: np.random.Generator) -> None:
    # The sum of squares would have lost every one of them: (1e4)^2 has a step of 8 in float32.
    x = (10_000 + 0.5 * normal(rng, (2, 60, 50, 40))).astype(np.float32)
    assert_statistics(ops.instance_statistics(x), x)
    # The first value of a run is the worst one to measure distances from.
    outlier = normal(rng, (1, 64, 64, 8))
    outlier[0, 0, 0] = 1e4
    assert_statistics(ops.instance_statistics(outlier), outlier)


def test_a_flat_channel_has_the_epsilons_deviation(simd: str) -> None:
    found = ops.instance_statistics(np.full((1, 30, 20, 5), -3.25, np.float32))
    assert (found[0, 0] == -3.25).all()
    np.testing.assert_allclose(found[0, 1], 1 / np.sqrt(1e-5), rtol=1e-6)


@pytest.mark.parametrize("factor", [2, 4])
def test_repeating_pixels_changes_no_statistics(
    simd: str, rng: np.random.Generator, factor: int
) -> None:
    x = normal(rng, (2, 13, 11, 21))
    large = x.repeat(factor, axis=1).repeat(factor, axis=2)
    assert_statistics(ops.instance_statistics(x), large)
    assert_statistics(ops.instance_statistics(large), x)


@settings(max_examples=40)
@given(
    images=st.integers(1, 3),
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    channels=st.integers(1, 70),
    seed=st.integers(0, 2**32 - 1),
)
def test_statistics_at_odd_sizes(
    images: int, height: int, width: int, channels: int, seed: int
) -> None:
    x = normal(np.random.default_rng(seed), (images, height, width, channels))
    assert_statistics(ops.instance_statistics(x), x)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("dtype", NUMPY_TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_modulation_matches_the_reference(
    simd: str, rng: np.random.Generator, shape: tuple[int, ...], dtype: str, factor: int, bias: bool
) -> None:
    images, height, width, channels = shape
    x = normal(rng, shape, dtype)
    maps = normal(rng, (images, factor * height, factor * width, 2 * channels), dtype)
    added = normal(rng, (2 * channels,)) if bias else None
    statistics = reference_spade.instance_statistics(x).astype(np.float32)
    if height * width == 1:
        statistics[:, 1] = 1.5  # a single value has no deviation to speak of
    for slope in (0.2, 1.0):
        found = ops.spade_modulate(x, statistics, maps, bias=added, slope=slope)
        expected = reference_spade.spade_modulate(x, statistics, maps, bias=added, slope=slope)
        assert found.dtype == dtype
        assert_close(found, expected, dtype)


@pytest.mark.parametrize("dtype", NUMPY_TYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 3), (1, 7, 130)])
@pytest.mark.parametrize("channels", [12, 13, 16])
def test_the_tail_matches_the_reference(
    simd: str, rng: np.random.Generator, shape: tuple[int, ...], dtype: str, channels: int
) -> None:
    x = (4 * normal(rng, (*shape, channels))).astype(dtype)
    for pixel_format in ("rgb", "i420"):
        found = ops.decoder_tail(x, pixel_format)
        expected = reference_spade.decoder_tail(x, pixel_format)
        assert found.shape == expected.shape and found.dtype == np.uint8
        difference = np.abs(found.astype(int) - expected)
        allowed = tolerance("spade.levels" if pixel_format == "rgb" else "pixel.yuv")
        assert difference.max() <= allowed.absolute
        assert (difference > 0).sum() <= allowed.share * difference.size + 1


@pytest.mark.parametrize("matrix", ["bt601", "bt709", None])
def test_the_tails_planes_are_those_of_the_pixel_op(
    simd: str, rng: np.random.Generator, matrix: Any
) -> None:
    x = 3 * normal(rng, (2, 18, 33, 12))
    planes = ops.decoder_tail(x, "i420", matrix=matrix)
    pictures = ops.decoder_tail(x, "rgb")
    for frame, picture in zip(planes, pictures, strict=True):
        np.testing.assert_array_equal(frame, ops.pixel(picture, "i420", matrix))


def test_each_number_of_a_cell_is_one_colour_of_one_pixel(simd: str) -> None:
    for channel in range(12):
        x = np.full((1, 2, 3, 12), -100.0, np.float32)
        x[0, 1, 2, channel] = 100.0
        colour, row, column = channel // 4, channel // 2 % 2, channel % 2
        expected = np.zeros((1, 4, 6, 3), np.uint8)
        expected[0, 2 + row, 4 + column, colour] = 255
        np.testing.assert_array_equal(ops.decoder_tail(x), expected)


def test_threads_and_instruction_sets_change_nothing(rng: np.random.Generator, simd: str) -> None:
    x, maps = normal(rng, (1, 48, 50, 96)), normal(rng, (1, 96, 100, 192))
    cells = normal(rng, (1, 64, 70, 12))
    results = set()
    for threads in (1, 2, 3):
        ops.set_num_threads(threads)
        statistics = ops.instance_statistics(x)
        modulated = ops.spade_modulate(x, statistics, maps)
        results.add((statistics.tobytes(), modulated.tobytes(), ops.decoder_tail(cells).tobytes()))
    assert len(results) == 1


def test_nan_stays_where_it_belongs(simd: str, rng: np.random.Generator) -> None:
    x, maps = normal(rng, (2, 20, 30, 35)), normal(rng, (2, 20, 30, 70))
    x[0, 3, 4, 5] = np.nan
    statistics = ops.instance_statistics(x)
    bad = np.isnan(statistics)
    assert bad[0, :, 5].all() and bad.sum() == 2
    clean = np.nan_to_num(statistics, nan=1.0)
    maps[1, 2, 3, 4], maps[1, 7, 7, 35 + 9] = np.nan, np.nan
    for slope in (0.2, 1.0):
        found = np.isnan(ops.spade_modulate(x, clean, maps, slope=slope))
        assert found[0, 3, 4, 5] and found[1, 2, 3, 4] and found[1, 7, 7, 9] and found.sum() == 3
    cells = np.full((1, 1, 1, 12), np.nan, np.float32)
    assert (ops.decoder_tail(cells) == 0).all()


def test_results_go_where_they_are_told_and_nowhere_else(
    simd: str, rng: np.random.Generator
) -> None:
    # All inputs and outputs off any alignment but their own elements'.
    def apart(shape: tuple[int, ...], dtype: str) -> tuple[np.ndarray, np.ndarray]:
        size = int(np.prod(shape))
        memory = np.full(size + 64, 77, dtype)
        return memory, memory[31 : 31 + size].reshape(shape)

    for dtype in NUMPY_TYPES:
        (_, x), (_, maps) = apart((1, 6, 5, 24), dtype), apart((1, 12, 10, 48), dtype)
        x[...], maps[...] = normal(rng, x.shape), normal(rng, maps.shape)
        (_, workspace), (guard, statistics) = (
            apart(ops.statistics_workspace(x.shape), "float32"),
            apart((1, 2, 24), "float32"),
        )
        assert ops.instance_statistics(x, workspace=workspace, out=statistics) is statistics
        assert (guard[:31] == 77).all() and (guard[-33:] == 77).all()
        assert_statistics(statistics, x)
        guard, out = apart((1, 12, 10, 24), dtype)
        assert ops.spade_modulate(x, statistics, maps, out=out) is out
        assert (guard[:31] == 77).all() and (guard[-33:] == 77).all()
        assert_close(out, reference_spade.spade_modulate(x, statistics, maps), dtype)
        _, cells = apart((1, 3, 5, 12), dtype)
        cells[...] = normal(rng, cells.shape)
        for pixel_format, shape in (("rgb", (1, 6, 10, 3)), ("i420", (1, 9, 10))):
            guard, picture = apart(shape, "uint8")
            assert ops.decoder_tail(cells, pixel_format, out=picture) is picture
            assert (guard[:31] == 77).all() and (guard[-33:] == 77).all()
            np.testing.assert_array_equal(picture, ops.decoder_tail(cells.copy(), pixel_format))


def test_nothing_gives_nothing() -> None:
    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.float32)

    assert ops.instance_statistics(zeros(0, 4, 4, 3)).shape == (0, 2, 3)
    assert ops.instance_statistics(zeros(2, 4, 4, 0)).shape == (2, 2, 0)
    empty = ops.spade_modulate(zeros(1, 0, 4, 3), zeros(1, 2, 3), zeros(1, 0, 8, 6))
    assert empty.shape == (1, 0, 8, 3)
    assert ops.decoder_tail(zeros(0, 4, 4, 12)).shape == (0, 8, 8, 3)
    assert ops.decoder_tail(zeros(2, 0, 4, 12), "i420").shape == (2, 0, 8)


@pytest.mark.neural
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_is_torchs_normalisation_and_activation(simd: str, dtype: str) -> None:
    import torch
    from torch.nn import functional

    generator = torch.Generator().manual_seed(3)
    kind = getattr(torch, dtype)

    def random(*shape: int) -> Any:
        values = torch.randn(shape, generator=generator).to(kind)
        return values.to(memory_format=torch.channels_last)

    x, maps = random(2, 40, 9, 12), random(2, 80, 18, 24)
    upsampled = functional.interpolate(x.double(), scale_factor=2, mode="nearest")
    gamma, beta = maps.double().chunk(2, dim=1)
    expected = functional.leaky_relu(functional.instance_norm(upsampled) * (1 + gamma) + beta, 0.2)
    rows = x.permute(0, 2, 3, 1)
    found = ops.spade_modulate(rows, ops.instance_statistics(rows), maps.permute(0, 2, 3, 1))
    assert found.dtype == kind
    assert_close(found.double(), expected.permute(0, 2, 3, 1).numpy(), dtype)


@pytest.mark.neural
def test_is_torchs_shuffle_and_sigmoid(simd: str) -> None:
    import torch

    x = 4 * torch.randn((2, 12, 30, 44), generator=torch.Generator().manual_seed(5))
    picture = torch.nn.functional.pixel_shuffle(x, 2).sigmoid().numpy().transpose(0, 2, 3, 1)
    expected = np.clip(picture * 255, 0, 255).astype(np.uint8)
    difference = np.abs(ops.decoder_tail(x.permute(0, 2, 3, 1).contiguous()).numpy() - expected)
    allowed = tolerance("spade.levels")
    assert (difference > 0).sum() <= allowed.share * difference.size + 1
