"""The voice encoder: streaming, torch parity, where its weights come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from voices import buzzing_voice

from vasa_cam.errors import InputError
from vasa_cam.motion.encoder import (
    EncoderStream,
    HeardFrames,
    heard_frames,
    load_encoder,
    packaged_encoder,
)
from vasa_cam.motion.features import features
from vasa_cam.motion.lips import LOOKAHEAD_S
from vasa_cam.motion.slow_state import PROSODY_SIZE
from vasa_cam.training.targets import control_basis


def _rows(parts: list[HeardFrames]) -> list[np.ndarray]:
    """Everything that was heard, joined."""
    tables = [
        [p.mouth.controls, p.mouth.events, p.mouth.vowels, p.hidden, p.loudness] for p in parts
    ]
    return [np.concatenate(column) for column in zip(*tables, strict=True)]


@given(st.lists(st.integers(0, 5000), max_size=10))
@settings(max_examples=20)
def test_blocks_of_any_size_are_heard_alike(sizes: list[int]) -> None:
    audio, encoder = buzzing_voice(1.3), packaged_encoder()
    whole = EncoderStream(encoder).push(audio)
    stream, parts, at = EncoderStream(encoder), [], 0
    for size in [*sizes, len(audio)]:
        parts.append(stream.push(audio[at : at + size]))
        at += size
    for got, expected in zip(_rows(parts), _rows([whole]), strict=True):
        np.testing.assert_allclose(got, expected, atol=2e-4)


def test_a_frame_needs_sixty_milliseconds_of_future_and_no_more() -> None:
    audio, encoder = buzzing_voice(2.0), packaged_encoder()
    k = 20
    needed = 640 * k + round(LOOKAHEAD_S * 16000)
    stream = EncoderStream(encoder)
    assert len(stream.push(audio[: needed - 1])) == k
    assert len(stream.push(audio[needed - 1 : needed])) == 1
    other = audio.copy()
    other[needed:] = 0.3
    first, second = (heard_frames(sound, encoder).mouth.controls for sound in (audio, other))
    np.testing.assert_allclose(first[: k + 1], second[: k + 1], atol=1e-5)
    assert np.abs(first[k + 1 :] - second[k + 1 :]).max() > 0.01


@pytest.mark.parametrize("samples", [1, 639, 640, 641, 16000])
def test_a_recording_gives_one_frame_per_started_forty_milliseconds(samples: int) -> None:
    heard = heard_frames(np.zeros(samples, np.float32))
    assert len(heard) == len(heard.hidden) == -(-samples // 640)


def test_features_join_what_was_heard() -> None:
    heard = heard_frames(buzzing_voice(1.0))
    rows = heard.features(np.zeros((len(heard), PROSODY_SIZE), np.float32))
    assert rows.shape == (len(heard), packaged_encoder().channels + 25)
    assert rows.dtype == np.float32


@pytest.mark.neural
def test_numpy_runs_the_same_arithmetic_as_torch() -> None:
    torch = pytest.importorskip("torch")
    from vasa_cam.training.encoder_module import EncoderModule, activated
    from vasa_cam.training.phones import GESTURE_NAMES
    from vasa_cam.training.train_encoder import VOWEL_GESTURES, exported

    torch.manual_seed(3)
    module = EncoderModule(hidden=48, channels=64).eval()
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(0.05 * torch.randn_like(tensor))
    audio = buzzing_voice(3.0)
    heard = EncoderStream(exported(module)).push(audio)
    rows = torch.from_numpy(features(audio)[: 4 * len(heard) + 2])[None]
    with torch.no_grad():
        raw, gestures = module(rows)
        controls, logits = activated(raw)
        hidden = module.hidden(rows)
    assert controls.shape[1] == len(heard) > 70
    wanted = gestures[0, :, [GESTURE_NAMES.index(name) for name in VOWEL_GESTURES]]
    np.testing.assert_allclose(heard.mouth.controls, controls[0].numpy(), atol=3e-4)
    np.testing.assert_allclose(heard.mouth.events, torch.sigmoid(logits[0]).numpy(), atol=3e-4)
    np.testing.assert_allclose(heard.mouth.vowels, wanted.numpy(), atol=3e-4)
    np.testing.assert_allclose(heard.hidden, hidden[0].numpy(), atol=2e-3)


def test_weights_know_the_packaged_face_model() -> None:
    """The opening per control is stored in the weights; a changed face model must show here."""
    basis = control_basis()
    opening = basis[:, 15, 1] - basis[:, 5, 1]
    np.testing.assert_allclose(packaged_encoder().opening, opening, atol=0.02)


def test_weight_file_says_where_it_came_from() -> None:
    info = packaged_encoder().info
    assert len(info["data_sha256"]) == 64
    assert info["steps"] > 1000
    assert info["date"].startswith("20")


def test_wrong_weight_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "weights.txt"
    text.write_text("not weights")
    with pytest.raises(InputError, match="could not be read"):
        load_encoder(text)
    other = tmp_path / "other.safetensors"
    save_file({"x": np.zeros(3, np.float32)}, other)
    with pytest.raises(InputError, match="not a version 1 encoder"):
        load_encoder(other)
    with pytest.raises(InputError, match="could not be read"):
        load_encoder(tmp_path / "missing.safetensors")
    half = tmp_path / "half.safetensors"
    metadata = {"format": "vasa_cam.encoder", "version": "1", "info": "{}"}
    save_file({"x": np.zeros(3, np.float32)}, half, metadata)
    with pytest.raises(InputError, match="could not be read"):
        load_encoder(half)
