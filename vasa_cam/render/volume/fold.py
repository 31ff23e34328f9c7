"""Layers joined before they run: what two of them do, as one. Exact but for rounding.

Sums are float64, rounded once. Channels may be padded with zeros: tensor cores take them by eight.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

ALIGNMENT: Final = 8


def aligned(channels: int) -> int:
    """The next multiple of 8."""
    return -(-channels // ALIGNMENT) * ALIGNMENT


def convolution(
    weight: torch.Tensor, bias: torch.Tensor | None, padding: tuple[int, ...]
) -> nn.Module:
    """A convolution in two or three dimensions with this weight [O, I, ..] and bias [O]."""
    kind = nn.Conv2d if weight.dim() == 4 else nn.Conv3d
    outputs, inputs, *kernel = weight.shape
    layer: nn.Module = kind(
        inputs, outputs, tuple(kernel), padding=padding, bias=bias is not None, device="meta"
    )
    state = {"weight": weight.detach().float().contiguous()}
    if bias is not None:
        state["bias"] = bias.detach().float().contiguous()
    layer.load_state_dict(state, assign=True)
    return layer.requires_grad_(False)


def fold_norm(conv: nn.Module, norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of norm(conv(x)): a convolution and the batch norm behind it, evaluated."""
    scale = norm.weight.double() * torch.rsqrt(norm.running_var.double() + norm.eps)
    weight = conv.weight.double() * scale.reshape(-1, *(1,) * (conv.weight.dim() - 1))
    bias = (conv.bias.double() - norm.running_mean.double()) * scale + norm.bias.double()
    return weight.detach(), bias.detach()


def padded(weight: torch.Tensor, inputs: int, outputs: int | None = None) -> torch.Tensor:
    """A weight [O, I, ..] with zeros up to `inputs` and `outputs` channels."""
    result = weight.new_zeros(outputs or len(weight), inputs, *weight.shape[2:])
    result[: len(weight), : weight.shape[1]] = weight
    return result


def padded_bias(bias: torch.Tensor, outputs: int) -> torch.Tensor:
    """A bias [O] with zeros up to `outputs` channels."""
    result = bias.new_zeros(outputs)
    result[: len(bias)] = bias
    return result


def place(module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Moves a module of such layers: weights in `dtype` and channels last, buffers in float32."""
    module.to(device).eval()
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in module.parameters():
        layout = formats.get(parameter.dim(), torch.contiguous_format)
        parameter.data = parameter.data.to(dtype).contiguous(memory_format=layout)
    return module
