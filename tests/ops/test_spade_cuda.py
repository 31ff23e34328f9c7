"""`spade` on a GPU: against its CPU twin, from its CPU twin's own inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerances import tolerance

from vasa_cam import ops

pytestmark = pytest.mark.cuda

# Whole packs of 16 bytes of every type; of one; of none; more pixels than a part and than a row of
# threads; the decoder's own.
SHAPES = ((2, 3, 5, 8), (1, 17, 31, 20), (2, 9, 40, 19), (1, 40, 41, 72), (1, 64, 64, 512))


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


def on_gpu(array: np.ndarray, apart: bool = False) -> Any:
    """A copy on the GPU; `apart` from any alignment but its own elements'."""
    import cupy

    if not apart:
        return cupy.asarray(array)
    memory = cupy.empty(array.size + 1, array.dtype)
    view = memory[1:].reshape(array.shape)
    view[...] = cupy.asarray(array)
    return view


def assert_same(found: Any, expected: np.ndarray, dtype: str) -> None:
    import cupy

    assert found.dtype == expected.dtype
    scale = max(1.0, float(np.abs(expected.astype(np.float64)).max(initial=0)))
    # Either twin may be as far from the exact result.
    allowed = 2 * tolerance(f"spade.{dtype}").absolute * scale
    host = cupy.asnumpy(found).astype(np.float64)
    np.testing.assert_allclose(host, expected.astype(np.float64), rtol=0, atol=allowed)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_are_those_of_the_cpu(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, apart: bool
) -> None:
    import cupy

    x = (2 * normal(rng, shape) + 30 * normal(rng, shape[-1:])).astype(dtype)
    expected = ops.instance_statistics(x)
    found = cupy.asnumpy(ops.instance_statistics(on_gpu(x, apart)))
    scale = float(np.abs(x).max())
    allowed = 2 * tolerance("spade.mean").absolute * scale
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=0, atol=allowed)
    relative = 2 * tolerance("spade.rstd").absolute
    np.testing.assert_allclose(found[:, 1], expected[:, 1], rtol=relative, atol=0)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_modulation_is_that_of_the_cpu(
    rng: np.random.Generator, shape: tuple[int, ...], factor: int, dtype: str, apart: bool
) -> None:
    images, height, width, channels = shape
    x = normal(rng, shape, dtype)
    maps = normal(rng, (images, factor * height, factor * width, 2 * channels), dtype)
    statistics, bias = ops.instance_statistics(x), normal(rng, (2 * channels,))
    gpu = [on_gpu(array, apart) for array in (x, statistics, maps)]
    for added in (None, bias):
        gpu_bias = None if added is None else on_gpu(added, apart)
        found = ops.spade_modulate(*gpu, bias=gpu_bias)
        assert_same(found, ops.spade_modulate(x, statistics, maps, bias=added), dtype)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("groups", [None, 1, 3])
def test_expansion_is_that_of_the_cpu(
    rng: np.random.Generator, groups: int | None, factor: int, dtype: str, apart: bool
) -> None:
    for height, width, channels in ((1, 1, 3), (5, 7, 24), (3, 300, 96)):
        shapes = {
            1: [(2, height, width, channels)],
            2: [(2, height + 1, width + 1, 4 * channels)],
            4: [
                (2, height + 1, width + 1, 4 * channels),
                (2, height + 1, width, 2 * channels),
                (2, height, width + 1, 2 * channels),
                (2, height, width, channels),
            ],
        }[factor]
        parts = [normal(rng, shape, dtype) for shape in shapes]
        bias = normal(rng, (channels,))
        gpu_parts = [on_gpu(part, apart) for part in parts]
        found = ops.phase_expand(gpu_parts, on_gpu(bias, apart), factor, groups=groups)
        assert_same(found, ops.phase_expand(parts, bias, factor, groups=groups), dtype)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("pixel_format", ["rgb", "i420"])
@pytest.mark.parametrize("channels", [12, 13, 16])
def test_the_tail_is_that_of_the_cpu(
    rng: np.random.Generator, channels: int, pixel_format: Any, dtype: str, apart: bool
) -> None:
    import cupy

    for shape in ((1, 1, 1), (2, 5, 3), (1, 70, 130)):
        x = (4 * normal(rng, (*shape, channels))).astype(dtype)
        found = cupy.asnumpy(ops.decoder_tail(on_gpu(x, apart), pixel_format)).astype(int)
        difference = np.abs(found - ops.decoder_tail(x, pixel_format))
        assert difference.max() <= 1
        assert (difference > 0).sum() <= tolerance("spade.levels").share * difference.size + 1


def test_bfloat16_of_torch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    for channels in (64, 19):
        x = torch.from_numpy(normal(rng, (1, 12, 20, channels))).bfloat16()
        maps = torch.from_numpy(normal(rng, (1, 24, 40, 2 * channels))).bfloat16()
        statistics = ops.instance_statistics(x)
        expected = ops.spade_modulate(x, statistics, maps).float().numpy()
        gpu = x.cuda(), ops.instance_statistics(x.cuda()), maps.cuda()
        found = ops.spade_modulate(*gpu).float().cpu().numpy()
        allowed = 2 * tolerance("spade.bfloat16").absolute * float(np.abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=0, atol=allowed)


def test_nan_stays_where_it_belongs(rng: np.random.Generator) -> None:
    import cupy

    x, maps = normal(rng, (2, 20, 30, 40)), normal(rng, (2, 20, 30, 80))
    x[0, 3, 4, 5], maps[1, 2, 3, 4] = np.nan, np.nan
    statistics = cupy.asnumpy(ops.instance_statistics(on_gpu(x)))
    bad = np.isnan(statistics)
    assert bad[0, :, 5].all() and bad.sum() == 2
    clean = on_gpu(np.nan_to_num(statistics, nan=1.0))
    found = cupy.asnumpy(cupy.isnan(ops.spade_modulate(on_gpu(x), clean, on_gpu(maps))))
    assert found[0, 3, 4, 5] and found[1, 2, 3, 4] and found.sum() == 2
    cells = on_gpu(np.full((1, 3, 3, 12), np.nan, np.float32))
    assert not ops.decoder_tail(cells).any()


def test_arrays_on_different_devices_are_refused(rng: np.random.Generator) -> None:
    x, maps = normal(rng, (1, 4, 4, 8)), normal(rng, (1, 4, 4, 16))
    statistics = ops.instance_statistics(x)
    with pytest.raises(ValueError, match="statistics must be on cuda like the other arrays"):
        ops.spade_modulate(on_gpu(x), statistics, on_gpu(maps))
    with pytest.raises(ValueError, match="bias must be on cuda"):
        ops.phase_expand([on_gpu(x)], np.zeros(8, np.float32), 1)
    with pytest.raises(ValueError, match="out must be on cuda"):
        ops.decoder_tail(on_gpu(normal(rng, (1, 2, 2, 12))), out=np.empty((1, 4, 4, 3), np.uint8))


def test_a_block_can_be_captured_into_a_graph(rng: np.random.Generator) -> None:
    import cupy

    x, maps = on_gpu(normal(rng, (1, 16, 16, 64))), on_gpu(normal(rng, (1, 32, 32, 128)))
    workspace = cupy.empty(ops.statistics_workspace(x.shape), cupy.float32)
    statistics = cupy.empty((1, 2, 64), cupy.float32)
    expected = ops.spade_modulate(x, ops.instance_statistics(x), maps)
    out = cupy.zeros_like(expected)
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.get_current_stream().synchronize()
    with stream:
        stream.begin_capture()
        ops.instance_statistics(x, workspace=workspace, out=statistics)
        ops.spade_modulate(x, statistics, maps, out=out)
        graph = stream.end_capture()
        graph.launch(stream)
        stream.synchronize()
    assert (out == expected).all()
