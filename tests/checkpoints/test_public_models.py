"""Spectral norms as torch applies them; HuBERT as transformers and torch write it, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vasa_cam.checkpoints.fold import fold_spectral_norm
from vasa_cam.checkpoints.recognise import recognise
from vasa_cam.checkpoints.registry import add_model, choose_parts, verify_model
from vasa_cam.checkpoints.stored import RefusedError
from vasa_cam.errors import InputError

pytestmark = pytest.mark.neural


def test_a_spectral_norm_is_folded_as_torch_applies_it() -> None:
    import torch

    torch.manual_seed(3)
    for layer in (torch.nn.Conv2d(4, 6, 3), torch.nn.Conv2d(4, 6, 1, bias=False)):
        normed = torch.nn.utils.spectral_norm(layer)
        normed(torch.zeros(1, 4, 5, 5))
        normed.eval()
        normed(torch.zeros(1, 4, 5, 5))
        state = {key: value.numpy() for key, value in normed.state_dict().items()}
        folded = fold_spectral_norm({f"a.{key}": value for key, value in state.items()})
        assert set(folded) == {f"a.{k}" for k in state if k in ("bias",)} | {"a.weight"}
        np.testing.assert_allclose(folded["a.weight"], normed.weight.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight_u": None}, "comes without a.weight_u"),
        ({"weight_v": np.ones(3, np.float32)}, "do not fit"),
        ({"weight_u": np.zeros(2, np.float32)}, "nothing to divide by"),
        ({"weight_u": np.full(2, np.nan, np.float32)}, "nothing to divide by"),
    ],
)
def test_a_norm_that_cannot_be_folded_is_told(
    change: dict[str, np.ndarray | None], words: str
) -> None:
    state: dict[str, np.ndarray | None] = {
        "weight_orig": np.ones((2, 4), np.float32),
        "weight_u": np.ones(2, np.float32),
        "weight_v": np.ones(4, np.float32),
    }
    state |= change
    with pytest.raises(RefusedError, match=words):
        fold_spectral_norm({f"a.{k}": v for k, v in state.items() if v is not None})


@pytest.fixture
def hubert(tmp_path: Path) -> Path:
    """A narrow, shallow HuBERT as transformers saves it."""
    import torch
    import transformers

    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.HubertConfig(**sizes, intermediate_size=128)
    folder = tmp_path / "hubert"
    transformers.HubertModel(config).eval().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "bin"])
def test_a_hubert_of_either_format_opens_as_before(
    hubert: Path, tmp_path: Path, pickled: bool
) -> None:
    """The pickled one has the names that older versions of torch give a weight norm."""
    import torch
    import transformers

    sound = torch.sin(torch.arange(4000) ** 1.5 / 50)[None]
    with torch.inference_mode():
        expected = transformers.HubertModel.from_pretrained(hubert).eval()(sound)[0]
    if pickled:
        state = transformers.HubertModel.from_pretrained(hubert).state_dict()
        old = {"parametrizations.weight.original0": "weight_g",
               "parametrizations.weight.original1": "weight_v"}  # fmt: skip
        for new, name in old.items():
            state = {f"hubert.{k}".replace(new, name) if not k.startswith("hubert.")
                     else k.replace(new, name): v for k, v in state.items()}  # fmt: skip
        state["lm_head.weight"] = torch.zeros(3, 32)
        torch.save(state, hubert / "pytorch_model.bin")
        (hubert / "model.safetensors").unlink()
    (file,) = (p for p in hubert.iterdir() if p.suffix in (".bin", ".safetensors"))
    parts = choose_parts(recognise(file))["hubert"]
    model = add_model("hubert", "hubert", parts, "here", folder=tmp_path / "models")
    assert all(problem == "" for _, problem, _ in verify_model(model))
    with torch.inference_mode():
        opened = transformers.HubertModel.from_pretrained(
            model.folder, use_safetensors=True, local_files_only=True
        )
        torch.testing.assert_close(opened.eval()(sound)[0], expected, rtol=0, atol=0)


def test_a_hubert_that_brings_code_is_refused(hubert: Path, tmp_path: Path) -> None:
    config = hubert / "config.json"
    text = config.read_text()
    parts = choose_parts(recognise(hubert / "model.safetensors"))["hubert"]
    for changed, words in (
        (text.replace("{", '{"auto_map": {"AutoModel": "run.Me"},', 1), "names code to be run"),
        (text.replace('"hubert"', '"wavlm"'), "no description of a HuBERT"),
        ("", "no description of a HuBERT"),
    ):
        config.write_text(changed)
        with pytest.raises(InputError, match=words):
            add_model("hubert", "hubert", parts, "here", folder=tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []
