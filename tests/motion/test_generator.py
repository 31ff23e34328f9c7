"""The generator: its tokens and windows without torch are those of the torch module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from vasa_cam.errors import InputError
from vasa_cam.motion.channels import CHANNELS, MOUTH, OTHERS
from vasa_cam.motion.generator import (
    CONDITIONS,
    GeneratorConfig,
    WindowInputs,
    load_generator,
    packaged_generator,
    previous_rows,
)
from vasa_cam.motion.sampler import LIVE, PAPER, SamplerConfig, WindowSampler
from vasa_cam.motion.schedule import time_features

TINY = GeneratorConfig(layers=2, width=32, heads=4, previous=4, window=6, audio_size=11)


def _inputs(config: GeneratorConfig, window: int, heard: int, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return WindowInputs(
        x_pre=0.1 * draw(config.previous, CHANNELS),
        a_pre=draw(config.previous, config.audio_size),
        a=draw(window, config.audio_size),
        gaze=0.3 * draw(2),
        distance=0.3 * draw(1),
        emotion=0.2 * draw(52),
        slow=draw(config.slow_size),
        heard=heard,
    )


@pytest.mark.neural
@pytest.mark.parametrize("drop", [(), ("a",), ("gaze", "x_pre"), CONDITIONS])
@pytest.mark.parametrize(("window", "heard"), [(1, 1), (5, 1), (6, 6)])
def test_without_torch_the_same_prediction(
    drop: tuple[str, ...], window: int, heard: int, rng: np.random.Generator
) -> None:
    torch = pytest.importorskip("torch")
    from vasa_cam import ops
    from vasa_cam.training.generator_module import GeneratorModule
    from vasa_cam.training.train_motion import exported

    torch.manual_seed(1)
    module = GeneratorModule(TINY).eval()
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(0.1 * torch.randn_like(tensor))
    spread = rng.uniform(0.05, 0.3, CHANNELS).astype(np.float32)
    scale = rng.uniform(0.01, 0.1, (TINY.window, CHANNELS)).astype(np.float32)
    generator = exported(module, spread, scale)
    inputs = _inputs(TINY, window, heard, rng)
    noised = rng.standard_normal((window, CHANNELS)).astype(np.float32)
    time = np.float32([0.37])
    found = ops.sample_window(
        generator.model, generator.conditions(inputs, drop)[None], generator.time_rows(time),
        np.float32([[0.0, 1.0]]), np.ones(1, np.float32), generator.window_rows(window), noised,
    )  # fmt: skip

    given = {name: torch.from_numpy(getattr(inputs, name))[None] for name in CONDITIONS}
    given["x_pre"] = torch.from_numpy(previous_rows(inputs.x_pre, spread, scale))[None]
    present = {name: torch.full((1, 1), float(name not in drop)) for name in CONDITIONS}
    present["a"] = present["a"] * (torch.arange(window) < heard)[None]
    rows = torch.from_numpy(time_features(time, TINY.time_size))
    with torch.no_grad():
        wanted = module(torch.from_numpy(noised)[None], rows, given, present)[0].numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-4, rtol=1e-3)


def test_previous_motion_is_seen_relative_and_absolute(rng: np.random.Generator) -> None:
    x_pre = rng.standard_normal((3, CHANNELS)).astype(np.float32)
    spread, scale = np.full(CHANNELS, 2.0, np.float32), np.full((4, CHANNELS), 0.5, np.float32)
    rows = previous_rows(x_pre, spread, scale)
    assert rows.shape == (3, 2 * CHANNELS)
    np.testing.assert_allclose(rows[:, CHANNELS:], x_pre / 2.0, rtol=1e-6)
    np.testing.assert_array_equal(rows[-1, :CHANNELS], 0.0)
    np.testing.assert_allclose(
        rows[0, :CHANNELS], np.clip((x_pre[0] - x_pre[2]) / 0.5, -6.0, 6.0), rtol=1e-5
    )


def test_a_window_starts_from_the_last_frame_and_from_what_the_mouth_was_heard_to_do(
    rng: np.random.Generator,
) -> None:
    generator = packaged_generator()
    sampler = WindowSampler(generator, SamplerConfig(steps=2, other_noise=0.0))
    inputs = _inputs(generator.config, 5, 1, rng)
    mouth = np.full((5, CHANNELS), 0.4, np.float32)
    first = sampler.draw(inputs, mouth, 1.0, np.random.default_rng(0))
    lifted = sampler.draw(inputs, mouth + 0.25, 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(lifted[:, MOUTH] - first[:, MOUTH], 0.25, atol=1e-5)
    np.testing.assert_array_equal(lifted[:, OTHERS], first[:, OTHERS])


def test_the_same_generator_of_numbers_gives_the_same_window(rng: np.random.Generator) -> None:
    generator = packaged_generator()
    sampler = WindowSampler(generator, LIVE)
    inputs = _inputs(generator.config, LIVE.hop, 1, rng)
    mouth = np.zeros((LIVE.hop, CHANNELS), np.float32)
    draws = [sampler.draw(inputs, mouth, 1.0, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.abs(draws[0] - draws[2])[:, OTHERS].max() > 1e-3


def test_guidance_follows_the_papers_formula(rng: np.random.Generator) -> None:
    """With one step it is linear: H + l_a (H - H without a) + l_g (H - H without g)."""
    generator = packaged_generator()
    inputs = _inputs(generator.config, 5, 5, rng)
    mouth = np.zeros((5, CHANNELS), np.float32)

    def drawn(*guidance: tuple[str, float]) -> np.ndarray:
        config = SamplerConfig(
            steps=1, ahead=False, guidance=guidance, guide_all=True, other_noise=0.0
        )
        return WindowSampler(generator, config).draw(inputs, mouth, 1.0, np.random.default_rng(0))

    plain, audio, gaze = drawn(), drawn(("a", 0.5)), drawn(("gaze", 1.0))
    both = drawn(("a", 0.5), ("gaze", 1.0))
    np.testing.assert_allclose(both - plain, (audio - plain) + (gaze - plain), atol=1e-4)
    assert np.abs(audio - plain).max() > 1e-4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "steps must be 1 to 200"),
        ({"hop": 0}, "hop must be at least 1"),
        ({"guidance": (("mood", 1.0),)}, "guidance takes"),
        ({"guidance": (("a", float("nan")),)}, "guidance takes"),
    ],
)
def test_impossible_settings_are_told(settings: dict, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError, match=words):
        SamplerConfig(**settings)


def test_windows_longer_than_trained_are_told() -> None:
    longest = packaged_generator().config.window
    with pytest.raises(InputError, match=f"1 to {longest}"):
        WindowSampler(packaged_generator(), SamplerConfig(hop=longest + 1))
    assert PAPER.hop <= longest


def test_wrong_weight_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "weights.txt"
    text.write_text("not weights")
    with pytest.raises(InputError, match="could not be read"):
        load_generator(text)
    other = tmp_path / "other.safetensors"
    save_file({"x": np.zeros(3, np.float32)}, other)
    with pytest.raises(InputError, match="not a version 1 generator"):
        load_generator(other)
    half = tmp_path / "half.safetensors"
    metadata = {"format": "vasa_cam.generator", "version": "1", "info": "{}"}
    save_file({"x": np.zeros(3, np.float32)}, half, metadata)
    with pytest.raises(InputError, match="could not be read"):
        load_generator(half)
