"""HuBERT and wav2vec 2.0 beside our encoder: tiny ones with random weights, end to end."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_cli
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_speech_models import FAMILIES, WIDTH, tiny_models
from voices import buzzing_voice

from vasa_cam.errors import InputError
from vasa_cam.motion.encoder import EncoderStream, packaged_encoder
from vasa_cam.motion.generator import load_generator
from vasa_cam.motion.models import load_models
from vasa_cam.motion.public_encoder import PUBLIC_INFO, load_public_encoder
from vasa_cam.motion.voice import VoiceMotion, VoiceStream
from vasa_cam.training.motion_data import LipClip, StreamConfig, build_streams
from vasa_cam.training.motion_sources import voice_system

OWN = 256


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each family."""
    return tiny_models(tmp_path_factory.mktemp("models"))


@functools.cache
def _noise() -> np.ndarray:
    """Twenty seconds: more than one piece."""
    return (0.05 * np.random.default_rng(5).standard_normal(320_000)).astype(np.float32)


def _public_states(encoder: Any, sound: np.ndarray) -> np.ndarray:
    ending = np.zeros(960, np.float32)
    heard = encoder.ears(recording=sound).push(np.concatenate([sound, ending]))
    states: np.ndarray = heard.hidden[: -(-len(sound) // 640), OWN:]
    return states


@pytest.mark.neural
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("samples", [1, 640, 641, 33_000])
def test_the_hidden_state_grows_and_all_else_is_our_encoders(
    family: str, samples: int, models: dict[str, Path]
) -> None:
    encoder, own = load_public_encoder(models[family]), packaged_encoder()
    sound = buzzing_voice(3.0)[:samples]
    padded = np.concatenate([sound, np.zeros(2000, np.float32)])
    heard, plain = encoder.ears(-30.0, sound).push(padded), EncoderStream(own, -30.0).push(padded)
    assert heard.hidden.dtype == np.float32
    assert heard.hidden.shape == (len(plain), OWN + WIDTH)
    assert heard.features(np.zeros((len(plain), 6), np.float32)).shape[1] == encoder.audio_size
    np.testing.assert_array_equal(heard.hidden[:, :OWN], plain.hidden)
    np.testing.assert_array_equal(heard.mouth.controls, plain.mouth.controls)
    np.testing.assert_array_equal(heard.loudness, plain.loudness)
    np.testing.assert_allclose(heard.hidden[:, OWN:].mean(axis=1), 0.0, atol=1e-5)
    if samples > 1:
        np.testing.assert_allclose(heard.hidden[:, OWN:].std(axis=1), 1.0, atol=0.01)
    np.testing.assert_array_equal(encoder.opening, own.opening)


@pytest.mark.neural
@pytest.mark.parametrize("family", FAMILIES)
def test_a_click_is_heard_at_its_own_frame(family: str, models: dict[str, Path]) -> None:
    """Also beyond the first piece of a long recording, and across the border of two."""
    encoder, noise = load_public_encoder(models[family]), _noise()
    before, near = _public_states(encoder, noise), np.zeros(7)
    for frame in (3, 60, 374, 375, 440, 490):
        clicked = noise.copy()
        clicked[640 * frame - 2 : 640 * frame + 2] += 3.0
        change = np.linalg.norm(_public_states(encoder, clicked) - before, axis=1)
        assert abs(int(change.argmax()) - frame) <= 1
        around = change[frame - 3 : frame + 4] - np.median(change)
        near += around / around.max()
    near = np.maximum(near, 0.0)
    assert abs((near * np.arange(-3, 4)).sum() / near.sum()) < 0.3
    assert near[3] > 2.0 * max(near[2], near[4])


@pytest.mark.neural
@pytest.mark.parametrize("family", FAMILIES)
def test_the_states_are_those_of_transformers_own_layer(
    family: str, models: dict[str, Path]
) -> None:
    """Three quarters up; blended from the three states around a frame's time."""
    import torch
    import transformers

    sound = buzzing_voice(2.0)
    whole = getattr(transformers, f"{family}Model").from_pretrained(models[family]).eval()
    scaled = ((sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)).astype(np.float32)
    # 25 ms states: the first is centred on sample 200, and shall be on -320.
    padded = np.pad(scaled, (520, 0))[: 320 * 100 + 400]
    with torch.inference_mode():
        states = whole(torch.from_numpy(padded[None]), output_hidden_states=True).hidden_states[3]
        if whole.config.do_stable_layer_norm:
            states = whole.encoder.layer_norm(states)
    rows = states[0].numpy()
    blended = np.stack([0.25 * rows[k - 1] + 0.5 * rows[k] + 0.25 * rows[k + 1]
                        for k in range(1, 100, 2)])  # fmt: skip
    wanted = blended - blended.mean(axis=1, keepdims=True)
    wanted /= wanted.std(axis=1, keepdims=True)
    found = _public_states(load_public_encoder(models[family]), sound)
    np.testing.assert_allclose(found, wanted, atol=2e-3)


@pytest.fixture(scope="module")
def hubert(models: dict[str, Path]) -> Any:
    return load_public_encoder(models["Hubert"])


@pytest.mark.neural
@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 321_000), max_size=5))
def test_blocks_of_any_size_are_heard_alike(cuts: list[int], hubert: Any) -> None:
    sound = np.concatenate([_noise(), np.zeros(1000, np.float32)])
    whole = hubert.ears(recording=_noise()).push(sound).hidden[:, OWN:]
    ears = hubert.ears(recording=_noise())
    parts = [ears.push(block).hidden[:, OWN:] for block in np.split(sound, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.neural
def test_silence_is_heard_without_a_warning(hubert: Any) -> None:
    states = _public_states(hubert, np.zeros(16_000, np.float32))
    assert states.shape == (25, WIDTH) and np.isfinite(states).all()


def _clips() -> list[LipClip]:
    clips = []
    for seed in range(2):
        audio = buzzing_voice(4.0, seed)
        mouth = np.zeros((100, 16), np.float32)
        mouth[:, 0] = 4.0 * np.abs(audio).reshape(-1, 640).max(axis=1)
        clips.append(LipClip(audio, mouth, np.zeros((100, 3), np.float32)))
    return clips


@pytest.fixture(scope="module")
def trained(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights from a few steps of the real command; only the lips are made up."""
    from vasa_cam.training import train_motion

    folder = tmp_path_factory.mktemp("weights")
    packaged = resources.files("vasa_cam") / "motion" / "weights" / "encoder.safetensors"
    shutil.copy(str(packaged), folder / "encoder.safetensors")
    settings = {
        "loop": {"steps": 6, "workers": 0, "save_every": 6, "log_every": 3},
        "model": {"layers": 1, "width": 32, "heads": 4},
        "windows": {"batch": 8},
        "streams": {"seconds": 12.0},
        "hours": 0.01,
        "shares": [1.0],
    }
    (folder / "config.json").write_text(json.dumps(settings))
    data = folder / "data"
    data.mkdir()
    (data / "index.jsonl").write_text("{}\n")
    arguments = [
        "train_motion", "--talk", data, "--speech", data, "--voices", data,
        "--encoder", folder / "encoder.safetensors", "-o", folder / "generator.safetensors",
        "--config", folder / "config.json", "--public-encoder", models["Hubert"],
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_motion, "lip_clips", lambda *_: [_clips()])
        patch.setattr(sys, "argv", [str(argument) for argument in arguments])
        train_motion.main()
    return folder


@pytest.mark.neural
def test_a_generator_is_trained_with_it_and_draws(
    trained: Path, models: dict[str, Path], hubert: Any
) -> None:
    generator = load_generator(trained / "generator.safetensors")
    assert generator.config.audio_size == OWN + WIDTH + 25 == hubert.audio_size
    assert generator.info[PUBLIC_INFO] == hubert.public
    assert hubert.public["name"] == "Hubert" and hubert.public["layer"] == 3
    assert len(hubert.public["sha256"]) == 64
    voice = buzzing_voice(3.0)
    drawn = VoiceMotion(3, *load_models(trained, str(models["Hubert"]))).motion(voice).frames
    assert drawn.shape == (75, 58) and np.isfinite(drawn).all()
    again = VoiceMotion(3, hubert, generator).motion(voice).frames
    np.testing.assert_array_equal(drawn, again)
    system = voice_system(trained, public=str(models["Hubert"]))
    np.testing.assert_array_equal(system.whole(voice, 3).frames, drawn)
    assert system.live is None
    # What the public model hears reaches the face: another one's states move it otherwise.
    other = dataclasses.replace(hubert, model=load_public_encoder(models["Wav2Vec2"]).model)
    moved = VoiceMotion(3, other, generator).motion(voice).frames
    assert np.abs(moved - drawn).max() > 1e-3


@pytest.mark.neural
def test_streams_hear_the_whole_of_their_sound(hubert: Any) -> None:
    config = StreamConfig(seconds=12.0)
    streams = build_streams([_clips()], (1.0,), hubert, 0.004, config, seed=1)
    assert streams.voice.shape == (len(streams.channels), hubert.audio_size)
    states = streams.voice[config.lead :, OWN : OWN + WIDTH].astype(np.float32)
    np.testing.assert_allclose(states.std(axis=1), 1.0, atol=0.02)


@pytest.mark.neural
def test_render_takes_it_and_says_when_it_is_missing(
    trained: Path, models: dict[str, Path], tmp_path: Path, ffprobe: Callable[..., bytes]
) -> None:
    assets = resources.files("vasa_cam") / "assets"
    _write_voice(tmp_path / "voice.wav")
    render = (
        "render", str(assets / "astronaut.vasa"), "voice.wav",
        "--size", "128x128", "--fps", "10", "--weights", trained,
    )  # fmt: skip
    done = run_cli(*render, "-o", "a.mp4", "--public-encoder", models["Hubert"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Loading weights" not in done.stderr
    probed = ffprobe("-show_streams", "-of", "json", tmp_path / "a.mp4")
    kinds = {stream["codec_type"] for stream in json.loads(probed)["streams"]}
    assert kinds == {"video", "audio"}
    for extra in ((), ("--public-encoder", models["Wav2Vec2"])):
        done = run_cli(*render, "-o", "b.mp4", *extra, cwd=tmp_path)
        lines = done.stderr.splitlines()
        assert done.returncode == 2 and len(lines) == 1, done.stderr
        assert "trained with the public encoder Hubert" in lines[0]
        assert ("another was given" if extra else "none was given") in lines[0]
    assert not (tmp_path / "b.mp4").exists()


def _write_voice(path: Path) -> None:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((buzzing_voice(0.6) * 32767).astype("<i2").tobytes())


@pytest.mark.neural
def test_live_use_is_refused(trained: Path, hubert: Any) -> None:
    generator = load_generator(trained / "generator.safetensors")
    with pytest.raises(InputError, match="whole recordings only"):
        VoiceStream(encoder=hubert, generator=generator)


@pytest.mark.neural
def test_weights_that_never_heard_it_are_refused(hubert: Any) -> None:
    with pytest.raises(InputError, match="trained without a public encoder and Hubert was given"):
        VoiceMotion(1, hubert).motion(buzzing_voice(0.5))
