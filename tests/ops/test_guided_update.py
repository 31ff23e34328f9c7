"""`guided_update` against its reference and against the formulas that it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import tolerance

from vasa_cam import _core, ops
from vasa_cam.motion.schedule import ddim_coefficients, ddim_table, guidance_weights
from vasa_cam.ops import UpdateCoefficients, reference_guided_update

STEP = UpdateCoefficients(0.6, 0.45, 0.2)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def assert_matches_reference(
    x: np.ndarray,
    outputs: np.ndarray,
    weights: np.ndarray,
    coefficients: UpdateCoefficients,
    noise: np.ndarray | None,
) -> None:
    clean, expected_clean = np.empty_like(x), np.empty_like(x)
    found = ops.guided_update(x, outputs, weights, coefficients, noise, clean=clean)
    expected = reference_guided_update.guided_update(
        x, outputs, weights, coefficients, noise, clean=expected_clean
    )
    allowed = tolerance("guided_update.next").absolute
    sizes = np.tensordot(np.abs(weights), np.abs(outputs.astype(np.float32)), 1)
    assert (np.abs(clean - expected_clean) <= allowed * (sizes + 1e-30)).all()
    keep, step, sigma = map(abs, coefficients)
    total = keep * np.abs(x) + step * sizes + 1e-30
    if noise is not None:
        total = total + sigma * np.abs(noise)
    assert found.shape == x.shape and found.dtype == np.float32
    assert (np.abs(found - expected) <= allowed * total).all()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("shape", [(1,), (7,), (1, 100, 73), (2, 50, 54), (3, 1, 17, 5)])
@pytest.mark.parametrize("passes", [1, 2, 3, 7])
def test_matches_the_reference(
    simd: str, rng: np.random.Generator, passes: int, shape: tuple[int, ...], dtype: str
) -> None:
    outputs = normal(rng, passes, *shape).astype(dtype)
    weights = guidance_weights(list(rng.random(passes - 1)))
    x, noise = normal(rng, *shape), normal(rng, *shape)
    assert_matches_reference(x, outputs, weights, STEP, noise)
    assert_matches_reference(x, outputs, weights, STEP._replace(sigma=0.0), None)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 200),
    passes=st.integers(1, 5),
    values=st.tuples(*(st.floats(-3, 3, width=32) for _ in range(3))),
    level=st.sampled_from(["baseline", "avx2", "avx512"]),
    half=st.booleans(),
    offset=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_matches_the_reference_at_odd_sizes_and_addresses(
    count: int,
    passes: int,
    values: tuple[float, float, float],
    level: str,
    half: bool,
    offset: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    info = ops.build_info()
    outputs = normal(rng, passes, count).astype(np.float16 if half else np.float32)
    # Views that begin anywhere: no vector starts at an address that it would like.
    x, noise = normal(rng, count + offset)[offset:], normal(rng, count + 3)[3:]
    if level in info["simd_available"]:
        _core.set_simd_level(level)
    try:
        weights = normal(rng, passes)
        assert_matches_reference(x, outputs, weights, UpdateCoefficients(*values), noise)
    finally:
        _core.set_simd_level(info["simd"])


def test_the_papers_guidance_and_the_usual_one(rng: np.random.Generator) -> None:
    full, without_voice, without_gaze = outputs = normal(rng, 3, 1, 10, 54)
    clean = np.empty_like(full)
    nothing = np.zeros_like(full)
    only_clean = UpdateCoefficients(0.0, 1.0)
    ops.guided_update(nothing, outputs, guidance_weights([0.5, 1.0]), only_clean, clean=clean)
    expected = 2.5 * full - 0.5 * without_voice - without_gaze
    np.testing.assert_allclose(clean, expected, rtol=0, atol=2e-6)
    found = ops.guided_update(nothing, outputs[:2], guidance_weights([2.8 - 1.0]), only_clean)
    expected = without_voice + 2.8 * (full - without_voice)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_ancestral_sampling_is_ddim_with_eta_1() -> None:
    # DDPM's posterior, written with alpha_t and beta_t as JoyVASA and others do.
    bars = np.array([1.0, 0.97, 0.7, 0.2, 0.004])
    for bar, bar_next in zip(bars[1:], bars[:-1], strict=True):
        alpha = bar / bar_next
        found = ddim_coefficients(bar, bar_next, eta=1.0)
        assert found.keep == pytest.approx((1 - bar_next) * np.sqrt(alpha) / (1 - bar), abs=1e-12)
        assert found.step == pytest.approx((1 - alpha) * np.sqrt(bar_next) / (1 - bar))
        variance = (1 - bar_next) / (1 - bar) * (1 - alpha)
        assert found.sigma == pytest.approx(np.sqrt(variance), abs=1e-12)


def test_our_own_solver_is_ddim_with_eta_0() -> None:
    table = ddim_table(6, bend=2.0)
    powers = np.cos(np.append(table.times, 0.0) * np.pi / 2) ** 2
    for index, (keep, step) in enumerate(table.coefficients):
        found = ddim_coefficients(float(powers[index]), float(powers[index + 1]))
        assert found == pytest.approx((keep, step, 0.0), abs=2e-6)
    with pytest.raises(ValueError, match=r"must rise within 0\.\.1, got 0\.5 to 0\.4"):
        ddim_coefficients(0.5, 0.4)


def test_may_write_over_its_input(simd: str, rng: np.random.Generator) -> None:
    x, outputs = normal(rng, 2, 9, 5), normal(rng, 2, 2, 9, 5)
    weights, noise = guidance_weights([0.7]), normal(rng, 2, 9, 5)
    expected = ops.guided_update(x, outputs, weights, STEP, noise)
    assert ops.guided_update(x, outputs, weights, STEP, noise, out=x) is x
    np.testing.assert_array_equal(x, expected)


def test_threads_give_the_same_bytes(simd: str, rng: np.random.Generator) -> None:
    x, outputs = normal(rng, 100_001), normal(rng, 3, 100_001)
    found = set()
    for threads in (1, 2, 3):
        ops.set_num_threads(threads)
        found.add(ops.guided_update(x, outputs, guidance_weights([0.5, 1.0]), STEP, x).tobytes())
    assert len(found) == 1


def test_nan_stays_where_it_is(simd: str, rng: np.random.Generator) -> None:
    for place in range(3):
        arrays = [normal(rng, 40), normal(rng, 2, 40), normal(rng, 40)]
        arrays[place][..., 17] = np.nan
        x, outputs, noise = arrays
        found = ops.guided_update(x, outputs, guidance_weights([0.5]), STEP, noise)
        assert np.flatnonzero(np.isnan(found)).tolist() == [17]
    # What no sigma asks for is not read.
    noise = np.full(40, np.nan, np.float32)
    quiet = STEP._replace(sigma=0.0)
    x, outputs = normal(rng, 40), normal(rng, 2, 40)
    assert np.isfinite(ops.guided_update(x, outputs, guidance_weights([0.5]), quiet, noise)).all()


def test_an_empty_state_stays_empty() -> None:
    x, outputs = np.zeros((1, 0, 5), np.float32), np.zeros((2, 1, 0, 5), np.float32)
    assert ops.guided_update(x, outputs, guidance_weights([1.0]), STEP, x).shape == (1, 0, 5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x_t": np.zeros((2, 4))}, TypeError, "x_t must be float32, got float64"),
        ({"x_t": np.zeros((), "f4")}, ValueError, "x_t must have 1 to 4 axes, got 0"),
        ({"x_t": [1.0]}, TypeError, "x_t must be a NumPy array"),
        ({"x_t": np.zeros((2, 8), "f4")[:, ::2]}, ValueError, "x_t must be C-contiguous"),
        ({"outputs": np.zeros((3, 2, 4), "i4")}, TypeError, "outputs must be float32, float16 or"),
        (
            {"outputs": np.zeros((3, 2, 5), "f4")},
            ValueError,
            r"outputs must be \[\*, 2, 4\], got \[3, 2, 5\]",
        ),
        (
            {"outputs": np.zeros((0, 2, 4), "f4"), "weights": np.zeros(0, "f4")},
            ValueError,
            "at least one pass, got none",
        ),
        ({"weights": np.zeros(2, "f4")}, ValueError, r"weights must be \[3\], got \[2\]"),
        ({"noise": None}, ValueError, "sigma is 0.2, which needs noise"),
        ({"noise": np.zeros(4, "f4")}, ValueError, r"noise must be \[2, 4\], got \[4\]"),
        ({"out": np.zeros((4, 2), "f4")}, ValueError, r"out must be \[2, 4\], got \[4, 2\]"),
        ({"clean": np.broadcast_to(np.float32(0), (2, 4))}, ValueError, "clean must be C-cont"),
    ],
)
def test_refuses_wrong_arrays(change: dict[str, Any], error: type[Exception], message: str) -> None:
    good: dict[str, Any] = {
        "x_t": np.zeros((2, 4), "f4"),
        "outputs": np.zeros((3, 2, 4), "f4"),
        "weights": np.zeros(3, "f4"),
        "coefficients": STEP,
        "noise": np.zeros((2, 4), "f4"),
    }
    with pytest.raises(error, match=message):
        ops.guided_update(**{**good, **change})


@pytest.mark.neural
def test_takes_bfloat16_from_torch(simd: str, rng: np.random.Generator) -> None:
    import torch

    x, outputs = normal(rng, 3, 21), torch.from_numpy(normal(rng, 2, 3, 21)).bfloat16()
    weights, noise = guidance_weights([0.5]), normal(rng, 3, 21)
    found = ops.guided_update(x, outputs, weights, STEP, noise)
    expected = ops.guided_update(x, outputs.float().numpy(), weights, STEP, noise)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("shape", [(1,), (1, 100, 73), (4, 80, 265)])
def test_cuda_matches_the_cpu(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> None:
    import cupy

    x, noise = normal(rng, *shape), normal(rng, *shape)
    outputs, weights = normal(rng, 3, *shape).astype(dtype), guidance_weights([0.5, 1.0])
    expected = ops.guided_update(x, outputs, weights, STEP, noise)
    on_gpu = [cupy.asarray(array) for array in (x, outputs, weights)]
    clean = cupy.empty_like(on_gpu[0])
    found = ops.guided_update(*on_gpu, STEP, cupy.asarray(noise), clean=clean)
    np.testing.assert_allclose(cupy.asnumpy(found), expected, rtol=0, atol=4e-6)
    in_place = ops.guided_update(*on_gpu, STEP, cupy.asarray(noise), out=on_gpu[0])
    assert (in_place == found).all()
