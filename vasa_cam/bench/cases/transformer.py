"""`sample` and `guided_update`: guided steps of the diffusion transformer in its two forms, at the
paper's size and at JoyVASA's, against torch for the same network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from vasa_cam import ops
from vasa_cam.bench.case import Call, Case, Check, Goal, Setting, Trial, Way, Work
from vasa_cam.bench.contenders import transformer as contenders
from vasa_cam.bench.networks import NetworkSize, random_step, random_tensors
from vasa_cam.motion.schedule import guidance_weights
from vasa_cam.ops import (
    JOYVASA_FORM,
    OWN_FORM,
    SamplerForm,
    SamplerModel,
    SamplerWindow,
    UpdateCoefficients,
    reference_guided_update,
    reference_sampler,
)
from vasa_cam.ops.sampler import Precision, tensor_shapes

_ITEM_BYTES: Final = {"float32": 4, "float16": 2, "bfloat16": 2}
_TEN: Final = 10


class Network(NamedTuple):
    """A form and its sizes; guidance passes, condition tokens and frames of a window."""

    form: SamplerForm
    size: NetworkSize
    passes: int
    condition: int
    frames: int

    def tensors(self, rng: np.random.Generator) -> dict[str, Any]:
        """Random weights."""
        return random_tensors(rng, self.size, self.form, self.size.width // 2)


_NETWORKS: Final = {
    "small": Network(OWN_FORM, NetworkSize(4, 192, 768, 54, 6), 3, 30, 10),
    "base": Network(OWN_FORM, NetworkSize(8, 512, 2048, 54, 8), 3, 70, 40),
    "joyvasa-256": Network(JOYVASA_FORM, NetworkSize(8, 256, 1024, 73, 8), 2, 10, 100),
    "joyvasa-512": Network(JOYVASA_FORM, NetworkSize(8, 512, 2048, 73, 8), 2, 10, 100),
}
# Of the largest value, or of 1; the reasons are those of the op's tests. What torch keeps between
# the layers is in half precision, too.
_LIMITS: Final = {"float32": 1e-4, "float16": 4e-3, "bfloat16": 3e-2}
_LIMITS_OF_TORCH: Final = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1.5e-1}


def cases() -> Iterator[Case]:
    """A step alone in each precision, ten in a row, and the guided update by itself."""
    for name, network in _NETWORKS.items():
        yield step_case(name, network, "float32", 1)
        yield step_case(name, network, "float16", 1)
        yield step_case(name, network, "float16", _TEN)
    yield step_case("base", _NETWORKS["base"], "bfloat16", 1)
    for passes in (2, 3):
        yield update_case(passes)


def step_work(network: Network, precision: str, steps: int) -> Work:
    """Products of every token, and of the last layer's frames; what a window computes once."""
    form, size = network.form, network.size
    tokens, frames, width = network.condition + network.frames, network.frames, size.width

    def layer(wanted: int) -> int:
        projections = 2 * width * width * (2 * tokens + 2 * wanted)  # k and v, q and out
        return projections + 4 * wanted * tokens * width + 4 * wanted * width * size.hidden

    head = 2 * frames * width * (width // 2) if form.hidden_head else 0
    ends = 4 * frames * size.channels * width + head
    step = (size.layers - 1) * layer(tokens) + layer(frames) + ends
    once = 2 * size.layers * tokens * width * width if form.memory else 0
    shapes = tensor_shapes(size.layers, width, size.hidden, size.channels, form, width // 2)
    numbers = sum(math.prod(shape) for shape in shapes.values())
    moved = 4 * width * network.passes * (network.condition + tokens * form.memory)
    return Work(
        _ITEM_BYTES[precision] * numbers + moved + 8 * frames * size.channels,
        network.passes * (steps * step + once),
        "bytes: weights once, conditions and memory in float32, noise, result; flops: n P (sum "
        "over layers of 4 D^2 (T + w) + 4 w T D + 4 w D F, w = T and W in the last, + ends), and "
        "once P L 2 T D^2 for the memory",
        "fp32" if precision == "float32" else "fp16",
    )


def step_case(name: str, network: Network, precision: Precision, steps: int) -> Case:
    """A window of this many steps; on a GPU as one graph, ours and one of torch's."""

    def build(setting: Setting) -> Trial:
        rng, device = setting.rng(), setting.device
        tensors, heads = network.tensors(rng), network.size.heads
        counts = (network.passes, network.condition, network.frames, steps)
        window = random_step(rng, network.size, network.form, counts, noisy=False)
        model = SamplerModel(tensors, heads, form=network.form)
        # Ten steps, on GPUs only, against the CPU twin, which the tests hold against float64.
        expected = (reference_sampler if steps == 1 else ops).sample(model, window)
        scale = max(1.0, float(np.abs(expected).max()))

        def ours() -> Call:
            here = SamplerModel(
                tensors, heads, device.place, form=network.form, precision=precision
            )
            arrays = (getattr(window, field.name) for field in dataclasses.fields(window))
            given = SamplerWindow(*(None if a is None else device.array(a) for a in arrays))
            return ops.SamplerGraph(here, given).replay

        def other(make: Callable[[contenders.TorchSteps], Call]) -> Callable[[], Call]:
            def prepared() -> Call:
                import torch

                torch.set_num_threads(setting.threads)
                kind, ordinal = device.place
                place = f"cuda:{ordinal}" if kind == "cuda" else "cpu"
                return make(contenders.TorchSteps(model, window, place, precision))

            return prepared

        loose = Check("absolute", _LIMITS_OF_TORCH[precision] * scale)
        note = "the residual in half precision" if precision != "float32" else ""
        ways = [Way("vasa_cam", ours)]
        kinds = {"torch eager": contenders.eager}
        if device.kind == "cuda":
            kinds["torch compiled"] = contenders.compiled
            kinds["torch compiled, in a graph"] = contenders.captured
        for title, make in kinds.items():
            ways.append(Way(title, other(make), ("torch",), check=loose, note=note))
        check = Check("absolute", _LIMITS[precision] * scale)
        return Trial(tuple(ways), lambda: expected, check, step_work(network, precision, steps))

    goal = None
    if name == "base" and precision in ("float32", "float16") and steps == 1:
        ratios = (("torch eager", 10.0), ("torch compiled, in a graph", 3.0))
        text = "<= 120 us, >= 10x eager, >= 3x a CUDA-graphed torch.compile"
        # Half precision on a GPU; its twin on the CPU stands in the same table.
        where = ("cpu",) if precision == "float32" else ("cuda",)
        goal = Goal("one guided transformer step, 3 passes", text, 0.12, ratios, devices=where)
    tokens = f"{network.passes} x {network.condition} + {network.frames} tokens"
    title = f"sample/{name}-{steps}-step{'s' if steps > 1 else ''}"
    title += "" if precision == "float32" else f"-{precision}"
    places = ("cpu", "cuda") if precision == "float32" else ("cuda",)
    shape = f"{tokens}, {steps} steps"
    return Case(title, "ops", ("sample",), shape, precision, build, places, goal=goal)


def update_case(passes: int) -> Case:
    """The guided update of JoyVASA's window."""
    shape = (1, 100, 73)

    def build(setting: Setting) -> Trial:
        rng, device = setting.rng(), setting.device
        x, noise = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
        outputs = rng.standard_normal((passes, *shape)).astype(np.float32)
        weights = guidance_weights([0.5] * (passes - 1))
        step = UpdateCoefficients(0.6, 0.4, 0.1)

        def ours() -> Call:
            arrays = [device.array(array) for array in (x, outputs, weights, noise)]
            out = device.array(x)
            return lambda: ops.guided_update(
                arrays[0], arrays[1], arrays[2], step, arrays[3], out=out
            )

        def eager() -> Call:
            import torch

            torch.set_num_threads(setting.threads)
            kind, ordinal = device.place
            place = f"cuda:{ordinal}" if kind == "cuda" else "cpu"
            given = [torch.from_numpy(array).to(place) for array in (x, outputs, weights, noise)]

            def run() -> Any:
                state, predicted, scales, fresh = given
                clean = torch.tensordot(scales, predicted, 1)
                return step.keep * state + step.step * clean + step.sigma * fresh

            return run

        count = math.prod(shape)
        work = Work(
            4 * count * (passes + 3),
            count * (2 * passes + 5),
            "bytes: P predictions, state, noise and result once; flops: 2 P + 5 a number",
        )
        return Trial(
            (Way("vasa_cam", ours), Way("torch eager", eager, ("torch",))),
            lambda: reference_guided_update.guided_update(x, outputs, weights, step, noise),
            Check("absolute", 1e-5),
            work,
        )

    name = f"guided_update/{passes}-passes"
    return Case(name, "ops", ("guided_update",), f"{passes} x [1, 100, 73]", "float32", build)
