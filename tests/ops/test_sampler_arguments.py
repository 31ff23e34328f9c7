"""What `sampler` refuses, and in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vasa_cam import ops
from vasa_cam.bench.networks import NetworkSize, random_model, random_tensors, random_window
from vasa_cam.ops import SamplerModel

TINY = NetworkSize(layers=2, width=12, hidden=20, channels=5, heads=3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"noise": np.zeros((3, 5))}, TypeError, "noise must be float32, got float64"),
        ({"noise": np.zeros((3, 6), "f4")}, ValueError, r"noise must be \[3, 5\], got \[3, 6\]"),
        ({"time": np.zeros((2, 11), "f4")}, ValueError, r"time must be \[\*, 12\], got \[2, 11\]"),
        (
            {"condition": np.zeros((2, 12), "f4")},
            ValueError,
            r"condition must be \[\*, \*, 12\], got \[2, 12\]",
        ),
        (
            {"coefficients": np.zeros((3, 2), "f4")},
            ValueError,
            r"coefficients must be \[2, 2\], got \[3, 2\]",
        ),
        ({"guidance": np.zeros(3, "f4")}, ValueError, r"guidance must be \[2\], got \[3\]"),
        (
            {"position": np.zeros((3, 24), "f4")[:, ::2]},
            ValueError,
            "position must be C-contiguous",
        ),
        ({"guidance": [1.0, 2.0]}, TypeError, "guidance must be a NumPy array"),
        (
            {"time": np.zeros((0, 12), "f4"), "coefficients": np.zeros((0, 2), "f4")},
            ValueError,
            "at least one guidance pass and one step, got 2 and 0",
        ),
    ],
)
def test_refuses_wrong_windows(
    rng: np.random.Generator, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = random_model(rng, TINY)
    window = random_window(rng, TINY, 2, 6, 3, 2)
    with pytest.raises(error, match=message):
        ops.sample_window(model, *window._replace(**change))


def test_refuses_outputs_that_cannot_take_the_result(rng: np.random.Generator) -> None:
    model = random_model(rng, TINY)
    window = random_window(rng, TINY, 2, 6, 3, 2)
    with pytest.raises(ValueError, match=r"out must be \[3, 5\], got \[5, 3\]"):
        ops.sample_window(model, *window, np.empty((5, 3), np.float32))
    out = np.empty((3, 5), np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        ops.sample_window(model, *window, out)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("head.bias", None, ValueError, "the tensor head.bias is missing"),
        ("noisy.weight", None, ValueError, "the tensor noisy.weight is missing"),
        ("blocks.1.norm2.weight", None, ValueError, "blocks.1.norm2.weight is missing"),
        ("blocks.7.up.bias", np.zeros(20, "f4"), ValueError, "unknown tensor blocks.7.up.bias"),
        ("head.weight", np.zeros((5, 12)), TypeError, "head.weight must be float32"),
        (
            "blocks.0.down.weight",
            np.zeros((20, 12), "f4"),
            ValueError,
            r"blocks.0.down.weight must be \[12, 20\], got \[20, 12\]",
        ),
        (
            "final_norm.bias",
            np.full(12, np.inf, "f4"),
            ValueError,
            "final_norm.bias must be finite",
        ),
    ],
)
def test_refuses_tensors_that_do_not_fit(
    rng: np.random.Generator,
    name: str,
    value: np.ndarray | None,
    error: type[Exception],
    message: str,
) -> None:
    tensors = random_tensors(rng, TINY)
    if value is None:
        del tensors[name]
    else:
        tensors[name] = value
    with pytest.raises(error, match=message):
        SamplerModel(tensors, TINY.heads)


@pytest.mark.parametrize("heads", [0, 5, -3])
def test_refuses_heads_that_do_not_divide_the_width(rng: np.random.Generator, heads: int) -> None:
    with pytest.raises(ValueError, match="heads must divide the width 12"):
        SamplerModel(random_tensors(rng, TINY), heads)


def test_the_tensors_may_change_afterwards(rng: np.random.Generator) -> None:
    tensors = random_tensors(rng, TINY)
    model = SamplerModel(tensors, TINY.heads)
    window = random_window(rng, TINY, 1, 6, 3, 2)
    before = ops.sample_window(model, *window)
    for array in tensors.values():
        array[...] = 7.0
    np.testing.assert_array_equal(ops.sample_window(model, *window), before)


def test_a_gpu_model_without_a_gpu_says_so(rng: np.random.Generator) -> None:
    if ops.build_info()["cuda_devices"]:
        pytest.skip("this machine has a GPU")
    with pytest.raises(RuntimeError, match="CUDA"):
        SamplerModel(random_tensors(rng, TINY), TINY.heads, ("cuda", 0))
