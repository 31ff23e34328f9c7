"""The plain meaning of `sampler` in NumPy, in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vasa_cam.ops.sampler import Floats, SamplerModel

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
    weights = {name: array.astype(np.float64) for name, array in model.tensors.items()}
    frames = len(noise)
    x = noise.astype(np.float64)
    clean = np.zeros_like(x)
    for step, (keep, change) in enumerate(coefficients.astype(np.float64)):
        noised = _linear(weights, "noisy", x) + position + time[step]
        clean = np.zeros_like(x)
        for weight, tokens in zip(guidance.astype(np.float64), condition, strict=True):
            hidden = np.concatenate([tokens, noised])
            for layer in range(model.layers):
                hidden = _block(weights, f"blocks.{layer}", hidden, model.heads)
            last = _norm(weights, "final_norm", hidden[len(hidden) - frames :])
            clean += weight * _linear(weights, "head", last)
        x = keep * x + change * clean
    if out is None:
        out = np.empty(noise.shape, np.float32)
    out[...] = clean
    return out


def _block(weights: dict[str, Doubles], name: str, x: Doubles, heads: int) -> Doubles:
    qkv = _linear(weights, f"{name}.qkv", _norm(weights, f"{name}.norm1", x))
    x = x + _linear(weights, f"{name}.out", _attention(qkv, heads))
    hidden = _silu(_linear(weights, f"{name}.up", _norm(weights, f"{name}.norm2", x)))
    return x + _linear(weights, f"{name}.down", hidden)


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


def _silu(x: Doubles) -> Doubles:
    with np.errstate(over="ignore"):  # exp of a large number is infinite, and the quotient zero
        return np.asarray(x / (1.0 + np.exp(-x)))
