"""`sample` in every form of network, against its reference; on a GPU in every precision."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import tolerance

from vasa_cam import _core, ops
from vasa_cam.bench.networks import NetworkSize, random_step, random_tensors
from vasa_cam.ops import (
    JOYVASA_FORM,
    OWN_FORM,
    SamplerForm,
    SamplerModel,
    SamplerWindow,
    reference_sampler,
)
from vasa_cam.ops.sampler import tensor_shapes

FORMS = [
    SamplerForm(*flags)
    for flags in itertools.product([False, True], repeat=5)
    if flags[0] or not flags[1]
]
JOYVASA = NetworkSize(layers=3, width=256, hidden=1024, channels=73, heads=8)
TINY = NetworkSize(layers=2, width=12, hidden=20, channels=5, heads=3)


def form_name(form: SamplerForm) -> str:
    return "+".join(name for name, on in dataclasses.asdict(form).items() if on) or "own"


def assert_matches_reference(model: SamplerModel, window: SamplerWindow) -> None:
    found = ops.sample(model, window)
    expected = reference_sampler.sample(model, window)
    assert found.dtype == np.float32 and found.shape == window.noise.shape
    allowed = tolerance("sampler.clean").absolute * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=0, atol=allowed)


@pytest.mark.parametrize("form", FORMS, ids=form_name)
def test_every_form_matches_the_reference(
    simd: str, rng: np.random.Generator, form: SamplerForm
) -> None:
    size = NetworkSize(layers=2, width=40, hidden=56, channels=9, heads=2)
    model = SamplerModel(random_tensors(rng, size, form, 24), 2, form=form)
    for counts in ((2, 5, 9, 3), (3, 0, 4, 2), (1, 33, 1, 2)):
        assert_matches_reference(model, random_step(rng, size, form, counts))


@pytest.mark.parametrize("noisy", [False, True])
def test_joyvasas_form_at_its_size(simd: str, rng: np.random.Generator, noisy: bool) -> None:
    model = SamplerModel(random_tensors(rng, JOYVASA, JOYVASA_FORM, 128), 8, form=JOYVASA_FORM)
    window = random_step(rng, JOYVASA, JOYVASA_FORM, (2, 10, 40, 2), noisy)
    assert_matches_reference(model, window)


@settings(max_examples=40, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    layers=st.integers(1, 3),
    heads=st.sampled_from([1, 2, 5]),
    head_width=st.sampled_from([2, 7, 16, 32, 33, 70]),
    hidden=st.sampled_from([1, 15, 33, 130]),
    last=st.sampled_from([1, 31, 64, 65]),
    channels=st.sampled_from([1, 31, 73]),
    counts=st.tuples(
        st.integers(1, 3),
        st.sampled_from([0, 1, 10, 32, 57]),
        st.integers(1, 17),
        st.integers(1, 3),
    ),
    level=st.sampled_from(["baseline", "avx2", "avx512"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_odd_sizes_match_the_reference(
    form: SamplerForm,
    layers: int,
    heads: int,
    head_width: int,
    hidden: int,
    last: int,
    channels: int,
    counts: tuple[int, int, int, int],
    level: str,
    seed: int,
) -> None:
    info = ops.build_info()
    rng = np.random.default_rng(seed)
    size = NetworkSize(layers, heads * head_width, hidden, channels, heads)
    model = SamplerModel(random_tensors(rng, size, form, last), heads, form=form)
    if level in info["simd_available"]:
        _core.set_simd_level(level)
    try:
        assert_matches_reference(model, random_step(rng, size, form, counts))
    finally:
        _core.set_simd_level(info["simd"])


def test_cross_attention_by_hand() -> None:
    # A network whose products are zero but for `cross`, which adds the memory to the token: what
    # comes out is the norm of norm(token) + memory, read by a head that shows the third number.
    form = SamplerForm(norm_after=True, memory=True)
    shapes = tensor_shapes(1, 4, 1, 1, form)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    for name in ("blocks.0.norm1", "blocks.0.cross_norm", "blocks.0.norm2", "final_norm"):
        tensors[f"{name}.weight"] += 1
    tensors["blocks.0.cross.weight"] += np.eye(4, dtype=np.float32)
    tensors["head.weight"][0, 2] = 1.0
    token = np.array([3.0, -1.0, 4.0, 1.0])
    memory = np.array([[[9.0, 9.0, 9.0, 9.0], [0.5, 2.0, -3.0, 1.0]]], np.float32)
    window = SamplerWindow(
        condition=np.full((1, 1, 4), 100.0, np.float32),
        time=np.zeros((1, 4), np.float32),
        coefficients=np.zeros((1, 2), np.float32),
        guidance=np.ones(1, np.float32),
        position=token[None].astype(np.float32),
        noise=np.zeros((1, 1), np.float32),
        memory=memory,
    )
    token = (token - token.mean()) / token.std() + memory[0, 1]
    expected = (token[2] - token.mean()) / token.std()
    found = ops.sample(SamplerModel(tensors, 1, form=form), window)
    np.testing.assert_allclose(found, [[expected]], rtol=2e-5)


@pytest.mark.parametrize("value", [-40.0, -6.0, -1.5, -1e-3, 0.0, 0.3, 2.0, 5.0, 30.0])
def test_gelu_is_the_one_by_the_error_function(simd: str, value: float) -> None:
    from math import erf, sqrt

    # Every product is zero, so the tokens do not count: the bias of the hidden head goes through
    # GELU and is shown by the head.
    form = SamplerForm(hidden_head=True, gelu=True)
    shapes = tensor_shapes(1, 16, 1, 1, form, 16)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    tensors["head_hidden.bias"] += np.float32(value)
    tensors["head.weight"][0, 3] = 1.0
    window = random_step(
        np.random.default_rng(0), NetworkSize(1, 16, 1, 1, 1), form, (1, 2, 1, 1), noisy=False
    )
    found = ops.sample(SamplerModel(tensors, 1, form=form), window)
    expected = 0.5 * value * (1.0 + erf(value / sqrt(2.0)))
    assert found[0, 0] == pytest.approx(expected, rel=3e-7, abs=1e-7)


def test_noise_of_the_steps_by_hand(rng: np.random.Generator) -> None:
    # Two steps in one call are two calls with one step, the second from keep x + step y + sigma z.
    model = SamplerModel(random_tensors(rng, TINY), TINY.heads)
    both = random_step(rng, TINY, OWN_FORM, (2, 6, 3, 2))
    assert both.step_noise is not None

    def one(step: int, noise: np.ndarray) -> np.ndarray:
        window = dataclasses.replace(
            both, time=both.time[step : step + 1], noise=noise,
            coefficients=np.ascontiguousarray(both.coefficients[step : step + 1, :2]),
            step_noise=None,
        )  # fmt: skip
        return ops.sample(model, window)

    keep, change, sigma = both.coefficients[0]
    x = keep * both.noise + change * one(0, both.noise) + sigma * both.step_noise[0]
    np.testing.assert_allclose(ops.sample(model, both), one(1, x), rtol=0, atol=2e-6)


def test_threads_and_repeats_give_the_same_bytes(simd: str, rng: np.random.Generator) -> None:
    model = SamplerModel(random_tensors(rng, JOYVASA, JOYVASA_FORM, 128), 8, form=JOYVASA_FORM)
    window = random_step(rng, JOYVASA, JOYVASA_FORM, (2, 10, 23, 2))
    found = set()
    for threads in (1, 2, 3, 1):
        ops.set_num_threads(threads)
        found.add(ops.sample(model, window).tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["condition", "time", "memory", "step_noise", "noise"])
def test_what_is_not_finite_comes_out_as_nan(
    simd: str, rng: np.random.Generator, place: str, bad: float
) -> None:
    model = SamplerModel(random_tensors(rng, TINY, JOYVASA_FORM), TINY.heads, form=JOYVASA_FORM)
    window = random_step(rng, TINY, JOYVASA_FORM, (2, 6, 3, 3))
    array = getattr(window, place).copy()
    array[0, ...] = bad
    assert np.isnan(ops.sample(model, dataclasses.replace(window, **{place: array}))).any()
    assert np.isfinite(ops.sample(model, window)).all()


def test_an_empty_window_gives_no_frames(rng: np.random.Generator) -> None:
    model = SamplerModel(random_tensors(rng, TINY, JOYVASA_FORM), TINY.heads, form=JOYVASA_FORM)
    window = random_step(rng, TINY, JOYVASA_FORM, (2, 6, 0, 3))
    assert ops.sample(model, window).shape == (0, 5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"memory": None}, ValueError, "memory is missing, which this network's form needs"),
        ({"memory": np.zeros((2, 9, 12))}, TypeError, "memory must be float32, got float64"),
        (
            {"memory": np.zeros((2, 3, 12), "f4")},
            ValueError,
            r"memory must be \[2, 9, 12\], got \[2, 3, 12\]",
        ),
        (
            {"memory": np.zeros((2, 9, 24), "f4")[..., ::2]},
            ValueError,
            "memory must be C-contiguous",
        ),
        ({"step_noise": None}, ValueError, r"coefficients must be \[2, 2\], got \[2, 3\]"),
        (
            {"coefficients": np.zeros((2, 2), "f4")},
            ValueError,
            r"coefficients must be \[2, 3\], got \[2, 2\]",
        ),
        (
            {"step_noise": np.zeros((3, 5), "f4")},
            ValueError,
            r"step_noise must be \[2, 3, 5\], got \[3, 5\]",
        ),
    ],
)
def test_refuses_wrong_windows(
    rng: np.random.Generator, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = SamplerModel(random_tensors(rng, TINY, JOYVASA_FORM), TINY.heads, form=JOYVASA_FORM)
    window = random_step(rng, TINY, JOYVASA_FORM, (2, 6, 3, 2))
    with pytest.raises(error, match=message):
        ops.sample(model, dataclasses.replace(window, **change))


def test_refuses_what_no_form_or_precision_allows(rng: np.random.Generator) -> None:
    tensors = random_tensors(rng, TINY)
    with pytest.raises(ValueError, match="memory is given, which this network's form has no use"):
        window = random_step(rng, TINY, OWN_FORM, (2, 6, 3, 2))
        memory = np.zeros((2, 9, 12), np.float32)
        ops.sample(SamplerModel(tensors, 3), dataclasses.replace(window, memory=memory))
    with pytest.raises(ValueError, match=r"blocks\.0\.cross\.weight is missing"):
        SamplerModel(tensors, 3, form=SamplerForm(norm_after=True, memory=True))
    with pytest.raises(ValueError, match=r"unknown tensor final_norm\.weight"):
        hidden = random_tensors(rng, TINY, SamplerForm(hidden_head=True))
        SamplerModel({**tensors, **hidden}, 3, form=SamplerForm(hidden_head=True))
    with pytest.raises(ValueError, match="a form with memory needs norm_after"):
        form = SamplerForm(memory=True)
        SamplerModel(random_tensors(rng, TINY, form), 3, form=form)
    with pytest.raises(ValueError, match="float16 is for a GPU; on the CPU use float32"):
        SamplerModel(tensors, 3, precision="float16")
    with pytest.raises(ValueError, match="precision must be float32, float16 or bfloat16"):
        SamplerModel(tensors, 3, precision="int8")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="divisible by 16, got 12, 20, 12, 4; use float32"):
        SamplerModel(tensors, 3, ("cuda", 0), precision="bfloat16")


def test_a_graph_draws_from_what_its_arrays_hold(rng: np.random.Generator) -> None:
    model = SamplerModel(random_tensors(rng, TINY, JOYVASA_FORM), TINY.heads, form=JOYVASA_FORM)
    window = random_step(rng, TINY, JOYVASA_FORM, (2, 6, 3, 2))
    graph = ops.SamplerGraph(model, window)
    for _ in range(2):
        expected = ops.sample(model, window)
        assert graph.replay() is graph.out
        np.testing.assert_array_equal(graph.out, expected)
        window.noise[...] = rng.standard_normal(window.noise.shape)
    with pytest.raises(ValueError, match="needs at least one frame, got none"):
        ops.SamplerGraph(model, random_step(rng, TINY, JOYVASA_FORM, (2, 6, 0, 2)))


def on_gpu(window: SamplerWindow) -> SamplerWindow:
    import cupy

    arrays = [getattr(window, field.name) for field in dataclasses.fields(window)]
    return SamplerWindow(*(None if array is None else cupy.asarray(array) for array in arrays))


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("form", [OWN_FORM, JOYVASA_FORM], ids=form_name)
@pytest.mark.parametrize(
    ("size", "counts"),
    [
        (NetworkSize(2, 32, 48, 5, 2), (2, 3, 4, 2)),
        (NetworkSize(4, 192, 768, 54, 6), (1, 26, 1, 2)),
        (NetworkSize(4, 192, 768, 54, 6), (3, 30, 10, 3)),
        (NetworkSize(8, 512, 2048, 73, 8), (2, 10, 100, 2)),
        (NetworkSize(8, 512, 2048, 54, 8), (3, 70, 40, 2)),
    ],
)
def test_cuda_matches_the_cpu(
    rng: np.random.Generator,
    size: NetworkSize,
    counts: tuple[int, int, int, int],
    form: SamplerForm,
    precision: Any,
) -> None:
    import cupy

    tensors = random_tensors(rng, size, form, size.width // 2)
    window = random_step(rng, size, form, counts)
    expected = ops.sample(SamplerModel(tensors, size.heads, form=form), window)
    model = SamplerModel(tensors, size.heads, ("cuda", 0), form=form, precision=precision)
    gpu_window = on_gpu(window)
    found = ops.sample(model, gpu_window)
    name = "sampler.clean_cuda" if precision == "float32" else f"sampler.clean_{precision}"
    allowed = tolerance(name).absolute * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(cupy.asnumpy(found), expected, rtol=0, atol=allowed)
    graph = ops.SamplerGraph(model, gpu_window)
    assert (graph.replay() == found).all() and (graph.replay() == found).all()
    gpu_window.noise[...] += 0.5
    assert (graph.replay() == ops.sample(model, gpu_window)).all()
