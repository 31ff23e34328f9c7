"""What the ops of `spade` refuse, and in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vasa_cam import ops


def zeros(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (zeros(1, 2, 2, 3, dtype="float64"), TypeError, "x must be float32, float16 or bfloat16"),
        (zeros(2, 2, 3), ValueError, r"x must be \[\*, \*, \*, \*\], got \[2, 2, 3\]"),
        (zeros(1, 2, 4, 3)[:, :, ::2], ValueError, "x must be C-contiguous"),
        (zeros(1, 0, 4, 3), ValueError, "x must have at least one pixel, got 0 x 4"),
        ([[1.0]], TypeError, "x must be a NumPy array"),
    ],
)
def test_statistics_refuse(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"instance_statistics: {message}"):
        ops.instance_statistics(x)


def test_statistics_refuse_wrong_outputs() -> None:
    x = zeros(2, 20, 20, 3)
    with pytest.raises(ValueError, match=r"out must be \[2, 2, 3\], got \[2, 3, 2\]"):
        ops.instance_statistics(x, out=zeros(2, 3, 2))
    with pytest.raises(ValueError, match=r"workspace must be \[2, 2, 2, 3\], got \[2, 1, 2, 3\]"):
        ops.instance_statistics(x, workspace=zeros(2, 1, 2, 3))
    locked = zeros(2, 2, 3)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        ops.instance_statistics(x, out=locked)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": zeros(1, 2, 3, 4, dtype="int32")}, TypeError, "x must be float32, float16 or"),
        ({"gamma_beta": zeros(1, 2, 3, 8, dtype="float16")}, TypeError, "must be float32, got"),
        ({"gamma_beta": zeros(1, 2, 3, 4)}, ValueError, r"must be \[1, 2 or 4, 3 or 6, 8\], got"),
        ({"gamma_beta": zeros(1, 4, 3, 8)}, ValueError, "2 x 3 like x or twice .* got 4 x 3"),
        ({"gamma_beta": zeros(1, 8, 12, 8)}, ValueError, r"got \[1, 8, 12, 8\]"),
        ({"statistics": zeros(1, 2, 4, dtype="float16")}, TypeError, "statistics must be float32"),
        ({"statistics": zeros(2, 2, 4)}, ValueError, r"statistics must be \[1, 2, 4\], got"),
        ({"bias": zeros(4)}, ValueError, r"bias must be \[8\], got \[4\]"),
        ({"slope": 0.0}, ValueError, "slope must be above 0 and at most 1, got 0.0"),
        ({"slope": 1.5}, ValueError, "got 1.5"),
        ({"slope": float("nan")}, ValueError, "got nan"),
        ({"out": zeros(1, 4, 6, 4)}, ValueError, r"out must be \[1, 2, 3, 4\], got"),
    ],
)
def test_modulation_refuses(change: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {
        "x": zeros(1, 2, 3, 4),
        "statistics": zeros(1, 2, 4),
        "gamma_beta": zeros(1, 2, 3, 8),
        **change,
    }
    with pytest.raises(error, match=message):
        ops.spade_modulate(**given)


def test_no_output_over_an_input() -> None:
    x = zeros(1, 2, 3, 4)
    with pytest.raises(ValueError, match="out must not share memory with an input"):
        ops.spade_modulate(x, zeros(1, 2, 4), zeros(1, 2, 3, 8), out=x)
    with pytest.raises(ValueError, match="out must not share memory with an input"):
        ops.phase_expand([x], zeros(4), 1, out=x)


@pytest.mark.parametrize(
    ("weight", "factor", "error", "message"),
    [
        (zeros(2, 3, 3, 3), 3, ValueError, "factor must be 1, 2 or 4, got 3"),
        (zeros(2, 3, 5, 5), 2, ValueError, r"weight must be \[\*, \*, 3, 3\], got"),
        (zeros(2, 3, 3, 3, dtype="float16"), 2, TypeError, "weight must be float32 or float64"),
    ],
)
def test_folding_refuses(
    weight: np.ndarray, factor: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"phase_weights: .*{message}"):
        ops.phase_weights(weight, factor)


@pytest.mark.parametrize(
    ("parts", "factor", "options", "error", "message"),
    [
        ([zeros(1, 2, 2, 8)], 8, {}, ValueError, "factor must be 1, 2 or 4, got 8"),
        ([zeros(1, 2, 2, 8)], 4, {}, ValueError, "factor 4 takes 4 parts, got 1"),
        ([zeros(1, 2, 2, 8)] * 2, 2, {}, ValueError, "factor 2 takes 1 parts, got 2"),
        ([zeros(1, 2, 2, 7)], 2, {}, ValueError, r"corners, must be .*got \[1, 2, 2, 7\]"),
        ([zeros(1, 0, 2, 8)], 2, {}, ValueError, r"corners, must be .*got \[1, 0, 2, 8\]"),
        ([zeros(1, 3, 3, 8)] * 4, 4, {}, ValueError, r"parts\[1\] must be \[1, 3, 2, 4\], got"),
        ([zeros(1, 2, 2, 8)], 2, {"groups": 3}, ValueError, "groups must divide the 2 channels"),
        ([zeros(1, 2, 2, 8)], 2, {"groups": 0}, ValueError, "groups must divide .* got 0"),
        ([zeros(1, 2, 2, 8, dtype="uint8")], 2, {}, TypeError, r"parts\[0\] must be float32"),
        (
            [zeros(1, 2, 2, 8)],
            2,
            {"out": zeros(1, 2, 2, 2, dtype="float16")},
            TypeError,
            "out must be float32, got float16",
        ),
    ],
)
def test_expansion_refuses(
    parts: list[np.ndarray],
    factor: int,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        ops.phase_expand(parts, zeros(2), factor, **options)


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (zeros(1, 2, 2, 11), {}, ValueError, "x must have at least 12 channels, got 11"),
        (zeros(1, 2, 2, 12, dtype="uint8"), {}, TypeError, "x must be float32, float16 or"),
        (zeros(1, 2, 2, 12), {"pixel_format": "nv12"}, ValueError, "format must be rgb or i420"),
        (zeros(1, 2, 2, 12), {"matrix": "bt2020"}, ValueError, "matrix must be bt601 or bt709"),
        (
            zeros(1, 2, 2, 12),
            {"out": zeros(1, 2, 2, 3, dtype="uint8")},
            ValueError,
            r"out must be \[1, 4, 4, 3\], got",
        ),
    ],
)
def test_the_tail_refuses(
    x: np.ndarray, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ops.decoder_tail(x, **options)
