"""HuBERT and wav2vec 2.0 with random weights, a few thousand numbers each."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

WIDTH = 24
FAMILIES = ("Hubert", "Wav2Vec2")
_SIZES = {
    "hidden_size": WIDTH, "num_hidden_layers": 4, "num_attention_heads": 2, "vocab_size": 7,
    "intermediate_size": 32, "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
# As the large models have it: normalisation inside the layers, over channels instead of time.
_LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def _saved(family: str, folder: Path, head: str) -> Path:
    import torch
    import transformers

    torch.manual_seed(2)
    large = _LARGE if family == "Wav2Vec2" else {}
    config = getattr(transformers, f"{family}Config")(**_SIZES, **large)
    getattr(transformers, f"{family}{head}")(config).save_pretrained(folder)
    return folder


def need_transformers() -> None:
    """Skips without transformers, or fails where VASA_CAM_REQUIRE_TORCH=1."""
    if importlib.util.find_spec("transformers") is None:
        message = "transformers is not installed; `make test-neural` installs it"
        if os.environ.get("VASA_CAM_REQUIRE_TORCH"):
            pytest.fail(message)
        pytest.skip(message, allow_module_level=True)


def tiny_models(folder: Path) -> dict[str, Path]:
    """A folder for each family, as transformers saves it; the second with a head for letters."""
    need_transformers()
    heads = zip(FAMILIES, ("Model", "ForCTC"), strict=True)
    return {family: _saved(family, folder / family, head) for family, head in heads}
