"""LivePortrait's and HuBERT's files as torch and transformers write them, added and read back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import run_cli
from volume_goldens import Goldens, find_goldens

from vasa_cam.checkpoints.fold import fold_spectral_norm
from vasa_cam.checkpoints.recognise import recognise
from vasa_cam.checkpoints.registry import add_model, choose_parts, find_model, verify_model
from vasa_cam.checkpoints.stored import RefusedError
from vasa_cam.errors import InputError

pytestmark = pytest.mark.neural


@pytest.fixture(scope="module")
def goldens(shared: Path) -> Goldens:
    """Weights by the rule."""
    return find_goldens(shared)


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


@pytest.mark.slow
def test_liveportrait_as_it_is_published(goldens: Goldens, tmp_path: Path) -> None:
    """All five files, in torch's formats of then and now, half precision among them."""
    import torch

    download = tmp_path / "download"
    (download / "base").mkdir(parents=True)

    def tensors(name: str) -> dict[str, torch.Tensor]:
        return {key: torch.from_numpy(value) for key, value in goldens.state(name).items()}

    torch.save(tensors("F"), download / "base" / "1.pth", _use_new_zipfile_serialization=False)
    torch.save(tensors("M"), download / "base" / "2.pth")
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in tensors("W").items()},
               download / "base" / "3.pth")  # fmt: skip
    decoder = tensors("G")
    torch.save({"model": decoder, "epoch": 3}, download / "base" / "4.pth")
    networks = {"retarget_shoulder": "stitching", "retarget_mouth": "lip", "retarget_eye": "eye"}
    torch.save(
        {
            name: {f"module.{k}": v for k, v in tensors(f"S_{short}").items()}
            for name, short in networks.items()
        },
        download / "5.pth",
    )
    data = {"XDG_DATA_HOME": str(tmp_path / "data")}
    done = run_cli("models", "add", download, "--yes", cwd=tmp_path, **data)
    assert done.returncode == 0, done.stderr
    assert "base/4.pth: liveportrait, decoder: all 182 tensors are there" in done.stderr
    assert "InsightFace" in done.stderr
    shutil.rmtree(download)
    good = run_cli("models", "verify", "liveportrait", cwd=tmp_path, **data)
    assert good.returncode == 0 and good.stdout.count(": good") == 5

    model = find_model("liveportrait", folder=tmp_path / "data" / "vasa-cam" / "models")
    for part, name in (("appearance", "F"), ("motion", "M")):
        kept, expected = model.tensors(part), goldens.state(name)
        assert kept.keys() == expected.keys()
        assert all(np.array_equal(kept[key], expected[key]) for key in kept)
    kept, expected = model.tensors("decoder"), goldens.folded("G")
    assert kept.keys() == expected.keys()
    for key, array in kept.items():
        np.testing.assert_allclose(array, expected[key], rtol=1e-6, err_msg=key)
    warping = goldens.state("W")
    for key, array in model.tensors("warping").items():
        assert array.dtype == warping[key].dtype
        np.testing.assert_array_equal(array, warping[key].astype(np.float16).astype(array.dtype))
    small = model.tensors("stitching")
    for name in networks.values():
        for key, array in goldens.state(f"S_{name}").items():
            np.testing.assert_array_equal(small[f"{name}.{key}"], array)
