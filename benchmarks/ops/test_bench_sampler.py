"""`sampler` at the sizes of live use and of the paper, against other engines for the same network.

The goals on two cores: a live window in well under 3 ms, 50 steps of a 10-frame window in 150 ms,
both with one thread.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from contender import benchmark_against

from vasa_cam import ops
from vasa_cam.bench.contenders import sampler as sampler_contenders
from vasa_cam.bench.networks import (
    NetworkSize,
    Window,
    random_model,
    random_tensors,
    random_window,
)
from vasa_cam.ops import SamplerModel


class Case(NamedTuple):
    size: NetworkSize
    passes: int
    condition: int
    frames: int
    steps: int
    rounds: int


SMALL = NetworkSize(layers=4, width=192, hidden=768, channels=54, heads=6)
BASE = NetworkSize(layers=8, width=512, hidden=2048, channels=54, heads=8)
CASES = {
    "small-live": Case(SMALL, 1, 26, 1, 2, 100),
    "small-50-steps": Case(SMALL, 1, 30, 10, 50, 10),
    "small-50-steps-guided": Case(SMALL, 3, 30, 10, 50, 5),
    "base": Case(BASE, 3, 70, 40, 10, 3),
}
CONTENDERS = {
    "numpy": ("NumPy in float32, threads as its BLAS likes", None),
    "onnxruntime": ("ONNX Runtime, a run for each step", "onnx"),
    "torch": ("torch, eager", "torch"),
}


def make(case: Case) -> tuple[SamplerModel, Window]:
    rng = np.random.default_rng(0)
    window = random_window(rng, case.size, case.passes, case.condition, case.frames, case.steps)
    return random_model(rng, case.size), window


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_sampler(benchmark: Any, name: str, threads: int, contender: str) -> None:
    said, module = CONTENDERS[contender]
    if module is not None:
        pytest.importorskip(module, reason=f"{module} is in the extra `bench`")
    case = CASES[name]
    model, window = make(case)
    ops.set_num_threads(threads)
    theirs = getattr(sampler_contenders, f"{contender.removesuffix('runtime')}_contender")(
        model, threads
    )
    out = ops.sample_window(model, *window)
    # Both in float32; 50 steps of theirs drift by a few of its last digits.
    np.testing.assert_allclose(out, theirs(window), rtol=0, atol=1e-4)
    benchmark.extra_info["threads"] = threads
    benchmark_against(
        benchmark,
        lambda: ops.sample_window(model, *window, out),
        lambda: theirs(window),
        said,
        case.rounds,
    )


@pytest.mark.cuda
@pytest.mark.parametrize("name", CASES)
def test_sampler_cuda(benchmark: Any, name: str) -> None:
    import cupy

    case = CASES[name]
    rng = np.random.default_rng(0)
    tensors = random_tensors(rng, case.size)
    window = random_window(rng, case.size, case.passes, case.condition, case.frames, case.steps)
    on_cpu = SamplerModel(tensors, case.size.heads)
    on_gpu = SamplerModel(tensors, case.size.heads, ("cuda", 0))
    gpu_window = Window(*map(cupy.asarray, window))
    cpu_out = ops.sample_window(on_cpu, *window)
    gpu_out = ops.sample_window(on_gpu, *gpu_window)
    np.testing.assert_allclose(cupy.asnumpy(gpu_out), cpu_out, rtol=0, atol=2e-4)

    def ours() -> None:
        ops.sample_window(on_gpu, *gpu_window, gpu_out)
        cupy.cuda.get_current_stream().synchronize()

    benchmark_against(
        benchmark,
        ours,
        lambda: ops.sample_window(on_cpu, *window, cpu_out),
        "the CPU twin",
        case.rounds,
    )
