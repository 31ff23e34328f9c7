"""Idle motion: deterministic, streamable, alive in silence, and distributed like filmed people."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from vasa_cam.motion.idle import (
    CORNERS_HZ,
    DEFAULT_IDLE,
    IdleFrames,
    IdleStream,
    SmoothNoise,
    component_power,
    soft_limit,
)

BANDS_HZ = ((0.2, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 4.0))


def _sound(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Loudness and speech of three-second sentences with one-second pauses."""
    t = np.arange(frames) / 25.0
    speech = (t % 4.0 < 3.0).astype(np.float32)
    loud = (0.35 + speech * (0.35 + 0.2 * np.sin(2 * np.pi * 3.1 * t))).astype(np.float32)
    return loud, speech


def _run(seconds: float, seed: int = 1, talking: bool = True) -> IdleFrames:
    loud, speech = _sound(int(seconds * 25))
    if not talking:
        loud, speech = np.zeros_like(loud), np.zeros_like(speech)
    return IdleStream(seed).push(loud, speech)


def _table(frames: IdleFrames) -> np.ndarray:
    columns = (frames.rotation_deg, frames.translation, frames.gaze_deg)
    return np.concatenate([*columns, frames.blink[:, None], frames.brow[:, None]], axis=1)


def _blinks(closure: np.ndarray) -> np.ndarray:
    middle = closure[1:-1]
    return 1 + np.flatnonzero((middle > 0.6) & (middle > closure[:-2]) & (middle >= closure[2:]))


@given(st.lists(st.integers(1, 90), min_size=1, max_size=8), st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_blocks_of_any_size_give_the_same_motion(sizes: list[int], seed: int) -> None:
    total = sum(sizes)
    loud, speech = _sound(total)
    stream, parts, at = IdleStream(seed), [], 0
    for size in sizes:
        parts.append(_table(stream.push(loud[at : at + size], speech[at : at + size])))
        at += size
    np.testing.assert_array_equal(
        np.concatenate(parts), _table(IdleStream(seed).push(loud, speech))
    )


def test_a_seed_is_a_performance_of_its_own() -> None:
    a, b = _table(_run(20, seed=1)), _table(_run(20, seed=2))
    np.testing.assert_array_equal(a, _table(_run(20, seed=1)))
    assert np.abs(a - b).max() > 1.0


def test_it_starts_at_the_photo_and_stays_within_limits() -> None:
    for seed in range(6):
        frames = _run(60, seed)
        assert np.abs(frames.rotation_deg[0]).max() < 0.6
        limits = [DEFAULT_IDLE.limit_pitch_deg, DEFAULT_IDLE.limit_yaw_deg]
        assert (np.abs(frames.rotation_deg[:, :2]).max(axis=0) <= limits).all()
        assert np.abs(frames.rotation_deg[:, 2]).max() <= DEFAULT_IDLE.limit_roll_deg
        assert np.abs(frames.translation).max() < 0.25
    wild = IdleStream(0, replace(DEFAULT_IDLE, head=30.0)).push(*_sound(1500))
    assert 14.0 < np.abs(wild.rotation_deg[:, 1]).max() <= 15.0
    np.testing.assert_allclose(soft_limit(np.array([0.01, 1e6]), 10.0), [0.01, 10.0], rtol=1e-5)


def test_components_have_the_spectrum_that_the_fit_assumes() -> None:
    noise = SmoothNoise(CORNERS_HZ, np.random.default_rng(4))
    track = np.array([noise.step() for _ in range(60000)])[500:]
    np.testing.assert_allclose(track.std(axis=0), 1.0, rtol=0.12)
    for column, corner in enumerate(CORNERS_HZ):
        hz, density = welch(track[:, column], 25.0, nperseg=2048)
        measured = [density[(hz >= a) & (hz < b)].sum() * hz[1] for a, b in BANDS_HZ]
        np.testing.assert_allclose(measured, component_power(corner, BANDS_HZ), rtol=0.3)


def test_head_motion_has_the_measured_spectrum_and_does_not_quiver(shared: Path) -> None:
    stats = json.loads((shared / "data/talk/wild/stats.json").read_text())
    real = np.array(stats["band_rms_deg"]["yaw_pitch_roll"])[:4, [1, 0, 2]]
    ones = np.ones(15000, np.float32)
    rotation = np.concatenate(
        [IdleStream(s, replace(DEFAULT_IDLE, nod_chance=0.0)).push(0.8 * ones, ones).rotation_deg
         for s in range(2)]
    )  # fmt: skip
    hz, density = welch(rotation, 25.0, nperseg=1024, axis=0)
    band = [np.sqrt(density[(hz >= a) & (hz < b)].sum(axis=0) * hz[1]) for a, b in BANDS_HZ]
    ratio = np.array(band) / (DEFAULT_IDLE.head * real)
    assert (ratio > 0.6).all() and (ratio < 1.5).all(), ratio
    fast = np.sqrt(density[hz >= 8.0].sum(axis=0) * hz[1])
    assert (fast < 0.1).all(), "motion above 8 Hz would look like a tremor"


def test_talking_heads_move_more_than_listening_ones() -> None:
    def speed(talking: bool) -> float:
        moved = [np.diff(_run(60, s, talking).rotation_deg, axis=0) for s in range(4)]
        return float(np.linalg.norm(np.concatenate(moved), axis=1).mean() * 25.0)

    talk, rest = speed(True), speed(False)
    assert 1.3 < talk / rest < 2.6
    assert rest > 3.0 and talk < 16.0, "degrees a second; filmed people: about 12 while talking"


def test_blinks_come_at_a_human_rate_and_close_the_eye() -> None:
    runs = [_run(240, seed).blink for seed in range(4)]
    closure = np.concatenate(runs)
    rate = sum(len(_blinks(run)) for run in runs) / (len(closure) / 25.0 / 60.0)
    assert 14.0 < rate < 30.0, rate
    gaps = np.concatenate([np.diff(_blinks(run)) for run in runs]) / 25.0
    assert gaps.min() > 0.5
    assert 0.45 < gaps.std() / gaps.mean() < 1.1, "neither a metronome nor bursts only"
    assert np.median([run[_blinks(run)].mean() for run in runs]) > 0.9
    assert 0.02 < (closure > 0.5).mean() < 0.1


def test_lids_close_faster_than_they_open() -> None:
    closure = _run(600, 5).blink
    down, up = [], []
    for peak in _blinks(closure):
        if 10 < peak < len(closure) - 15:
            down.append((closure[peak - 6 : peak] > 0.1).sum())
            up.append((closure[peak + 1 : peak + 13] > 0.1).sum())
    assert np.mean(up) > 1.3 * np.mean(down)
    assert np.mean(down) < 4.0
    assert np.abs(np.diff(closure)).max() < 0.8, "no lid jumps shut within a frame"


def test_eyes_fix_jump_and_come_back() -> None:
    gaze = np.concatenate([_run(120, seed).gaze_deg for seed in range(4)])
    distance = np.linalg.norm(gaze, axis=1)
    assert (distance < 3.0).mean() > 0.7, "mostly into the camera"
    assert 0.03 < (distance > 4.0).mean() < 0.3, "but not a stare"
    step = np.linalg.norm(np.diff(gaze, axis=0), axis=1)
    assert (step < 0.01).mean() > 0.75, "fixations are still"
    moving = step > 0.3
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, moving, 0])))[::2]
    assert runs.max() <= 4, "a saccade takes at most a few frames"
    still = IdleStream(0, replace(DEFAULT_IDLE, gaze_wander=0.0)).push(*_sound(500))
    assert np.abs(still.gaze_deg).max() == 0.0


def test_emphasis_raises_head_and_brows() -> None:
    """Filmed people lift the nose (rx < 0) and the brows when they get louder."""
    config = replace(DEFAULT_IDLE, head=1.0, nod_chance=0.0)
    loud = np.full(500, 0.5, np.float32)
    loud[250:275] = 0.9
    speech = np.ones(500, np.float32)
    flat = IdleStream(9, config).push(np.full(500, 0.5, np.float32), speech)
    accent = IdleStream(9, config).push(loud, speech)
    assert (accent.rotation_deg - flat.rotation_deg)[255:272, 0].mean() < -0.3
    assert (accent.brow - flat.brow)[255:272].mean() > 0.03
    np.testing.assert_array_equal(accent.rotation_deg[:250], flat.rotation_deg[:250])


@pytest.mark.parametrize("rate", [0.0, 2.0])
def test_blink_gain(rate: float) -> None:
    closure = IdleStream(2, replace(DEFAULT_IDLE, blinks=rate)).push(*_sound(6000)).blink
    count = len(_blinks(closure))
    assert count == 0 if rate == 0.0 else count > 110
