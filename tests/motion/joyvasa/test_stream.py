"""JoyVASA's windows against an obvious implementation; any cut of the sound gives one motion."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_generators import (
    HEARD,
    MOTION,
    PREVIOUS,
    WINDOW,
    hubert_tensors,
    joyvasa_template,
    joyvasa_tensors,
    noise,
)
from tiny_speech_models import need_transformers

from vasa_cam.errors import InputError
from vasa_cam.motion.latent import LatentMotion
from vasa_cam.motion.latent_stream import latent_motion

torch = pytest.importorskip("torch")
need_transformers()

from vasa_cam.motion.joyvasa.diffusion import cosine_schedule  # noqa: E402
from vasa_cam.motion.joyvasa.generator import JoyVasa  # noqa: E402
from vasa_cam.motion.joyvasa.hearing import Hearing  # noqa: E402
from vasa_cam.motion.joyvasa.stream import JoyVasaConfig, JoyVasaStream  # noqa: E402
from vasa_cam.motion.joyvasa.template import Template  # noqa: E402

pytestmark = pytest.mark.neural

STEPS = 4


@functools.cache
def _generator() -> JoyVasa:
    template = Template.from_arrays(joyvasa_template())
    return JoyVasa(joyvasa_tensors(), template, {"n_diff_steps": STEPS})


@functools.cache
def _hubert() -> Any:
    import transformers

    tensors = {key: torch.from_numpy(value) for key, value in hubert_tensors().items()}
    hearing = Hearing(tensors)
    model = transformers.HubertModel(hearing.model.config).eval()
    model.load_state_dict(tensors)
    return model


@torch.inference_mode()
def _obvious(sound: np.ndarray, config: JoyVasaConfig) -> np.ndarray:
    """The published loop, window after window, with torch's own layers; latent rows [T, 70]."""
    t = {key: torch.from_numpy(value) for key, value in joyvasa_tensors().items()}
    rng = np.random.default_rng([config.seed, 0x10F])
    start = torch.from_numpy(rng.standard_normal((WINDOW, MOTION), np.float32))[None]
    count = -(-len(sound) // 640)
    windows = -(-(len(sound) + 1280) // (640 * WINDOW))
    padded = np.zeros(640 * WINDOW * windows, np.float32)
    padded[1280 : 1280 + len(sound)] = sound
    motion_before, sound_before = t["start_motion_feat"], t["start_audio_feat"]
    all_motion = []
    for index in range(windows):
        piece = padded[640 * WINDOW * index : 640 * WINDOW * (index + 1)]
        piece = np.pad(np.pad(piece, 20, mode="reflect"), 20, mode="reflect")
        states = _hubert()(torch.from_numpy(piece)[None]).last_hidden_state
        states = torch.nn.functional.interpolate(states.transpose(1, 2), size=WINDOW, mode="linear")
        heard = torch.nn.functional.linear(
            states.transpose(1, 2), t["audio_feature_map.weight"], t["audio_feature_map.bias"]
        )
        x = _sample(t, start, heard, (motion_before, sound_before), config.guidance, rng)
        motion_before, sound_before = x[:, -PREVIOUS:], heard[:, -PREVIOUS:]
        all_motion.append(x[0].numpy())
    motion = np.concatenate(all_motion)[:count]
    a = joyvasa_template()
    rows = [motion[:, :63] * a["std_exp"] + a["mean_exp"]]
    at = 63
    for name, size in (("scale", 1), ("t", 3), ("pitch", 1), ("yaw", 1), ("roll", 1)):
        low, high = a[f"min_{name}"], a[f"max_{name}"]
        rows.append(motion[:, at : at + size] * (high - low) + low)
        at += size
    rows[1] = np.maximum(rows[1], 0.01)
    result = np.concatenate(rows, axis=1)
    for frame in range(1, count):
        share = config.smoothing
        result[frame, 63:] = share * result[frame, 63:] + (1 - share) * result[frame - 1, 63:]
    return result


def _sample(t: dict, x: Any, heard: Any, before: tuple, scale: float, rng: Any) -> Any:
    """Ancestral sampling over a decoder of torch's own layers with a mask for the memory."""
    schedule = cosine_schedule(STEPS)
    null = t["null_audio_feat"].expand_as(heard)
    for step in range(STEPS, 0, -1):
        tokens = torch.cat([before[0], x], dim=1)
        both = []
        for sound in (null, heard):
            both.append(_run(t, tokens, step, torch.cat([before[1], sound], dim=1))[:, PREVIOUS:])
        clean = both[0] + scale * (both[1] - both[0])
        bar, bar_before = schedule.alpha_bars[step], schedule.alpha_bars[step - 1]
        alpha = 1 - schedule.betas[step]
        x = (1 - bar_before) * alpha.sqrt() / (1 - bar) * x
        x = x + (1 - alpha) * bar_before.sqrt() / (1 - bar) * clean
        if step > 1:
            z = torch.from_numpy(rng.standard_normal((WINDOW, MOTION), np.float32))[None]
            x = x + schedule.sigmas[step] * z
    return x


def _run(t: dict, tokens: Any, step: int, sound: Any) -> Any:
    from vasa_cam.motion.joyvasa.denoiser import sinusoids

    net = {k.removeprefix("denoising_net."): v for k, v in t.items()}
    width, count = net["feature_proj.weight"].shape[0], tokens.shape[1]

    def linear(name: str, y: Any) -> Any:
        return torch.nn.functional.linear(y, net[f"{name}.weight"], net[f"{name}.bias"])

    gelu = torch.nn.functional.gelu
    time = sinusoids(torch.tensor([step]), width)
    y = linear("feature_proj", tokens) + sinusoids(torch.tensor([count]), width)
    y = y + linear("diff_step_map.2", gelu(linear("diff_step_map.0", time)))
    for index in range(2):
        layer = torch.nn.TransformerDecoderLayer(
            width, 8, 4 * width, dropout=0.0, activation="gelu", batch_first=True
        ).eval()
        root = f"transformer.layers.{index}."
        layer.load_state_dict({k.removeprefix(root): v for k, v in net.items() if root in k})
        y = layer(y, sound, memory_mask=~torch.eye(count, dtype=torch.bool))
    return linear("motion_dec.2", gelu(linear("motion_dec.0", y)))


@pytest.mark.parametrize("samples", [1, 640, 641, 3839, 3840, 3841, 8960, 8961, 16_000, 17_000])
def test_windows_follow_each_other_as_published(samples: int) -> None:
    """Around the ends of windows of eight frames, which begin two frames before the sound."""
    sound = noise(2.0)[:samples]
    config = JoyVasaConfig(seed=3, guidance=2.8, smoothing=0.25)
    found = latent_motion(JoyVasaStream(_generator(), config), sound)
    wanted = _obvious(sound, config)
    assert len(found) == -(-samples // 640) == len(wanted)
    scale = np.abs(wanted).max(axis=0)
    np.testing.assert_allclose(found.rows() / scale, wanted / scale, atol=2e-5)


@settings(max_examples=15)
@given(st.lists(st.integers(0, 6000), max_size=8), st.integers(1, 14_000))
def test_any_cut_of_the_sound_gives_one_motion(sizes: list[int], samples: int) -> None:
    sound = noise(1.0, seed=7)[:samples]
    stream = JoyVasaStream(_generator())
    whole = latent_motion(stream, sound).rows()
    parts, at = [], 0
    for size in sizes:
        parts.append(stream.push(sound[at : at + size]))
        at += size
    parts += [stream.push(sound[at:]), stream.finish()]
    np.testing.assert_array_equal(LatentMotion.joined(parts).rows(), whole)


def test_the_seed_decides_and_nothing_else() -> None:
    sound = noise(1.0)
    first, again, other = (
        latent_motion(JoyVasaStream(_generator(), JoyVasaConfig(seed, smoothing=1.0)), sound).rows()
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_latency_is_a_window_without_the_silence_before_it() -> None:
    stream = JoyVasaStream(_generator())
    wait = round(stream.latency_ms * 16)
    assert wait == 640 * WINDOW - 1280
    assert len(stream.push(np.zeros(wait - 1, np.float32))) == 0
    assert len(stream.push(np.zeros(1, np.float32))) == WINDOW - 2
    assert len(stream.push(np.zeros(1280, np.float32))) == 2


def test_sound_that_is_no_signal_is_refused() -> None:
    stream = JoyVasaStream(_generator())
    with pytest.raises(InputError, match="not finite"):
        stream.push(np.full(10, np.nan, np.float32))
    with pytest.raises(InputError, match="mono"):
        stream.push(np.zeros((2, 10), np.float32))
    with pytest.raises(InputError, match="no samples"):
        latent_motion(stream, np.zeros(0, np.float32))


@pytest.mark.parametrize(
    ("options", "message"), [({"smoothing": 0.0}, "smoothing"), ({"guidance": np.inf}, "guidance")]
)
def test_settings_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        JoyVasaConfig(**options)


@torch.inference_mode()
@pytest.mark.parametrize("spelling", ["new", "old"])
def test_hearing_is_transformers_hubert_in_both_spellings(spelling: str) -> None:
    tensors = {key: torch.from_numpy(value) for key, value in hubert_tensors().items()}
    if spelling == "old":
        root = "encoder.pos_conv_embed.conv."
        for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
            tensors[root + old] = tensors.pop(f"{root}parametrizations.weight.{new}")
    tensors.pop("masked_spec_embed")
    sound = noise(0.4)[: 640 * 9]
    padded = np.pad(np.pad(sound, 20, mode="reflect"), 20, mode="reflect")
    states = _hubert()(torch.from_numpy(padded)[None]).last_hidden_state
    assert states.shape == (1, 18, HEARD)
    found = Hearing(tensors)(torch.from_numpy(sound)[None])
    torch.testing.assert_close(found, states.reshape(1, 9, 2, HEARD).mean(dim=2))


def test_weights_that_make_no_generator_are_refused() -> None:
    template, tensors = Template.from_arrays(joyvasa_template()), joyvasa_tensors()
    for key in ("denoising_net.motion_dec.0.bias", "start_audio_feat"):
        with pytest.raises(InputError, match="could not be built"):
            JoyVasa({k: v for k, v in tensors.items() if k != key}, template)
    with pytest.raises(InputError, match=r"make no HuBERT base \(1 tensors are missing"):
        lost = "audio_encoder.encoder.layers.1.attention.k_proj.bias"
        JoyVasa({k: v for k, v in tensors.items() if k != lost}, template)
    silent = {k: v for k, v in tensors.items() if not k.startswith("audio_encoder.")}
    with pytest.raises(InputError, match="holds no audio encoder"):
        JoyVasa(silent, template)
    assert JoyVasa(silent, template, hubert=hubert_tensors()).window == WINDOW
    with pytest.raises(InputError, match="should hold 3 finite numbers as max_t"):
        Template.from_arrays({**joyvasa_template(), "max_t": np.zeros(2)})


def test_seventy_numbers_a_frame_are_enough() -> None:
    """Checkpoints with and without the three numbers after the pose."""
    template = Template.from_arrays(joyvasa_template())
    wide = np.ones((2, 73), np.float32)
    np.testing.assert_array_equal(template.rows(wide), template.rows(wide[:, :70]))
