"""What is wrong is found before it is timed."""

from __future__ import annotations

import numpy as np
import pytest

from vasa_cam.bench.case import Check
from vasa_cam.bench.verify import WrongResultError, fetched, verify

WANTED = [np.arange(100, dtype=np.float32)]
EXACT = Check("absolute", 0.0)


def test_the_same_agrees() -> None:
    assert verify([WANTED[0].copy()], WANTED, EXACT) == 0.0


def test_one_element_beyond_the_limit() -> None:
    found = WANTED[0].copy()
    found[17] += 0.5
    assert verify([found], WANTED, Check("absolute", 0.5)) == pytest.approx(0.5)
    with pytest.raises(WrongResultError, match=r"off by up to 0\.5"):
        verify([found], WANTED, Check("absolute", 0.4))
    verify([found], WANTED, Check("absolute", 0.4, share=0.01))
    with pytest.raises(WrongResultError, match=r"outside 0\.900% of the elements"):
        verify([found], WANTED, Check("absolute", 0.4, share=0.009))


def test_relative_norm() -> None:
    found = WANTED[0] * np.float32(1.01)
    assert verify([found], WANTED, Check("relative_l2", 0.011)) == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(WrongResultError, match=r"relative L2 error of 0\.01"):
        verify([found], WANTED, Check("relative_l2", 0.009))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("check", [Check("absolute", 1e9, share=1.0), Check("relative_l2", 1e9)])
def test_not_a_number_is_never_close(bad: float, check: Check) -> None:
    found = WANTED[0].copy()
    found[3] = bad
    with pytest.raises(WrongResultError, match="NaN or infinity"):
        verify([found], WANTED, check)


def test_another_shape_or_number_of_arrays() -> None:
    with pytest.raises(WrongResultError, match=r"expected the shape \[100\], got \[10, 10\]"):
        verify([WANTED[0].reshape(10, 10)], WANTED, EXACT)
    with pytest.raises(WrongResultError, match="expected 1 arrays, got 2"):
        verify([*WANTED, *WANTED], WANTED, EXACT)


def test_bytes_do_not_wrap_around() -> None:
    """255 and 0 are 255 apart, not 1."""
    with pytest.raises(WrongResultError, match="off by up to 255"):
        verify([np.zeros(1, np.uint8)], [np.full(1, 255, np.uint8)], Check("absolute", 1))


def test_results_are_copied() -> None:
    """A call that writes into the same memory again must not change what was verified."""
    memory = np.zeros(3)
    (kept,) = fetched(memory)
    memory[:] = 1
    assert not kept.any()
    assert [part.tolist() for part in fetched((memory, memory))] == [[1.0, 1.0, 1.0]] * 2
