"""`dense_motion` against its reference, against golden vectors, and with odd input."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import tolerance
from volume_goldens import GATE, Goldens, find_goldens, relative_l2

from vasa_cam import ops
from vasa_cam.ops import reference_dense_motion as reference

DTYPES = ("float32", "float16")


class Case(NamedTuple):
    """Arguments of both functions."""

    compressed: Any
    source: Any
    driving: Any
    logits: Any
    volume: Any


def random_case(
    rng: np.random.Generator,
    size: tuple[int, int, int],
    keypoints: int,
    channels: int = 32,
    samples: int = 1,
    shared: int = 1,
    dtype: str = "float32",
) -> Case:
    """`shared` samples of what does not move: 1 or `samples`."""
    source = rng.uniform(-0.9, 0.9, (shared, keypoints, 3))
    driving = source + rng.normal(0, 0.2, (samples, keypoints, 3))
    return Case(
        rng.standard_normal((shared, *size, 4)).astype(dtype),
        source.astype(np.float32),
        driving.astype(np.float32),
        (2 * rng.standard_normal((samples, *size, keypoints + 1))).astype(dtype),
        rng.standard_normal((shared, *size, channels)).astype(dtype),
    )


def assert_close(found: Any, wanted: np.ndarray, dtype: str) -> None:
    largest = max(1.0, np.abs(np.nan_to_num(wanted)).max(initial=0))
    allowed = tolerance(f"dense_motion.{dtype}").absolute * largest
    np.testing.assert_allclose(np.asarray(found, np.float64), wanted, rtol=0, atol=allowed)


def assert_deformation(found: np.ndarray, wanted: np.ndarray) -> None:
    allowed = tolerance("dense_motion.deformation").absolute
    np.testing.assert_allclose(found, wanted, rtol=0, atol=allowed)


def check_both(case: Case) -> None:
    """Both functions agree with the reference, and the dtype is the data's."""
    dtype = str(case.compressed.dtype)
    found = ops.dense_motion_input(*case[:3])
    wanted = reference.dense_motion_input(*case[:3])
    assert found.shape == wanted.shape and found.dtype == dtype
    assert_close(found, wanted, dtype)
    arguments = (case.logits, case.source, case.driving, case.volume)
    deformation = np.full((*wanted.shape[:4], 3), 99, np.float32)
    found = ops.dense_motion_warp(*arguments, deformation=deformation)
    wanted, wanted_deformation = reference.dense_motion_warp(*arguments)
    assert found.shape == wanted.shape and found.dtype == dtype
    assert_deformation(deformation, wanted_deformation)
    assert_close(found, wanted, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("keypoints", [1, 21, 31])
def test_matches_the_reference(
    simd: str, rng: np.random.Generator, keypoints: int, dtype: str
) -> None:
    check_both(random_case(rng, (5, 9, 37), keypoints, samples=2, dtype=dtype))


@settings(max_examples=40)
@given(
    size=st.tuples(*[st.integers(2, 6)] * 3),
    keypoints=st.integers(1, 7),
    channels=st.integers(0, 19),
    samples=st.integers(0, 3),
    shared=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_matches_the_reference_at_odd_sizes(
    size: tuple[int, int, int],
    keypoints: int,
    channels: int,
    samples: int,
    shared: bool,
    dtype: str,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    serving = 1 if shared else samples
    check_both(random_case(rng, size, keypoints, channels, samples, serving, dtype))


def test_still_keypoints_leave_the_grid_alone(simd: str, rng: np.random.Generator) -> None:
    case = random_case(rng, (4, 6, 8), 5)
    found = ops.dense_motion_input(case.compressed, case.source, case.source)
    candidates = found.reshape(4, 6, 8, 6, 5)
    # The difference of two equal products, one of which may be rounded and the other not.
    np.testing.assert_allclose(candidates[..., 0], 0, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(candidates[..., 1:], candidates[..., :1, 1:].repeat(6, -2))
    deformation = np.empty((1, 4, 6, 8, 3), np.float32)
    out = ops.dense_motion_warp(
        case.logits, case.source, case.source, case.volume, deformation=deformation
    )
    assert_deformation(deformation[0], reference.identity_grid(4, 6, 8))
    np.testing.assert_allclose(out, ops.warp_volume(case.volume, deformation), rtol=0, atol=1e-6)


def test_one_certain_mask_moves_everything_its_way(simd: str, rng: np.random.Generator) -> None:
    case = random_case(rng, (4, 6, 8), 5)
    case.logits[...] = -1000
    case.logits[..., 3] = 1000
    deformation = np.empty((1, 4, 6, 8, 3), np.float32)
    ops.dense_motion_warp(case.logits, *case[1:3], case.volume, deformation=deformation)
    moved = reference.sparse_motion(case.source, case.driving, (4, 6, 8))
    assert_deformation(deformation, moved[:, 3])


def test_not_a_number_stays_where_it_is(simd: str, rng: np.random.Generator) -> None:
    case = random_case(rng, (4, 6, 20), 6)
    case.logits[0, 1, 2, 3, 4] = np.nan
    case.logits[0, 3, 5, 19] = -np.inf
    deformation = np.empty((1, 4, 6, 20, 3), np.float32)
    out = ops.dense_motion_warp(
        case.logits, case.source, case.driving, case.volume, deformation=deformation
    )
    lost = np.isnan(deformation).all(-1)
    assert lost.sum() == 2 and lost[0, 1, 2, 3] and lost[0, 3, 5, 19]
    assert (out[lost] == 0).all() and np.isfinite(out).all()

    case.driving[0, 2] = np.nan
    candidates = ops.dense_motion_input(*case[:3])
    candidates = candidates.reshape(4, 6, 20, 7, 5)
    assert np.isnan(candidates[..., 3, 0]).all() and (candidates[..., 3, 1:] == 0).all()
    assert np.isfinite(np.delete(candidates, 3, -2)).all()

    case = random_case(rng, (4, 6, 20), 6)
    case.compressed[0, 2, 3, 4, 1] = np.nan
    found = ops.dense_motion_input(*case[:3])
    wanted = reference.dense_motion_input(*case[:3])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))


def test_threads_do_not_matter(simd: str, rng: np.random.Generator) -> None:
    case = random_case(rng, (6, 20, 33), 21, samples=3, shared=3)
    results = set()
    for threads in (1, 2, 3):
        ops.set_num_threads(threads)
        results.add(ops.dense_motion_input(*case[:3]).tobytes())
        results.add(ops.dense_motion_warp(case.logits, *case[1:3], case.volume).tobytes())
    assert len(results) == 2


def shifted(array: np.ndarray) -> np.ndarray:
    """The same behind one element, so on no multiple of 16 bytes, between two sentinels."""
    memory = np.full(array.size + 2, 7, array.dtype)
    memory[1:-1] = array.ravel()
    return memory[1:-1].reshape(array.shape)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_may_begin_anywhere(simd: str, rng: np.random.Generator, dtype: str) -> None:
    case = random_case(rng, (3, 5, 9), 7, dtype=dtype)
    odd = Case(*map(shifted, case))
    out = shifted(np.zeros((1, 3, 5, 9, 40), dtype))
    assert ops.dense_motion_input(odd.compressed, odd.source, odd.driving, out=out) is out
    np.testing.assert_array_equal(out, ops.dense_motion_input(*case[:3]))
    assert out.base[0] == 7 and out.base[-1] == 7
    out, deformation = (shifted(np.zeros((1, 3, 5, 9, n), t)) for n, t in ((32, dtype), (3, "f4")))
    ops.dense_motion_warp(
        odd.logits, odd.source, odd.driving, odd.volume, deformation=deformation, out=out
    )
    np.testing.assert_array_equal(
        out, ops.dense_motion_warp(case.logits, case.source, case.driving, case.volume)
    )
    assert all(array.base[0] == 7 and array.base[-1] == 7 for array in (out, deformation))


ZEROS = Case(
    np.zeros((2, 3, 4, 5, 4), np.float32),
    np.zeros((2, 6, 3), np.float32),
    np.zeros((2, 6, 3), np.float32),
    np.zeros((2, 3, 4, 5, 7), np.float32),
    np.zeros((2, 3, 4, 5, 8), np.float32),
)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"compressed": np.zeros((2, 3, 4, 5, 4))}, TypeError, "compressed must be float32, float"),
        ({"compressed": np.zeros((2, 3, 4, 5, 3), "f4")}, ValueError, "4 channels, got 3"),
        ({"compressed": np.zeros((2, 1, 4, 5, 4), "f4")}, ValueError, r"2 voxels .* \[1, 4, 5\]"),
        ({"compressed": np.zeros((3, 3, 4, 5, 4), "f4")}, ValueError, r"be \[1 or 2, \*"),
        (
            {"source": np.zeros((2, 5, 3), "f4")},
            ValueError,
            r"keypoints_source must be \[1 or 2, 6",
        ),
        ({"driving": np.zeros((2, 6, 3))}, TypeError, "keypoints_driving must be float32"),
        ({"driving": np.zeros((2, 6, 6), "f4")[..., ::2]}, ValueError, "ascontiguousarray"),
        (
            {"source": np.zeros((2, 32, 3), "f4"), "driving": np.zeros((2, 32, 3), "f4")},
            ValueError,
            "needs 1 to 31 keypoints, got 32",
        ),
    ],
)
def test_input_refuses(change: dict[str, np.ndarray], error: type[Exception], message: str) -> None:
    case = ZEROS._replace(**change)
    with pytest.raises(error, match=f"dense_motion_input: .*{message}"):
        ops.dense_motion_input(*case[:3])


@pytest.mark.parametrize(
    ("change", "outputs", "error", "message"),
    [
        ({"logits": np.zeros((2, 3, 4, 5, 7), "f2")}, {}, TypeError, "logits must be float32, got"),
        ({"logits": np.zeros((2, 3, 4, 5, 6), "f4")}, {}, ValueError, r"be \[2, 3, 4, 5, 7\], got"),
        ({"volume": np.zeros((2, 3, 4, 5, 8), "i4")}, {}, TypeError, "volume must be float32"),
        ({}, {"out": np.zeros((2, 3, 4, 5, 9), "f4")}, ValueError, r"out must be \[2, 3, 4, 5, 8"),
        ({}, {"deformation": np.zeros((2, 3, 4, 5, 3))}, TypeError, "deformation must be float32"),
        (
            {},
            {"deformation": np.broadcast_to(np.zeros(1, "f4"), (2, 3, 4, 5, 3))},
            ValueError,
            "deformation must be C-contiguous",
        ),
    ],
)
def test_warp_refuses(
    change: dict[str, np.ndarray],
    outputs: dict[str, np.ndarray],
    error: type[Exception],
    message: str,
) -> None:
    case = ZEROS._replace(**change)
    with pytest.raises(error, match=f"dense_motion_warp: .*{message}"):
        ops.dense_motion_warp(case.logits, case.source, case.driving, case.volume, **outputs)


def test_refuses_a_deformation_that_is_read_only() -> None:
    locked = np.zeros((2, 3, 4, 5, 3), np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="deformation is read-only"):
        ops.dense_motion_warp(ZEROS.logits, *ZEROS[1:3], ZEROS.volume, deformation=locked)


@pytest.fixture(scope="module")
def goldens(shared: Any) -> Goldens:
    return find_goldens(shared)


STATISTICS = ("weight", "bias", "running_mean", "running_var")


def compressed_volume(goldens: Goldens) -> np.ndarray:
    """What the network's first layers make of the golden feature volume, [1, D, H, W, 4]."""
    volume = goldens.input("W/feature_3d", (1, 32, 16, 64, 64))[0]
    state = goldens.state("W")
    prefix = "dense_motion_network"
    weight = state[f"{prefix}.compress.weight"].reshape(4, 32).astype(np.float64)
    features = np.tensordot(weight, volume.astype(np.float64), 1)
    norm = {name: state[f"{prefix}.norm.{name}"][:, None, None, None] for name in STATISTICS}
    features += state[f"{prefix}.compress.bias"][:, None, None, None] - norm["running_mean"]
    features *= norm["weight"] / np.sqrt(norm["running_var"] + 1e-5)
    compressed = np.maximum(features + norm["bias"], 0)
    return np.ascontiguousarray(np.moveaxis(compressed, 0, -1)[None], np.float32)


def test_network_input_is_golden(goldens: Goldens) -> None:
    golden = goldens.golden("W")
    source, driving = golden["kp_source"], golden["kp_driving"]
    found = ops.dense_motion_input(compressed_volume(goldens), source, driving)
    candidates = found.reshape(16, 64, 64, 22, 5)
    heat = np.moveaxis(candidates[..., 0], -1, 0)
    strided = heat.reshape(-1)[:: int(golden["heatmap_stride"])]
    assert relative_l2(strided, golden["heatmap_strided"]) <= GATE
    deformed = np.moveaxis(candidates[..., 1:], (3, 4), (0, 1))
    strided = deformed.reshape(-1)[:: int(golden["deformed_feature_stride"])]
    assert relative_l2(strided, golden["deformed_feature_strided"]) <= GATE


def test_a_golden_network_output_gives_the_golden_motion(goldens: Goldens) -> None:
    golden = goldens.golden("W")
    source, driving = golden["kp_source"], golden["kp_driving"]
    moved = reference.sparse_motion(source, driving, (16, 64, 64))
    stride = -(-moved.size // golden["sparse_motion_strided"].size)
    assert relative_l2(moved.reshape(-1)[::stride], golden["sparse_motion_strided"]) <= GATE
    # Only a share of the golden masks is stored, so each voxel is made to follow one candidate.
    winner = np.arange(16 * 64 * 64).reshape(16, 64, 64) % 22
    logits = np.where(np.arange(22) == winner[..., None], 200, -200).astype(np.float32)[None]
    volume = np.ascontiguousarray(
        goldens.input("W/feature_3d", (1, 32, 16, 64, 64)).transpose(0, 2, 3, 4, 1)
    )
    deformation = np.empty((1, 16, 64, 64, 3), np.float32)
    out = ops.dense_motion_warp(logits, source, driving, volume, deformation=deformation)
    z, y, x = np.indices(winner.shape)
    assert_deformation(deformation[0], moved[0, winner, z, y, x])
    np.testing.assert_allclose(out, ops.warp_volume(volume, deformation), rtol=0, atol=4e-5)


@pytest.mark.neural
def test_is_the_plain_torch_sequence(simd: str, rng: np.random.Generator) -> None:
    import torch
    from torch.nn.functional import grid_sample

    case = random_case(rng, (5, 9, 17), 6, samples=2)
    case = case._replace(volume=np.repeat(case.volume, 2, 0))
    motion = torch.from_numpy(
        reference.sparse_motion(case.source, case.driving, (5, 9, 17)).astype(np.float32)
    )
    masks = torch.from_numpy(case.logits).softmax(-1)
    deformation = torch.einsum("ndhwk,nkdhwa->ndhwa", masks, motion)
    volume = torch.from_numpy(case.volume).permute(0, 4, 1, 2, 3)
    wanted = grid_sample(volume, deformation, align_corners=False).permute(0, 2, 3, 4, 1)
    found = ops.dense_motion_warp(case.logits, case.source, case.driving, case.volume)
    assert_close(found, wanted.numpy(), "float32")


@pytest.mark.neural
def test_takes_bfloat16(simd: str, rng: np.random.Generator) -> None:
    import torch

    case = random_case(rng, (3, 5, 21), 8)
    exact = Case(*map(torch.from_numpy, case))
    rounded = exact._replace(
        compressed=exact.compressed.bfloat16(),
        logits=exact.logits.bfloat16(),
        volume=exact.volume.bfloat16(),
    )
    as_numpy = Case(*(array.float().numpy() for array in rounded))
    found = ops.dense_motion_input(rounded.compressed, rounded.source, rounded.driving)
    assert found.dtype == torch.bfloat16
    wanted = reference.dense_motion_input(as_numpy.compressed, as_numpy.source, as_numpy.driving)
    assert_close(found.double().numpy(), wanted, "bfloat16")
    arguments = (rounded.logits, rounded.source, rounded.driving, rounded.volume)
    found = ops.dense_motion_warp(*arguments)
    wanted, _ = reference.dense_motion_warp(
        as_numpy.logits, as_numpy.source, as_numpy.driving, as_numpy.volume
    )
    assert_close(found.double().numpy(), wanted, "bfloat16")


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize(
    ("size", "keypoints", "channels"),
    [((5, 9, 37), 21, 32), ((2, 2, 2), 1, 3), ((7, 3, 65), 31, 40), ((16, 64, 64), 21, 32)],
)
def test_cuda_agrees_with_the_reference(
    rng: np.random.Generator,
    size: tuple[int, int, int],
    keypoints: int,
    channels: int,
    aligned: bool,
    dtype: str,
) -> None:
    import cupy

    def on_gpu(array: np.ndarray) -> Any:
        if aligned:
            return cupy.asarray(array)
        memory = cupy.zeros(array.size + 1, array.dtype)
        memory[1:] = cupy.asarray(array.ravel())
        return memory[1:].reshape(array.shape)

    case = random_case(rng, size, keypoints, channels, samples=2, dtype=dtype)
    there = Case(*map(on_gpu, case))
    found = ops.dense_motion_input(there.compressed, there.source, there.driving)
    wanted = reference.dense_motion_input(*case[:3])
    assert_close(cupy.asnumpy(found), wanted, dtype)
    deformation = cupy.empty((2, *size, 3), cupy.float32)
    found = ops.dense_motion_warp(
        there.logits, there.source, there.driving, there.volume, deformation=deformation
    )
    wanted, wanted_deformation = reference.dense_motion_warp(
        case.logits, case.source, case.driving, case.volume
    )
    assert_deformation(cupy.asnumpy(deformation), wanted_deformation)
    assert_close(cupy.asnumpy(found), wanted, dtype)
