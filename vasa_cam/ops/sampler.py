"""Op `sampler`: every diffusion step of one window of motion, for all guidance passes, in one call.

The network is a transformer that predicts the clean motion (X0); its conditions are tokens before
the noised frames. Sizes: L layers, width D, F hidden numbers, C channels of a frame; P guidance
passes, N condition tokens, W frames of the window, T = N + W, n steps. `SamplerForm` says how the
network is built: this project's own, and JoyVASA's denoiser. The maths is written out in
`reference_sampler.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from vasa_cam import _core
from vasa_cam.ops import _check
from vasa_cam.ops._check import Array

Floats = npt.NDArray[np.float32]
Precision = Literal["float32", "float16", "bfloat16"]

_OP = "sample_window"


@dataclass(frozen=True)
class SamplerForm:
    """How a network is built, the same in every layer.

    norm_after: t = norm(t + f(t)) instead of t = t + f(norm(t)). memory: between attention and the
    feed-forward products t = cross_norm(t + cross(memory)): cross-attention in which a token sees
    nothing but its own memory, so that softmax is 1 and the values are all there is; needs
    norm_after. time_everywhere: a step's embedding is added to the condition tokens too.
    hidden_head: y = head(act(head_hidden(t))) instead of head(final_norm(t)). gelu: the activation
    is GELU by the error function instead of SiLU.
    """

    norm_after: bool = False
    memory: bool = False
    time_everywhere: bool = False
    hidden_head: bool = False
    gelu: bool = False


OWN_FORM: Final = SamplerForm()
"""This project's generator, after VASA-1."""

JOYVASA_FORM: Final = SamplerForm(*(True,) * 5)
"""JoyVASA's denoiser: a post-norm decoder whose cross-attention sees the same frame only."""


class SamplerModel:
    """A network's weights, checked and prepared once; windows in several threads may share it.

    tensors: float32 by name: noisy.weight [D, C], noisy.bias [D]; for each layer i
        blocks.{i}.norm1.weight, .bias [D]; .qkv.weight [3 D, D], .bias (rows: q, k, v, each head
        by head); .out.weight [D, D], .bias; .norm2.weight, .bias [D]; .up.weight [F, D], .bias;
        .down.weight [D, F], .bias; then final_norm.weight, .bias [D]; head.weight [C, D], .bias.
        With form.memory also .cross.weight [D, D], .bias and .cross_norm.weight, .bias [D]; with
        form.hidden_head head_hidden.weight [E, D], .bias instead of final_norm, and head [C, E].
    heads: number of attention heads; divides D.
    device: "cpu", or "cuda" with an ordinal. The tensors themselves are NumPy and are not changed.
    precision: float32; on a GPU also float16 or bfloat16, which compute products and attention on
        tensor cores with float32 sums. Those need D, F, E and D / heads divisible by 16.
    Raises TypeError or ValueError for tensors that are missing, unknown, of another shape or not
    finite.
    """

    def __init__(
        self,
        tensors: Mapping[str, Floats],
        heads: int,
        device: tuple[str, int] = ("cpu", 0),
        *,
        form: SamplerForm = OWN_FORM,
        precision: Precision = "float32",
    ) -> None:
        self.tensors: Mapping[str, Floats] = MappingProxyType(dict(tensors))
        self.heads = heads
        self.device = device
        self.form = form
        self.precision = precision
        self.layers = sum(name.endswith(".qkv.weight") for name in tensors)
        self.width, self.channels = _matrix(tensors, "noisy.weight")
        self.hidden = _matrix(tensors, "blocks.0.up.weight")[0]
        self.last = _matrix(tensors, "head_hidden.weight")[0] if form.hidden_head else self.width
        arrays = [self.tensors[name] for name in _check_tensors(self)]
        self.native = _core.SamplerModel(arrays, astuple(form), heads, device, precision)


@dataclass(frozen=True, eq=False)
class SamplerWindow:
    """What one window is drawn from; float32 arrays on the model's device.

    condition: [P, N, D], the embedded condition tokens of every guidance pass. time: [n, D], the
    embedding of each step's diffusion time, added to every noised token. coefficients: [n, 2] or
    [n, 3], (keep, step) and sigma; after each step x = keep x + step y + sigma z, where y = sum
    over the passes of guidance * prediction. guidance: [P]. position: [W, D], what is added to each
    noised token. noise: [W, C], x before the first step. memory: [P, T, D], what each token's
    cross-attention sees, with form.memory. step_noise: [n, W, C], z, with three coefficients.
    """

    condition: Array
    time: Array
    coefficients: Array
    guidance: Array
    position: Array
    noise: Array
    memory: Array | None = None
    step_noise: Array | None = None


def sample(model: SamplerModel, window: SamplerWindow, out: Floats | None = None) -> Floats:
    """The clean frames float32 [W, C] that the last of n steps predicts.

    NaN in gives NaN out. Raises TypeError or ValueError for arrays that do not fit the model.
    """
    shape = check_window(model, window)
    out = _check.check_output(out, _OP, "out", "float32", shape, window.noise)
    _core.sample_window(model.native, window_arrays(window), out, _check.current_stream(out))
    return out


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
    """`sample` for a network without memory and a solver without fresh noise."""
    window = SamplerWindow(condition, time, coefficients, guidance, position, noise)
    return sample(model, window, out)


def tensor_shapes(
    layers: int,
    width: int,
    hidden: int,
    channels: int,
    form: SamplerForm = OWN_FORM,
    last: int | None = None,
) -> dict[str, list[int]]:
    """Name and shape of every tensor of a network of this size, in the order of the computation.

    last: E, numbers of a hidden head; D if not given.
    """
    last = width if last is None else last
    norm, square = [width], [width, width]
    block = {"norm1": norm, "qkv": [3 * width, width], "out": square}
    if form.memory:
        block |= {"cross": square, "cross_norm": norm}
    block |= {"norm2": norm, "up": [hidden, width], "down": [width, hidden]}
    parts = {"noisy": [width, channels]}
    for layer in range(layers):
        parts |= {f"blocks.{layer}.{name}": shape for name, shape in block.items()}
    parts |= {"head_hidden": [last, width]} if form.hidden_head else {"final_norm": norm}
    parts["head"] = [channels, last if form.hidden_head else width]
    shapes = {}
    for name, shape in parts.items():
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]
    return shapes


def window_arrays(window: SamplerWindow) -> tuple[Array | None, ...]:
    """In the order that the native call takes; not `astuple`, which would copy them."""
    return tuple(getattr(window, name) for name in SamplerWindow.__dataclass_fields__)


def check_window(model: SamplerModel, window: SamplerWindow) -> tuple[int, int]:
    """Shape of the result; TypeError or ValueError."""

    def check(name: str, shape: tuple[int | tuple[int, ...] | None, ...]) -> tuple[int, ...]:
        array = getattr(window, name)
        return _check.check_array(array, _OP, name, "float32", shape, model.device)

    passes, condition, _ = check("condition", (None, None, model.width))
    steps, _ = check("time", (None, model.width))
    frames, _ = check("position", (None, model.width))
    check("coefficients", (steps, 2 if window.step_noise is None else 3))
    check("guidance", (passes,))
    check("noise", (frames, model.channels))
    if model.form.memory:
        if window.memory is None:
            raise ValueError(f"{_OP}: memory is missing, which this network's form needs")
        check("memory", (passes, condition + frames, model.width))
    elif window.memory is not None:
        raise ValueError(f"{_OP}: memory is given, which this network's form has no use for")
    if window.step_noise is not None:
        check("step_noise", (steps, frames, model.channels))
    if passes < 1 or steps < 1:
        raise ValueError(
            f"{_OP}: needs at least one guidance pass and one step, got {passes} and {steps}"
        )
    return frames, model.channels


def _matrix(tensors: Mapping[str, Floats], name: str) -> tuple[int, int]:
    if name not in tensors:
        raise ValueError(f"SamplerModel: the tensor {name} is missing")
    rows, columns = _check.check_array(tensors[name], "SamplerModel", name, "float32", (None, None))
    return rows, columns


def _check_tensors(model: SamplerModel) -> list[str]:
    """Names in the order that the native model takes; TypeError or ValueError."""
    op, width = "SamplerModel", model.width
    shapes = tensor_shapes(
        model.layers, width, model.hidden, model.channels, model.form, model.last
    )
    if missing := [name for name in shapes if name not in model.tensors]:
        raise ValueError(f"{op}: the tensor {missing[0]} is missing ({len(missing)} in all)")
    if unknown := [name for name in model.tensors if name not in shapes]:
        raise ValueError(f"{op}: unknown tensor {unknown[0]} ({len(unknown)} in all)")
    for name, shape in shapes.items():
        array = model.tensors[name]
        _check.check_array(array, op, name, "float32", shape, ("cpu", 0))
        if not np.isfinite(array).all():
            raise ValueError(f"{op}: {name} must be finite")
    if min(width, model.hidden, model.channels, model.last) < 1:
        raise ValueError(f"{op}: width, hidden size and channels must be at least 1")
    if model.heads < 1 or width % model.heads:
        raise ValueError(f"{op}: heads must divide the width {width}, got {model.heads}")
    if model.form.memory and not model.form.norm_after:
        raise ValueError(f"{op}: a form with memory needs norm_after")
    _check_precision(model)
    return list(shapes)


def _check_precision(model: SamplerModel) -> None:
    """ValueError unless the device and the sizes allow this precision."""
    op, precision = "SamplerModel", model.precision
    if precision not in ("float32", "float16", "bfloat16"):
        raise ValueError(f"{op}: precision must be float32, float16 or bfloat16, got {precision!r}")
    if precision == "float32":
        return
    if model.device[0] != "cuda":
        raise ValueError(f"{op}: {precision} is for a GPU; on the CPU use float32")
    sizes = (model.width, model.hidden, model.last, model.width // model.heads)
    if any(size % 16 for size in sizes):
        raise ValueError(
            f"{op}: {precision} needs a width, hidden sizes and a head's width divisible by 16, "
            f"got {', '.join(map(str, sizes))}; use float32"
        )
