"""Whole networks: the volume renderer's, this project's generator, JoyVASA's denoiser.

Weights are random, as torch makes them: a network's time does not depend on them. A rewritten
network is verified against torch's layers with the same weights in float32, which share no code
with it; a plain one against itself in float64.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from vasa_cam import ops
from vasa_cam.bench.case import Call, Case, Check, Goal, Peak, Setting, Trial, Way, Work
from vasa_cam.bench.cases.volume import BYTES, DTYPES, for_goal
from vasa_cam.bench.contenders.by_torch import (
    GRAPHED,
    graphed,
    torch_device,
    torch_ways,
    without_gradients,
)
from vasa_cam.bench.networks import generator_inputs
from vasa_cam.ops import reference_sampler

_CHECKS: Final = {
    # The published form against its rewriting, and half precision through some hundred layers.
    "float32": Check("relative_l2", 1e-4),
    "float16": Check("relative_l2", 3e-2),
}
_PICTURES: Final = {
    "float32": Check("absolute", 1, share=1e-3),
    "float16": Check("absolute", 4, share=1e-2),
}


class Cost(NamedTuple):
    """What a forward pass of the published network takes: multiplications and additions of its
    convolutions and products, and numbers in and out."""

    gflop: float
    numbers: int


COSTS: Final = {
    "appearance": Cost(64.11, 3 * 256**2 + 32 * 16 * 64**2),
    "motion": Cost(11.64, 3 * 256**2),
    "warping": Cost(342.07, 32 * 16 * 64**2 + 256 * 64**2),
    "decoder": Cost(891.57, 256 * 64**2 + 3 * 512**2),
    "frame": Cost(342.07 + 891.57, 32 * 16 * 64**2 + 3 * 512**2),
}


def cases() -> Iterator[Case]:
    """The networks of a photo, those of every frame, then the motion generators."""
    for short, (dtype, devices) in DTYPES.items():
        for name in ("appearance", "motion", "warping", "decoder"):
            yield network_case(name, short, dtype, devices)
        yield frame_case(short, dtype, devices)
    yield generator_case()
    yield joyvasa_case()


def network_work(name: str, weights: int, dtype: str) -> Work:
    """Weights, input and output moved once."""
    cost = COSTS[name]
    peak: Peak = "fp32" if dtype == "float32" else "fp16"
    return Work(
        BYTES[dtype] * (weights + cost.numbers),
        round(1e9 * cost.gflop),
        "bytes: s (weights + input + output); flops: 2 for each multiply-add of the published "
        "network's convolutions and products; a rewritten network does fewer",
        peak,
    )


def network_case(name: str, short: str, dtype: str, devices: tuple[str, ...]) -> Case:
    """One network for one picture; warping and decoder in their rewritten form."""

    def build(setting: Setting) -> Trial:
        import torch

        device, rng = setting.device, setting.rng()
        network = _network(name, setting.seed)
        inputs = _inputs(name, rng)
        place, kind = torch_device(device), getattr(torch, dtype)

        def plain() -> Callable[[], Any]:
            torch.set_num_threads(setting.threads)
            here = _network(name, setting.seed).to(place, kind)
            given = [_to(part, place, kind) for part in inputs]
            return lambda: _outputs(name, here(*given))

        def ours() -> Call:
            if name not in ("warping", "decoder"):
                return without_gradients(plain())
            run = without_gradients(_rewritten(name, network, inputs, place, kind))
            return graphed(run) if device.kind == "cuda" else run

        def reference() -> Any:
            exact = network if name in ("warping", "decoder") else network.double()
            given = [part.to(next(exact.parameters()).dtype) for part in inputs]
            return without_gradients(lambda: _outputs(name, exact(*given)))()

        weights = sum(part.numel() for part in network.parameters())
        others = torch_ways(device, plain)
        if device.kind == "cpu":  # compiling takes longer than everything else here
            others = others[:1]
        if name not in ("warping", "decoder"):
            others = others[1:]
        said = "" if name in ("warping", "decoder") else "torch eager: nothing is rewritten here"
        return Trial(
            (Way("vasa_cam", ours, note=said), *others),
            reference,
            _CHECKS[dtype],
            network_work(name, weights, dtype),
        )

    return Case(
        f"models/{name}-{short}", "models", (), "one picture", dtype, build, devices,
        needs=("torch",), cold="cuda" in devices and dtype == "float16",
    )  # fmt: skip


def frame_case(short: str, dtype: str, devices: tuple[str, ...]) -> Case:
    """Warp and decoder from keypoints to a picture in bytes."""

    def build(setting: Setting) -> Trial:
        import torch

        from vasa_cam.render.volume.engine import FastForm, Form, PlainForm

        device, rng = setting.device, setting.rng()
        place, kind = torch.device(torch_device(device)), getattr(torch, dtype)
        volume, source, driving = _inputs("warping", rng)

        def networks() -> tuple[Any, Any]:
            torch.set_num_threads(setting.threads)
            return _network("warping", setting.seed), _network("decoder", setting.seed)

        def run_of(form: Form) -> Callable[[], Any]:
            with torch.inference_mode():
                state = form.prepare(volume.to(place), source.to(place))
            points = driving.to(place)
            return lambda: form.frames(state, points)

        def plain() -> Callable[[], Any]:
            return run_of(PlainForm(*networks(), place, kind))

        def ours() -> Call:
            run = without_gradients(run_of(FastForm(*networks(), place, kind)))
            return graphed(run) if device.kind == "cuda" else run

        def reference() -> Any:
            cpu = torch.device("cpu")
            form = PlainForm(*networks(), cpu, torch.float32)
            return without_gradients(lambda: form.frames(form.prepare(volume, source), driving))()

        return Trial(
            (Way("vasa_cam", ours), *torch_ways(device, plain)),
            reference,
            _PICTURES[dtype],
            network_work("frame", 45_529_829 + 55_365_388, dtype),
            lambda median_s: {"frames_per_second": 1 / median_s},
        )

    return Case(
        f"models/frame-{short}", "models", ("dense_motion_input", "dense_motion_warp"),
        "keypoints to [512, 512, 3]", dtype, build, devices, needs=("torch",),
        cold=dtype == "float16",
        goal=Goal(
            "W+G for one frame, fp16 or bf16",
            "<= 4 ms, <= 0.6x of torch.compile max-autotune",
            4.0,
            ((GRAPHED, 1 / 0.6),),
            devices=for_goal(dtype),
        ),
    )  # fmt: skip


def generator_case() -> Case:
    """A live window of the shipped generator: six steps with guidance."""

    def build(setting: Setting) -> Trial:
        from vasa_cam.motion import sampler
        from vasa_cam.motion.generator import packaged_generator

        generator = packaged_generator()
        inputs, mouth = generator_inputs(setting.rng(), generator.config, sampler.LIVE.hop)
        drawer: Any = sampler.WindowSampler(generator, sampler.LIVE)

        def draw() -> Any:
            return drawer.draw(inputs, mouth, 1.0, np.random.default_rng(setting.seed))

        def reference() -> Any:
            modules: Any = sampler
            real = modules.ops
            modules.ops = _WithReference()
            try:
                return draw()
            finally:
                modules.ops = real

        numbers = sum(array.size for array in generator.tensors.values())
        return Trial(
            (Way("vasa_cam", lambda: draw),),
            reference,
            Check("absolute", 1e-3),
            Work(4 * numbers, 0, "bytes: the weights; flops are not counted here"),
        )

    return Case("models/generator-live", "models", ("sample_window",), "5 frames, 6 steps",
                "float32", build, devices=("cpu",))  # fmt: skip


class _WithReference:
    """`vasa_cam.ops` with the sampler's NumPy twins."""

    sample_window = staticmethod(reference_sampler.sample_window)
    sample = staticmethod(reference_sampler.sample)

    def __getattr__(self, name: str) -> Any:
        return getattr(ops, name)


def joyvasa_case() -> Case:
    """One guided step of JoyVASA's denoiser at the published size, against torch's layers."""

    def build(setting: Setting) -> Trial:
        import torch

        from vasa_cam.motion.joyvasa.denoiser import Denoiser, DenoiserSizes
        from vasa_cam.motion.joyvasa.fused import fused_denoiser

        rng, device = setting.rng(), setting.device
        width, channels, previous, window = 512, 73, 10, 100
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setting.seed)
            network = Denoiser(DenoiserSizes(channels, width, 4 * width, 8)).eval()
            network.requires_grad_(False)
            for name, part in network.named_parameters():
                if "attn" in name:  # those come without numbers, to be loaded
                    part.normal_(0.0, part.shape[-1] ** -0.5)
        state = {name: array.numpy() for name, array in network.state_dict().items()}
        tokens = previous + window
        past = rng.standard_normal((previous, channels)).astype(np.float32)
        noise = rng.standard_normal((window, channels)).astype(np.float32)
        audio = rng.standard_normal((2, tokens, width)).astype(np.float32)
        guidance = np.array([2.8, -1.8], np.float32)

        def ours() -> Call:
            fused = fused_denoiser(state, "legacy", previous, window)
            given = fused.window(past, audio, guidance, noise, [30], np.ones((1, 2), np.float32))
            return lambda: ops.sample(fused.model, given)

        def theirs(kind: Any = torch.float32) -> Callable[[], Any]:
            torch.set_num_threads(setting.threads)
            with torch.inference_mode():
                layers = copy.deepcopy(network).to(kind)
                x = torch.from_numpy(np.concatenate([past, noise])).to(kind).expand(2, -1, -1)
                cross = layers.cross(torch.from_numpy(audio).to(kind))
            weights = torch.from_numpy(guidance).to(kind)
            return lambda: torch.tensordot(weights, layers(x, 30, cross)[:, previous:], 1)

        return Trial(
            (Way("vasa_cam", ours), *torch_ways(device, theirs)),
            without_gradients(theirs(torch.float32)),
            Check("relative_l2", 1e-4),
            _joyvasa_work(width, channels, tokens, 8),
        )

    return Case("models/joyvasa-step", "models", ("sample",), "2 x 110 tokens, 8 layers of 512",
                "float32", build, devices=("cpu",), needs=("torch",))  # fmt: skip


def _joyvasa_work(width: int, channels: int, tokens: int, layers: int) -> Work:
    """Two passes; cross-attention with one key is computed once a window, not in a step."""
    layer = 2 * tokens * (4 * width**2 + 8 * width**2) + 4 * tokens * tokens * width
    ends = 2 * tokens * (channels * width + width * width // 2 + channels * width // 2)
    numbers = layers * 12 * width**2 + channels * width * 3 // 2 + width**2 // 2
    return Work(
        4 * (numbers + 2 * tokens * width),
        2 * (layers * layer + ends),
        "bytes: 4 (weights + audio); flops: 2 passes of layers (24 T D^2 + 4 T^2 D) and both ends",
    )


def _network(name: str, seed: int) -> Any:
    import torch

    from vasa_cam.render.volume.appearance import AppearanceExtractor
    from vasa_cam.render.volume.motion_extractor import MotionExtractor
    from vasa_cam.render.volume.spade import SpadeDecoder
    from vasa_cam.render.volume.warping import WarpingNetwork

    kinds: dict[str, Any] = {
        "appearance": AppearanceExtractor,
        "motion": MotionExtractor,
        "warping": WarpingNetwork,
        "decoder": SpadeDecoder,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kinds[name]().eval().requires_grad_(False)


def _inputs(name: str, rng: np.random.Generator) -> list[Any]:
    import torch

    def normal(*shape: int, size: float = 1.0) -> Any:
        return torch.from_numpy((size * rng.standard_normal(shape)).astype(np.float32))

    if name in ("appearance", "motion"):
        return [torch.from_numpy(rng.random((1, 3, 256, 256), np.float32))]
    if name == "decoder":
        return [normal(1, 256, 64, 64)]
    source = normal(1, 21, 3, size=0.3)
    return [normal(1, 32, 16, 64, 64), source, source + normal(1, 21, 3, size=0.05)]


def _to(part: Any, place: str, kind: Any) -> Any:
    """Keypoints stay float32."""
    return part.to(place) if part.shape[-1] == 3 else part.to(place, kind)


def _outputs(name: str, found: Any) -> Any:
    if name == "motion":
        return tuple(found[key] for key in sorted(found))
    return found.features if name == "warping" else found


def _rewritten(name: str, network: Any, inputs: list[Any], place: str, kind: Any) -> Any:
    import torch

    from vasa_cam.render.volume.fast_decoder import FastDecoder
    from vasa_cam.render.volume.fast_warping import FastWarping
    from vasa_cam.render.volume.fold import place as placed

    target = torch.device(place)
    given = [_to(part, place, kind) for part in inputs]
    if name == "decoder":
        decoder = placed(FastDecoder(network), target, kind)
        return lambda: decoder.pictures(*given)
    warping = placed(FastWarping(network), target, kind)
    volume, source, driving = given
    with torch.inference_mode():
        state = warping.prepare(volume, source)
    return lambda: warping(state, driving).features
