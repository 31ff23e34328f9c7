"""`sample_window`: whole windows of the diffusion transformer, at the sizes of live use and of the
paper, against other engines for the same network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from vasa_cam import ops
from vasa_cam.bench.case import Call, Case, Check, Setting, Trial, Way, Work
from vasa_cam.bench.contenders import sampler as contenders
from vasa_cam.bench.networks import NetworkSize, Window, random_tensors, random_window
from vasa_cam.ops import SamplerModel, reference_sampler
from vasa_cam.ops.sampler import tensor_shapes

SMALL: Final = NetworkSize(layers=4, width=192, hidden=768, channels=54, heads=6)
BASE: Final = NetworkSize(layers=8, width=512, hidden=2048, channels=54, heads=8)


class WindowSize(NamedTuple):
    """Guidance passes, condition tokens, frames and diffusion steps."""

    passes: int
    condition: int
    frames: int
    steps: int


_CASES: Final = {
    "small-live": (SMALL, WindowSize(1, 26, 1, 2)),
    "small-50-steps": (SMALL, WindowSize(1, 30, 10, 50)),
    "small-50-steps-guided": (SMALL, WindowSize(3, 30, 10, 50)),
    "base-guided": (BASE, WindowSize(3, 70, 40, 10)),
}


def cases() -> Iterator[Case]:
    """The shipped size live and as the paper draws, and the paper's own size."""
    for name, (size, window) in _CASES.items():
        yield sampler_case(name, size, window)


def sampler_work(size: NetworkSize, window: WindowSize) -> Work:
    """Products of a transformer whose last layer does for conditions only what frames need."""
    tokens, frames = window.condition + window.frames, window.frames
    width, hidden = size.width, size.hidden

    def layer(wanted: int) -> int:
        projections = 2 * width * width * (2 * tokens + 2 * wanted)  # k and v, q and out
        attention = 4 * wanted * tokens * width
        return projections + attention + 4 * wanted * width * hidden

    ends = 4 * frames * size.channels * width
    network = (size.layers - 1) * layer(tokens) + layer(frames) + ends
    shapes = tensor_shapes(size.layers, width, hidden, size.channels)
    numbers = sum(math.prod(shape) for shape in shapes.values())
    moved = numbers + width * (window.passes * window.condition + window.steps + frames)
    return Work(
        4 * (moved + 2 * frames * size.channels),
        window.steps * window.passes * network,
        "bytes: weights, conditions, times, positions once + 8 W C; flops: n P (sum over layers of "
        "4 D^2 (T + w) + 4 w T D + 4 w D F, w = T and W in the last, + 4 W C D)",
    )


def sampler_case(name: str, size: NetworkSize, window: WindowSize) -> Case:
    """A case of this size; the name is the part after "sample_window/"."""

    def build(setting: Setting) -> Trial:
        rng, device = setting.rng(), setting.device
        model = SamplerModel(random_tensors(rng, size), size.heads)
        given = random_window(rng, size, *window)

        def ours() -> Call:
            here, arrays = model, given
            if device.kind == "cuda":
                here = SamplerModel(model.tensors, size.heads, device.place)
                arrays = Window(*map(device.array, given))
            out = device.array(given.noise)
            return lambda: ops.sample_window(here, *arrays, out)

        def other(make: Callable[[SamplerModel, int], contenders.Contender]) -> Callable[[], Call]:
            def prepared() -> Call:
                run = make(model, setting.threads)
                return lambda: run(given)

            return prepared

        def twin() -> Call:
            out = given.noise.copy()
            return lambda: ops.sample_window(model, *given, out)

        ways = [
            Way("vasa_cam", ours),
            Way("NumPy float32", other(contenders.numpy_contender)),
            Way(
                "ONNX Runtime",
                other(contenders.onnx_contender),
                needs=("onnxruntime", "onnx"),
                note="a run for each step",
            ),
            Way("torch eager", other(contenders.torch_contender), needs=("torch",)),
        ]
        if device.kind == "cuda":
            ways = [ways[0], Way("CPU twin", twin, clock="wall")]
        return Trial(
            tuple(ways),
            lambda: reference_sampler.sample_window(model, *given),
            # Float32 through up to 50 steps; ways that round otherwise drift by its last digits.
            Check("absolute", 2e-4),
            sampler_work(size, window),
        )

    shape = f"{window.passes} x {window.condition} + {window.frames} tokens, {window.steps} steps"
    return Case(f"sample_window/{name}", "ops", ("sample_window",), shape, "float32", build)
