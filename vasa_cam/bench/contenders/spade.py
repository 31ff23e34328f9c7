"""What a SPADE decoder does around its convolutions, written plainly in torch.

On a GPU tensors are channels_last, as the convolutions around would want them; on the CPU
contiguous, which torch is faster with there. gamma and beta are tensors of their own with their
biases in them, as two plain convolutions give them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vasa_cam.bench.case import Call, Way

if TYPE_CHECKING:
    from vasa_cam.bench.case import Setting

SLOPE = 0.2


def tensors(setting: Setting, dtype: str, rows: Sequence[npt.NDArray[Any]]) -> list[Any]:
    """[N, C, H, W] of [N, H, W, C] on the case's device; arrays of one axis as they are."""
    import torch

    kind, ordinal = setting.device.place
    gpu = kind == "cuda"
    place = torch.device(f"cuda:{ordinal}" if gpu else "cpu")
    made = []
    for array in rows:
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(place, getattr(torch, dtype))
        if tensor.dim() == 4:
            tensor = tensor.permute(0, 3, 1, 2)
            tensor = tensor if gpu else tensor.contiguous()
        made.append(tensor)
    return made


def torch_ways(setting: Setting, prepare: Callable[[], tuple[Any, list[Any]]]) -> list[Way]:
    """torch eager, and on a GPU compiled: `prepare` gives a function and its arguments."""

    def make(compiled: bool) -> Call:
        import torch

        torch.set_num_threads(setting.threads)
        function, arguments = prepare()
        if compiled:
            function = torch.compile(function, mode="max-autotune-no-cudagraphs")

        @torch.inference_mode()
        def run() -> Any:
            found = function(*arguments)
            # A view: results are compared channels last.
            parts = found if isinstance(found, list) else [found]
            return [part.permute(0, 2, 3, 1) for part in parts]

        call: Call = run
        return call

    ways = [Way("torch eager", lambda: make(False), needs=("torch",))]
    if setting.device.kind == "cuda":
        note = "max-autotune, without a CUDA graph: the stream is held up until all has been sent"
        compiled = Way("torch compiled", lambda: make(True), ("torch",), note=note)
        ways.append(compiled)
    return ways


def normed(x: Any, gamma: Any, beta: Any) -> Any:
    """Instance norm of x, nearest-upsampled to the size of gamma, modulated."""
    from torch.nn import functional

    if x.shape[2] != gamma.shape[2]:
        x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
    return functional.instance_norm(x) * (1 + gamma) + beta


def activated(x: Any, gamma: Any, beta: Any) -> Any:
    """The same with a leaky ReLU."""
    from torch.nn import functional

    return functional.leaky_relu(normed(x, gamma, beta), SLOPE)


def segments(x: Any, weight: Any, bias: Any, factor: float) -> Any:
    """ReLU of a 3x3 convolution of a nearest-upsampled map."""
    from torch.nn import functional

    large = functional.interpolate(x, scale_factor=factor, mode="nearest")
    return functional.relu(functional.conv2d(large, weight, bias, padding=1))


def levels(x: Any) -> Any:
    """Pixel shuffle, sigmoid, uint8, [N, 3, 2 H, 2 W]."""
    import torch
    from torch.nn import functional

    picture = functional.pixel_shuffle(x, 2).sigmoid() * 255
    return picture.clamp(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)
