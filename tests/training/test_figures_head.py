"""Each figure of head, lids and eyes, on motion that was made to have a known one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import find_peaks

from vasa_cam.motion.gaze import set_gaze
from vasa_cam.motion.space import INDEX, ROTATION, Motion, neutral
from vasa_cam.training.evaluation_data import EvalClip, load_evaluation
from vasa_cam.training.figures_head import (
    against,
    angles_deg,
    blink_peaks,
    blinks,
    different_heads,
    equal_windows,
    gaze_shifts,
    gaze_shifts_a_minute,
    head_movement,
    interval_distance,
    prominence,
)

BLINK = np.array([0.3, 0.8, 1.0, 0.7, 0.35, 0.1])


def _turning(amplitude_deg: float, hz: float = 0.5, seconds: float = 12.0) -> Motion:
    t = np.arange(round(25 * seconds)) / 25.0
    frames = neutral(len(t))
    turn = np.radians(amplitude_deg) * np.sin(2 * np.pi * hz * t)
    frames[:, ROTATION] = turn[:, None] * np.array([0.5, 1.0, 0.25])
    return Motion(frames)


def _blinking(at: list[int], frames: int = 1500) -> Motion:
    motion = neutral(frames)
    for start in at:
        for side in ("Left", "Right"):
            motion[start - 2 : start + 4, INDEX[f"eyeBlink{side}"]] = BLINK
    return Motion(motion)


@pytest.fixture(scope="module")
def wild(shared: Path) -> list[EvalClip]:
    """The filmed people, measured by our own functions."""
    return load_evaluation(shared / "data" / "talk" / "wild")


@pytest.mark.parametrize(("axis", "place"), [("yaw", 0), ("pitch", 1), ("roll", 2)])
def test_angles_are_those_of_the_rotation(axis: str, place: int) -> None:
    frames = neutral(1)
    frames[0, 52 + {"pitch": 0, "yaw": 1, "roll": 2}[axis]] = np.radians(12.0)
    expected = np.zeros(3)
    expected[place] = 12.0
    np.testing.assert_allclose(angles_deg(Motion(frames))[0], expected, atol=1e-4)


def test_head_movement_of_a_sine() -> None:
    found = head_movement([_turning(8.0)])
    np.testing.assert_allclose(found["range_deg"], [16.0, 8.0, 4.0], rtol=0.02)
    np.testing.assert_allclose(found["range_3s_deg"], [16.0, 8.0, 4.0], rtol=0.05)
    # The mean slope of a sine is 2 / pi of its largest, 2 pi f A.
    step = 8.0 * 2 * np.pi * 0.5 * (2 / np.pi) / 25.0
    np.testing.assert_allclose(found["step_deg"], [step, step / 2, step / 4], rtol=0.03)


def test_head_ratios_and_noise() -> None:
    real = head_movement([_turning(8.0)])
    ratio = against(head_movement([_turning(4.0)]), real)
    for name in ("step", "range", "range_3s", "acceleration"):
        assert ratio[name] == pytest.approx(0.5, rel=0.02)
    assert set(ratio["range_by_axis"]) == {"yaw", "pitch", "roll"}
    noisy = _turning(8.0).frames.copy()
    noisy[:, ROTATION] += np.radians(0.2) * (-1.0) ** np.arange(len(noisy))[:, None]
    assert against(head_movement([Motion(noisy)]), real)["step"] == pytest.approx(1.0, abs=0.02)
    shaking = _turning(8.0).frames.copy()
    shaking[:, ROTATION] += _turning(1.0, 4.0).frames[:, ROTATION]
    assert against(head_movement([Motion(shaking)]), real)["acceleration"] > 3.0


def test_our_figures_of_filmed_heads_are_the_published_ones(
    wild: list[EvalClip], shared: Path
) -> None:
    """Another implementation, another filter design, the same clips: shared/data/talk/wild."""
    stats = json.loads((shared / "data" / "talk" / "wild" / "stats.json").read_text())["pooled"]
    motions = [clip.real for clip in wild]
    found = head_movement(motions)
    np.testing.assert_allclose(found["step_deg"], stats["dP_lp"], rtol=0.06)
    np.testing.assert_allclose(found["range_deg"], stats["range"], rtol=0.03)
    np.testing.assert_allclose(found["std_3s_deg"], stats["std3"], rtol=0.05)
    assert blinks(motions)["a_minute"] == pytest.approx(stats["blink"], rel=0.05)
    assert gaze_shifts_a_minute(motions) == pytest.approx(stats["gaze"], rel=0.3)
    nod = prominence(motions, [clip.loud_db for clip in wild])["nod"]
    assert nod["r"] > -stats["r_pitch"] - 0.03 and nod["r"] > nod["shuffled_95"]


def test_blinks_are_counted_and_timed() -> None:
    at = [50, 120, 300, 305 + 40, 900]
    found = blinks([_blinking(at)])
    assert found["count"] == 5
    assert found["a_minute"] == pytest.approx(5.0)
    np.testing.assert_allclose(found["intervals_s"], np.diff(at) / 25.0)


def test_closed_and_drooping_eyes_are_no_blinks() -> None:
    closed = neutral(300)
    closed[100:150, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = 1.0
    assert blinks([Motion(closed)])["count"] == 0
    droop = neutral(300)
    droop[:, INDEX["eyeBlinkLeft"]] = droop[:, INDEX["eyeBlinkRight"]] = (
        0.1 * np.sin(np.arange(300) / 9.0) + 0.1
    )
    assert blinks([Motion(droop)])["count"] == 0


@given(st.integers(0, 10_000))
@settings(max_examples=40)
def test_blinks_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lid = 0.1 * rng.random(400)
    for start in rng.integers(5, 390, 12):
        lid[start - 2 : start + 4] += (
            rng.uniform(0.2, 1.0) * BLINK[: len(lid[start - 2 : start + 4])]
        )
    expected, _ = find_peaks(lid, prominence=0.25, width=(None, 15), rel_height=0.5)
    inside = [peak for peak in blink_peaks(lid) if 10 < peak < 390]
    assert inside == [peak for peak in expected.tolist() if 10 < peak < 390]


def test_intervals_compare_only_in_equal_windows(rng: np.random.Generator) -> None:
    """The same blinker, seen whole and in short clips: whole intervals would look too long."""
    at = np.cumsum(rng.lognormal(0.7, 0.6, 600) + 0.3)
    long = _blinking([int(25 * t) for t in at if 25 * t < 29_990], 30_000)
    lengths = [75, 250, 120]
    short = blinks(equal_windows(long, lengths))["intervals_s"]
    other = _blinking([int(25 * t) for t in at + 60.0 if 25 * t < 29_990], 30_000)
    fair = interval_distance(blinks(equal_windows(other, lengths))["intervals_s"], short)
    assert fair["ks"] < fair["ks_5_percent"]
    unfair = interval_distance(blinks([long])["intervals_s"], short)
    assert unfair["ks"] > unfair["ks_5_percent"]
    pieces = equal_windows(long, lengths)
    assert [len(p.frames) for p in pieces[:4]] == [75, 250, 120, 75]


def test_gaze_shifts_are_counted_without_blinks() -> None:
    gaze = np.zeros((500, 2), np.float32)
    gaze[100:200] = [12.0, 0.0]
    gaze[200:230] = [12.0, 9.0]
    gaze[400:] = [-3.0, 0.0]  # too small a step
    frames = neutral(500)
    set_gaze(frames, gaze)
    assert len(gaze_shifts(Motion(frames))) == 3
    blinked = _blinking([100, 200, 231], 500).frames
    looks = [i for name, i in INDEX.items() if "eyeLook" in name]
    blinked[:, looks] = frames[:, looks]
    assert gaze_shifts(Motion(blinked)) == []
    assert gaze_shifts_a_minute([Motion(frames)]) == pytest.approx(9.0)


def _voice(rng: np.random.Generator, frames: int) -> np.ndarray:
    smooth = np.convolve(rng.normal(size=frames + 40), np.hanning(15), "valid")[:frames]
    return 10.0 * smooth / smooth.std()


def test_prominence_hears_a_nodding_head_and_not_a_deaf_one(rng: np.random.Generator) -> None:
    voices = [_voice(rng, 400) for _ in range(5)]
    nodding, deaf = [], []
    for voice in voices:
        frames = neutral(400)
        frames[4:, 52] = -0.01 * voice[:-4] + 0.03 * rng.normal(size=396)
        nodding.append(Motion(frames))
        frames = neutral(400)
        frames[:, 52] = 0.01 * _voice(rng, 400)
        deaf.append(Motion(frames))
    nod = prominence(nodding, voices)["nod"]
    assert nod["r"] > 0.8 and nod["r"] > nod["shuffled_95"] + 0.3
    none = prominence(deaf, voices)["nod"]
    assert none["r"] < none["shuffled_95"] + 0.1


def test_prominence_hears_a_head_that_moves_more_when_louder(rng: np.random.Generator) -> None:
    t = np.arange(1500) / 25.0
    loud = 15.0 * np.sin(2 * np.pi * 0.25 * t)
    frames = neutral(1500)
    steps = np.clip(1.0 + loud / 15.0, 0.05, None) * np.sign(np.sin(2 * np.pi * 1.5 * t))
    frames[:, 53] = 0.01 * np.cumsum(steps)
    speed = prominence([Motion(frames)], [loud])["speed"]
    assert speed["r"] > 0.7


def test_short_clips_say_nothing_about_prominence(rng: np.random.Generator) -> None:
    motions = [_turning(5.0, seconds=3.0)] * 4
    found = prominence(motions, [_voice(rng, 75)] * 4)
    assert np.isnan(found["nod"]["r"]) and np.isnan(found["nod"]["shuffled_95"])


def test_different_heads() -> None:
    a, b = _turning(8.0, 0.5), _turning(8.0, 0.83)
    assert different_heads([a], [a])["r"] == pytest.approx(1.0)
    assert different_heads([a], [a])["rms_deg"] == 0.0
    assert different_heads([a], [b])["r"] < 0.3
    assert different_heads([a], [b])["rms_deg"] > 2.0
