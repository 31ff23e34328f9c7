"""What JoyVASA's generator hears: HuBERT's last layer, one vector a frame, through transformers.

The network is HuBERT base (group norm in the first convolution, norms after each layer), fine-tuned
by JoyVASA; the sizes that tensors tell are read from them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch.nn import functional

from vasa_cam.errors import InputError, MissingDependencyError

_STRIDES: Final = (5, 2, 2, 2, 2, 2, 2)
_HEAD_WIDTH: Final = 64
"""Not in the weights' shapes: the width of an attention head in every released HuBERT."""

_PAD: Final = 20
_CONV: Final = "feature_extractor.conv_layers.{}.conv.weight"
_POSITIONS: Final = "encoder.pos_conv_embed.conv."
_OLD_NAMES: Final = {"weight_g": "original0", "weight_v": "original1"}
# Only training masks sound with this one; some files do not have it.
_UNUSED: Final = frozenset({"masked_spec_embed"})


class Hearing(torch.nn.Module):
    """Sound to HuBERT's states, two a frame, and their mean.

    tensors: HuBERT's, in Hugging Face's names; the weight-normalised convolution in the old or the
    new spelling. Raises InputError when they make no HuBERT, MissingDependencyError without
    transformers.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        try:
            from transformers import HubertModel
        except ImportError as error:
            raise MissingDependencyError(
                "JoyVASA hears through transformers: pip install 'vasa-cam[volume]'."
            ) from error
        tensors = _renamed(tensors)
        self.model = HubertModel(_config(tensors))
        wanted = self.model.state_dict()
        found = _as_spelt(tensors, wanted)
        wrong = [key for key, tensor in found.items() if tensor.shape != wanted[key].shape]
        missing = sorted(wanted.keys() - found.keys() - _UNUSED)
        if wrong or missing:
            raise InputError(
                f"the audio encoder's weights make no HuBERT base ({len(missing)} tensors are "
                f"missing, {len(wrong)} have another shape): download the model again."
            )
        self.model.load_state_dict(found, strict=False)
        self.eval()

    @property
    def width(self) -> int:
        """Numbers in a state."""
        return int(self.model.config.hidden_size)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        """States [B, L, width] of L frames of sound [B, 640 L]: each the mean of its two."""
        for _ in range(2):  # Twice, as published: once by 40 would mirror other samples.
            sound = functional.pad(sound, (_PAD, _PAD), mode="reflect")
        states = self.model(sound).last_hidden_state
        return (states[:, 0::2] + states[:, 1::2]) / 2


def _renamed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The newer spelling of weight norm's parts."""
    renamed = dict(tensors)
    for old, new in _OLD_NAMES.items():
        if _POSITIONS + old in renamed:
            renamed[f"{_POSITIONS}parametrizations.weight.{new}"] = renamed.pop(_POSITIONS + old)
    return renamed


def _as_spelt(
    tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The tensors that the model has, in the spelling of the installed torch."""
    spelt = {key: tensor for key, tensor in tensors.items() if key in wanted}
    for old, new in _OLD_NAMES.items():
        key = f"{_POSITIONS}parametrizations.weight.{new}"
        if _POSITIONS + old in wanted and key in tensors:
            spelt[_POSITIONS + old] = tensors[key]
    return spelt


def _config(tensors: Mapping[str, torch.Tensor]) -> Any:
    """HuBERT's configuration, with the sizes of these tensors."""
    from transformers import HubertConfig

    try:
        convs = [tensors[_CONV.format(index)].shape for index in range(len(_STRIDES))]
        width = tensors["feature_projection.projection.weight"].shape[0]
        inner = tensors["encoder.layers.0.feed_forward.intermediate_dense.weight"].shape[0]
        _, group, kernel = tensors[f"{_POSITIONS}parametrizations.weight.original1"].shape
    except (KeyError, ValueError) as error:
        raise InputError(
            f"the audio encoder's weights are not HuBERT's ({error} is missing or odd): "
            "use the checkpoint that JoyVASA published, or HuBERT base beside it."
        ) from error
    layer = re.compile(r"encoder\.layers\.(\d+)\.")
    depths = [int(match[1]) for key in tensors if (match := layer.match(key))]
    return HubertConfig(
        hidden_size=width,
        num_hidden_layers=1 + max(depths),
        num_attention_heads=max(1, width // _HEAD_WIDTH),
        intermediate_size=inner,
        conv_dim=tuple(shape[0] for shape in convs),
        conv_kernel=tuple(shape[2] for shape in convs),
        conv_stride=_STRIDES,
        num_conv_pos_embeddings=kernel,
        num_conv_pos_embedding_groups=width // group,
    )
