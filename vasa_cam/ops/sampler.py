"""Op `sampler`: every diffusion step of one window of motion, for all guidance passes, in one call.

The network is a pre-norm transformer encoder that predicts the clean motion (X0); its conditions
are tokens before the noised frames. Sizes: L layers, width D, F hidden numbers, C channels of a
frame; P guidance passes, N condition tokens, W frames of the window, n steps. The maths is written
out in `reference_sampler.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from vasa_cam import _core
from vasa_cam.ops import _check

Floats = npt.NDArray[np.float32]

_OP = "sample_window"


class SamplerModel:
    """A network's weights, checked and prepared once; windows in several threads may share it.

    tensors: float32 by name: noisy.weight [D, C], noisy.bias [D]; for each layer i
        blocks.{i}.norm1.weight, .bias [D]; .qkv.weight [3 D, D], .bias (rows: q, k, v, each head
        by head); .out.weight [D, D], .bias; .norm2.weight, .bias [D]; .up.weight [F, D], .bias;
        .down.weight [D, F], .bias; then final_norm.weight, .bias [D]; head.weight [C, D], .bias.
    heads: number of attention heads; divides D.
    device: "cpu", or "cuda" with an ordinal. The tensors themselves are NumPy and are not changed.
    Raises TypeError or ValueError for tensors that are missing, unknown, of another shape or not
    finite.
    """

    def __init__(
        self, tensors: Mapping[str, Floats], heads: int, device: tuple[str, int] = ("cpu", 0)
    ) -> None:
        self.tensors: Mapping[str, Floats] = MappingProxyType(dict(tensors))
        self.heads = heads
        self.device = device
        self.layers = sum(name.endswith(".qkv.weight") for name in tensors)
        self.width, self.channels = _matrix(tensors, "noisy.weight")
        self.hidden = _matrix(tensors, "blocks.0.up.weight")[0]
        arrays = [self.tensors[name] for name in _check_tensors(self)]
        self.native = _core.SamplerModel(arrays, heads, *device)


def sample_window(
    model: SamplerModel,
    condition: Floats,  # [P, N, D]
    time: Floats,  # [n, D]
    coefficients: Floats,  # [n, 2]
    guidance: Floats,  # [P]
    position: Floats,  # [W, D]
    noise: Floats,  # [W, C]
    out: Floats | None = None,
) -> Floats:
    """The clean frames float32 [W, C] that the last of n steps predicts.

    condition: the embedded condition tokens of every guidance pass. time: the embedding of each
    step's diffusion time, added to every noised token. coefficients: (keep, step) of each step;
    after it x = keep * x + step * y, where y = sum over the passes of guidance * prediction.
    position: what is added to each noised token. noise: x before the first step. All arrays, `out`
    too, are on the model's device. NaN in gives NaN out. Raises TypeError or ValueError.
    """
    width, channels, device = model.width, model.channels, model.device

    def check(array: Floats, name: str, shape: tuple[int | None, ...]) -> tuple[int, ...]:
        return _check.check_array(array, _OP, name, "float32", shape, device)

    passes, _, _ = check(condition, "condition", (None, None, width))
    steps, _ = check(time, "time", (None, width))
    check(coefficients, "coefficients", (steps, 2))
    check(guidance, "guidance", (passes,))
    frames, _ = check(position, "position", (None, width))
    check(noise, "noise", (frames, channels))
    if passes < 1 or steps < 1:
        raise ValueError(
            f"{_OP}: needs at least one guidance pass and one step, got {passes} and {steps}"
        )
    out = _check.check_output(out, _OP, "out", "float32", (frames, channels), noise)
    arrays = (condition, time, coefficients, guidance, position, noise)
    _core.sample_window(model.native, arrays, out, _check.current_stream(out))
    return out


def tensor_shapes(layers: int, width: int, hidden: int, channels: int) -> dict[str, list[int]]:
    """Name and shape of every tensor of a network of this size, in the order of the computation."""
    shapes = {"noisy.weight": [width, channels], "noisy.bias": [width]}
    for layer in range(layers):
        for name, rows, columns in (
            ("norm1", width, None),
            ("qkv", 3 * width, width),
            ("out", width, width),
            ("norm2", width, None),
            ("up", hidden, width),
            ("down", width, hidden),
        ):
            shapes[f"blocks.{layer}.{name}.weight"] = [rows] if columns is None else [rows, columns]
            shapes[f"blocks.{layer}.{name}.bias"] = [rows]
    return {
        **shapes,
        "final_norm.weight": [width],
        "final_norm.bias": [width],
        "head.weight": [channels, width],
        "head.bias": [channels],
    }


def _matrix(tensors: Mapping[str, Floats], name: str) -> tuple[int, int]:
    if name not in tensors:
        raise ValueError(f"SamplerModel: the tensor {name} is missing")
    rows, columns = _check.check_array(tensors[name], "SamplerModel", name, "float32", (None, None))
    return rows, columns


def _check_tensors(model: SamplerModel) -> list[str]:
    """Names in the order that the native model takes; TypeError or ValueError."""
    op, width = "SamplerModel", model.width
    shapes = tensor_shapes(model.layers, width, model.hidden, model.channels)
    if missing := [name for name in shapes if name not in model.tensors]:
        raise ValueError(f"{op}: the tensor {missing[0]} is missing ({len(missing)} in all)")
    if unknown := [name for name in model.tensors if name not in shapes]:
        raise ValueError(f"{op}: unknown tensor {unknown[0]} ({len(unknown)} in all)")
    for name, shape in shapes.items():
        array = model.tensors[name]
        _check.check_array(array, op, name, "float32", shape, ("cpu", 0))
        if not np.isfinite(array).all():
            raise ValueError(f"{op}: {name} must be finite")
    if min(width, model.hidden, model.channels) < 1:
        raise ValueError(f"{op}: width, hidden size and channels must be at least 1")
    if model.heads < 1 or width % model.heads:
        raise ValueError(f"{op}: heads must divide the width {width}, got {model.heads}")
    return list(shapes)
