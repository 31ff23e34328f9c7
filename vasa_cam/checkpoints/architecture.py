"""What the public networks' state dicts hold: every key and its shape, from how they are built.

The descriptions follow the networks' plans (sizes, numbers of blocks), so that a change of one
number changes all keys that depend on it. Numbers that differ between released files are read from
the tensors themselves, see `recognise`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

Shape = tuple[int, ...]
Keys = Iterator[tuple[str, "Expected"]]

FLOAT: Final = "float"
"""float16, bfloat16, float32 and float64 are all read; networks compute in float32 or narrower."""


@dataclass(frozen=True)
class Expected:
    """One tensor. kind: FLOAT, or a type's name. needed: whether a file must have it."""

    shape: Shape
    kind: str = FLOAT
    needed: bool = True


def _layer(name: str, *shape: int, bias: bool = True) -> Keys:
    """A convolution or linear layer, weight [out, in, ...]."""
    yield f"{name}.weight", Expected(shape)
    if bias:
        yield f"{name}.bias", Expected(shape[:1])


def _norm(name: str, width: int) -> Keys:
    for part in ("weight", "bias"):
        yield f"{name}.{part}", Expected((width,))


def _batch_norm(name: str, width: int) -> Keys:
    yield from _norm(name, width)
    for part in ("running_mean", "running_var"):
        yield f"{name}.{part}", Expected((width,))
    yield f"{name}.num_batches_tracked", Expected((), "int64", needed=False)


def _conv_norm(name: str, out: int, *rest: int) -> Keys:
    yield from _layer(f"{name}.conv", out, *rest)
    yield from _batch_norm(f"{name}.norm", out)


def appearance() -> Keys:
    """F: photo -> appearance volume."""
    yield from _conv_norm("first", 64, 3, 3, 3)
    for block in range(2):
        yield from _conv_norm(f"down_blocks.{block}", 128 << block, 64 << block, 3, 3)
    yield from _layer("second", 512, 256, 1, 1)
    for block in range(6):
        for part in ("1", "2"):
            yield from _layer(f"resblocks_3d.3dr{block}.conv{part}", 32, 32, 3, 3, 3)
            yield from _batch_norm(f"resblocks_3d.3dr{block}.norm{part}", 32)


def motion() -> Keys:
    """M: photo -> keypoints, pose, expression (ConvNeXt V2 tiny)."""
    root, widths, depths = "detector.", (96, 192, 384, 768), (3, 3, 9, 3)
    yield from _layer(f"{root}downsample_layers.0.0", widths[0], 3, 4, 4)
    yield from _norm(f"{root}downsample_layers.0.1", widths[0])
    for stage in range(1, 4):
        narrow, wide = widths[stage - 1 : stage + 1]
        yield from _norm(f"{root}downsample_layers.{stage}.0", narrow)
        yield from _layer(f"{root}downsample_layers.{stage}.1", wide, narrow, 2, 2)
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for block in range(depth):
            name = f"{root}stages.{stage}.{block}"
            yield from _layer(f"{name}.dwconv", width, 1, 7, 7)
            yield from _norm(f"{name}.norm", width)
            yield from _layer(f"{name}.pwconv1", 4 * width, width)
            for part in ("gamma", "beta"):
                yield f"{name}.grn.{part}", Expected((1, 1, 1, 4 * width))
            yield from _layer(f"{name}.pwconv2", width, 4 * width)
    yield from _norm(f"{root}norm", widths[-1])
    heads = {"kp": 63, "scale": 1, "pitch": 66, "yaw": 66, "roll": 66, "t": 3, "exp": 63}
    for head, width in heads.items():
        yield from _layer(f"{root}fc_{head}", width, widths[-1])


def warping() -> Keys:
    """W: appearance volume and keypoints -> warped features."""
    root, inputs = "dense_motion_network.", 22 * 5
    down = (inputs, 64, 128, 256, 512, 1024)
    for block in range(5):
        name = f"{root}hourglass.encoder.down_blocks.{block}"
        yield from _conv_norm(name, down[block + 1], down[block], 3, 3, 3)
    up = (512, 256, 128, 64, 32)
    arriving = down[-1]
    for block, out in enumerate(up):
        name = f"{root}hourglass.decoder.up_blocks.{block}"
        yield from _conv_norm(name, out, arriving, 3, 3, 3)
        arriving = out + down[-2 - block]
    yield from _conv_norm(f"{root}hourglass.decoder", arriving, arriving, 3, 3, 3)
    yield from _layer(f"{root}mask", 22, arriving, 7, 7, 7)
    yield from _layer(f"{root}compress", 4, 32, 1, 1, 1)
    yield from _batch_norm(f"{root}norm", 4)
    yield from _layer(f"{root}occlusion", 1, 16 * arriving, 7, 7)
    yield from _conv_norm("third", 256, 512, 3, 3)
    yield from _layer("fourth", 256, 256, 1, 1)


def decoder(folded: bool = False) -> Keys:
    """G: warped features -> picture. folded: without the three parts of spectral norm."""

    def spectral(name: str, out: int, *rest: int, bias: bool = True) -> Keys:
        if folded:
            yield from _layer(name, out, *rest, bias=bias)
            return
        rows = 1
        for length in rest:
            rows *= length
        yield f"{name}.weight_orig", Expected((out, *rest))
        yield f"{name}.weight_u", Expected((out,))
        yield f"{name}.weight_v", Expected((rows,))
        if bias:
            yield f"{name}.bias", Expected((out,))

    yield from _layer("fc", 512, 256, 3, 3)
    blocks = [(f"G_middle_{block}", 512, 512) for block in range(6)]
    for name, arriving, out in (*blocks, ("up_0", 512, 256), ("up_1", 256, 64)):
        inner = min(arriving, out)
        yield from spectral(f"{name}.conv_0", inner, arriving, 3, 3)
        yield from spectral(f"{name}.conv_1", out, inner, 3, 3)
        widths = {"0": arriving, "1": inner}
        if arriving != out:
            yield from spectral(f"{name}.conv_s", out, arriving, 1, 1, bias=False)
            widths["s"] = arriving
        for norm, width in widths.items():
            yield from _layer(f"{name}.norm_{norm}.mlp_shared.0", 128, 256, 3, 3)
            for part in ("gamma", "beta"):
                yield from _layer(f"{name}.norm_{norm}.mlp_{part}", width, 128, 3, 3)
    yield from _layer("conv_img.0", 12, 64, 3, 3)


def _perceptron(*widths: int) -> Keys:
    """Linear layers with a ReLU, which has no weights, between each two."""
    for layer, (narrow, wide) in enumerate(itertools.pairwise(widths)):
        yield from _layer(f"mlp.{2 * layer}", wide, narrow)


STITCHING_NETWORKS: Final[Mapping[str, tuple[int, ...]]] = {
    "stitching": (126, 128, 128, 64, 65),
    "lip": (65, 128, 128, 64, 63),
    "eye": (66, 256, 256, 128, 128, 64, 63),
}
"""S: three small networks, their widths from input to output."""


def stitching(networks: Iterable[str] = tuple(STITCHING_NETWORKS)) -> Keys:
    """S as it is kept: the keys of each network behind its name."""
    for network in networks:
        for key, expected in _perceptron(*STITCHING_NETWORKS[network]):
            yield f"{network}.{key}", expected


def _attention(name: str, width: int) -> Keys:
    yield f"{name}.in_proj_weight", Expected((3 * width, width))
    yield f"{name}.in_proj_bias", Expected((3 * width,))
    yield from _layer(f"{name}.out_proj", width, width)


def _transformer_layer(name: str, width: int, inner: int, *, crossed: bool = True) -> Keys:
    yield from _attention(f"{name}.self_attn", width)
    if crossed:
        yield from _attention(f"{name}.multihead_attn", width)
    yield from _layer(f"{name}.linear1", inner, width)
    yield from _layer(f"{name}.linear2", width, inner)
    for norm in range(3 if crossed else 2):
        yield from _norm(f"{name}.norm{norm + 1}", width)


def joyvasa_denoiser(width: int, motion_width: int, tokens: int) -> Keys:
    """JoyVASA's denoising network; width: of its tokens; tokens: previous ones and a window's."""
    yield "alignment_mask", Expected((tokens, tokens), "bool", needed=False)
    yield "TE.pe", Expected((1, 501, width), needed=False)
    yield from _layer("diff_step_map.0", width, width)
    yield from _layer("diff_step_map.2", width, width)
    yield "PE.pe", Expected((1, 600, width), needed=False)
    yield from _layer("feature_proj", width, motion_width)
    for layer in range(8):
        yield from _transformer_layer(f"transformer.layers.{layer}", width, 4 * width)
    yield from _layer("motion_dec.0", width // 2, width)
    yield from _layer("motion_dec.2", motion_width, width // 2)


def joyvasa(
    width: int, motion_width: int, previous: int, window: int = 100, heard: int = 768
) -> Keys:
    """JoyVASA's motion generator without its audio encoder, which gives `heard` numbers."""
    for key, expected in joyvasa_denoiser(width, motion_width, previous + window):
        yield f"denoising_net.{key}", expected
    yield from _layer("audio_feature_map", width, heard)
    yield "start_audio_feat", Expected((1, previous, width))
    yield "start_motion_feat", Expected((1, previous, motion_width))
    yield "null_audio_feat", Expected((1, 1, width))


def ditto(condition: int) -> Keys:
    """Ditto's motion network; condition: numbers a frame that it is driven by."""
    width, inner, motion_width = 512, 1024, 265

    def rotary(name: str) -> Keys:
        yield f"{name}rotary.freqs", Expected((width // 2,), needed=False)

    yield "null_cond_embed", Expected((1, 80, width))
    yield "null_cond_hidden", Expected((1, width))
    yield from rotary("")
    yield from _layer("time_mlp.1", 4 * width, width)
    yield from _layer("to_time_cond.0", width, 4 * width)
    yield from _layer("to_time_tokens.0", 2 * width, 4 * width)
    yield from _norm("norm_cond", width)
    yield from _layer("input_projection", width, 2 * motion_width)
    for layer in range(2):
        yield from _transformer_layer(f"cond_encoder.{layer}", width, inner, crossed=False)
        yield from rotary(f"cond_encoder.{layer}.")
    yield from _layer("cond_projection", width, condition)
    yield from _norm("non_attn_cond_projection.0", width)
    for layer in (1, 3):
        yield from _layer(f"non_attn_cond_projection.{layer}", width, width)
    for layer in range(8):
        name = f"seqTransDecoder.stack.{layer}"
        yield from _transformer_layer(name, width, inner)
        for film in range(3):
            yield from _layer(f"{name}.film{film + 1}.block.1", 2 * width, width)
        yield from rotary(f"{name}.")
    yield from _layer("final_layer", motion_width, width)


def hubert(width: int = 768, layers: int = 12) -> Keys:
    """HuBERT base in Hugging Face's names."""
    yield "masked_spec_embed", Expected((width,), needed=False)
    for layer, (arriving, kernel) in enumerate(((1, 10), *[(512, 3)] * 4, *[(512, 2)] * 2)):
        name = f"feature_extractor.conv_layers.{layer}"
        yield from _layer(f"{name}.conv", 512, arriving, kernel, bias=False)
        if layer == 0:
            yield from _norm(f"{name}.layer_norm", 512)
    yield from _norm("feature_projection.layer_norm", 512)
    yield from _layer("feature_projection.projection", width, 512)
    positions = "encoder.pos_conv_embed.conv"
    yield f"{positions}.bias", Expected((width,))
    yield f"{positions}.parametrizations.weight.original0", Expected((1, 1, 128))
    yield f"{positions}.parametrizations.weight.original1", Expected((width, width // 16, 128))
    yield from _norm("encoder.layer_norm", width)
    for layer in range(layers):
        name = f"encoder.layers.{layer}"
        for part in ("k", "v", "q", "out"):
            yield from _layer(f"{name}.attention.{part}_proj", width, width)
        yield from _norm(f"{name}.layer_norm", width)
        yield from _layer(f"{name}.feed_forward.intermediate_dense", 4 * width, width)
        yield from _layer(f"{name}.feed_forward.output_dense", width, 4 * width)
        yield from _norm(f"{name}.final_layer_norm", width)


LIVEPORTRAIT: Final[Mapping[str, Callable[[], Keys]]] = {
    "appearance": appearance,
    "motion": motion,
    "warping": warping,
    "decoder": decoder,
}
"""LivePortrait's four large networks by the name that the registry gives them."""
