"""`warp_volume` against its reference, against torch's grid_sample, and at its edges."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import tolerance

from vasa_cam import ops
from vasa_cam.ops import reference_warp_volume as reference

MODES = list(itertools.product(("zeros", "border"), (False, True)))
DTYPES = ("float32", "float16")
UNUSUAL = [np.nan, np.inf, -np.inf, 1e30, -1e30, -1.0, 1.0, 0.0]


def random_volume(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


def random_grid(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Places inside and around the volume."""
    return rng.uniform(-1.5, 1.5, (*shape, 3)).astype(np.float32)


def assert_close(found: Any, wanted: np.ndarray, dtype: str) -> None:
    largest = max(1e-30, np.abs(np.nan_to_num(wanted, posinf=0, neginf=0)).max(initial=0))
    allowed = tolerance(f"warp_volume.{dtype}").absolute * largest
    np.testing.assert_allclose(np.asarray(found, np.float64), wanted, rtol=0, atol=allowed)


def unusual_grid() -> np.ndarray:
    """Every combination of coordinates that are no numbers, beyond all bounds or on a face."""
    return np.array(list(itertools.product(UNUSUAL, repeat=3)), np.float32)[None, None, None]


@pytest.mark.parametrize(("padding", "align_corners"), MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 4, 8, 31, 32, 48])
def test_matches_the_reference(
    simd: str,
    rng: np.random.Generator,
    channels: int,
    dtype: str,
    padding: Any,
    align_corners: bool,
) -> None:
    volume = random_volume(rng, (2, 5, 9, 64, channels), dtype)
    grid = random_grid(rng, 2, 3, 7, 11)
    found = ops.warp_volume(volume, grid, padding=padding, align_corners=align_corners)
    assert found.dtype == dtype and found.shape == (2, 3, 7, 11, channels)
    wanted = reference.warp_volume(volume, grid, padding=padding, align_corners=align_corners)
    assert_close(found, wanted, dtype)


@settings(max_examples=60)
@given(
    size=st.tuples(*[st.integers(1, 5)] * 3),
    places=st.tuples(*[st.integers(0, 4)] * 3),
    samples=st.integers(0, 3),
    channels=st.integers(0, 19),
    shared=st.booleans(),
    mode=st.sampled_from(MODES),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_matches_the_reference_at_odd_sizes(
    size: tuple[int, int, int],
    places: tuple[int, int, int],
    samples: int,
    channels: int,
    shared: bool,
    mode: tuple[Any, bool],
    dtype: str,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    volume = random_volume(rng, (1 if shared else samples, *size, channels), dtype)
    grid = random_grid(rng, samples, *places)
    found = ops.warp_volume(volume, grid, padding=mode[0], align_corners=mode[1])
    wanted = reference.warp_volume(volume, grid, padding=mode[0], align_corners=mode[1])
    assert found.shape == wanted.shape
    assert_close(found, wanted, dtype)


def test_voxel_centres_give_the_voxels(simd: str, rng: np.random.Generator) -> None:
    volume = random_volume(rng, (1, 3, 5, 9, 32), "float32")
    axes = [np.linspace(-1, 1, size) for size in (3, 5, 9)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    grid = np.stack([x, y, z], -1)[None].astype(np.float32)
    found = ops.warp_volume(volume, grid, align_corners=True)
    np.testing.assert_allclose(found, volume, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("padding", "align_corners"), MODES)
def test_coordinates_that_are_no_numbers(
    simd: str, rng: np.random.Generator, padding: Any, align_corners: bool
) -> None:
    volume = random_volume(rng, (1, 3, 4, 5, 9), "float32")
    grid = unusual_grid()
    found = ops.warp_volume(volume, grid, padding=padding, align_corners=align_corners)
    wanted = reference.warp_volume(volume, grid, padding=padding, align_corners=align_corners)
    assert_close(found, wanted, "float32")
    everything_is_nan = (np.isnan(grid).all(-1)).argmax()
    nothing = np.zeros(9) if padding == "zeros" else volume[0, -1, -1, -1]
    np.testing.assert_array_equal(found.reshape(-1, 9)[everything_is_nan], nothing)


def test_what_is_not_finite_stays_with_its_neighbours(simd: str) -> None:
    volume = np.ones((1, 4, 4, 4, 18), np.float32)
    volume[0, 1, 1, 1] = np.inf
    volume[0, 3, 3, 3] = np.nan
    # In voxels: among neighbours of neither, of the first, of the second, and outside beside it.
    voxels = np.array([[2.5, 0.5, 0.5], [1.5, 0.5, 0.5], [3.4, 3.4, 3.4], [4.0, 3.0, 3.0]])
    grid = ((2 * voxels + 1) / 4 - 1).astype(np.float32)[None, None, None]
    found = ops.warp_volume(volume, grid).reshape(4, 18)
    assert (found[0] == 1).all()
    assert np.isposinf(found[1]).all()
    assert np.isnan(found[2]).all()
    assert (found[3] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_may_begin_anywhere(simd: str, rng: np.random.Generator, dtype: str) -> None:
    def shifted(array: np.ndarray) -> np.ndarray:
        """The same behind one element, so on no multiple of 16 bytes."""
        memory = np.full(array.size + 2, 7, array.dtype)
        memory[1:-1] = array.ravel()
        return memory[1:-1].reshape(array.shape)

    volume = random_volume(rng, (1, 3, 4, 5, 32), dtype)
    grid = random_grid(rng, 1, 2, 3, 4)
    out = shifted(np.zeros((1, 2, 3, 4, 32), dtype))
    assert ops.warp_volume(shifted(volume), shifted(grid), out=out) is out
    np.testing.assert_array_equal(out, ops.warp_volume(volume, grid))
    assert out.base[0] == 7 and out.base[-1] == 7


def test_threads_and_instruction_sets_do_not_matter(simd: str, rng: np.random.Generator) -> None:
    volume = random_volume(rng, (3, 6, 20, 20, 32), "float32")
    grid = random_grid(rng, 3, 6, 20, 20)
    results = set()
    for threads in (1, 2, 3):
        ops.set_num_threads(threads)
        results.add(ops.warp_volume(volume, grid).tobytes())
    assert len(results) == 1


class Elsewhere:
    """An array that says it is on a GPU."""

    def __init__(self, array: np.ndarray) -> None:
        self.dtype, self.shape, self.flags = array.dtype, array.shape, array.flags

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)


def _volume(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "volume": np.zeros((2, 3, 4, 5, 8), np.float32),
        "grid": np.zeros((2, 2, 2, 2, 3), np.float32),
    }
    return {**arguments, **changes}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            _volume(volume=np.zeros((2, 3, 4, 5, 8))),
            TypeError,
            "volume must be float32, float16 or bfloat16, got float64",
        ),
        (_volume(grid=np.zeros((2, 2, 2, 2, 3), "f2")), TypeError, "grid must be float32"),
        (_volume(grid=np.zeros((2, 2, 2, 3), "f4")), ValueError, r"grid must be \[\*, \*, \*, \*"),
        (_volume(grid=np.zeros((3, 2, 2, 2, 3), "f4")), ValueError, r"volume must be \[1 or 3, "),
        (
            _volume(volume=np.zeros((2, 3, 0, 5, 8), "f4")),
            ValueError,
            "volume must have 1 to .* got 0",
        ),
        (
            _volume(volume=np.zeros((2, 3, 4, 5, 16), "f4")[..., ::2]),
            ValueError,
            "volume must be C-contiguous",
        ),
        (_volume(padding="reflection"), ValueError, "padding must be zeros or border"),
        (_volume(volume=[[1.0]]), TypeError, "volume must be a NumPy array"),
        (
            _volume(grid=Elsewhere(np.zeros((2, 2, 2, 2, 3), "f4"))),
            ValueError,
            "grid must be on cpu like the other arrays, got cuda",
        ),
        (
            _volume(out=np.zeros((2, 2, 2, 2, 8), "f2")),
            TypeError,
            "out must be float32, got float16",
        ),
        (_volume(out=np.zeros((2, 2, 2, 2, 9), "f4")), ValueError, r"out must be \[2, 2, 2, 2, 8"),
    ],
)
def test_refuses_what_it_cannot_warp(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"warp_volume: {message}"):
        ops.warp_volume(**arguments)


def test_refuses_elements_that_lie_across_their_size(rng: np.random.Generator) -> None:
    memory = np.zeros(4 * 8 + 1, np.uint8)
    volume = memory[1:].view(np.float32).reshape(1, 1, 1, 1, 8)
    with pytest.raises(ValueError, match=r"volume must be .* got misaligned f32"):
        ops.warp_volume(volume, np.zeros((1, 1, 1, 1, 3), np.float32))


def test_refuses_a_volume_of_2_to_the_31_voxels() -> None:
    # Nobody has that memory: only its shape is looked at.
    volume = np.broadcast_to(np.float32(0), (1, 2**11, 2**10, 2**10, 0))
    with pytest.raises(ValueError, match="1 to 2\\^31 - 1 voxels a sample, got 2147483648"):
        ops.warp_volume(volume, np.zeros((1, 1, 1, 1, 3), np.float32))


@pytest.mark.neural
@pytest.mark.parametrize(("padding", "align_corners"), MODES)
def test_is_torchs_grid_sample(
    simd: str, rng: np.random.Generator, padding: Any, align_corners: bool
) -> None:
    import torch

    volume = random_volume(rng, (2, 6, 7, 33, 20), "float32")
    channels_first = torch.from_numpy(volume).permute(0, 4, 1, 2, 3)
    strange = np.broadcast_to(unusual_grid(), (2, 1, 1, len(UNUSUAL) ** 3, 3))
    for grid in (random_grid(rng, 2, 5, 8, 9), np.ascontiguousarray(strange)):
        wanted = torch.nn.functional.grid_sample(
            channels_first,
            torch.from_numpy(grid),
            padding_mode=padding,
            align_corners=align_corners,
        )
        found = ops.warp_volume(volume, grid, padding=padding, align_corners=align_corners)
        assert_close(found, wanted.permute(0, 2, 3, 4, 1).double().numpy(), "float32")


@pytest.mark.neural
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_takes_torch_tensors_without_a_copy(
    simd: str, rng: np.random.Generator, dtype: str
) -> None:
    import torch

    values = torch.from_numpy(random_volume(rng, (1, 40, 4, 5, 6), "float32"))
    stored = values.to(getattr(torch, dtype), memory_format=torch.channels_last_3d)
    volume = stored.permute(0, 2, 3, 4, 1)
    grid = random_grid(rng, 1, 3, 4, 5)
    out = torch.empty((1, 3, 4, 5, 40), dtype=stored.dtype)
    found = ops.warp_volume(volume, torch.from_numpy(grid), out=out)
    assert found is out and volume.data_ptr() == stored.data_ptr()
    wanted = reference.warp_volume(volume.double().numpy(), grid)
    assert_close(found.double().numpy(), wanted, dtype)


@pytest.mark.neural
def test_refuses_tensors_that_cannot_be_passed_on() -> None:
    import torch

    grid = torch.zeros(1, 1, 1, 1, 3)
    with pytest.raises(ValueError, match=r"requires a gradient.*detach"):
        ops.warp_volume(torch.zeros(1, 2, 2, 2, 8, requires_grad=True), grid)
    with pytest.raises(TypeError, match=r"got float64; convert it with \.to\(\)"):
        ops.warp_volume(torch.zeros(1, 2, 2, 2, 8, dtype=torch.float64), grid)


@pytest.mark.cuda
@pytest.mark.parametrize(("padding", "align_corners"), MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3, 8, 32, 40, 2056])
def test_cuda_agrees_with_the_reference(
    rng: np.random.Generator, channels: int, dtype: str, padding: Any, align_corners: bool
) -> None:
    import cupy

    volume = random_volume(rng, (2, 4, 9, 17, channels), dtype)
    for grid in (random_grid(rng, 2, 3, 7, 11), np.repeat(unusual_grid(), 2, 0)):
        wanted = reference.warp_volume(volume, grid, padding=padding, align_corners=align_corners)
        on_gpu = cupy.asarray(volume), cupy.asarray(grid)
        found = ops.warp_volume(*on_gpu, padding=padding, align_corners=align_corners)
        assert_close(cupy.asnumpy(found), wanted, dtype)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", DTYPES)
def test_cuda_takes_arrays_that_begin_anywhere(rng: np.random.Generator, dtype: str) -> None:
    import cupy

    volume = random_volume(rng, (1, 3, 4, 5, 32), dtype)
    grid = random_grid(rng, 1, 2, 3, 4)
    memory = cupy.zeros(volume.size + 1, dtype)
    memory[1:] = cupy.asarray(volume.ravel())
    result = cupy.full(2 * 3 * 4 * 32 + 2, 7, dtype)
    out = result[1:-1].reshape(1, 2, 3, 4, 32)
    ops.warp_volume(memory[1:].reshape(volume.shape), cupy.asarray(grid), out=out)
    assert_close(cupy.asnumpy(out), reference.warp_volume(volume, grid), dtype)
    assert result[0] == 7 and result[-1] == 7
    with pytest.raises(ValueError, match="grid must be on cuda"):
        ops.warp_volume(cupy.asarray(volume), grid)
