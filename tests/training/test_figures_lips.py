"""Each figure of the lips, on lips that do and do not do it."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_clips import clip_of, motion_with_gap

from vasa_cam.motion.controls import Controls, apply_emotion, emotion_offset
from vasa_cam.motion.space import INDEX, Motion, neutral
from vasa_cam.training.figures_lips import (
    acceleration,
    closures,
    correlation,
    gap,
    lip_figures,
    same_lips,
    shapes,
    silences,
    smoothness,
    stillness,
)
from vasa_cam.training.lip_shapes import PHONES, at_phones, classify, f1_scores, lip_reader

FRAMES = 150


def _talk(seed: int = 0, late: int = 0) -> np.ndarray:
    """An opening that wanders between 0 and 0.3."""
    rng = np.random.default_rng(seed)
    t = (np.arange(FRAMES) - late) / 25.0
    waves = [np.sin(2 * np.pi * hz * t + rng.uniform(0, 6.3)) for hz in rng.uniform(0.5, 4, 5)]
    return 0.15 + 0.028 * np.sum(waves, axis=0)


def test_gap_is_what_the_lips_open() -> None:
    opening = np.linspace(0.0, 0.3, 20)
    np.testing.assert_allclose(gap(motion_with_gap(opening).frames), opening, atol=1e-6)
    sealed = motion_with_gap(opening).frames
    sealed[:, INDEX["mouthClose"]] = sealed[:, INDEX["jawOpen"]] + 0.1
    assert not gap(sealed).any()


def test_correlation_knows_the_right_the_late_and_the_wrong() -> None:
    clips = [clip_of(_talk(seed)) for seed in range(8)]
    right = correlation(clips, [0.5 * clip.real_gap + 0.02 for clip in clips])
    assert right["r_mean"] == pytest.approx(1.0) and right["r_pooled"] == pytest.approx(1.0)
    assert right["lag_frames"] == pytest.approx(0.0, abs=0.02)
    assert right["gain"] == pytest.approx(0.5)
    late = correlation(clips, [_talk(seed, late=1) for seed in range(8)])
    assert late["r_mean"] > 0.995
    assert late["lag_frames"] == pytest.approx(1.0, abs=0.05)
    far = correlation(clips, [_talk(seed, late=3) for seed in range(8)])
    assert far["lag_frames"] == pytest.approx(3.0, abs=0.1)
    assert far["r_mean"] < 0.9, "more than a frame is no longer forgiven"
    wrong = correlation(clips, [_talk(seed + 100) for seed in range(8)])
    assert abs(wrong["r_mean"]) < 0.35
    still = correlation(clips, [np.full(FRAMES, 0.1)] * 8)
    assert still["r_mean"] == 0.0


def test_correlation_counts_speech_only() -> None:
    speech = np.zeros(FRAMES, bool)
    speech[40:110] = True
    clip = clip_of(_talk(), speech=speech)
    ours = clip.real_gap.copy()
    ours[:40] = ours[110:] = 0.9
    assert correlation([clip], [ours])["r_mean"] == pytest.approx(1.0)
    assert correlation([clip], [ours])["r_whole_mean"] < 0.5


def test_closures_are_counted_where_lips_come_together() -> None:
    phones = [(0.0, 1.0, "SIL"), (1.0, 1.1, "B"), (1.1, 2.0, "AA"), (2.0, 2.1, "M"),
              (2.1, 3.0, "IY"), (3.0, 3.08, "P"), (3.08, 5.0, "EH")]  # fmt: skip
    opening = np.full(FRAMES, 0.2)
    opening[26] = 0.01  # B: inside
    opening[53] = 0.02  # M: 20 ms after its end, within the margin
    opening[73] = 0.01  # P: 80 ms before it, too early
    found = closures([clip_of(opening, phones)], [opening])
    assert found["closed"] == pytest.approx(2 / 3)
    assert found["closed_by_phone"] == {"B": 1.0, "M": 1.0, "P": 0.0}
    half = np.full(FRAMES, 0.2)
    half[26] = half[51] = half[76] = 0.04  # 20 % of the opening is not closed
    assert closures([clip_of(half, phones)], [half])["closed"] == 0.0


def test_a_mouth_that_never_opens_does_not_close() -> None:
    phones = [(1.0, 1.1, "B"), (1.1, 2.0, "AA")]
    shut = np.full(FRAMES, 0.001)
    assert closures([clip_of(shut, phones)], [shut])["closed"] == 0.0


def test_silence_is_measured_away_from_speech() -> None:
    phones = [(0.0, 2.0, "SIL"), (2.0, 4.0, "AA"), (4.0, 4.16, "SIL"), (4.16, 5.0, "AA")]
    clip = clip_of(np.zeros(FRAMES), phones)
    # 2 s and the last second without phones count, each without two frames a side; 160 ms do not.
    assert silences([clip]) == [[(2, 48), (127, 148)]]
    opening = np.zeros(FRAMES)
    opening[50:125] = _talk()[50:125]
    good = stillness([clip], [opening])
    assert good["closed"] == 1.0 and good["variance_share"] == 0.0
    opening[10:33] = 0.2  # half of the first silence stands open
    bad = stillness([clip], [opening])
    assert bad["closed"] == pytest.approx(1 - 23 / (46 + 21))
    assert bad["variance_share"] > 0.5
    opening[:50] = 0.0
    opening[43:48] = 0.1  # opens just before speech
    early = stillness([clip], [opening])
    assert early["closed"] < 0.95 and early["closed_far"] == 1.0


def _pose(**values: float) -> np.ndarray:
    frames = neutral(1)
    for name, value in values.items():
        for side in ("", "Left", "Right"):
            if name + side in INDEX:
                frames[:, INDEX[name + side]] = value
    return frames


POSES = {
    "closed": [_pose(), _pose(jawOpen=0.15, mouthClose=0.15), _pose(mouthPress=0.4)],
    "rounded": [
        _pose(jawOpen=0.15, mouthPucker=0.7),
        _pose(jawOpen=0.25, mouthFunnel=0.6, mouthPucker=0.5),
    ],
    "spread": [
        _pose(jawOpen=0.3, mouthStretch=0.3, mouthSmile=0.3),
        _pose(jawOpen=0.2, mouthUpperUp=0.4, mouthLowerDown=0.4, mouthSmile=0.3),
    ],
    "open": [_pose(jawOpen=0.35, mouthPucker=0.12), _pose(jawOpen=0.3, mouthPucker=0.1)],
}


def test_textbook_lips_are_read_as_what_they_are() -> None:
    for shape, name in enumerate(POSES):
        for frames in POSES[name]:
            read = lip_reader().read(frames[:, :52])
            assert classify(read)[0] == shape, (name, read)


def test_lips_are_read_in_inter_ocular_distances() -> None:
    rest, wide, smile, pucker = lip_reader().read(
        np.concatenate([_pose(), _pose(jawOpen=0.5), _pose(mouthSmile=0.6),
                        _pose(mouthPucker=0.8)])[:, :52]
    )  # fmt: skip
    np.testing.assert_allclose(rest, 0.0, atol=0.01)
    assert wide[0] == pytest.approx(0.22, abs=0.04)
    assert smile[1] > 0.03 and pucker[1] < -0.1
    assert pucker[2] > smile[2] + 0.05


def test_shapes_are_read_at_the_middle_of_phones() -> None:
    symbols = {"closed": "M", "rounded": "UW", "spread": "IY", "open": "AA"}
    frames, phones = [], []
    for turn, name in enumerate([*POSES, *POSES]):
        frames.append(np.repeat(POSES[name][turn // 4], 5, axis=0))
        phones.append((0.2 * turn, 0.2 * turn + 0.2, symbols[name]))
    motion = Motion(np.concatenate(frames))
    clip = clip_of(np.zeros(len(motion.frames)), phones)
    found = shapes([clip], [motion])
    assert found["macro_f1"] == 1.0 and found["count"] == 8
    assert found["recall_by_phone"] == dict.fromkeys(sorted(symbols.values()), 1.0)
    moved = Motion(np.roll(motion.frames, 5, axis=0))
    assert shapes([clip], [moved])["macro_f1"] < 0.3


def test_a_phone_between_two_frames_is_interpolated() -> None:
    frames = neutral(3)
    frames[1, INDEX["jawOpen"]] = 1.0
    rows, shape, names = at_phones(frames, [(0.0, 0.04, "AA"), (0.05, 0.06, "T"), (0.1, 0.3, "B")])
    assert names == ["AA"] and shape.tolist() == [PHONES["AA"]]
    assert rows[0, INDEX["jawOpen"]] == pytest.approx(0.5)


def test_f1() -> None:
    scores = f1_scores(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 1]))
    np.testing.assert_allclose(scores[:3], [2 / 3, 2 * 2 / (2 + 4), 0.0])
    assert np.isnan(scores[3])


def test_smoothness_tells_sluggish_lips_from_trembling_ones() -> None:
    clips = [clip_of(_talk(seed)) for seed in range(4)]
    same = smoothness(clips, [clip.real_gap for clip in clips])
    assert same["ratio"] == pytest.approx(1.0)
    dull = smoothness(clips, [0.4 * clip.real_gap for clip in clips])
    assert dull["ratio"] == pytest.approx(0.4)
    fine = [clip.real_gap + 0.01 * (-1.0) ** np.arange(FRAMES) for clip in clips]
    assert smoothness(clips, fine)["ratio"] == pytest.approx(1.0, abs=0.02), "tracker noise"
    shake = [c.real_gap + 0.05 * np.sin(2 * np.pi * 4.5 * np.arange(FRAMES) / 25) for c in clips]
    assert smoothness(clips, shake)["ratio"] > 1.5


def test_acceleration_of_a_parabola_is_its_curvature() -> None:
    t = np.arange(200.0)
    assert acceleration(0.002 * (t - 100) ** 2, (50, 150)) == pytest.approx(0.004, rel=0.02)


def test_same_lips() -> None:
    a, b = [motion_with_gap(_talk(1))], [motion_with_gap(_talk(2))]
    assert same_lips(a, a) == pytest.approx(1.0)
    assert same_lips(a, b) < 0.5
    assert same_lips([Motion(neutral(9))], [Motion(neutral(9))]) == 1.0


def test_an_emotion_is_not_another_voice() -> None:
    """What the figures must not punish: the lips say the same, with a smile."""
    clips = [clip_of(_talk(seed)) for seed in range(3)]
    offset = emotion_offset(Controls(emotion={"happy": 1.0}))
    happy = [Motion(apply_emotion(clip.real.frames, offset)) for clip in clips]
    figures = lip_figures(clips, happy)
    assert figures["correlation"]["r_mean"] > 0.99
    assert "closures" not in figures, "no phones, no closures"
