"""The lip network: streaming, torch parity, and what it does to real and synthetic voices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from vasa_cam.errors import InputError
from vasa_cam.motion.lips import (
    CONTROL,
    CONTROLS,
    DEFAULT_STYLE,
    LOOKAHEAD_S,
    LipFrames,
    LipStream,
    LipStyle,
    close_lips,
    controls_to_coefficients,
    lip_frames,
    load_lip_network,
    packaged_network,
    shape_lips,
)
from vasa_cam.motion.space import ARKIT_NAMES, INDEX
from vasa_cam.training.evaluate_lips import stillness_figures, talk_figures
from vasa_cam.training.talk_data import TalkClip, load_talk
from vasa_cam.training.targets import (
    control_basis,
    fit_controls,
    predicted_movement,
    signed_opening,
)

# Measured: see docs/lips-model.md. The floors leave room for another training run.
APERTURE_R_FLOOR = 0.84
CHANCE_GAP = 0.25
CLOSURE_RECALL_FLOOR = 0.92


def _voice(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16000)) / 16000.0
    buzz = sum(np.sin(2 * np.pi * 140.0 * k * t) / k for k in range(1, 20))
    envelope = np.clip(np.sin(2 * np.pi * 3.0 * t), 0.0, 1.0)
    return (0.05 * buzz * envelope + 1e-4 * rng.normal(size=len(t))).astype(np.float32)


def _joined(parts: list[LipFrames]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.concatenate([p.controls for p in parts]),
        np.concatenate([p.probabilities for p in parts]),
        np.concatenate([p.loudness for p in parts]),
    )


@given(st.lists(st.integers(0, 5000), max_size=10))
@settings(max_examples=25, deadline=None)
def test_blocks_of_any_size_give_the_same_lips(sizes: list[int]) -> None:
    audio, network = _voice(1.3), packaged_network()
    whole = LipStream(network).push(audio)
    stream, parts, at = LipStream(network), [], 0
    for size in [*sizes, len(audio)]:
        parts.append(stream.push(audio[at : at + size]))
        at += size
    for got, expected in zip(_joined(parts), _joined([whole]), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_frame_needs_sixty_milliseconds_of_future_and_no_more() -> None:
    audio, network = _voice(2.0), packaged_network()
    k = 20
    needed = 640 * k + round(LOOKAHEAD_S * 16000)
    stream = LipStream(network)
    assert len(stream.push(audio[: needed - 1]).controls) == k
    assert len(stream.push(audio[needed - 1 : needed]).controls) == 1
    other = audio.copy()
    other[needed:] = 0.3
    first, second = lip_frames(audio, network), lip_frames(other, network)
    np.testing.assert_allclose(first.controls[: k + 1], second.controls[: k + 1], atol=1e-5)
    assert np.abs(first.controls[k + 1 :] - second.controls[k + 1 :]).max() > 0.01


@pytest.mark.parametrize("samples", [1, 639, 640, 641, 16000])
def test_a_recording_gives_one_frame_per_started_forty_milliseconds(samples: int) -> None:
    frames = lip_frames(np.zeros(samples, np.float32))
    assert len(frames.controls) == len(frames.loudness) == -(-samples // 640)


@pytest.mark.neural
def test_numpy_runs_the_same_arithmetic_as_torch() -> None:
    torch = pytest.importorskip("torch")
    from vasa_cam.motion.features import features
    from vasa_cam.training.lip_module import LipModule
    from vasa_cam.training.train_lips import exported

    torch.manual_seed(3)
    module = LipModule().eval()
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(0.05 * torch.randn_like(tensor))
    audio = _voice(3.0)
    frames = LipStream(exported(module)).push(audio)
    rows = features(audio)[: 4 * len(frames.controls) + 2]
    with torch.no_grad():
        controls, logits = module(torch.from_numpy(rows)[None])
    assert controls.shape[1] == len(frames.controls) > 70
    np.testing.assert_allclose(frames.controls, controls[0].numpy(), atol=3e-4)
    expected = torch.sigmoid(logits[0]).numpy()
    np.testing.assert_allclose(frames.probabilities, expected, atol=3e-4)


@pytest.mark.neural
def test_training_learns(tmp_path: Path) -> None:
    """A few steps on made-up data: the error falls and the saved file loads."""
    torch = pytest.importorskip("torch")
    from vasa_cam.training.augment import normalised
    from vasa_cam.training.lip_module import LipModule
    from vasa_cam.training.samples import Sample, analysed
    from vasa_cam.training.train_lips import TrainConfig, exported, save_weights, train

    samples = []
    for index in range(4):
        audio = _voice(2.0, index)
        gap = np.abs(audio).reshape(-1, 640).max(axis=1)
        controls = np.zeros((50, 16), np.float32)
        controls[:, 0] = np.clip(gap * 2.0, 0.0, 0.6)
        movement = np.zeros((50, 144), np.float32)
        movement[:, 46] = 0.44 * controls[:, 0]
        events = np.zeros((50, 3), np.float32)
        samples.append(Sample(analysed(audio, 50), controls, movement, events))
    rows = torch.from_numpy(normalised(samples[0].power, -24.0))[None]

    def error(module: LipModule) -> float:
        with torch.no_grad():
            jaw = module.eval()(rows)[0][0, :, 0].numpy()
        return float(np.abs(jaw - samples[0].controls[:, 0]).mean())

    torch.manual_seed(TrainConfig().seed)
    before = error(LipModule())
    config = TrainConfig(steps=100, batch=3, crop=50, average=0.9)
    module = train(config, [samples] * 4, lambda _: None, lambda _: None)
    after = error(module)
    assert after < 0.75 * before, (before, after)
    info = {"features": exported(module).info["features"], "dilations": list(module.dilations)}
    save_weights(tmp_path / "lips.safetensors", module, info)
    loaded = load_lip_network(tmp_path / "lips.safetensors")
    np.testing.assert_allclose(loaded.head[0], exported(module).head[0], rtol=1e-2, atol=1e-3)


def test_controls_drive_both_sides_of_existing_coefficients() -> None:
    coefficients = controls_to_coefficients(np.eye(len(CONTROLS), dtype=np.float32))
    assert coefficients.shape == (16, 52)
    for row, name in enumerate(CONTROLS):
        driven = {ARKIT_NAMES[i] for i in np.flatnonzero(coefficients[row])}
        assert driven in ({name}, {f"{name}Left", f"{name}Right"})
    assert INDEX["mouthSmileLeft"] in np.flatnonzero(coefficients[CONTROL["mouthSmile"]])


def test_closing_closes_exactly_whatever_is_open() -> None:
    opening = packaged_network().opening
    rng = np.random.default_rng(1)
    controls = rng.uniform(0.0, 0.4, (200, 16)).astype(np.float32)
    closed = close_lips(controls, np.ones(200, np.float32), opening)
    assert (closed @ opening < 1e-3).all()
    np.testing.assert_array_equal(closed[:, CONTROL["jawOpen"]], controls[:, CONTROL["jawOpen"]])
    same = close_lips(controls, np.zeros(200, np.float32), opening)
    np.testing.assert_array_equal(same, controls)


def test_weights_know_the_packaged_face_model() -> None:
    """The opening per control is stored in the weights; a changed face model must show here."""
    basis = control_basis()
    opening = basis[:, 15, 1] - basis[:, 5, 1]
    np.testing.assert_allclose(packaged_network().opening, opening, atol=0.02)


def test_targets_find_the_controls_behind_a_shape() -> None:
    """Fitting the shapes' own movement gives the opening back, and nearly the controls."""
    rng = np.random.default_rng(2)
    controls = np.zeros((300, 16), np.float32)
    controls[:, CONTROL["jawOpen"]] = rng.uniform(0.1, 0.5, 300)
    controls[:, CONTROL["mouthPucker"]] = rng.uniform(0.0, 0.5, 300)
    controls[:, CONTROL["mouthUpperUp"]] = rng.uniform(0.0, 0.4, 300)
    movement = predicted_movement(controls)
    fitted = fit_controls(movement)
    np.testing.assert_allclose(
        signed_opening(predicted_movement(fitted)), signed_opening(movement), atol=0.015
    )
    for name in ("jawOpen", "mouthPucker", "mouthUpperUp"):
        r = np.corrcoef(fitted[:, CONTROL[name]], controls[:, CONTROL[name]])[0, 1]
        assert r > 0.95, name


def test_style_changes_what_it_says() -> None:
    opening = packaged_network().opening
    controls = np.full((1, 16), 0.1, np.float32)
    nothing = np.zeros((1, 3), np.float32)
    plain = shape_lips(controls, nothing, opening)[0]
    wide = shape_lips(controls, nothing, opening, LipStyle(range=1.5))[0]
    assert wide[CONTROL["jawOpen"]] == pytest.approx(1.5 * plain[CONTROL["jawOpen"]])
    round_lips = shape_lips(controls, nothing, opening, LipStyle(rounding=2.0))[0]
    assert round_lips[CONTROL["mouthPucker"]] == pytest.approx(0.2)
    assert round_lips[CONTROL["mouthFunnel"]] > plain[CONTROL["mouthFunnel"]]
    smiling = shape_lips(controls, nothing, opening, replace(DEFAULT_STYLE, smile=0.24))[0]
    assert smiling[CONTROL["mouthSmile"]] == pytest.approx(plain[CONTROL["mouthSmile"]] + 0.2)
    tucked = shape_lips(controls, np.array([[0, 1, 1]], np.float32), opening)[0]
    assert tucked[CONTROL["mouthRollLower"]] > 0.5
    assert tucked @ opening < 0.7 * (plain @ opening)


@pytest.fixture(scope="module")
def validation(shared: Path) -> list[TalkClip]:
    return load_talk(shared / "data" / "talk", "val.jsonl")


def test_lips_follow_a_real_voice(validation: list[TalkClip]) -> None:
    figures = talk_figures(validation, packaged_network())
    assert figures["aperture_r"] > APERTURE_R_FLOOR
    assert figures["aperture_r"] > figures["chance_r"] + CHANCE_GAP
    assert figures["closures"] > 50
    assert figures["closure_recall"] > CLOSURE_RECALL_FLOOR
    assert figures["open_vowels_closed"] < 0.03
    assert figures["silence_aperture_median"] < 0.03
    assert 0.7 < figures["aperture_gain"] < 1.2


def test_the_mouth_rests_without_speech() -> None:
    figures = stillness_figures(packaged_network())
    assert figures["digital_silence_aperture_max"] < 0.03
    assert figures["noise_aperture_p95"] < 0.05
    assert figures["music_aperture_p95"] < 0.08


def test_weight_file_says_where_it_came_from() -> None:
    info = packaged_network().info
    assert len(info["data_sha256"]) == 64
    assert info["metrics"]["validation"]["aperture_r"] > APERTURE_R_FLOOR
    assert info["date"].startswith("20")


def test_wrong_weight_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "weights.txt"
    text.write_text("not weights")
    with pytest.raises(InputError, match="could not be read"):
        load_lip_network(text)
    with pytest.raises(InputError, match="could not be read"):
        load_lip_network(tmp_path / "missing.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, other)
    with pytest.raises(InputError, match="not a version"):
        load_lip_network(other)
    half = tmp_path / "half.safetensors"
    metadata = {"format": "vasa_cam.lips", "version": "1", "info": "{}"}
    save_file({"a": np.zeros(3, np.float32)}, half, metadata)
    with pytest.raises(InputError, match="could not be read"):
        load_lip_network(half)
