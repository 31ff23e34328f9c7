"""Ditto's conditions, clips and driving, and the user's speech encoder; no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.errors import InputError
from vasa_cam.motion.ditto.clips import ClipJoiner
from vasa_cam.motion.ditto.condition import (
    EXPRESSION,
    PARTS,
    PITCH,
    YAW,
    DittoSource,
    beside_the_sound,
    parts_of,
)
from vasa_cam.motion.ditto.driving import driven
from vasa_cam.motion.ditto.hearing import WINDOW_SAMPLES, middle_frames, open_hearing
from vasa_cam.motion.latent import angle_deg


def _source(seed: int = 0) -> DittoSource:
    rng = np.random.default_rng(seed)
    motion = rng.normal(0.0, 0.1, 265).astype(np.float32)
    return DittoSource(motion, rng.normal(size=(21, 3)).astype(np.float32))


def test_conditions_follow_each_other() -> None:
    source = DittoSource(
        np.zeros(265, np.float32),
        np.arange(63, dtype=np.float32).reshape(21, 3),
        np.array([0.8, 0.9], np.float32),
        np.arange(6, dtype=np.float32),
    )
    row = beside_the_sound(source, "happy", tuple(PARTS))
    assert row.shape == (79,) and row.dtype == np.float32
    assert row[:8].argmax() == 3 and row[:8].sum() == pytest.approx(1.0)
    assert row[3] / row[0] == pytest.approx(np.exp(8.0), rel=1e-4)
    np.testing.assert_array_equal(row[8:10], source.eyes_open)
    np.testing.assert_array_equal(row[10:16], source.eyeballs)
    np.testing.assert_array_equal(row[16:], source.keypoints.reshape(-1))
    assert beside_the_sound(source, "sad", ("eyes_open",)).tolist() == pytest.approx([0.8, 0.9])
    with pytest.raises(InputError, match=r"emotion must be one of angry.*'bored'"):
        beside_the_sound(source, "bored", ())


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (1103, ("emotion", "eyes_open", "eyeballs", "keypoints")),
        (1024, ()),
        (1032, ("emotion",)),
        (1087, ("keypoints",)),
        (1095, ("emotion", "keypoints")),
    ],
)
def test_a_checkpoints_size_tells_its_parts(size: int, parts: tuple[str, ...]) -> None:
    assert parts_of(size) == parts


def test_a_size_that_no_parts_have_is_refused() -> None:
    with pytest.raises(InputError, match="1059 numbers a frame, which is no sum"):
        parts_of(1059)


def test_a_source_comes_from_the_motion_extractors_values() -> None:
    rng = np.random.default_rng(2)
    sizes = {"kp": 63, "scale": 1, "pitch": 66, "yaw": 66, "roll": 66, "t": 3, "exp": 63}
    heads = {name: rng.normal(size=(1, size)).astype(np.float32) for name, size in sizes.items()}
    source = DittoSource.from_heads(heads)
    np.testing.assert_array_equal(source.motion[0], heads["scale"][0, 0] - 1)
    np.testing.assert_array_equal(source.motion[YAW], heads["yaw"][0])
    np.testing.assert_array_equal(source.motion[199:202], heads["t"][0])
    np.testing.assert_array_equal(source.motion[EXPRESSION], heads["exp"][0])
    np.testing.assert_array_equal(source.keypoints[1], heads["kp"][0, 3:6])
    with pytest.raises(InputError, match="scores over 66 bins"):
        DittoSource.from_heads({**heads, "yaw": np.zeros((1, 1), np.float32)})
    with pytest.raises(InputError, match=r"eyeballs of shape \[6\]"):
        DittoSource.from_heads(heads, eyeballs=np.zeros(5, np.float32))


def _obvious_clips(clips: np.ndarray, overlap: int, fuse: int) -> np.ndarray:
    """The whole motion in one array, faded and smoothed in place as published."""
    frames = clips.shape[1]
    new = frames - overlap

    def smooth(rows: np.ndarray, first: int) -> np.ndarray:
        before = rows.copy()
        for index in range(first, len(rows)):
            rows[index, :202] = before[max(0, index - 1) : index + 2, :202].mean(axis=0)
        return rows

    result = smooth(clips[0].copy(), 0)
    for clip in clips[1:]:
        for step in range(fuse):
            share = step / fuse
            at = len(result) - fuse + step
            result[at] = (1 - share) * result[at] + share * clip[frames - new - fuse + step]
        result = np.concatenate([result, clip[frames - new :]])
        result = smooth(result, len(result) - new - fuse)
    return result


@given(st.integers(2, 9), st.data())
def test_clips_are_joined_as_published(frames: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(1, frames - 1))
    fuse = data.draw(st.sampled_from(sorted({min(overlap, frames - overlap), overlap})))
    rng = np.random.default_rng(frames)
    clips = rng.normal(size=(5, frames, 265)).astype(np.float32)
    joiner, given_out = ClipJoiner(frames, overlap, fuse), []
    for count, clip in enumerate(clips, 1):
        given_out.append(joiner.add(clip))
        wanted = _obvious_clips(clips[:count], overlap, fuse)
        found = np.concatenate(given_out)
        assert len(found) == len(wanted) - fuse
        np.testing.assert_allclose(found, wanted[: len(found)], atol=1e-5)
        np.testing.assert_allclose(joiner.before_next(), wanted[-overlap - 1], atol=1e-5)


@pytest.mark.parametrize("numbers", [(8, 8, 2), (8, 3, 4), (8, 3, 0)])
def test_overlaps_that_cannot_be_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="fails"):
        ClipJoiner(*numbers)


def test_relative_driving_starts_from_the_source() -> None:
    source = _source()
    rows = np.random.default_rng(1).normal(0.0, 0.3, (4, 265)).astype(np.float32)
    motion = driven(rows, rows[0], source)
    own = source.motion
    np.testing.assert_allclose(motion.exp[0].reshape(-1), own[EXPRESSION], atol=1e-6)
    np.testing.assert_allclose(motion.pitch[0], angle_deg(own[PITCH]), atol=1e-4)
    np.testing.assert_allclose(motion.translation[0], own[199:202], atol=1e-6)
    np.testing.assert_array_equal(motion.scale, np.full(4, 1 + own[0], np.float32))
    np.testing.assert_allclose(
        motion.yaw, [angle_deg(own[YAW] + row[YAW] - rows[0, YAW]) for row in rows], atol=1e-4
    )
    absolute = driven(rows, rows[0], source, relative=False)
    np.testing.assert_allclose(absolute.pitch, angle_deg(rows[:, PITCH]), atol=1e-4)


@pytest.mark.parametrize("eyes", [True, False])
def test_lips_and_eyes_are_driven_and_nothing_else(eyes: bool) -> None:
    source = _source()
    rows = np.tile(source.motion, (2, 1))
    rows[1, EXPRESSION] += 1.0
    change = driven(rows, rows[0], source, eyes=eyes).exp[1] - driven(rows, rows[0], source).exp[0]
    taken = {6, 12, 14, 17, 19, 20} | ({11, 13, 15, 16, 18} if eyes else set())
    for keypoint in range(21):
        wanted = 1.0 if keypoint in taken else 0.0
        np.testing.assert_allclose(change[keypoint], wanted, atol=1e-5)


@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_eyes_keep_looking_while_the_head_turns(turn: float) -> None:
    """Flat positions 33, 34 (keypoint 11) and 45, 46 (keypoint 15) of the expression."""
    source = _source()
    rows = np.tile(source.motion, (2, 1))
    centre = np.arange(66) * 3.0 - 97.5
    rows[1, PITCH] += (0.02 * turn * centre).astype(np.float32)
    rows[1, YAW] += (0.03 * turn * centre).astype(np.float32)
    motion = driven(rows, rows[0], source)
    change = (motion.exp[1] - motion.exp[0]).reshape(-1)
    x = 0.26 * (motion.yaw[1] - motion.yaw[0])
    y = 0.28 * (motion.pitch[1] - motion.pitch[0])
    assert abs(x) > 1.0 and np.sign(x) == turn
    inner, outer = (0.0007, 0.001) if turn > 0 else (0.001, 0.0007)
    np.testing.assert_allclose(change[33], x * inner, rtol=1e-3)
    np.testing.assert_allclose(change[45], x * outer, rtol=1e-3)
    np.testing.assert_allclose(change[[34, 46]], -0.001 * y, rtol=1e-3)
    others = np.delete(change, [33, 34, 45, 46])
    np.testing.assert_allclose(others, 0.0, atol=1e-6)


def test_angles_are_the_mean_of_bins() -> None:
    bins = np.full((2, 66), -50.0, np.float32)
    bins[0, 0], bins[1, 32], bins[1, 33] = 50.0, 50.0, 50.0
    np.testing.assert_allclose(angle_deg(bins), [-97.5, 0.0], atol=1e-4)


def test_the_middle_of_a_window_is_heard() -> None:
    states = np.arange(20, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    np.testing.assert_array_equal(middle_frames(states)[:, 0], [6.5, 8.5, 10.5, 12.5, 14.5])


def _encoder(path: Path, rows: int) -> Path:
    """An ONNX network of the encoder's shape: it repeats the window's first numbers."""
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    numbers = {"start": [0, 0], "end": [1, rows * 64], "shape": [1, rows, 64], "tile": [1, 1, 16]}
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["sound", "start", "end"], ["head"]),
            helper.make_node("Reshape", ["head", "shape"], ["rows"]),
            helper.make_node("Tile", ["rows", "tile"], ["states"]),
        ],
        "encoder",
        [helper.make_tensor_value_info("sound", floats, [1, WINDOW_SAMPLES])],
        [helper.make_tensor_value_info("states", floats, [1, rows, 1024])],
        [
            helper.make_tensor(name, onnx.TensorProto.INT64, [len(v)], v)
            for name, v in numbers.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def test_the_users_encoder_is_run(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    hear = open_hearing(_encoder(tmp_path / "encoder.onnx", 20))
    window = np.arange(WINDOW_SAMPLES, dtype=np.float32)
    heard = hear(window)
    assert heard.shape == (5, 1024) and heard.dtype == np.float32
    np.testing.assert_array_equal(heard[:, 0], [64 * 6.5 + 128 * k for k in range(5)])
    wrong = open_hearing(_encoder(tmp_path / "wrong.onnx", 19))
    with pytest.raises(InputError, match=r"gives \[19, 1024\] numbers for a window"):
        wrong(window)


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(InputError, match="does not exist"):
        open_hearing(tmp_path / "none.onnx")
    path = tmp_path / "text.onnx"
    path.write_text("no network", encoding="utf-8")
    with pytest.raises(InputError, match="could not be opened"):
        open_hearing(path)
