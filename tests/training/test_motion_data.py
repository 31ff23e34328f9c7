"""Training streams and windows of the generator, and that training and distillation learn."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from voices import buzzing_voice

from vasa_cam.motion.channels import (
    BLINK,
    CHANNELS,
    MOUTH,
    OTHERS,
    ROTATION_CHANNELS,
    from_channels,
)
from vasa_cam.motion.encoder import packaged_encoder
from vasa_cam.motion.generator import CONDITIONS, load_generator
from vasa_cam.training.motion_data import (
    LipClip,
    StreamConfig,
    Streams,
    WindowConfig,
    build_streams,
    spread_and_scale,
    windows,
)

K = 10


def _clips() -> list[LipClip]:
    clips = []
    for seed in range(3):
        audio = buzzing_voice(4.0, seed)
        mouth = np.zeros((100, 16), np.float32)
        mouth[:, 0] = 4.0 * np.abs(audio).reshape(-1, 640).max(axis=1)
        clips.append(LipClip(audio, mouth, np.zeros((100, 3), np.float32)))
    return clips


@pytest.fixture(scope="module")
def streams() -> Streams:
    config = StreamConfig(seconds=20.0)
    return build_streams([_clips()], (1.0,), packaged_encoder(), 0.03, config, seed=3)


def test_streams_are_reproducible_and_whole(streams: Streams) -> None:
    again = build_streams(
        [_clips()], (1.0,), packaged_encoder(), 0.03, StreamConfig(seconds=20.0), seed=3
    )
    count = len(streams.channels)
    for field in dataclasses.fields(Streams):
        one, other = getattr(streams, field.name), getattr(again, field.name)
        np.testing.assert_array_equal(one, other, err_msg=field.name)
        assert field.name == "first" or len(one) == count
    assert streams.first[0] == 0 and streams.first[-1] == count
    assert np.isfinite(streams.channels).all()


def test_streams_begin_at_rest_and_then_live(streams: Streams) -> None:
    for begin, end in zip(streams.first[:-1], streams.first[1:], strict=True):
        np.testing.assert_array_equal(streams.channels[begin : begin + K], 0.0)
        part = streams.channels[begin + K : end]
        assert np.rad2deg(part[:, ROTATION_CHANNELS]).std(axis=0).max() > 0.3
    assert streams.channels[:, BLINK].max() > 0.8
    frames = from_channels(streams.channels)
    assert frames[:, :52].max() <= 1.0
    # The start knows the mouth and nothing else.
    np.testing.assert_array_equal(streams.start[:, OTHERS], 0.0)
    assert streams.start[:, MOUTH].max() > 0.05


def test_windows_are_written_relative_to_where_they_start(streams: Streams) -> None:
    spread, scale = spread_and_scale(streams, 6)
    config = WindowConfig(batch=32, lengths=((6, 1.0),), stumble=0.0, tail=1.0, only_first=1.0)
    batch = next(windows(streams, spread, scale, K, config, seed=1))
    assert batch["target"].shape == (32, 6, CHANNELS)
    assert batch["x_pre"].shape == (32, K, 2 * CHANNELS)
    np.testing.assert_array_equal(batch["has_a"][:, 1:], 0.0)
    # target * scale + last frame is the stream's own motion, wherever the window lies
    last = batch["x_pre"][:, -1, CHANNELS:] * spread
    found = (last[:, None] + batch["target"] * scale)[:, :, OTHERS].reshape(-1, len(OTHERS))
    known = streams.channels[:, OTHERS]
    nearest = [np.abs(known - row).max(axis=1).min() for row in found]
    assert max(nearest) < 1e-4
    growth = np.abs(batch["target"][:, :, OTHERS] * scale[:, OTHERS]).mean(axis=(0, 2))
    assert growth[-1] > growth[0]


def test_conditions_are_dropped_as_often_as_asked(streams: Streams) -> None:
    spread, scale = spread_and_scale(streams, 6)
    config = WindowConfig(batch=400, lengths=((6, 1.0),), drop=0.2, drop_previous=0.6, tail=0.0)
    batch = next(windows(streams, spread, scale, K, config, seed=1))
    for name in CONDITIONS:
        share = 0.4 if name in ("x_pre", "a_pre") else 0.8
        assert batch[f"has_{name}"].mean() == pytest.approx(share, abs=0.08), name


@pytest.mark.neural
def test_training_and_distillation_learn_and_go_on(streams: Streams, tmp_path: Path) -> None:
    """The loss falls, an interrupted run goes on, and the saved files draw windows."""
    torch = pytest.importorskip("torch")
    from vasa_cam.motion.generator import GeneratorConfig
    from vasa_cam.training.distill import StageLoss, module_of, predictor
    from vasa_cam.training.generator_module import GeneratorModule
    from vasa_cam.training.loop import LoopConfig, train
    from vasa_cam.training.train_motion import MotionLoss, MotionTraining, save_weights

    sizes = streams.voice.shape[1]
    model = GeneratorConfig(layers=2, width=32, heads=4, window=5, audio_size=sizes)
    config = MotionTraining(model=model)
    spread, scale = spread_and_scale(streams, 5)
    cut = WindowConfig(batch=16, lengths=((5, 1.0),))
    losses: list[str] = []

    def run(steps: int, seen: list[int]) -> torch.nn.Module:
        loop = LoopConfig(steps=steps, rate=4e-3, workers=0, save_every=20, log_every=20)
        return train(
            GeneratorModule(model), lambda seed: windows(streams, spread, scale, K, cut, seed),
            MotionLoss(config), loop, tmp_path / "run", losses.append,
            lambda module, step: seen.append(step),
        )  # fmt: skip

    run(40, first := [])
    module = run(80, second := [])
    assert (first, second) == ([20, 40], [60, 80])
    values = [float(line.split("loss ")[1].split()[0]) for line in losses if "loss" in line]
    assert values[-1] < 0.8 * values[0], losses
    path = tmp_path / "generator.safetensors"
    save_weights(path, module, spread, scale, {})
    teacher = module_of(load_generator(path)).eval()
    batch = {
        name: torch.from_numpy(rows)
        for name, rows in next(windows(streams, spread, scale, K, cut, 5)).items()
    }
    loss, _ = StageLoss(predictor(teacher, (("voice", 0.5),)), 4, 2.0)(teacher, batch)
    loss.backward()
    assert np.isfinite(float(loss.detach()))


def test_events_that_nobody_knows_are_those_the_encoder_hears() -> None:
    blind = [dataclasses.replace(clip, events=None) for clip in _clips()]
    config = StreamConfig(seconds=6.0)
    streams = build_streams([blind], (1.0,), packaged_encoder(), 0.002, config, seed=3)
    assert np.isfinite(streams.channels).all()
    assert streams.channels[:, MOUTH].max() > 0.05
