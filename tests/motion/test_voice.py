"""Voice to motion: the whole frame, its conventions, and what a viewer would notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasa_cam.errors import InputError
from vasa_cam.motion.controls import Controls, lip_opening
from vasa_cam.motion.features import loud_level_db
from vasa_cam.motion.gaze import gaze_of, set_gaze
from vasa_cam.motion.space import COEFFICIENTS, INDEX, ROTATION, neutral
from vasa_cam.motion.voice import VoiceConfig, VoiceMotion, VoiceStream
from vasa_cam.training.phones import SEALED
from vasa_cam.training.talk_data import TalkClip, load_talk

MOUTH_GAP = ("jawOpen", "mouthClose")


def _voice(seconds: float) -> np.ndarray:
    t = np.arange(int(seconds * 16000)) / 16000.0
    buzz = sum(np.sin(2 * np.pi * 130.0 * k * t) / k for k in range(1, 20))
    return (0.05 * buzz * np.clip(np.sin(2 * np.pi * 3.0 * t), 0, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def clips(shared: Path) -> list[TalkClip]:
    return load_talk(shared / "data" / "talk", "val.jsonl")[:12]


@given(st.lists(st.integers(0, 9000), max_size=6))
@settings(max_examples=12, deadline=None)
def test_blocks_of_any_size_give_the_same_motion(sizes: list[int]) -> None:
    audio, config = _voice(1.5), VoiceConfig(seed=4)
    whole = VoiceMotion(config).motion(audio).frames
    padded = np.concatenate([audio, np.zeros(1600, np.float32)])
    stream, parts, at = VoiceStream(config, level_db=loud_level_db(audio)), [], 0
    for size in [*sizes, len(padded)]:
        parts.append(stream.push(padded[at : at + size]))
        at += size
    np.testing.assert_allclose(np.concatenate(parts)[: len(whole)], whole, atol=2e-4)


def test_seed_and_config_decide_everything() -> None:
    audio = _voice(3.0)
    first = VoiceMotion(7).motion(audio).frames
    np.testing.assert_array_equal(first, VoiceMotion(VoiceConfig(seed=7)).motion(audio).frames)
    other = VoiceMotion(8).motion(audio).frames
    opening = [frames[:, :COEFFICIENTS] @ lip_opening() for frames in (first, other)]
    assert np.corrcoef(*opening)[0, 1] > 0.99
    assert np.abs(np.rad2deg(first - other)[:, ROTATION]).max() > 0.5


@pytest.mark.parametrize("samples", [1, 640, 641, 48000])
def test_frame_count_and_range(samples: int) -> None:
    motion = VoiceMotion().motion(_voice(4.0)[:samples])
    assert motion.rate_hz == 25.0
    assert motion.frames.shape == (-(-samples // 640), 58)
    coefficients = motion.frames[:, :COEFFICIENTS]
    assert coefficients.min() >= 0.0 and coefficients.max() <= 1.0


def test_gaze_follows_the_conventions() -> None:
    """Right in the picture is the subject's left; the head's turn is taken back by the eyes."""
    frames = neutral(3)
    frames[1, ROTATION] = np.deg2rad([0.0, 7.0, 0.0])
    frames[2, ROTATION] = np.deg2rad([3.5, 0.0, 0.0])
    set_gaze(frames, np.array([[17.5, 7.0], [0.0, 0.0], [0.0, 0.0]], np.float32))
    look = {name: frames[:, i] for name, i in INDEX.items() if name.startswith("eyeLook")}
    np.testing.assert_allclose(look["eyeLookOutLeft"], [0.5, 0.2, 0.0], atol=1e-6)
    np.testing.assert_allclose(look["eyeLookInRight"], [0.5, 0.2, 0.0], atol=1e-6)
    np.testing.assert_allclose(look["eyeLookUpLeft"], [0.2, 0.0, 0.1], atol=1e-6)
    assert all(look[name].max() == 0.0 for name in ("eyeLookInLeft", "eyeLookDownRight"))
    np.testing.assert_allclose(gaze_of(frames), [[17.5, 7.0], [0.0, 0.0], [0.0, 0.0]], atol=1e-4)


def test_default_looks_into_the_camera_while_the_head_moves() -> None:
    frames = (
        VoiceMotion(VoiceConfig(seed=3, controls=Controls(wander=0.0))).motion(_voice(20.0)).frames
    )
    out = frames[:, INDEX["eyeLookOutLeft"]] - frames[:, INDEX["eyeLookInLeft"]]
    yaw_deg = np.rad2deg(frames[:, ROTATION][:, 1])
    assert np.abs(yaw_deg).max() > 1.0
    np.testing.assert_allclose(35.0 * out, yaw_deg, atol=0.05)


def test_silence_is_a_closed_mouth_on_a_living_face() -> None:
    frames = VoiceMotion(2).motion(np.zeros(16000 * 30, np.float32)).frames
    gap = frames[:, INDEX["jawOpen"]] - frames[:, INDEX["mouthClose"]]
    assert gap.max() < 0.06
    assert frames[:, INDEX["eyeBlinkLeft"]].max() > 0.8
    assert np.rad2deg(frames[:, ROTATION]).std(axis=0).max() > 0.4
    assert np.abs(np.diff(frames[:, :COEFFICIENTS], axis=0)).max() < 0.9


def test_lips_meet_on_b_p_m_and_open_on_vowels(clips: list[TalkClip]) -> None:
    gaps_closed, gaps_open = [], []
    for clip in clips:
        frames = VoiceMotion(1).motion(clip.audio).frames
        gap = frames[:, INDEX["jawOpen"]] - frames[:, INDEX["mouthClose"]]
        for start, end, symbol in clip.phones or []:
            part = gap[max(0, round(25 * start) - 1) : round(25 * end) + 2]
            if symbol in SEALED:
                gaps_closed.append(part.min())
            elif symbol in ("AY", "EH", "AE"):
                gaps_open.append(part.max())
    assert np.mean(np.array(gaps_closed) < 0.06) > 0.75
    assert np.median(gaps_open) > 0.15


def test_round_vowels_round_the_lips(clips: list[TalkClip]) -> None:
    rounding: dict[str, list[float]] = {"UW": [], "W": [], "IY": [], "S": []}
    for clip in clips:
        frames = VoiceMotion(1).motion(clip.audio).frames
        pucker = frames[:, INDEX["mouthPucker"]] + frames[:, INDEX["mouthFunnel"]]
        for start, end, symbol in clip.phones or []:
            middle = round(12.5 * (start + end))
            if symbol in rounding and middle < len(pucker):
                rounding[symbol].append(float(pucker[middle]))
    round_mean = np.mean(rounding["UW"] + rounding["W"])
    assert round_mean > 1.4 * np.mean(rounding["IY"] + rounding["S"])
    assert round_mean > 0.1


def test_gains_scale_their_part_only() -> None:
    audio = _voice(6.0)
    base = VoiceMotion(VoiceConfig(seed=1)).motion(audio).frames
    still = VoiceMotion(VoiceConfig(seed=1, controls=Controls(head=0.0))).motion(audio).frames
    assert np.rad2deg(np.abs(still[:, ROTATION])).max() < 0.5
    assert np.rad2deg(np.abs(base[:, ROTATION])).max() > 1.0
    np.testing.assert_array_equal(base[:, INDEX["jawOpen"]], still[:, INDEX["jawOpen"]])
    mute = VoiceMotion(VoiceConfig(seed=1, controls=Controls(lips=0.0))).motion(audio).frames
    assert mute[:, INDEX["jawOpen"]].max() == 0.0
    open_eyes = VoiceMotion(VoiceConfig(seed=1, controls=Controls(blinks=0.0))).motion(audio).frames
    assert open_eyes[:, INDEX["eyeBlinkLeft"]].max() == 0.0


@pytest.mark.parametrize("gain", [1e-7, 1.0, 1e4])
def test_any_level_gives_finite_motion(gain: float) -> None:
    """Integers read as floats, or a dead microphone: strange, but not an error of ours."""
    noise = np.random.default_rng(0).normal(size=16000).astype(np.float32) * np.float32(gain)
    frames = VoiceMotion(1).motion(noise).frames
    assert np.isfinite(frames).all()
    gap = frames[:, INDEX["jawOpen"]] - frames[:, INDEX["mouthClose"]]
    assert gap.max() < 0.1


@pytest.mark.parametrize(
    "audio", [np.zeros(0, np.float32), np.zeros((10, 2), np.float32), np.full(99, np.nan)]
)
def test_unusable_audio_is_refused(audio: np.ndarray) -> None:
    with pytest.raises(InputError):
        VoiceMotion().motion(audio)


def test_runs_without_torch() -> None:
    code = (
        "import sys, numpy as np; from vasa_cam.motion.voice import VoiceMotion;"
        "VoiceMotion(1).motion(np.zeros(3200, np.float32));"
        "bad = {'torch', 'scipy', 'cv2', 'mediapipe'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
