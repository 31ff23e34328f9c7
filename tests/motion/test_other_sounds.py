"""Sounds that are not one calm speaker: nothing breaks, and the mouth stays plausible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vasa_cam.motion.controls import lip_opening
from vasa_cam.motion.space import COEFFICIENTS, ROTATION
from vasa_cam.motion.voice import VoiceMotion
from vasa_cam.training.other_sounds import RESTING, UNKNOWN, other_sound
from vasa_cam.training.samples import music_sound, noise_sound
from vasa_cam.training.talk_data import TalkClip, Utterance, load_talk
from vasa_cam.training.vocoder import sung, whispered

WIDEST_IOD = 0.45


def _gap(frames: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, frames[:, :COEFFICIENTS] @ lip_opening())


def _plausible(frames: np.ndarray) -> None:
    """Finite, in range, no mouth torn open, no trembling lips, the head within the photo."""
    assert np.isfinite(frames).all()
    assert frames[:, :COEFFICIENTS].min() >= 0.0 and frames[:, :COEFFICIENTS].max() <= 1.0
    gap = _gap(frames)
    assert gap.max() < WIDEST_IOD
    assert np.abs(np.diff(gap, 2)).mean() < 0.06
    assert np.rad2deg(np.abs(frames[:, ROTATION])).max() < 20.0


@pytest.fixture(scope="module")
def clips(shared: Path) -> list[TalkClip]:
    return load_talk(shared / "data" / "talk", "val.jsonl")[:4]


@pytest.mark.parametrize("kind", sorted([*RESTING, *UNKNOWN]))
def test_sounds_without_words(kind: str) -> None:
    rng = np.random.default_rng(3)
    frames = VoiceMotion(1).motion(other_sound(rng, kind, 6.0).audio).frames
    _plausible(frames)
    if kind in RESTING:
        assert np.percentile(_gap(frames), 90.0) < 0.06


@pytest.mark.parametrize("make", [noise_sound, music_sound])
def test_the_mouth_rests_in_noise_and_music(make) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(5)
    gaps = [_gap(VoiceMotion(1).motion(make(rng, 5.0)).frames) for _ in range(6)]
    assert np.percentile(np.concatenate(gaps), 90.0) < 0.06


def test_sung_whispered_shouted_and_two_voices_at_once(clips: list[TalkClip]) -> None:
    voice, other = clips[0].audio, clips[1].audio[: len(clips[0].audio)]
    plain = _gap(VoiceMotion(1).motion(voice).frames)
    shouted = np.clip(12.0 * voice, -1.0, 1.0)
    both = 0.5 * (voice[: len(other)] + other)
    song = sung(Utterance("s1", voice, clips[0].phones or []), np.random.default_rng(2)).audio
    _plausible(VoiceMotion(1).motion(song).frames)
    for sound, least in ((whispered(voice, np.random.default_rng(1)), 0.3), (shouted, 0.7)):
        frames = VoiceMotion(1).motion(np.asarray(sound, np.float32)).frames
        _plausible(frames)
        assert np.corrcoef(_gap(frames), plain)[0, 1] > least
    _plausible(VoiceMotion(1).motion(both).frames)


def test_other_languages(shared: Path) -> None:
    """German by a filmed speaker: open and shut, with the voice."""
    wild = load_talk(shared / "data" / "talk" / "wild", "wild.jsonl")
    german = next(clip for clip in wild if "german" in clip.name)
    frames = VoiceMotion(1).motion(german.audio).frames
    _plausible(frames)
    gap = _gap(frames)
    assert np.percentile(gap, 90.0) > 0.08 and np.percentile(gap, 10.0) < 0.02
