"""Controls: what they change, what they leave alone, and that nothing pops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasa_cam.avatar.file import load_avatar
from vasa_cam.errors import InputError
from vasa_cam.face_model import load_face_model
from vasa_cam.motion.controls import (
    DEFAULT_CONTROLS,
    EMOTIONS,
    GLIDE_S,
    ControlGlide,
    Controls,
    apply_emotion,
    emotion_offset,
    lip_opening,
    scale_head,
    scale_lips,
)
from vasa_cam.motion.gaze import gaze_of
from vasa_cam.motion.pose import VIEW_DISTANCE_IOD
from vasa_cam.motion.space import COEFFICIENTS, INDEX, ROTATION, TRANSLATION, neutral
from vasa_cam.motion.voice import VoiceConfig, VoiceMotion, VoiceStream
from vasa_cam.render.layered import LayeredRenderer, RenderConfig
from vasa_cam.training.talk_data import load_talk

MOUTH = [i for name, i in INDEX.items() if name.startswith(("jaw", "mouth", "tongue"))]
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def speech(shared: Path) -> np.ndarray:
    """Three spoken sentences, 16 kHz."""
    return np.concatenate([c.audio for c in load_talk(shared / "data" / "talk", "val.jsonl")[:3]])


def _spoken(speech: np.ndarray, **controls: object) -> np.ndarray:
    return VoiceMotion(VoiceConfig(1, Controls(**controls))).motion(speech).frames


def _gap(frames: np.ndarray) -> np.ndarray:
    return frames[:, :COEFFICIENTS] @ lip_opening()


def _talk(frames: int, seed: int = 0) -> np.ndarray:
    """Random smooth mouths and lids, a third of them sealed over an open jaw."""
    rng = np.random.default_rng(seed)
    motion = neutral(frames)
    for name in ("mouthPucker", "mouthFunnel", "mouthStretchLeft", "eyeBlinkLeft", "browInnerUp"):
        motion[:, INDEX[name]] = rng.uniform(0.0, 0.6, frames)
    motion[:, INDEX["jawOpen"]] = rng.uniform(0.0, 0.5, frames)
    motion[::3, INDEX["mouthFunnel"]] = 0.0
    motion[::3, INDEX["mouthClose"]] = motion[::3, INDEX["jawOpen"]]
    return motion


@pytest.mark.parametrize(
    "wrong",
    [
        {"gaze_deg": (40.0, 0.0)},
        {"gaze_deg": (1.0, 2.0, 3.0)},
        {"gaze_deg": ("left", 0.0)},
        {"distance": 0.0},
        {"distance": float("nan")},
        {"lips": -0.1},
        {"head": 3.5},
        {"wander": float("inf")},
        {"emotion": {"bored": 0.5}},
        {"emotion": {"happy": 1.5}},
        {"offset": (0.1,) * 51},
        {"offset": (2.0,) * 52},
    ],
)
def test_values_outside_their_limits_are_refused_in_a_sentence(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError) as error:
        replace(DEFAULT_CONTROLS, **wrong)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_controls_are_values() -> None:
    amounts = {"happy": 0.5}
    controls = Controls(emotion=amounts, offset=[0.0] * 52)
    amounts["happy"] = 1.0
    assert controls == Controls(emotion={"happy": 0.5}, offset=(0.0,) * 52)
    assert hash(controls) == hash(replace(controls))
    with pytest.raises(TypeError):
        controls.emotion["sad"] = 1.0  # type: ignore[index]


def test_emotions_are_the_action_units_of_facs() -> None:
    expected = {
        "neutral": set(),
        "happy": {"cheekSquint", "mouthSmile"},
        "sad": {"browInnerUp", "browDown", "mouthFrown"},
        "angry": {"browDown", "eyeWide", "eyeSquint", "mouthPress"},
        "surprised": {"browInnerUp", "browOuterUp", "eyeWide", "jawOpen"},
    }
    assert set(EMOTIONS) == set(expected)
    for emotion, units in expected.items():
        offset = emotion_offset(Controls(emotion={emotion: 1.0}))
        used = {name for name, i in INDEX.items() if offset[i] > 0.0}
        stems = {name.removesuffix("Left").removesuffix("Right") for name in used}
        assert units <= stems
        np.testing.assert_allclose(
            emotion_offset(Controls(emotion={emotion: 0.5})), 0.5 * offset, atol=1e-6
        )
    free = np.zeros(52)
    free[INDEX["cheekPuff"]] = 0.4
    assert emotion_offset(Controls(offset=tuple(free)))[INDEX["cheekPuff"]] == np.float32(0.4)


@given(
    st.dictionaries(st.sampled_from(EMOTIONS), st.floats(0.0, 1.0), max_size=5),
    st.integers(0, 1000),
)
@settings(max_examples=40)
def test_any_mixture_keeps_the_lips_opening_and_the_range(
    emotion: dict[str, float], seed: int
) -> None:
    before = _talk(60, seed)
    after = apply_emotion(before, emotion_offset(Controls(emotion=emotion)))
    coefficients = after[:, :COEFFICIENTS]
    assert coefficients.min() >= 0.0 and coefficients.max() <= 1.0
    closed = _gap(before) < 0.01
    assert closed.sum() > 10
    assert (_gap(after)[closed] < _gap(before)[closed] + 0.004).all()
    np.testing.assert_array_less(_gap(before) - 0.004, _gap(after))
    np.testing.assert_array_equal(before[:, ROTATION], after[:, ROTATION])


@given(st.integers(0, 1000))
@settings(max_examples=40)
def test_any_free_offset_keeps_closed_lips_closed(seed: int) -> None:
    before = _talk(60, seed)
    offset = np.random.default_rng(seed).uniform(-1.0, 1.0, COEFFICIENTS).astype(np.float32)
    after = apply_emotion(before, offset)
    assert after[:, :COEFFICIENTS].min() >= 0.0 and after[:, :COEFFICIENTS].max() <= 1.0
    closed = _gap(before) < 0.01
    assert (_gap(after)[closed] < 0.02).all()


def test_a_blink_closes_wide_eyes_too() -> None:
    frames = neutral(2)
    frames[1, INDEX["eyeBlinkLeft"]] = 1.0
    after = apply_emotion(frames, emotion_offset(Controls(emotion={"surprised": 1.0})))
    assert after[0, INDEX["eyeWideLeft"]] > 0.4
    assert after[1, INDEX["eyeWideLeft"]] == 0.0


@pytest.mark.parametrize("emotion", [name for name in EMOTIONS if name != "neutral"])
def test_rendered_lips_stay_closed_under_every_emotion(emotion: str) -> None:
    """The judge is the drawn mesh along the whole mouth, not the linear estimate at its middle."""
    avatar = load_avatar(REPOSITORY / "vasa_cam" / "assets" / "astronaut.vasa")
    renderer, model = LayeredRenderer(RenderConfig(256, 256)), load_face_model()
    state = renderer.prepare(avatar)
    sealed = neutral(3)
    sealed[1:, INDEX["jawOpen"]] = sealed[1:, INDEX["mouthClose"]] = 0.15
    sealed[2, INDEX["mouthPressLeft"]] = sealed[2, INDEX["mouthPressRight"]] = 0.3
    wide = neutral(1)
    wide[:, INDEX["jawOpen"]] = 0.4
    offset = emotion_offset(Controls(emotion={emotion: 1.0}))

    def opening(motion: np.ndarray) -> float:
        renderer.render(state, motion)
        lips = state.buffers.vertices
        return float((lips[model.lip_lower, 1] - lips[model.lip_upper, 1]).max())

    open_px = opening(wide[0])
    for before, after in zip(sealed, apply_emotion(sealed, offset), strict=True):
        assert opening(after) < max(opening(before), 0.0) + 0.06 * open_px
    assert opening(apply_emotion(wide, offset)[0]) > 0.9 * open_px


def test_gaze_leaves_the_lips(speech: np.ndarray) -> None:
    ahead, aside = _spoken(speech), _spoken(speech, gaze_deg=(25.0, -15.0))
    np.testing.assert_allclose(ahead[:, MOUTH], aside[:, MOUTH], atol=1e-3)
    assert np.corrcoef(_gap(ahead), _gap(aside))[0, 1] > 0.95
    found, before = (np.median(gaze_of(frames), axis=0) for frames in (aside, ahead))
    np.testing.assert_allclose(found - before, [25.0, -15.0], atol=3.0)
    # Part of the way the head goes: the nose to the picture's right is a negative turn.
    other = _spoken(speech, gaze_deg=(-25.0, -15.0))
    right, left = (np.rad2deg(frames[25:, ROTATION].mean(axis=0))[1] for frames in (aside, other))
    assert right < left - 0.5


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_emotion_leaves_what_is_said(speech: np.ndarray, emotion: str) -> None:
    plain, felt = _spoken(speech), _spoken(speech, emotion={emotion: 1.0})
    assert np.corrcoef(_gap(plain), _gap(felt))[0, 1] > 0.95
    closed = _gap(plain) < 0.01
    assert closed.sum() > 20 and (_gap(felt)[closed] < 0.015).all()


def test_distance_moves_the_head_along_the_cameras_axis(speech: np.ndarray) -> None:
    near, far = _spoken(speech), _spoken(speech, distance=1.2)
    moved = (far[:, TRANSLATION] - near[:, TRANSLATION]).mean(axis=0)
    np.testing.assert_allclose(moved, [0.0, 0.0, 0.2 * VIEW_DISTANCE_IOD], atol=0.06)
    np.testing.assert_allclose(near[:, MOUTH], far[:, MOUTH], atol=1e-3)


def test_gains_act_on_their_part(speech: np.ndarray) -> None:
    plain = _spoken(speech)
    half = _spoken(speech, lips=0.5)
    np.testing.assert_allclose(_gap(half), 0.5 * np.maximum(0.0, _gap(plain)), atol=0.02)
    strong = _spoken(speech, lips=2.0)
    closed = _gap(plain) < 0.005
    assert closed.sum() > 20 and _gap(strong)[closed].max() < 0.02
    assert _gap(strong).max() > 1.5 * _gap(plain).max()
    still = _spoken(speech, head=0.0)
    assert not still[:, ROTATION].any() and not still[:, TRANSLATION].any()
    np.testing.assert_allclose(plain[:, MOUTH], still[:, MOUTH], atol=1e-3)
    brow = INDEX["browOuterUpLeft"]
    double = _spoken(speech, face=2.0)
    np.testing.assert_allclose(double[:, brow], np.clip(2.0 * plain[:, brow], 0, 1), atol=1e-6)
    np.testing.assert_allclose(plain[:, MOUTH], double[:, MOUTH], atol=2e-3)


def test_an_exaggerated_head_stays_where_a_photo_can_follow() -> None:
    frames = neutral(201)
    frames[:, ROTATION] = np.radians(np.linspace(-60.0, 60.0, 201))[:, None]
    scale_head(frames, np.full(201, 3.0, np.float32))
    turned = np.degrees(frames[:, ROTATION])
    assert (np.abs(turned).max(axis=0) < [12.0, 18.0, 15.0]).all()
    assert (np.diff(turned, axis=0) >= 0.0).all()


def test_no_lips_at_all_is_a_still_mouth(speech: np.ndarray) -> None:
    frames = _talk(90)
    scale_lips(frames, np.zeros(90, np.float32))
    assert frames[:, MOUTH].max() < 1e-3


def test_blink_rate_follows_its_gain() -> None:
    silence = np.zeros(16000 * 240, np.float32)

    def count(gain: float) -> int:
        lids = _spoken(silence, blinks=gain)[:, INDEX["eyeBlinkLeft"]]
        return int(np.count_nonzero((lids[1:-1] > 0.5) & (lids[1:-1] > lids[:-2])
                                    & (lids[1:-1] >= lids[2:])))  # fmt: skip

    plain = count(1.0)
    assert plain > 35
    assert count(0.0) == 0
    # The generator learnt the rate and does not follow it exactly.
    assert 0.3 < count(0.5) / plain < 0.85
    assert 1.2 < count(2.0) / plain < 2.4


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
@settings(max_examples=15)
def test_a_glide_does_not_depend_on_how_it_is_cut(sizes: list[int]) -> None:
    goal = Controls(gaze_deg=(20.0, 5.0), distance=1.3, emotion={"sad": 1.0}, lips=2.0)
    whole, parts = ControlGlide(), ControlGlide()
    whole.set(goal)
    parts.set(goal)
    cut = np.concatenate([parts.advance(size).gaze_deg for size in sizes])
    np.testing.assert_array_equal(cut, whole.advance(sum(sizes)).gaze_deg)


def test_a_glide_arrives_in_time_and_exactly() -> None:
    glide = ControlGlide(Controls(head=2.0))
    assert (glide.advance(5).head == 2.0).all()
    glide.set(Controls(head=0.0))
    path = glide.advance(100).head
    assert (np.diff(path) <= 0.0).all()
    assert path[round(25 * GLIDE_S)] < 0.05 * 2.0
    assert path[-1] == 0.0


def test_live_changes_take_effect_at_once_without_a_jump(speech: np.ndarray) -> None:
    goal = Controls(gaze_deg=(-20.0, 10.0), distance=1.1, emotion={"happy": 1.0}, face=2.0)
    plain, steered = VoiceStream(), VoiceStream()
    start = len(speech) // 2
    before = [stream.push(speech[:start]) for stream in (plain, steered)]
    np.testing.assert_array_equal(*before)
    steered.set_controls(goal)
    a, b = plain.push(speech[start:]), steered.push(speech[start:])
    change = (b - a)[:, [INDEX["mouthSmileLeft"], INDEX["eyeLookOutRight"], 57]]
    assert (np.abs(change[0]) > 0.01).all()
    steps = np.abs(np.diff(np.concatenate([np.zeros((1, 3)), change]), axis=0)).max(axis=0)
    assert (steps < 0.5 * np.abs(change).max(axis=0)).all()


def test_latency_is_look_ahead_and_a_frame() -> None:
    assert VoiceStream().latency_ms == pytest.approx(100.0)
    stream = VoiceStream()
    needed = round(stream.latency_ms / 1000.0 * 16000)
    assert len(stream.push(np.zeros(needed, np.float32))) == 2
