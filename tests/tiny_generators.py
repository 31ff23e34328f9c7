"""JoyVASA's and Ditto's generators with few random weights, as their checkpoints hold them."""

from __future__ import annotations

from typing import Any

import numpy as np

WIDTH, MOTION, PREVIOUS, WINDOW, LAYERS = 16, 73, 3, 8, 2
HEARD = 24


def joyvasa_tensors(seed: int = 1) -> dict[str, np.ndarray]:
    """The `model` of a checkpoint, with its audio encoder and without the tables."""
    own = joyvasa_generator(seed, HEARD, LAYERS)
    return own | {f"audio_encoder.{k}": v for k, v in hubert_tensors(seed).items()}


def joyvasa_generator(seed: int, heard: int, layers: int) -> dict[str, np.ndarray]:
    """The same without an audio encoder, for one that gives `heard` numbers."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "start_audio_feat": (1, PREVIOUS, WIDTH),
        "start_motion_feat": (1, PREVIOUS, MOTION),
        "null_audio_feat": (1, 1, WIDTH),
        **_linear("audio_feature_map", WIDTH, heard),
        **_linear("denoising_net.diff_step_map.0", WIDTH, WIDTH),
        **_linear("denoising_net.diff_step_map.2", WIDTH, WIDTH),
        **_linear("denoising_net.feature_proj", WIDTH, MOTION),
        **_linear("denoising_net.motion_dec.0", WIDTH // 2, WIDTH),
        **_linear("denoising_net.motion_dec.2", MOTION, WIDTH // 2),
    }
    for layer in range(layers):
        root = f"denoising_net.transformer.layers.{layer}"
        for part in ("self_attn", "multihead_attn"):
            shapes[f"{root}.{part}.in_proj_weight"] = (3 * WIDTH, WIDTH)
            shapes[f"{root}.{part}.in_proj_bias"] = (3 * WIDTH,)
            shapes |= _linear(f"{root}.{part}.out_proj", WIDTH, WIDTH)
        shapes |= _linear(f"{root}.linear1", 4 * WIDTH, WIDTH)
        shapes |= _linear(f"{root}.linear2", WIDTH, 4 * WIDTH)
        for norm in range(1, 4):
            shapes |= {f"{root}.norm{norm}.weight": (WIDTH,), f"{root}.norm{norm}.bias": (WIDTH,)}
    tensors = {
        key: (3.0 * rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for key, shape in shapes.items()
    }
    tensors["denoising_net.alignment_mask"] = np.ones(2 * (PREVIOUS + WINDOW,), bool)
    return tensors


def _linear(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def hubert_tensors(seed: int = 1) -> dict[str, np.ndarray]:
    """A tiny HuBERT's, as transformers saves them."""
    import torch
    import transformers

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = transformers.HubertConfig(
            hidden_size=HEARD,
            num_hidden_layers=2,
            num_attention_heads=1,
            intermediate_size=32,
            conv_dim=(8,) * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
        )
        model = transformers.HubertModel(config)
    return {key: tensor.numpy() for key, tensor in model.state_dict().items()}


def joyvasa_template() -> dict[str, np.ndarray]:
    """The arrays of a motion template, in plausible units."""
    rng = np.random.default_rng(3)
    low = {"scale": [1.1], "t": [-0.1, -0.1, 0.0], "pitch": [-20.0], "yaw": [-30.0], "roll": [-9.0]}
    arrays: dict[str, Any] = {}
    for name, values in low.items():
        arrays[f"min_{name}"] = np.array(values, np.float32)
        arrays[f"max_{name}"] = np.array(values, np.float32) + rng.uniform(0.1, 5.0)
    arrays["mean_exp"] = rng.normal(0.0, 0.01, 63).astype(np.float32)
    arrays["std_exp"] = rng.uniform(0.001, 0.02, 63).astype(np.float32)
    return {key: np.asarray(value, np.float32) for key, value in arrays.items()}


def noise(seconds: float, seed: int = 5) -> np.ndarray:
    """Sound, float32 at 16 kHz."""
    samples = np.random.default_rng(seed).standard_normal(round(16000 * seconds))
    return (0.05 * samples).astype(np.float32)


CLIP = 12


def ditto_tensors(seed: int = 4, frames: int = CLIP) -> dict[str, np.ndarray]:
    """The `model_state_dict` of a checkpoint of Ditto's, with clips of so many frames."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "null_cond_embed": (1, frames, WIDTH),
        "null_cond_hidden": (1, WIDTH),
        "rotary.freqs": (WIDTH // 2,),
        **_linear("time_mlp.1", 4 * WIDTH, WIDTH),
        **_linear("to_time_cond.0", WIDTH, 4 * WIDTH),
        **_linear("to_time_tokens.0", 2 * WIDTH, 4 * WIDTH),
        **_norm("norm_cond"),
        **_linear("input_projection", WIDTH, 530),
        **_linear("cond_projection", WIDTH, 1103),
        **_norm("non_attn_cond_projection.0"),
        **_linear("non_attn_cond_projection.1", WIDTH, WIDTH),
        **_linear("non_attn_cond_projection.3", WIDTH, WIDTH),
        **_linear("final_layer", 265, WIDTH),
    }
    for layer in range(2):
        for root, parts in (
            (f"cond_encoder.{layer}", ("self_attn",)),
            (f"seqTransDecoder.stack.{layer}", ("self_attn", "multihead_attn")),
        ):
            for part in parts:
                shapes[f"{root}.{part}.in_proj_weight"] = (3 * WIDTH, WIDTH)
                shapes[f"{root}.{part}.in_proj_bias"] = (3 * WIDTH,)
                shapes |= _linear(f"{root}.{part}.out_proj", WIDTH, WIDTH)
            shapes |= _linear(f"{root}.linear1", 2 * WIDTH, WIDTH)
            shapes |= _linear(f"{root}.linear2", WIDTH, 2 * WIDTH)
            for norm in range(1, 2 + len(parts)):
                shapes |= _norm(f"{root}.norm{norm}")
            if len(parts) == 2:
                for film in range(1, 4):
                    shapes |= _linear(f"{root}.film{film}.block.1", 2 * WIDTH, WIDTH)
    return {
        key: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for key, shape in shapes.items()
    }


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
