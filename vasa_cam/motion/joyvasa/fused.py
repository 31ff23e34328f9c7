"""JoyVASA's denoiser on the fused sampler (`vasa_cam.ops.sample`), by its public names, no torch.

Nothing here depends on a diffusion step but the embedding of its time: the cross-attention, which
lets a token see the same frame's audio only, is the product out_proj(v_proj(audio)) and becomes the
sampler's memory; previous motion becomes its condition tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.ops.sampler import Precision

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Places = Literal["legacy", "fixed"]

HEADS = 8


def sinusoid_rows(rows: npt.NDArray[np.integer], width: int) -> Floats:
    """Rows of the sinusoidal table, float32 [len(rows), width]: sine in even columns."""
    rates = np.exp(np.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = np.asarray(rows, np.float64)[:, None] * rates
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(-1, width).astype(np.float32)


@dataclass(frozen=True, eq=False)
class FusedDenoiser:
    """The denoiser's weights, arranged once. Thread-safe: nothing in it changes.

    state: the denoiser's tensors by their public names, without the prefix `denoising_net.`.
    model: the network. places: float32 [P + L, D], what marks previous and current frames.
    """

    state: Mapping[str, Floats]
    model: ops.SamplerModel
    places: Floats
    previous: int

    def window(
        self,
        previous: Floats,  # [P, d]
        audio: Floats,  # [passes, P + L, D]
        weights: Floats,  # [passes]
        noise: Floats,  # [L, d]
        times: Sequence[int],  # [n]
        coefficients: Floats,  # [n, 2] or [n, 3]
        step_noise: Floats | None = None,  # [n, L, d]
    ) -> ops.SamplerWindow:
        """What `ops.sample` takes, in NumPy. times: of the steps, 50 to 1 for a whole run.

        audio: features of previous and current frames as each guidance pass hears them; weights of
        the passes as of `vasa_cam.motion.schedule.guidance_weights`.
        """
        count = self.previous
        rows = previous @ self.state["feature_proj.weight"].T + self.state["feature_proj.bias"]
        condition = np.broadcast_to(rows + self.places[:count], (len(audio), *rows.shape))
        return ops.SamplerWindow(
            condition=np.ascontiguousarray(condition, np.float32),
            time=self.time_rows(times),
            coefficients=coefficients,
            guidance=weights,
            position=self.places[count : count + len(noise)],
            noise=noise,
            memory=np.ascontiguousarray(audio, np.float32),
            step_noise=step_noise,
        )

    def time_rows(self, times: Sequence[int]) -> Floats:
        """Embeddings of diffusion steps, float32 [n, D]."""
        rows = sinusoid_rows(np.asarray(times), self.model.width)
        hidden = _affine(self.state, "diff_step_map.0", rows.astype(np.float64))
        erf = np.vectorize(math.erf, otypes=[np.float64])
        hidden = 0.5 * hidden * (1.0 + erf(hidden / math.sqrt(2.0)))
        return _affine(self.state, "diff_step_map.2", hidden).astype(np.float32)


def fused_denoiser(
    state: Mapping[str, Floats],
    places: Places = "legacy",
    previous: int = 10,
    window: int = 100,
    device: tuple[str, int] = ("cpu", 0),
    precision: Precision = "float32",
) -> FusedDenoiser:
    """Arrange the denoiser's tensors (their names without `denoising_net.`) for the sampler.

    places: "legacy" marks every token with row P + L of the table, as the code did until December
    2025 and the released weights learnt; "fixed" marks them with rows 0 to P + L - 1. Raises
    KeyError for a missing tensor, TypeError or ValueError for one that does not fit.
    """
    tokens = previous + window
    rows = np.full(tokens, tokens) if places == "legacy" else np.arange(tokens)
    tensors = _sampler_tensors(state)
    model = ops.SamplerModel(tensors, HEADS, device, form=ops.JOYVASA_FORM, precision=precision)
    return FusedDenoiser(state, model, sinusoid_rows(rows, model.width), previous)


def _affine(state: Mapping[str, Floats], name: str, x: Doubles) -> Doubles:
    return np.asarray(x @ state[f"{name}.weight"].T.astype(np.float64) + state[f"{name}.bias"])


def _sampler_tensors(state: Mapping[str, Floats]) -> dict[str, Floats]:
    tensors: dict[str, Floats] = {}

    def take(target: str, source: str, weight: str = ".weight", bias: str = ".bias") -> None:
        tensors[f"{target}.weight"] = np.ascontiguousarray(state[source + weight], np.float32)
        tensors[f"{target}.bias"] = np.ascontiguousarray(state[source + bias], np.float32)

    take("noisy", "feature_proj")
    layers = sum(name.endswith(".self_attn.in_proj_weight") for name in state)
    for layer in range(layers):
        source, target = f"transformer.layers.{layer}", f"blocks.{layer}"
        take(f"{target}.qkv", f"{source}.self_attn", ".in_proj_weight", ".in_proj_bias")
        take(f"{target}.out", f"{source}.self_attn.out_proj")
        take(f"{target}.norm1", f"{source}.norm1")
        take(f"{target}.cross_norm", f"{source}.norm2")
        take(f"{target}.up", f"{source}.linear1")
        take(f"{target}.down", f"{source}.linear2")
        take(f"{target}.norm2", f"{source}.norm3")
        weight, bias = _value_only(state, f"{source}.multihead_attn")
        tensors[f"{target}.cross.weight"], tensors[f"{target}.cross.bias"] = weight, bias
    take("head_hidden", "motion_dec.0")
    take("head", "motion_dec.2")
    return tensors


def _value_only(state: Mapping[str, Floats], name: str) -> tuple[Floats, Floats]:
    """out_proj(v_proj(x)) as one product, folded in float64."""
    width = len(state[f"{name}.out_proj.bias"])
    out = state[f"{name}.out_proj.weight"].astype(np.float64)
    value = state[f"{name}.in_proj_weight"][2 * width :].astype(np.float64)
    bias = out @ state[f"{name}.in_proj_bias"][2 * width :].astype(np.float64)
    bias = bias + state[f"{name}.out_proj.bias"]
    return (out @ value).astype(np.float32), bias.astype(np.float32)
