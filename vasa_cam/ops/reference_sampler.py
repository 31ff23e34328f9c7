"""The plain meaning of `sampler` in NumPy, in float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from vasa_cam.ops.sampler import Floats, SamplerModel, SamplerWindow

Doubles = npt.NDArray[np.float64]

NORM_EPSILON = 1e-5


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
    """As `vasa_cam.ops.sample_window`, without its checks."""
    window = SamplerWindow(condition, time, coefficients, guidance, position, noise)
    return sample(model, window, out)


def sample(model: SamplerModel, window: SamplerWindow, out: Floats | None = None) -> Floats:
    """As `vasa_cam.ops.sample`, without its checks."""
    weights = {name: array.astype(np.float64) for name, array in model.tensors.items()}
    x = window.noise.astype(np.float64)
    clean = np.zeros_like(x)
    guidance = window.guidance.astype(np.float64)
    for step, (keep, change, *sigma) in enumerate(window.coefficients.astype(np.float64)):
        time = window.time[step].astype(np.float64)
        noised = _linear(weights, "noisy", x) + window.position + time
        clean = np.zeros_like(x)
        for index, weight in enumerate(guidance):
            tokens = window.condition[index].astype(np.float64)
            tokens = np.concatenate([tokens + time * model.form.time_everywhere, noised])
            memory = None if window.memory is None else window.memory[index].astype(np.float64)
            clean += weight * _predict(model, weights, tokens, memory)[len(tokens) - len(x) :]
        x = keep * x + change * clean
        if sigma and window.step_noise is not None:
            x = x + sigma[0] * window.step_noise[step]
    if out is None:
        out = np.empty(window.noise.shape, np.float32)
    out[...] = clean
    return out


def _predict(
    model: SamplerModel, weights: dict[str, Doubles], tokens: Doubles, memory: Doubles | None
) -> Doubles:
    """What the network says about every token of a pass, [T, C]."""
    for layer in range(model.layers):
        tokens = _block(model, weights, f"blocks.{layer}", tokens, memory)
    if model.form.hidden_head:
        hidden = _activation(model, _linear(weights, "head_hidden", tokens))
        return _linear(weights, "head", hidden)
    return _linear(weights, "head", _norm(weights, "final_norm", tokens))


def _block(
    model: SamplerModel, weights: dict[str, Doubles], name: str, x: Doubles, memory: Doubles | None
) -> Doubles:
    def norm(which: str, rows: Doubles) -> Doubles:
        return _norm(weights, f"{name}.{which}", rows)

    def attend(rows: Doubles) -> Doubles:
        qkv = _linear(weights, f"{name}.qkv", rows)
        return _linear(weights, f"{name}.out", _attention(qkv, model.heads))

    def feed(rows: Doubles) -> Doubles:
        hidden = _activation(model, _linear(weights, f"{name}.up", rows))
        return _linear(weights, f"{name}.down", hidden)

    if not model.form.norm_after:
        x = x + attend(norm("norm1", x))
        return x + feed(norm("norm2", x))
    x = norm("norm1", x + attend(x))
    if memory is not None:
        x = norm("cross_norm", x + _linear(weights, f"{name}.cross", memory))
    return norm("norm2", x + feed(x))


def _attention(qkv: Doubles, heads: int) -> Doubles:
    """softmax(q k^T / sqrt(size of a head)) v of every head side by side, [T, D]."""
    tokens = len(qkv)
    q, k, v = qkv.reshape(tokens, 3, heads, -1).transpose(1, 2, 0, 3)
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    attended = powers / powers.sum(-1, keepdims=True) @ v
    return np.asarray(attended.transpose(1, 0, 2).reshape(tokens, -1))


def _linear(weights: dict[str, Doubles], name: str, x: Doubles) -> Doubles:
    return np.asarray(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def _norm(weights: dict[str, Doubles], name: str, x: Doubles) -> Doubles:
    centred = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(-1, keepdims=True) + NORM_EPSILON)
    return np.asarray(centred / scale * weights[f"{name}.weight"] + weights[f"{name}.bias"])


def _activation(model: SamplerModel, x: Doubles) -> Doubles:
    if model.form.gelu:
        return np.asarray(x * 0.5 * (1.0 + _erf(x / np.sqrt(2.0))))
    with np.errstate(over="ignore"):  # exp of a large number is infinite, and the quotient zero
        return np.asarray(x / (1.0 + np.exp(-x)))


_erf = np.vectorize(math.erf, otypes=[np.float64])
