"""Guided diffusion steps in torch, in every form of network.

What an engineer would write: torch's own operators, guidance passes batched, what no step changes
computed before; eager, through torch.compile, and the compiled step captured into a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np

from vasa_cam.ops import SamplerModel, SamplerWindow

Tensor: TypeAlias = Any
Steps: TypeAlias = Callable[[], Tensor]
_EPSILON: Final = 1e-5


class TorchSteps:
    """The steps of one window: products in `dtype`, the noised state in float32."""

    def __init__(self, model: SamplerModel, window: SamplerWindow, device: str, dtype: str) -> None:
        import torch
        from torch.nn import functional

        self.torch, self.functional = torch, functional
        product_type = getattr(torch, dtype)

        def tensor(array: Any, kind: Any = product_type) -> Tensor:
            return torch.from_numpy(np.asarray(array)).to(device, kind)

        self.form, self.heads, self.layers = model.form, model.heads, model.layers
        self.t = {name: tensor(array) for name, array in model.tensors.items()}
        self.condition, self.time = tensor(window.condition), tensor(window.time)
        self.position = tensor(window.position)
        self.guidance = tensor(window.guidance, torch.float32)
        self.noise = tensor(window.noise, torch.float32)
        self.coefficients = window.coefficients.tolist()
        self.shares: list[Tensor] = []
        if window.memory is not None:
            memory = tensor(window.memory)
            self.shares = [self._linear(f"blocks.{i}.cross", memory) for i in range(self.layers)]
        self.step: Callable[..., tuple[Tensor, Tensor]] = self.plain_step

    def run(self) -> Tensor:
        """The clean frames of the last step."""
        x = clean = self.noise
        for index, (keep, change) in enumerate(self.coefficients):
            clean, x = self.step(x, self.time[index], keep, change)
        return clean

    def plain_step(
        self, x: Tensor, time: Tensor, keep: float, change: float
    ) -> tuple[Tensor, Tensor]:
        """Clean frames and the next state."""
        passes, frames = len(self.condition), len(x)
        noised = self._linear("noisy", x.to(time.dtype)) + self.position + time
        condition = self.condition + time if self.form.time_everywhere else self.condition
        tokens = self.torch.cat([condition, noised.expand(passes, -1, -1)], dim=1)
        for layer in range(self.layers):
            wanted = frames if layer == self.layers - 1 else tokens.shape[1]
            tokens = self._block(layer, tokens, wanted)
        if self.form.hidden_head:
            predicted = self._linear("head", self._active(self._linear("head_hidden", tokens)))
        else:
            predicted = self._linear("head", self._norm("final_norm", tokens))
        clean = self.torch.tensordot(self.guidance, predicted.float(), 1)
        return clean, keep * x + change * clean

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return self.functional.linear(x, self.t[f"{name}.weight"], self.t[f"{name}.bias"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.t[f"{name}.weight"], self.t[f"{name}.bias"]
        return self.functional.layer_norm(x, x.shape[-1:], weight, bias, _EPSILON)

    def _active(self, x: Tensor) -> Tensor:
        return self.functional.gelu(x) if self.form.gelu else self.functional.silu(x)

    def _attend(self, name: str, x: Tensor, wanted: int) -> Tensor:
        passes, tokens, width = x.shape
        qkv = self._linear(f"{name}.qkv", x)
        q, k, v = qkv.view(passes, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = self.functional.scaled_dot_product_attention(q[:, :, -wanted:], k, v)
        mixed = mixed.transpose(1, 2).reshape(passes, wanted, width)
        return self._linear(f"{name}.out", mixed)

    def _feed(self, name: str, x: Tensor) -> Tensor:
        return self._linear(f"{name}.down", self._active(self._linear(f"{name}.up", x)))

    def _block(self, layer: int, x: Tensor, wanted: int) -> Tensor:
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
    run: Steps = steps.torch.inference_mode()(steps.run)
    return run


def compiled(steps: TorchSteps) -> Steps:
    """The step through torch.compile."""
    mode = "max-autotune-no-cudagraphs"
    steps.step = steps.torch.compile(steps.plain_step, dynamic=False, mode=mode)
    return eager(steps)


def captured(steps: TorchSteps) -> Steps:
    """All compiled steps in one CUDA graph."""
    torch, run = steps.torch, compiled(steps)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        out = run()

    def replay() -> Tensor:
        graph.replay()
        return out

    return replay
