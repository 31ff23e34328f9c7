"""The sampler's network by other engines: float32 NumPy, ONNX Runtime and torch.

Each is a function of a window that gives the clean frames. All of them leave out of the last layer
what only condition tokens need, as the op does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vasa_cam.bench.networks import Window
from vasa_cam.ops import SamplerModel

Floats = npt.NDArray[np.float32]
Contender = Callable[[Window], Any]
_EPSILON = 1e-5


def numpy_contender(model: SamplerModel, threads: int) -> Contender:
    """Library calls on float32; its BLAS takes as many threads as it likes."""
    t = {
        name: np.ascontiguousarray(array.T) if array.ndim == 2 else array
        for name, array in model.tensors.items()
    }

    def linear(name: str, x: Floats) -> Any:
        return x @ t[f"{name}.weight"] + t[f"{name}.bias"]

    def norm(name: str, x: Floats) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(-1, keepdims=True) + np.float32(_EPSILON))
        return centred / deviation * t[f"{name}.weight"] + t[f"{name}.bias"]

    def block(name: str, x: Floats, wanted: int) -> Any:
        passes, tokens, width = x.shape
        qkv = linear(f"{name}.qkv", norm(f"{name}.norm1", x))
        q, k, v = qkv.reshape(passes, tokens, 3, model.heads, -1).transpose(2, 0, 3, 1, 4)
        scores = q[:, :, -wanted:] @ k.swapaxes(-1, -2) / np.float32(np.sqrt(q.shape[-1]))
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        attended = scores @ v / scores.sum(-1, keepdims=True)
        attended = attended.transpose(0, 2, 1, 3).reshape(passes, wanted, width)
        x = x[:, -wanted:] + linear(f"{name}.out", attended)
        hidden = linear(f"{name}.up", norm(f"{name}.norm2", x))
        return x + linear(f"{name}.down", hidden / (1 + np.exp(-hidden)))

    def run(window: Window) -> Any:
        x = clean = window.noise
        frames, tokens = len(x), window.condition.shape[1] + len(x)
        for time, (keep, change) in zip(window.time, window.coefficients, strict=True):
            noised = linear("noisy", x) + window.position + time
            shape = (len(window.condition), *noised.shape)
            hidden = np.concatenate([window.condition, np.broadcast_to(noised, shape)], axis=1)
            for layer in range(model.layers):
                wanted = frames if layer == model.layers - 1 else tokens
                hidden = block(f"blocks.{layer}", hidden, wanted)
            predicted = linear("head", norm("final_norm", hidden))
            clean = np.tensordot(window.guidance, predicted, 1)
            x = keep * x + change * clean
        return clean

    return run


def onnx_contender(model: SamplerModel, threads: int) -> Contender:
    """ONNX Runtime with all its optimisations: one run for each step, which also updates x."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    sessions: dict[tuple[int, ...], Any] = {}

    def run(window: Window) -> Any:
        key = (*window.condition.shape, len(window.noise))
        if key not in sessions:
            graph = _onnx_graph(model, window).SerializeToString()
            sessions[key] = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        x = clean = window.noise
        fixed = {"condition": window.condition, "guidance": window.guidance.reshape(-1, 1, 1)}
        for time, coefficients in zip(window.time, window.coefficients, strict=True):
            place = window.position + time
            inputs = {**fixed, "x": x, "place": place, "coefficients": coefficients}
            clean, x = sessions[key].run(None, inputs)
        return clean

    return run


class _Graph:
    """Nodes and weights of an ONNX graph as they come."""

    def __init__(self, model: SamplerModel) -> None:
        from onnx import helper, numpy_helper

        self.model, self.helper, self.numpy_helper = model, helper, numpy_helper
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.split(kind, *inputs, outputs=1, **attributes)[0]

    def split(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        names = [f"v{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(self.helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, array: npt.NDArray[Any], name: str = "") -> str:
        name = name or f"c{len(self.weights)}"
        self.weights[name] = self.numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def linear(self, name: str, x: str) -> str:
        tensors = self.model.tensors
        weight = self.constant(tensors[f"{name}.weight"].T, f"{name}.weight")
        bias = self.constant(tensors[f"{name}.bias"], f"{name}.bias")
        return self.node("Add", self.node("MatMul", x, weight), bias)

    def norm(self, name: str, x: str) -> str:
        parts = [
            self.constant(self.model.tensors[f"{name}.{part}"], f"{name}.{part}")
            for part in ("weight", "bias")
        ]
        return self.node("LayerNormalization", x, *parts, axis=-1, epsilon=_EPSILON)

    def last(self, x: str, count: int, axis: int) -> str:
        bounds = (np.array([value], np.int64) for value in (-count, 2**31, axis))
        return self.node("Slice", x, *map(self.constant, bounds))

    def heads(self, x: str, passes: int, tokens: int, order: list[int]) -> str:
        shape = self.constant(np.array([passes, tokens, self.model.heads, -1], np.int64))
        return self.node("Transpose", self.node("Reshape", x, shape), perm=order)

    def block(self, name: str, x: str, passes: int, tokens: int, wanted: int) -> str:
        width = self.model.width
        qkv = self.linear(f"{name}.qkv", self.norm(f"{name}.norm1", x))
        q, k, v = self.split("Split", qkv, outputs=3, axis=-1, num_outputs=3)
        if wanted < tokens:
            q, x = self.last(q, wanted, 1), self.last(x, wanted, 1)
        q = self.heads(q, passes, wanted, [0, 2, 1, 3])
        k = self.heads(k, passes, tokens, [0, 2, 3, 1])
        v = self.heads(v, passes, tokens, [0, 2, 1, 3])
        scale = self.constant(np.float32((width // self.model.heads) ** -0.5))
        scores = self.node("Softmax", self.node("Mul", self.node("MatMul", q, k), scale), axis=-1)
        mixed = self.node("Transpose", self.node("MatMul", scores, v), perm=[0, 2, 1, 3])
        shape = self.constant(np.array([passes, wanted, width], np.int64))
        x = self.node("Add", x, self.linear(f"{name}.out", self.node("Reshape", mixed, shape)))
        hidden = self.linear(f"{name}.up", self.norm(f"{name}.norm2", x))
        hidden = self.node("Mul", hidden, self.node("Sigmoid", hidden))
        return self.node("Add", x, self.linear(f"{name}.down", hidden))


def _onnx_graph(model: SamplerModel, window: Window) -> Any:
    from onnx import TensorProto

    graph = _Graph(model)
    helper = graph.helper
    passes, condition, width = window.condition.shape
    frames = len(window.noise)
    tokens = condition + frames
    noised = graph.node("Add", graph.linear("noisy", "x"), "place")
    shape = graph.constant(np.array([passes, frames, width], np.int64))
    x = graph.node("Concat", "condition", graph.node("Expand", noised, shape), axis=1)
    for layer in range(model.layers):
        wanted = frames if layer == model.layers - 1 else tokens
        x = graph.block(f"blocks.{layer}", x, passes, tokens, wanted)
    y = graph.node("Mul", graph.linear("head", graph.norm("final_norm", x)), "guidance")
    axes = graph.constant(np.array([0], np.int64))
    graph.nodes.append(helper.make_node("ReduceSum", [y, axes], ["clean"], keepdims=0))
    keep, change = graph.split("Split", "coefficients", outputs=2, axis=0, num_outputs=2)
    kept, changed = graph.node("Mul", "x", keep), graph.node("Mul", "clean", change)
    graph.nodes.append(helper.make_node("Add", [kept, changed], ["next"]))

    def value(name: str, *sizes: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(sizes))

    inputs = [
        value("condition", passes, condition, width),
        value("guidance", passes, 1, 1),
        value("x", frames, model.channels),
        value("place", frames, width),
        value("coefficients", 2),
    ]
    outputs = [value(name, frames, model.channels) for name in ("clean", "next")]
    made = helper.make_graph(graph.nodes, "sampler", inputs, outputs, list(graph.weights.values()))
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def torch_contender(model: SamplerModel, threads: int) -> Contender:
    """torch's own operators on the CPU, without its compiler."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    t = {name: torch.from_numpy(array) for name, array in model.tensors.items()}

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, t[f"{name}.weight"], t[f"{name}.bias"])

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = t[f"{name}.weight"], t[f"{name}.bias"]
        return functional.layer_norm(x, x.shape[-1:], weight, bias, _EPSILON)

    def block(name: str, x: torch.Tensor, wanted: int) -> torch.Tensor:
        passes, tokens, width = x.shape
        qkv = linear(f"{name}.qkv", norm(f"{name}.norm1", x))
        q, k, v = qkv.view(passes, tokens, 3, model.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q[:, :, -wanted:], k, v)
        mixed = mixed.transpose(1, 2).reshape(passes, wanted, width)
        x = x[:, -wanted:] + linear(f"{name}.out", mixed)
        hidden = functional.silu(linear(f"{name}.up", norm(f"{name}.norm2", x)))
        return x + linear(f"{name}.down", hidden)

    @torch.inference_mode()
    def run(window: Window) -> Any:
        condition, times, coefficients, guidance, position, x = map(torch.from_numpy, window)
        clean = x
        frames, tokens = len(x), condition.shape[1] + len(x)
        for time, (keep, change) in zip(times, coefficients.tolist(), strict=True):
            noised = (linear("noisy", x) + position + time).expand(len(condition), -1, -1)
            hidden = torch.cat([condition, noised], dim=1)
            for layer in range(model.layers):
                wanted = frames if layer == model.layers - 1 else tokens
                hidden = block(f"blocks.{layer}", hidden, wanted)
            clean = torch.tensordot(guidance, linear("head", norm("final_norm", hidden)), 1)
            x = keep * x + change * clean
        return clean.numpy()

    drawn: Contender = run
    return drawn
