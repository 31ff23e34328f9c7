"""The probes compute what they say; otherwise a compiler could leave their work out."""

from __future__ import annotations

import numpy as np
import pytest

from vasa_cam import ops

LENGTHS = [0, 1, 15, 191, 192, 1536, 1537, 40_000]


@pytest.mark.parametrize("length", LENGTHS)
def test_triad(rng: np.random.Generator, simd: str, length: int) -> None:
    a, b = rng.standard_normal((2, length)).astype(np.float32)
    expected = a.astype(np.float64) + 0.75 * b
    out = ops.triad(a, b, 0.75)
    # One product and one sum, rounded once or twice.
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6)
    assert ops.triad(a, b, 0.75, a) is a
    np.testing.assert_array_equal(a, out)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("rounds", [0, 1, 37])
def test_multiply_add(rng: np.random.Generator, simd: str, length: int, rounds: int) -> None:
    values = rng.standard_normal(length).astype(np.float32)
    grown = 0.9**rounds
    expected = values * grown + 0.25 * (1 - grown) / (1 - 0.9)
    ops.multiply_add(values, 0.9, 0.25, rounds)
    # The factor shrinks every rounding of 1.2e-7 of values up to 4 by 0.9 a round.
    np.testing.assert_allclose(values, expected, rtol=0, atol=5e-6)


def test_nan_stays_where_it_is() -> None:
    values = np.array([1.0, np.nan, 2.0], np.float32)
    ops.multiply_add(values, 0.5, 0.0, 1)
    np.testing.assert_array_equal(values, np.array([0.5, np.nan, 1.0], np.float32))


def test_bad_arguments() -> None:
    ones = np.ones(4, np.float32)
    with pytest.raises(TypeError, match="triad: a must be float32"):
        ops.triad(ones.astype(np.float64), ones, 1.0)
    with pytest.raises(ValueError, match=r"triad: b must be \[4\]"):
        ops.triad(ones, ones[:3], 1.0)
    with pytest.raises(ValueError, match="C-contiguous"):
        ops.triad(np.ones(8, np.float32)[::2], ones, 1.0)
    with pytest.raises(ValueError, match="rounds must be at least 0, got -1"):
        ops.multiply_add(ones, 1.0, 0.0, -1)
    ones.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        ops.multiply_add(ones, 1.0, 0.0, 1)


@pytest.mark.cuda
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("shift", [0, 1])
def test_on_a_gpu(rng: np.random.Generator, length: int, shift: int) -> None:
    """A shift of one number leaves the arrays without the alignment of four."""
    import cupy

    a, b = (cupy.asarray(part)[shift:] for part in rng.standard_normal((2, length + shift), "f4"))
    np.testing.assert_allclose(
        cupy.asnumpy(ops.triad(a, b, 0.75)), cupy.asnumpy(a) + 0.75 * cupy.asnumpy(b), atol=1e-6
    )
    values = cupy.asnumpy(a)
    ops.multiply_add(a, 0.9, 0.25, 9)
    ops.multiply_add(values, 0.9, 0.25, 9)
    np.testing.assert_allclose(cupy.asnumpy(a), values, atol=1e-6)
