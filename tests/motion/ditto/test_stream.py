"""Ditto's clips of a voice against an obvious loop; any cut of the sound gives one motion."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_generators import CLIP, ditto_tensors, noise

from vasa_cam.errors import InputError
from vasa_cam.motion.ditto.condition import DittoSource, beside_the_sound
from vasa_cam.motion.ditto.driving import driven
from vasa_cam.motion.latent import LatentMotion
from vasa_cam.motion.latent_stream import latent_motion

torch = pytest.importorskip("torch")

from vasa_cam.motion.ditto.diffusion import ddim_steps  # noqa: E402
from vasa_cam.motion.ditto.generator import Ditto  # noqa: E402
from vasa_cam.motion.ditto.stream import LIVE, DittoConfig, DittoStream  # noqa: E402

pytestmark = pytest.mark.neural

_PROJECTION = np.random.default_rng(8).normal(size=(640, 1024)).astype(np.float32) / 4


def _hear(window: np.ndarray) -> np.ndarray:
    """Any function of a window will do: its five frames, each with some of what follows."""
    frames = [window[640 * k : 640 * (k + 1)] + window[640 * k + 1360 :][:640] for k in range(3, 8)]
    return np.asarray(np.stack(frames) @ _PROJECTION, np.float32)


@functools.cache
def _generator() -> Ditto:
    return Ditto(ditto_tensors())


def _source() -> DittoSource:
    rng = np.random.default_rng(0)
    motion = rng.normal(0.0, 0.1, 265).astype(np.float32)
    return DittoSource(motion, rng.normal(size=(21, 3)).astype(np.float32))


def _stream(config: DittoConfig) -> DittoStream:
    return DittoStream(_generator(), _source(), _hear, config)


def _features(sound: np.ndarray) -> np.ndarray:
    """As published: windows 200 ms apart over the sound between silences."""
    count = -(-len(sound) // 640)
    padded = np.concatenate([np.zeros(1920), sound, np.zeros(20_000)]).astype(np.float32)
    rows = [_hear(padded[3200 * k : 3200 * k + 6480]) for k in range(-(-count // 5))]
    return np.concatenate(rows)[:count]


def _obvious(features: np.ndarray, silence: np.ndarray, config: DittoConfig) -> np.ndarray:
    """The published loop over one growing array; motion vectors [T, 265] and the first of all."""
    count, overlap, new = len(features), config.overlap, CLIP - config.overlap
    if config.live:
        features = np.concatenate([np.tile(silence, (overlap, 1))[:overlap], features])
    beside = beside_the_sound(_source(), config.emotion, _generator().parts)
    told = np.concatenate([features, np.tile(beside, (len(features), 1))], axis=1)
    rng = np.random.default_rng([config.seed, 0xD1])
    steps = ddim_steps(config.steps)
    kept = rng.standard_normal((config.steps, CLIP, 265), np.float32)
    fuse = min(overlap, new) if config.live else overlap
    frame, result = _source().motion, None
    for index, start in enumerate(range(0, len(told), new)):
        clip_told = told[start : start + CLIP]
        missing = CLIP - len(clip_told)
        clip_told = np.concatenate([clip_told, np.repeat(clip_told[-1:], missing, axis=0)])
        first = rng.standard_normal((1, CLIP, 265), np.float32)
        clip = _generator().draw(frame, clip_told, steps, np.concatenate([first, kept[1:]]))
        begin = 0
        if result is None:
            result = clip.copy()
        else:
            for step in range(fuse):
                share = step / fuse
                at = len(result) - fuse + step
                result[at] = (1 - share) * result[at] + share * clip[CLIP - new - fuse + step]
            result = np.concatenate([result, clip[CLIP - new :]])
            begin = len(result) - new - fuse
        before = result.copy()
        for at in range(begin, len(result)):
            result[at, :202] = before[max(0, at - 1) : at + 2, :202].mean(axis=0)
        frame = result[len(result) - overlap - 1].copy()
        if config.restart_every and (index + 1) % config.restart_every == 0:
            frame[202:] = _source().motion[202:]
    assert result is not None
    lead = overlap if config.live else 0
    return np.concatenate([result[:1], result[lead : lead + count]])


CONFIGS = (
    DittoConfig(seed=2, steps=3, overlap=2),
    DittoConfig(seed=2, steps=3, overlap=5, relative=False, drive_eyes=False),
    DittoConfig(seed=1, steps=2, overlap=7, live=True, restart_every=1),
    DittoConfig(seed=1, steps=2, overlap=9, live=True, restart_every=2, emotion="sad"),
)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("samples", [1, 640 * 12, 640 * 12 + 1, 640 * 22, 640 * 23, 16_001])
def test_clips_follow_each_other_as_published(config: DittoConfig, samples: int) -> None:
    sound = noise(1.1)[:samples]
    found = latent_motion(_stream(config), sound)
    silence = _hear(np.zeros(6480, np.float32))
    rows = _obvious(_features(sound), silence, config)
    wanted = driven(rows[1:], rows[0], _source(), relative=config.relative, eyes=config.drive_eyes)
    assert len(found) == -(-samples // 640) == len(wanted)
    np.testing.assert_allclose(found.rows(), wanted.rows(), rtol=1e-4, atol=1e-4)


@settings(max_examples=15)
@given(st.sampled_from(CONFIGS), st.lists(st.integers(0, 6000), max_size=8), st.integers(1, 14_000))
def test_any_cut_of_the_sound_gives_one_motion(
    config: DittoConfig, sizes: list[int], samples: int
) -> None:
    sound = noise(1.0, seed=7)[:samples]
    stream = _stream(config)
    whole = latent_motion(stream, sound).rows()
    parts, at = [], 0
    for size in sizes:
        parts.append(stream.push(sound[at : at + size]))
        at += size
    parts += [stream.push(sound[at:]), stream.finish()]
    np.testing.assert_array_equal(LatentMotion.joined(parts).rows(), whole)


@pytest.mark.parametrize("config", CONFIGS)
def test_features_from_elsewhere_give_the_same_motion(config: DittoConfig) -> None:
    """Of sound that begins as silence sounds; live, that is heard before it."""
    sound = noise(1.0)
    sound[:3300] = 0.0
    wanted = latent_motion(_stream(config), sound).rows()
    stream = DittoStream(_generator(), _source(), config=config)
    np.testing.assert_array_equal(stream.motion_of_features(_features(sound)).rows(), wanted)


@pytest.mark.parametrize("overlap", [2, 7])
def test_no_frame_waits_longer_than_the_latency_says(overlap: int) -> None:
    """And with clips that begin with a fifth frame, the first waits exactly so long."""
    for live in (True, False):
        stream = _stream(DittoConfig(steps=1, overlap=overlap, live=live))
        sound, given_out, waits = noise(2.0), 0, []
        for at in range(0, len(sound), 80):
            count = len(stream.push(sound[at : at + 80]))
            waits += [at + 80 - 640 * (given_out + k) for k in range(count)]
            given_out += count
        assert max(waits) <= round(16 * stream.latency_ms)
        if live and overlap == 7:
            assert waits[0] == max(waits) == round(16 * stream.latency_ms)


@pytest.mark.parametrize(
    ("config", "latency_ms"),
    [
        (DittoConfig(), 3285.0),
        (LIVE, 885.0),
        (DittoConfig(overlap=75, live=True), 485.0),
    ],
)
def test_latency_with_clips_of_the_published_length(config: DittoConfig, latency_ms: float) -> None:
    """Frames that are waited for, and the 85 ms that hearing looks ahead."""
    generator = Ditto(ditto_tensors(frames=80))
    assert DittoStream(generator, _source(), _hear, config).latency_ms == pytest.approx(latency_ms)


def test_the_seed_decides_and_nothing_else() -> None:
    sound = noise(1.0)
    first, again, other = (
        latent_motion(_stream(DittoConfig(seed=seed, steps=3, overlap=2)), sound).rows()
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to hear with"):
        DittoStream(_generator(), _source(), config=CONFIGS[0]).push(np.zeros(9, np.float32))
    with pytest.raises(InputError, match="overlap must be 1 to 11 frames, got 12"):
        _stream(DittoConfig(overlap=12))
    with pytest.raises(InputError, match="steps must be 1 to 1000"):
        DittoConfig(steps=0)
    with pytest.raises(InputError, match="restart_every"):
        DittoConfig(restart_every=-1)
    with pytest.raises(InputError, match=r"sound features \[T, 1024\]"):
        _stream(CONFIGS[0]).motion_of_features(np.zeros((3, 768), np.float32))
    with pytest.raises(InputError, match="is told 1103 numbers a frame and got 1032"):
        DittoStream(Ditto(ditto_tensors(), ("emotion",)), _source(), config=CONFIGS[0])
    lost = {k: v for k, v in ditto_tensors().items() if k != "norm_cond.bias"}
    with pytest.raises(InputError, match="could not be built"):
        Ditto(lost)
