"""Guided diffusion steps in torch, in every form of network, for `test_bench_transformer_step.py`.

What an engineer would write: torch's own operators, guidance passes batched, what no step changes
computed before; eager, through torch.compile, and the compiled step captured into a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from vasa_cam.ops import SamplerModel, SamplerWindow

Steps = Callable[[], torch.Tensor]
_EPSILON = 1e-5


class TorchSteps:
    """The steps of one window: products in `dtype`, the noised state in float32."""

    def __init__(
        self, model: SamplerModel, window: SamplerWindow, device: str, dtype: torch.dtype
    ) -> None:
        def tensor(array: Any, kind: torch.dtype = dtype) -> torch.Tensor:
            return torch.from_numpy(np.asarray(array)).to(device, kind)

        self.form, self.heads, self.layers = model.form, model.heads, model.layers
        self.t = {name: tensor(array) for name, array in model.tensors.items()}
        self.condition, self.time = tensor(window.condition), tensor(window.time)
        self.position = tensor(window.position)
        self.guidance = tensor(window.guidance, torch.float32)
        self.noise = tensor(window.noise, torch.float32)
        self.coefficients = window.coefficients.tolist()
        self.shares: list[torch.Tensor] = []
        if window.memory is not None:
            memory = tensor(window.memory)
            self.shares = [self._linear(f"blocks.{i}.cross", memory) for i in range(self.layers)]
        self.step: Callable[..., tuple[torch.Tensor, torch.Tensor]] = self.plain_step

    def run(self) -> torch.Tensor:
        """The clean frames of the last step."""
        x = clean = self.noise
        for index, (keep, change) in enumerate(self.coefficients):
            clean, x = self.step(x, self.time[index], keep, change)
        return clean

    def plain_step(
        self, x: torch.Tensor, time: torch.Tensor, keep: float, change: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Clean frames and the next state."""
        passes, frames = len(self.condition), len(x)
        noised = self._linear("noisy", x.to(time.dtype)) + self.position + time
        condition = self.condition + time if self.form.time_everywhere else self.condition
        tokens = torch.cat([condition, noised.expand(passes, -1, -1)], dim=1)
        for layer in range(self.layers):
            wanted = frames if layer == self.layers - 1 else tokens.shape[1]
            tokens = self._block(layer, tokens, wanted)
        if self.form.hidden_head:
            predicted = self._linear("head", self._active(self._linear("head_hidden", tokens)))
        else:
            predicted = self._linear("head", self._norm("final_norm", tokens))
        clean = torch.tensordot(self.guidance, predicted.float(), 1)
        return clean, keep * x + change * clean

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.t[f"{name}.weight"], self.t[f"{name}.bias"])

    def _norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.t[f"{name}.weight"], self.t[f"{name}.bias"]
        return functional.layer_norm(x, x.shape[-1:], weight, bias, _EPSILON)

    def _active(self, x: torch.Tensor) -> torch.Tensor:
        return functional.gelu(x) if self.form.gelu else functional.silu(x)

    def _attend(self, name: str, x: torch.Tensor, wanted: int) -> torch.Tensor:
        passes, tokens, width = x.shape
        qkv = self._linear(f"{name}.qkv", x)
        q, k, v = qkv.view(passes, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q[:, :, -wanted:], k, v)
        mixed = mixed.transpose(1, 2).reshape(passes, wanted, width)
        return self._linear(f"{name}.out", mixed)

    def _feed(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return self._linear(f"{name}.down", self._active(self._linear(f"{name}.up", x)))

    def _block(self, layer: int, x: torch.Tensor, wanted: int) -> torch.Tensor:
        name = f"blocks.{layer}"
        if not self.form.norm_after:
            x = x[:, -wanted:] + self._attend(name, self._norm(f"{name}.norm1", x), wanted)
            return x + self._feed(name, self._norm(f"{name}.norm2", x))
        x = self._norm(f"{name}.norm1", x[:, -wanted:] + self._attend(name, x, wanted))
        if self.shares:
            x = self._norm(f"{name}.cross_norm", x + self.shares[layer][:, -wanted:])
        return self._norm(f"{name}.norm2", x + self._feed(name, x))


def eager(steps: TorchSteps) -> Steps:
    """torch's operators one by one."""
    return torch.inference_mode()(steps.run)


def compiled(steps: TorchSteps) -> Steps:
    """The step through torch.compile."""
    steps.step = torch.compile(steps.plain_step, dynamic=False)
    return torch.inference_mode()(steps.run)


def captured(steps: TorchSteps) -> Steps:
    """All compiled steps in one CUDA graph."""
    run = compiled(steps)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        out = run()

    def replay() -> torch.Tensor:
        graph.replay()
        return out

    return replay
