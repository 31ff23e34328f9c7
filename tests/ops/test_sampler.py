"""`sampler` against its reference, against networks worked out by hand, and against torch."""

from __future__ import annotations

import math
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import tolerance

from vasa_cam import ops
from vasa_cam.bench.networks import NetworkSize, Window, random_model, random_tensors, random_window
from vasa_cam.motion.channels import CHANNELS
from vasa_cam.ops import SamplerModel, reference_sampler
from vasa_cam.ops.sampler import tensor_shapes

SMALL = NetworkSize(layers=4, width=192, hidden=768, channels=54, heads=6)
TINY = NetworkSize(layers=2, width=12, hidden=20, channels=5, heads=3)


def assert_matches_reference(model: SamplerModel, window: Window) -> None:
    found = ops.sample_window(model, *window)
    expected = reference_sampler.sample_window(model, *window)
    assert found.dtype == np.float32 and found.shape == window.noise.shape
    # Values are about 1; weights of the guidance and coefficients may make them larger.
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    allowed = tolerance("sampler.clean").absolute * scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=allowed)


@pytest.mark.parametrize(
    ("passes", "condition", "frames", "steps"),
    [(1, 26, 1, 2), (1, 30, 10, 4), (3, 30, 10, 3), (2, 5, 33, 2), (4, 70, 40, 1)],
)
def test_matches_the_reference(
    simd: str, rng: np.random.Generator, passes: int, condition: int, frames: int, steps: int
) -> None:
    window = random_window(rng, SMALL, passes, condition, frames, steps)
    assert_matches_reference(random_model(rng, SMALL), window)


def test_matches_the_reference_after_fifty_steps(simd: str, rng: np.random.Generator) -> None:
    size = NetworkSize(layers=2, width=32, hidden=64, channels=54, heads=2)
    assert_matches_reference(random_model(rng, size), random_window(rng, size, 2, 9, 4, 50))


@settings(max_examples=60, deadline=None)
@given(
    layers=st.integers(1, 3),
    heads=st.sampled_from([1, 2, 3, 5]),
    head_width=st.sampled_from([1, 2, 7, 16, 31, 32, 33, 64, 70]),
    hidden=st.sampled_from([1, 15, 32, 33, 130]),
    channels=st.sampled_from([1, 8, 31, 54, 70]),
    passes=st.integers(1, 3),
    condition=st.sampled_from([0, 1, 13, 31, 32, 57]),
    frames=st.integers(1, 17),
    steps=st.integers(1, 3),
    level=st.sampled_from(["baseline", "avx2", "avx512"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_matches_the_reference_at_odd_sizes(
    layers: int,
    heads: int,
    head_width: int,
    hidden: int,
    channels: int,
    passes: int,
    condition: int,
    frames: int,
    steps: int,
    level: str,
    seed: int,
) -> None:
    from vasa_cam import _core

    info = ops.build_info()
    rng = np.random.default_rng(seed)
    size = NetworkSize(layers, heads * head_width, hidden, channels, heads)
    window = random_window(rng, size, passes, condition, frames, steps)
    if level in info["simd_available"]:
        _core.set_simd_level(level)
    try:
        assert_matches_reference(random_model(rng, size), window)
    finally:
        _core.set_simd_level(info["simd"])


def test_attention_by_hand(simd: str) -> None:
    # One head of width 4. q, k and v take the normed token's first number, which is sqrt 2 for the
    # frame and -sqrt 2 for the condition: scores 2 / 2 and -2 / 2, so their mean is
    # sqrt 2 tanh 1. A hundred times that becomes the frame's third number, which the head shows.
    tensors = {
        name: np.zeros(shape, np.float32) for name, shape in tensor_shapes(1, 4, 1, 1).items()
    }
    for name in ("blocks.0.norm1", "blocks.0.norm2", "final_norm"):
        tensors[f"{name}.weight"] += 1
    tensors["blocks.0.qkv.weight"][[0, 4, 8], 0] = 1.0
    tensors["blocks.0.out.weight"][2, 0] = 100.0
    tensors["head.weight"][0, 2] = 1.0
    found = ops.sample_window(
        SamplerModel(tensors, 1),
        condition=np.array([[[-1000, 1000, 0, 0]]], np.float32),
        time=np.zeros((1, 4), np.float32),
        coefficients=np.zeros((1, 2), np.float32),
        guidance=np.ones(1, np.float32),
        position=np.array([[1000, -1000, 0, 0]], np.float32),
        noise=np.zeros((1, 1), np.float32),
    )
    token = np.array([1000, -1000, 100 * math.sqrt(2) * math.tanh(1), 0])
    np.testing.assert_allclose(found, [[(token[2] - token.mean()) / token.std()]], rtol=1e-5)


def test_steps_by_hand() -> None:
    # A network of zeros whose head gives its bias b: y = sum(guidance) * b in every step, whatever
    # the noise; so nothing but the last step shows, and it is the same for any coefficients.
    size = NetworkSize(1, 4, 4, 3, 2)
    shapes = tensor_shapes(size.layers, size.width, size.hidden, size.channels)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    tensors["head.bias"] = np.array([1.0, -2.0, 0.5], np.float32)
    rng = np.random.default_rng(0)
    window = random_window(rng, size, 3, 2, 2, 4)
    found = ops.sample_window(SamplerModel(tensors, 2), *window)
    expected = np.float32(window.guidance.sum()) * np.tile(tensors["head.bias"], (2, 1))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_x_follows_the_coefficients(rng: np.random.Generator) -> None:
    # Two steps in one call are two calls with one step, the second from keep * x + step * y.
    model = random_model(rng, TINY)
    both = random_window(rng, TINY, 2, 6, 3, 2)
    first = both._replace(time=both.time[:1], coefficients=both.coefficients[:1])
    keep, change = both.coefficients[0]
    x = keep * both.noise + change * ops.sample_window(model, *first)
    second = both._replace(time=both.time[1:], coefficients=both.coefficients[1:], noise=x)
    found = ops.sample_window(model, *both)
    np.testing.assert_allclose(found, ops.sample_window(model, *second), rtol=0, atol=2e-6)


def test_passes_are_weighed_by_the_guidance(rng: np.random.Generator) -> None:
    model = random_model(rng, TINY)
    window = random_window(rng, TINY, 3, 6, 3, 1)
    one = np.ones(1, np.float32)
    alone = [
        ops.sample_window(
            model, *window._replace(condition=window.condition[p : p + 1], guidance=one)
        )
        for p in range(3)
    ]
    expected = sum(weight * y for weight, y in zip(window.guidance, alone, strict=True))
    np.testing.assert_allclose(ops.sample_window(model, *window), expected, rtol=0, atol=5e-6)


def test_threads_and_repeats_give_the_same_bytes(simd: str, rng: np.random.Generator) -> None:
    model = random_model(rng, SMALL)
    window = random_window(rng, SMALL, 2, 26, 5, 2)
    found = set()
    for threads in (1, 2, 3, 1):
        ops.set_num_threads(threads)
        found.add(ops.sample_window(model, *window).tobytes())
    assert len(found) == 1


def test_nothing_of_a_window_stays_for_the_next(rng: np.random.Generator) -> None:
    model = random_model(rng, TINY)
    window = random_window(rng, TINY, 2, 9, 4, 3)
    before = ops.sample_window(model, *window)
    larger = random_window(rng, TINY, 3, 40, 20, 2)
    ops.sample_window(model, *larger._replace(noise=np.full_like(larger.noise, np.nan)))
    ops.sample_window(model, *random_window(rng, TINY, 1, 0, 1, 1))
    np.testing.assert_array_equal(ops.sample_window(model, *window), before)


def test_several_threads_share_one_model(rng: np.random.Generator) -> None:
    model = random_model(rng, SMALL)
    windows = [random_window(rng, SMALL, 1, 10 + 7 * k, 1 + k, 2) for k in range(4)]
    expected = [ops.sample_window(model, *window) for window in windows]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(15):
            if not np.array_equal(ops.sample_window(model, *windows[number]), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(windows))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert not wrong


def test_out_is_written_and_returned_without_allocating(rng: np.random.Generator) -> None:
    model = random_model(rng, SMALL)
    window = random_window(rng, SMALL, 1, 26, 10, 2)
    expected = ops.sample_window(model, *window)
    out = np.empty_like(expected)
    ops.sample_window(model, *window, out)
    tracemalloc.start()
    found = ops.sample_window(model, *window, out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is out
    np.testing.assert_array_equal(out, expected)
    assert peak < 8000  # small Python objects only


def test_an_empty_window_gives_no_frames(rng: np.random.Generator) -> None:
    model = random_model(rng, TINY)
    assert ops.sample_window(model, *random_window(rng, TINY, 2, 6, 0, 3)).shape == (0, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "place", ["condition", "time", "coefficients", "guidance", "position", "noise"]
)
def test_what_is_not_finite_comes_out_as_nan(
    simd: str, rng: np.random.Generator, place: str, bad: float
) -> None:
    model = random_model(rng, TINY)
    window = random_window(rng, TINY, 2, 6, 3, 3)
    array = getattr(window, place).copy()
    array[0, ...] = bad
    found = ops.sample_window(model, *window._replace(**{place: array}))
    assert np.isnan(found).any()
    good = ops.sample_window(model, *window)
    assert np.isfinite(good).all()


def test_every_kind_of_nan_stays_one(simd: str, rng: np.random.Generator) -> None:
    # A NaN carries bits of its own; arithmetic on exponents must not turn them into numbers.
    model = random_model(rng, TINY)
    window = random_window(rng, TINY, 1, 6, 3, 1)
    for bits in (0x7FC00001, 0x7FFFFFFF, 0xFFC00155):
        noise = np.full_like(window.noise, np.array(bits, np.uint32).view(np.float32))
        assert np.isnan(ops.sample_window(model, *window._replace(noise=noise))).all()


def test_large_numbers_stay_finite(simd: str, rng: np.random.Generator) -> None:
    # Scores in the thousands: softmax picks one token, SiLU passes or stops.
    tensors = random_tensors(rng, TINY)
    tensors["blocks.0.qkv.weight"] *= 100
    tensors["blocks.1.up.weight"] *= 1000
    window = random_window(rng, TINY, 2, 6, 3, 2)
    found = ops.sample_window(SamplerModel(tensors, TINY.heads), *window)
    assert np.isfinite(found).all()


@pytest.mark.neural
def test_is_the_torch_module(simd: str, rng: np.random.Generator) -> None:
    import torch

    from vasa_cam.motion.generator import GeneratorConfig
    from vasa_cam.training.generator_module import GeneratorModule

    torch.manual_seed(0)
    config = GeneratorConfig(layers=3, width=96, heads=3)
    module = GeneratorModule(config).double().eval()
    names = tensor_shapes(config.layers, config.width, 4 * config.width, CHANNELS)
    state = {name: value.detach() for name, value in module.state_dict().items()}
    model = SamplerModel({name: state[name].float().numpy() for name in names}, config.heads)
    frames, start = 6, config.previous
    condition = torch.from_numpy(rng.standard_normal((2, 23, config.width)))
    times = torch.from_numpy(rng.random((3, config.time_size)))
    x = torch.from_numpy(rng.standard_normal((frames, CHANNELS)))
    coefficients, guidance = np.array([[0.7, 0.3], [0.4, 0.6], [0.0, 1.0]]), np.array([1.5, -0.5])
    with torch.no_grad():
        module.condition = lambda given, present: condition  # its tokens are an argument here
        time = module.time(times)
        place = module.kind["x"] + module.position[start : start + frames]
        noise = x.clone()
        for (keep, change), features in zip(coefficients, times, strict=True):
            clean = module(x.expand(2, -1, -1), features.expand(2, -1), {}, {})
            clean = torch.einsum("p,pwc->wc", torch.from_numpy(guidance), clean)
            x = keep * x + change * clean
    arrays = (condition, time, coefficients, guidance, place, noise)
    found = ops.sample_window(model, *(np.asarray(array, np.float32) for array in arrays))
    np.testing.assert_allclose(found, clean, rtol=0, atol=tolerance("sampler.clean").absolute)


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("size", "passes", "condition", "frames", "steps"),
    [
        (SMALL, 1, 26, 1, 2),
        (SMALL, 3, 30, 10, 4),
        (TINY, 2, 0, 5, 3),
        (NetworkSize(2, 66, 70, 9, 1), 2, 40, 33, 2),
        (NetworkSize(1, 200, 65, 58, 1), 1, 33, 31, 2),  # a head too wide for shared memory
    ],
)
def test_cuda_matches_the_reference(
    rng: np.random.Generator,
    size: NetworkSize,
    passes: int,
    condition: int,
    frames: int,
    steps: int,
) -> None:
    import cupy

    tensors = random_tensors(rng, size)
    model = SamplerModel(tensors, size.heads, ("cuda", 0))
    window = random_window(rng, size, passes, condition, frames, steps)
    on_gpu = Window(*map(cupy.asarray, window))
    expected = reference_sampler.sample_window(model, *window)
    found = ops.sample_window(model, *on_gpu)
    allowed = tolerance("sampler.clean_cuda").absolute * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(cupy.asnumpy(found), expected, rtol=0, atol=allowed)
    again = ops.sample_window(model, *on_gpu, cupy.empty_like(found))
    assert (again == found).all()


@pytest.mark.cuda
def test_cuda_can_be_captured_into_a_graph(rng: np.random.Generator) -> None:
    import cupy

    model = SamplerModel(random_tensors(rng, TINY), TINY.heads, ("cuda", 0))
    window = Window(*map(cupy.asarray, random_window(rng, TINY, 2, 6, 3, 2)))
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        expected = ops.sample_window(model, *window)  # the first call allocates the scratch memory
        out = cupy.zeros_like(expected)
        stream.synchronize()
        stream.begin_capture()
        ops.sample_window(model, *window, out)
        graph = stream.end_capture()
        graph.launch(stream)
        stream.synchronize()
    assert (out == expected).all()
