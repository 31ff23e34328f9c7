"""`spade`: what a SPADE decoder does around its convolutions, and the phase form of those of its
segment map, against torch as one would write it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.bench.case import Call, Case, Check, Goal, Setting, Trial, Way, Work
from vasa_cam.bench.contenders import spade as plain
from vasa_cam.ops import reference_spade

Rows = npt.NDArray[Any]

_CHECKS: Final = {"float32": Check("relative_l2", 1e-5), "float16": Check("relative_l2", 3e-3)}
_ITEM_BYTES: Final = {"float32": 4, "float16": 2}
_SEGMENTS: Final = 256
_HIDDEN: Final = 128
_MAP_PX: Final = 64


class Norm(NamedTuple):
    """One SPADE of a block: its input's side and channels, how it is enlarged, its slope, and
    whether it has the same input as the one before."""

    side: int
    channels: int
    factor: int
    slope: float
    shares_input: bool = False


_BLOCKS: Final = {
    "middle-64": (Norm(64, 512, 1, 0.2), Norm(64, 512, 1, 0.2)),
    "up-256": (Norm(128, 256, 2, 0.2), Norm(128, 256, 2, 1.0, True), Norm(256, 64, 1, 0.2)),
}


def cases() -> Iterator[Case]:
    """The decoder's smallest and largest block, its largest maps and its last layer."""
    for name, norms in _BLOCKS.items():
        for dtype in _ITEM_BYTES:
            yield block_case(name, norms, dtype)
    for dtype in _ITEM_BYTES:
        yield segments_case("up-256", 4, 3, dtype)
        yield expand_case("up-256", 4, 3, dtype)
        yield tail_case("rgb-512", 256, dtype)
        yield planes_case("i420-512", 256, dtype)


def devices_of(dtype: str) -> tuple[str, ...]:
    """Half precision is for GPUs."""
    return ("cpu", "cuda") if dtype == "float32" else ("cuda",)


def block_work(norms: tuple[Norm, ...], dtype: str) -> Work:
    """Inputs and maps read once, outputs written once; 4 operations a number for the statistics
    and 6 for the modulation."""
    numbers = flops = 0
    for side, channels, factor, _, shared in norms:
        inputs, outputs = side * side * channels, factor * factor * side * side * channels
        numbers += 3 * outputs + (0 if shared else inputs)
        flops += 6 * outputs + (0 if shared else 4 * inputs)
    formula = "bytes: x once, gamma, beta and y of every norm; flops: 4 x + 6 y"
    return Work(_ITEM_BYTES[dtype] * numbers, flops, formula)


def block_case(name: str, norms: tuple[Norm, ...], dtype: str) -> Case:
    """A whole block without its convolutions, whose results are inputs here."""

    def build(setting: Setting) -> Trial:
        rng = setting.rng()
        inputs: list[tuple[Rows, Rows, Rows]] = []
        for side, channels, factor, _, shared in norms:
            large = factor * side
            x = inputs[-1][0] if shared else _normal(rng, (1, side, side, channels), dtype)
            maps = _normal(rng, (1, large, large, 2 * channels), dtype, 0.5)
            inputs.append((x, maps, rng.standard_normal(2 * channels, np.float32)))

        def reference() -> list[Rows]:
            return [
                reference_spade.spade_modulate(
                    x, reference_spade.instance_statistics(x), maps, bias=bias, slope=norm.slope
                ).astype(np.float32)
                for norm, (x, maps, bias) in zip(norms, inputs, strict=True)
            ]

        def prepare() -> tuple[Any, list[Any]]:
            arguments = []
            for x, maps, bias in inputs:
                gamma, beta = np.split(maps.astype(np.float32) + bias, 2, axis=-1)
                arguments.extend(plain.tensors(setting, dtype, (x, gamma, beta)))
            steps = [plain.activated if norm.slope < 1 else plain.normed for norm in norms]

            def block(*flat: Any) -> list[Any]:
                return [step(*flat[3 * at : 3 * at + 3]) for at, step in enumerate(steps)]

            return block, arguments

        ways = [
            Way("vasa_cam", lambda: _block(setting, norms, inputs, dtype)),
            *plain.torch_ways(setting, prepare),
        ]
        return Trial(tuple(ways), reference, _CHECKS[dtype], block_work(norms, dtype))

    shape = ", ".join(f"[{n.factor * n.side}, {n.factor * n.side}, {n.channels}]" for n in norms)
    share = 0.6 if name == "up-256" else None
    text = ">= 2.5x torch.compile" + (", >= 60 % of bandwidth" if share else "")
    what = f"SPADE block without its convolutions, {name}"
    # A goal is for half precision on a GPU; its twin on the CPU stands in the same table.
    where = ("cpu",) if dtype == "float32" else ("cuda",)
    goal = Goal(what, text, times_faster=(("torch compiled", 2.5),), share=share, devices=where)
    used = ("instance_statistics", "spade_modulate")
    title = f"spade/block-{name}{_suffix(dtype)}"
    return Case(title, "ops", used, shape, dtype, build, devices_of(dtype), goal=goal)


def _block(
    setting: Setting, norms: tuple[Norm, ...], inputs: list[tuple[Rows, Rows, Rows]], dtype: str
) -> Call:
    """The block by our ops, nothing allocated while it runs."""
    array = setting.device.array
    steps: list[tuple[Callable[[], object] | None, Callable[[], Any]]] = []
    x = statistics = None
    for norm, (x_rows, maps_rows, bias_numbers) in zip(norms, inputs, strict=True):
        measure = None
        if not norm.shares_input:
            x = array(x_rows, dtype)
            workspace = array(np.zeros(ops.statistics_workspace(x_rows.shape), np.float32))
            statistics = ops.instance_statistics(x)
            measure = partial(ops.instance_statistics, x, workspace=workspace, out=statistics)
        maps, bias = array(maps_rows, dtype), array(bias_numbers)
        out = ops.spade_modulate(x, statistics, maps, bias=bias, slope=norm.slope)
        modulate = partial(
            ops.spade_modulate, x, statistics, maps, bias=bias, slope=norm.slope, out=out
        )
        steps.append((measure, modulate))

    def run() -> list[Any]:
        results = []
        for measure, modulate in steps:
            if measure is not None:
                measure()
            results.append(modulate())
        return results

    return run


def segments_work(side: int, channels: tuple[int, int], factor: int, dtype: str) -> Work:
    """Convolutions from and to so many channels of a map enlarged `factor` times, by phases."""
    inputs, outputs = channels
    products = {1: 9, 2: 16, 4: 25}[factor]
    numbers = side * side * (inputs + factor * factor * outputs) + 9 * inputs * outputs
    return Work(
        _ITEM_BYTES[dtype] * numbers,
        2 * products * side * side * inputs * outputs,
        "bytes: map, weights, result; flops: 2 for each tap product of the phase form",
        "fp16" if dtype == "float16" else "fp32",
    )


def segments_case(name: str, factor: int, layers: int, dtype: str) -> Case:
    """All `mlp_shared` of a block: convolutions of the enlarged segment map, and ReLU."""
    outputs, large = layers * _HIDDEN, factor * _MAP_PX

    def build(setting: Setting) -> Trial:
        rng = setting.rng()
        x = _normal(rng, (1, _MAP_PX, _MAP_PX, _SEGMENTS), dtype)
        scale = float(np.sqrt(2 / (9 * _SEGMENTS)))
        weight = _normal(rng, (outputs, _SEGMENTS, 3, 3), dtype, scale).astype(np.float32)
        layer = Segments(setting, dtype, x, weight, rng.standard_normal(outputs, np.float32))

        def prepare() -> tuple[Any, list[Any]]:
            arrays = (x, weight.transpose(0, 2, 3, 1), layer.bias)
            function = partial(plain.segments, factor=float(factor))
            return function, plain.tensors(setting, dtype, arrays)

        ways = [
            Way("vasa_cam", lambda: layer.by_phases(factor), needs=("torch",)),
            *plain.torch_ways(setting, prepare),
        ]
        if setting.device.kind == "cuda":
            note = "the nine classes as one 3x3 convolution with structural zeros"
            part = "without putting the classes in their places"
            ways.append(Way("9 classes", layer.nine_classes, ("torch",), part=part, note=note))
        work = segments_work(_MAP_PX, (_SEGMENTS, outputs), factor, dtype)
        return Trial(tuple(ways), lambda: layer.reference(factor), _CHECKS[dtype], work)

    shape = f"[{_MAP_PX}, {_MAP_PX}, {_SEGMENTS}] to [{large}, {large}, {outputs}]"
    title = f"spade/segments-{name}{_suffix(dtype)}"
    devices = devices_of(dtype)
    return Case(title, "ops", ("phase_expand",), shape, dtype, build, devices, needs=("torch",))


class Segments(NamedTuple):
    """Several `mlp_shared` with their map, and ways of computing them by torch's convolutions."""

    setting: Setting
    dtype: str
    x: Rows  # [1, h, w, I]
    weight: npt.NDArray[np.float32]  # [O, I, 3, 3]
    bias: npt.NDArray[np.float32]  # [O]

    def by_phases(self, factor: int) -> Call:
        """The phase form; channels last on the CPU, too."""
        import torch
        from torch.nn import functional

        torch.set_num_threads(self.setting.threads)
        last = torch.channels_last
        segments = plain.tensors(self.setting, self.dtype, (self.x,))[0]
        segments = segments.contiguous(memory_format=last)
        kernels = [
            torch.from_numpy(kernel).to(segments).contiguous(memory_format=last)
            for kernel in ops.phase_weights(self.weight, factor)
        ]
        added = torch.from_numpy(self.bias).to(segments.device)

        @torch.inference_mode()
        def run() -> Any:
            parts = []
            for kernel in kernels:
                border = (kernel.shape[2] // 2, kernel.shape[3] // 2)
                part = functional.conv2d(segments, kernel, padding=border)
                parts.append(part.permute(0, 2, 3, 1).contiguous())
            return ops.phase_expand(parts, added, factor)

        call: Call = run
        return call

    def nine_classes(self) -> Call:
        """One convolution with as many outputs as the phase form has classes."""
        import torch
        from torch.nn import functional

        kernel_rows = np.zeros((9 * len(self.weight), 3, 3, self.x.shape[-1]), np.float32)
        segments, kernel = plain.tensors(self.setting, self.dtype, (self.x, kernel_rows))

        @torch.inference_mode()
        def run() -> Any:
            return functional.conv2d(segments, kernel, padding=1)

        call: Call = run
        return call

    def reference(self, factor: int) -> Rows:
        """By torch in float32, as is."""
        import torch

        x = torch.from_numpy(self.x.astype(np.float32)).permute(0, 3, 1, 2)
        weight, bias = torch.from_numpy(self.weight), torch.from_numpy(self.bias)
        large = plain.segments(x, weight, bias, float(factor))
        return np.asarray(large.permute(0, 2, 3, 1).numpy())


def expand_case(name: str, factor: int, layers: int, dtype: str) -> Case:
    """The phases' results put in their places, with bias and ReLU, for each layer apart."""
    channels, side = layers * _HIDDEN, _MAP_PX
    shapes = [
        (1, side + 1, side + 1, 4 * channels),
        (1, side + 1, side, 2 * channels),
        (1, side, side + 1, 2 * channels),
        (1, side, side, channels),
    ]

    def build(setting: Setting) -> Trial:
        rng = setting.rng()
        parts = [_normal(rng, shape, dtype) for shape in shapes]
        bias = rng.standard_normal(channels, np.float32)

        def ours() -> Call:
            given = [setting.device.array(part, dtype) for part in parts]
            added = setting.device.array(bias)
            out = ops.phase_expand(given, added, factor, groups=layers)
            return lambda: ops.phase_expand(given, added, factor, groups=layers, out=out)

        outputs = factor * factor * side * side * channels
        numbers = sum(part.size for part in parts) + outputs
        work = Work(
            _ITEM_BYTES[dtype] * numbers,
            2 * outputs,
            "bytes: every part once, the large map once; flops: bias and ReLU",
        )
        return Trial(
            (Way("vasa_cam", ours),),
            lambda: reference_spade.phase_expand(parts, bias, factor, groups=layers),
            _CHECKS[dtype],
            work,
        )

    large = factor * side
    shape = f"{layers} x [{large}, {large}, {_HIDDEN}]"
    title = f"spade/expand-{name}{_suffix(dtype)}"
    return Case(title, "ops", ("phase_expand",), shape, dtype, build, devices_of(dtype))


def tail_case(name: str, cells: int, dtype: str) -> Case:
    """Pixel shuffle, sigmoid and uint8."""

    def build(setting: Setting) -> Trial:
        x = _normal(setting.rng(), (1, cells, cells, 12), dtype, 2.0)

        def ours() -> Call:
            given = setting.device.array(x, dtype)
            out = ops.decoder_tail(given)
            return lambda: ops.decoder_tail(given, out=out)

        ways = [
            Way("vasa_cam", ours),
            *plain.torch_ways(setting, lambda: (plain.levels, plain.tensors(setting, dtype, (x,)))),
        ]
        return Trial(
            tuple(ways), lambda: reference_spade.decoder_tail(x), Check("absolute", 1), _tail(x, 12)
        )

    shape = f"[{2 * cells}, {2 * cells}, 3]"
    title = f"decoder_tail/{name}{_suffix(dtype)}"
    return Case(title, "ops", ("decoder_tail",), shape, dtype, build, devices_of(dtype))


def planes_case(name: str, cells: int, dtype: str) -> Case:
    """The same to I420 planes, which saves the picture between."""

    def build(setting: Setting) -> Trial:
        x = _normal(setting.rng(), (1, cells, cells, 12), dtype, 2.0)

        def ours() -> Call:
            given = setting.device.array(x, dtype)
            out = ops.decoder_tail(given, "i420")
            return lambda: ops.decoder_tail(given, "i420", out=out)

        def two_ops() -> Call:
            given = setting.device.array(x, dtype)
            picture, out = ops.decoder_tail(given), ops.decoder_tail(given, "i420")

            def run() -> Any:
                ops.decoder_tail(given, out=picture)
                ops.pixel(picture[0], "i420", None, out[0])
                return out

            return run

        ways = (Way("vasa_cam", ours), Way("decoder_tail, then pixel", two_ops))
        # The reference converts in float64; a level of RGB may be off by one before it.
        return Trial(
            ways,
            lambda: reference_spade.decoder_tail(x, "i420"),
            Check("absolute", 1),
            _tail(x, 6),
        )

    shape = f"[{3 * cells}, {2 * cells}]"
    title = f"decoder_tail/{name}{_suffix(dtype)}"
    return Case(title, "ops", ("decoder_tail", "pixel"), shape, dtype, build, devices_of(dtype))


def _tail(x: Rows, bytes_of_cell: int) -> Work:
    cells = x.size // 12
    formula = "bytes: x and the picture; flops: 14 for each of 12 sigmoids of a cell"
    return Work(x.nbytes + bytes_of_cell * cells, 14 * x.size, formula)


def _normal(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, scale: float = 1.0
) -> Rows:
    values = rng.standard_normal(shape, np.float32)
    return np.asarray(np.float32(scale) * values, dtype)


def _suffix(dtype: str) -> str:
    return "" if dtype == "float32" else f"-{dtype}"
