"""Checkpoints as they are published, added and opened: pickled options and paths, and no code."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_generators import joyvasa_generator, joyvasa_template, noise
from tiny_speech_models import need_transformers

from vasa_cam.checkpoints import architecture
from vasa_cam.checkpoints.recognise import candidates, recognise
from vasa_cam.checkpoints.registry import Model, add_model, choose_parts
from vasa_cam.errors import InputError
from vasa_cam.motion.latent_stream import latent_motion

torch = pytest.importorskip("torch")
need_transformers()

from vasa_cam.motion.ditto.generator import Ditto  # noqa: E402
from vasa_cam.motion.joyvasa.generator import JoyVasa  # noqa: E402
from vasa_cam.motion.joyvasa.stream import JoyVasaStream  # noqa: E402
from vasa_cam.motion.joyvasa.template import Template  # noqa: E402

pytestmark = pytest.mark.neural

HUBERT_WIDTH = 768


def _added(folder: Path, family: str) -> Model:
    parts = choose_parts([part for path in candidates(folder) for part in recognise(path)])
    return add_model(family, family, parts[family], "here", folder=folder / "registry")


def _save(state: dict[str, np.ndarray], path: Path, key: str, **more: Any) -> None:
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
    torch.save({key: tensors, **more}, path)


@pytest.fixture(scope="module")
def joyvasa(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """With eight layers, as published, and narrow; `args` holds paths."""
    folder = tmp_path_factory.mktemp("joyvasa")
    options = argparse.Namespace(n_diff_steps=3, fps=25, data_root=Path("/data"), pad_mode="zero")
    state = joyvasa_generator(1, HUBERT_WIDTH, layers=8)
    _save(state, folder / "iter_1.pt", "model", args=options, iter=1)
    (folder / "motion_template.pkl").write_bytes(pickle.dumps(joyvasa_template()))
    return _added(folder, "joyvasa")


@pytest.fixture(scope="module")
def hubert(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """HuBERT base, but of one layer, as transformers saves it."""
    import transformers

    torch.manual_seed(0)
    config = transformers.HubertConfig(num_hidden_layers=1)
    folder = tmp_path_factory.mktemp("hubert")
    transformers.HubertModel(config).save_pretrained(folder)
    return _added(folder, "hubert")


def _opened(joyvasa: Model, hubert: Model | None, positions: str = "legacy") -> JoyVasa:
    return JoyVasa(
        joyvasa.tensors("generator"),
        Template.from_arrays(joyvasa.tensors("template")),
        joyvasa.facts["generator"]["options"],
        None if hubert is None else hubert.tensors("encoder"),
        positions,
    )


@pytest.mark.parametrize("positions", ["legacy", "fixed"])
def test_joyvasa_as_it_is_published(joyvasa: Model, hubert: Model, positions: str) -> None:
    generator = _opened(joyvasa, hubert, positions)
    assert generator.schedule.steps == 3 and generator.window == 8
    assert generator.denoiser.sizes.layers == 8 and generator.denoiser.positions == positions
    motion = latent_motion(JoyVasaStream(generator), noise(0.5))
    assert len(motion) == 13 and motion.fps == 25.0


def test_joyvasa_without_an_audio_encoder_says_so(joyvasa: Model) -> None:
    with pytest.raises(InputError, match="holds no audio encoder: add HuBERT base"):
        _opened(joyvasa, None)


def test_ditto_as_it_is_published(tmp_path: Path) -> None:
    """Its sizes are fixed but for the condition's: here, sound, emotion and keypoints."""
    rng = np.random.default_rng(0)
    state = {
        key: (0.02 * rng.standard_normal(expected.shape, np.float32)).astype(np.float32)
        for key, expected in architecture.ditto(1095)
    }
    folder = tmp_path / "ditto"
    folder.mkdir()
    _save(state, folder / "lmdm_v0.4_hubert.pth", "model_state_dict")
    generator = Ditto(_added(folder, "ditto").tensors("generator"), device="cpu")
    assert generator.frames == 80 and generator.parts == ("emotion", "keypoints")
