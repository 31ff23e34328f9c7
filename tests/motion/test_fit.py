"""Landmarks to coefficients and poses: what was put in comes out again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vasa_cam.avatar.shapes import shapes_for_landmarks
from vasa_cam.face_model import FaceModel, load_face_model
from vasa_cam.motion.fit import IOD_CM, FitOptions, clip_rest, fit_motion, fitted_names
from vasa_cam.motion.gaze import gaze_coefficients
from vasa_cam.motion.pose import (
    iod_cm,
    pose_from_mediapipe,
    procrustes_poses,
    relative_to_median,
    rotation_matrices,
    rotation_vectors,
)
from vasa_cam.motion.space import INDEX

ALL = tuple(range(468))
TRACKER_NOISE_IOD = 0.003
"""Standard deviation of a landmark at rest in the reference clips: 0.02 cm."""


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def grid_indices(shared: Path) -> tuple[int, ...]:
    meta = json.loads((shared / "data/talk/meta.json").read_text("utf-8"))
    return tuple(meta["landmark_indices"])


def _curves(frames: int, rng: np.random.Generator, names: list[str]) -> np.ndarray:
    """Smooth random coefficients: each name is active in its own stretches."""
    out = np.zeros((frames, 52), np.float32)
    time = np.arange(frames) / 25
    for name in names:
        wave = np.sin(2 * np.pi * (rng.uniform(0.4, 1.4) * time + rng.uniform()))
        out[:, INDEX[name]] = np.clip(wave, 0, 1) * rng.uniform(0.3, 0.8)
    return out


def _synthesise(model: FaceModel, weights: np.ndarray, indices: tuple[int, ...]) -> np.ndarray:
    moved = np.tensordot(weights, model.offsets[:, list(indices)], 1)
    return ((model.vertices[list(indices)] + moved) / IOD_CM).astype(np.float32)


MOVING = ["jawOpen", "mouthPucker", "mouthSmileLeft", "mouthSmileRight", "browInnerUp"]
MOVING += ["eyeBlinkLeft", "eyeBlinkRight", "browDownLeft", "mouthUpperUpLeft", "mouthUpperUpRight"]


def test_known_coefficients_come_back(model: FaceModel, rng: np.random.Generator) -> None:
    truth = _curves(250, rng, MOVING)
    landmarks = _synthesise(model, truth, ALL)
    landmarks += rng.normal(0, TRACKER_NOISE_IOD, landmarks.shape).astype(np.float32)
    rest = model.vertices / IOD_CM
    found = fit_motion(landmarks, ALL, model.offsets, rest)
    assert found.shape == (250, 52) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    for name in MOVING:
        correlation = np.corrcoef(found[:, INDEX[name]], truth[:, INDEX[name]])[0, 1]
        assert correlation > 0.9, (name, correlation)
    silent = [k for name, k in INDEX.items() if name not in MOVING]
    assert found[:, silent].mean() < 0.02
    explained = _synthesise(model, found, ALL)
    assert np.sqrt(((explained - landmarks) ** 2).mean()) < 2 * TRACKER_NOISE_IOD


def test_sealed_lips_over_a_dropped_jaw(model: FaceModel, rng: np.random.Generator) -> None:
    truth = np.zeros((40, 52), np.float32)
    truth[:, [INDEX["jawOpen"], INDEX["mouthClose"]]] = 0.3
    landmarks = _synthesise(model, truth, ALL)
    found = fit_motion(landmarks, ALL, model.offsets, model.vertices / IOD_CM)
    assert found[:, INDEX["jawOpen"]].mean() == pytest.approx(0.3, abs=0.06)
    assert (found[:, INDEX["mouthClose"]] <= found[:, INDEX["jawOpen"]]).all()
    gap = _synthesise(model, found, (13, 14)) - _synthesise(model, 0 * found, (13, 14))
    assert np.abs(gap[:, 1, 1] - gap[:, 0, 1]).max() * IOD_CM < 0.03


def test_rest_is_closed_and_eyes_open(model: FaceModel, rng: np.random.Generator) -> None:
    truth = _curves(200, rng, ["jawOpen", "eyeBlinkLeft", "eyeBlinkRight"])
    landmarks = _synthesise(model, truth, ALL)
    rest = clip_rest(landmarks, ALL) * IOD_CM
    assert np.abs(rest[13] - rest[14]).max() < 1e-5
    lids = [159, 145, 386, 374]
    np.testing.assert_allclose(rest[lids], model.vertices[lids], atol=0.02)
    np.testing.assert_allclose(rest[152], model.vertices[152], atol=0.1)


def test_smoothing_stops_at_clip_borders(model: FaceModel) -> None:
    truth = np.zeros((20, 52), np.float32)
    truth[10:, INDEX["jawOpen"]] = 0.6
    landmarks = _synthesise(model, truth, ALL)
    rest = model.vertices / IOD_CM
    options = FitOptions(smoothness=20.0)
    joined = fit_motion(landmarks, ALL, model.offsets, rest, options)[:, INDEX["jawOpen"]]
    apart = fit_motion(landmarks, ALL, model.offsets, rest, options, clip_starts=(0, 10))
    jaw = apart[:, INDEX["jawOpen"]]
    assert joined[9] > 0.04 and joined[10] < 0.59
    assert jaw[9] < 0.02 and jaw[10] == pytest.approx(jaw[19], abs=0.02)


def test_only_what_the_landmarks_can_tell_is_fitted(grid_indices: tuple[int, ...]) -> None:
    names = fitted_names(grid_indices)
    assert {"jawOpen", "mouthClose", "eyeBlinkLeft", "mouthPressRight"} <= set(names)
    assert not {"browInnerUp", "cheekPuff", "noseSneerLeft", "tongueOut"} & set(names)
    assert "browInnerUp" in fitted_names(ALL) and "cheekPuff" in fitted_names(ALL)


def test_given_coefficients_are_kept(model: FaceModel) -> None:
    given = np.zeros((10, 52), np.float32)
    given[:, INDEX["eyeLookDownLeft"]] = 0.7
    landmarks = _synthesise(model, given, ALL)
    found = fit_motion(landmarks, ALL, model.offsets, model.vertices / IOD_CM, given=given)
    assert np.array_equal(found[:, INDEX["eyeLookDownLeft"]], given[:, INDEX["eyeLookDownLeft"]])
    assert found[:, INDEX["eyeBlinkLeft"]].max() < 0.05


def test_wrong_shapes_are_refused(model: FaceModel) -> None:
    with pytest.raises(ValueError, match="landmarks"):
        fit_motion(
            np.zeros((4, 60, 3), np.float32), ALL, model.offsets, np.zeros((468, 3), np.float32)
        )


def test_speech_closures_and_vowels(
    model: FaceModel, shared: Path, grid_indices: tuple[int, ...]
) -> None:
    """On real speech /b p/ close the reconstructed lips, /w/ puckers, open vowels drop the jaw."""
    folder = shared / "data/talk"
    with np.load(folder / "val_000.npz", allow_pickle=False) as data:
        landmarks = data["lm"].astype(np.float32) * np.array([1, -1, -1], np.float32)
        starts, lengths = data["start"], data["length"]
    records = [json.loads(line) for line in (folder / "val.jsonl").read_text().splitlines()]
    rests = np.concatenate(
        [
            np.repeat(clip_rest(landmarks[a : a + n], grid_indices)[None], n, 0)
            for a, n in zip(starts, lengths, strict=True)
        ]
    )
    offsets = shapes_for_landmarks(model, np.median(rests, axis=0), list(grid_indices))
    found = fit_motion(landmarks, grid_indices, offsets, rests, clip_starts=starts.tolist())
    gap = offsets[:, 14, 1] - offsets[:, 13, 1]
    aperture = found @ gap / IOD_CM
    at: dict[str, list[int]] = {}
    closed: dict[str, list[bool]] = {}
    for record in records:
        for begin, end, phone in record["phones"] or []:
            first = record["start"] + int(begin * 25)
            last = record["start"] + min(record["n_frames"], int(end * 25) + 2)
            at.setdefault(phone, []).append((first + last) // 2)
            closed.setdefault(phone, []).append(bool(aperture[first:last].min() < 0.02))
    assert np.mean(closed["B"] + closed["P"] + closed["M"]) > 0.93
    assert np.mean(closed["AE"] + closed["AY"] + closed["EY"]) < 0.4

    def mean(phones: str, name: str) -> float:
        return float(np.mean([found[at[p], INDEX[name]].mean() for p in phones.split()]))

    assert mean("W AO OW", "mouthPucker") > 3 * mean("IY EY S", "mouthPucker")
    assert mean("AY EY AE", "jawOpen") > 2 * mean("F V SIL", "jawOpen")
    assert mean("SIL", "jawOpen") < 0.1
    measured = landmarks[:, grid_indices.index(14), 1] - landmarks[:, grid_indices.index(13), 1]
    assert np.corrcoef(measured, aperture)[0, 1] > 0.99


def test_rotation_vectors_and_matrices(rng: np.random.Generator) -> None:
    transform = pytest.importorskip("scipy.spatial.transform")
    vectors = rng.normal(0, 0.8, (40, 3))
    vectors[0] = 0
    matrices = rotation_matrices(vectors)
    np.testing.assert_allclose(
        matrices, transform.Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12
    )
    np.testing.assert_allclose(rotation_vectors(matrices), vectors, atol=1e-9)


def test_procrustes_finds_the_pose(model: FaceModel, rng: np.random.Generator) -> None:
    turns = rotation_matrices(rng.normal(0, 0.3, (6, 3)))
    scale, origin = rng.uniform(5, 20, 6), rng.normal(0, 100, (6, 3))
    points = scale[:, None, None] * (model.vertices @ turns.transpose(0, 2, 1)) + origin[:, None]
    poses = procrustes_poses(points.astype(np.float32), model.vertices)
    np.testing.assert_allclose(poses.rotation, turns, atol=1e-5)
    np.testing.assert_allclose(poses.scale, scale, rtol=1e-5)
    np.testing.assert_allclose(poses.origin, origin, atol=1e-3)
    head = poses.to_head(points.astype(np.float32), model.vertices) * iod_cm(model.vertices)
    np.testing.assert_allclose(head, np.broadcast_to(model.vertices, head.shape), atol=1e-4)


def test_head_motion_is_relative_and_signed(model: FaceModel) -> None:
    """Turning the nose to the image left is ry > 0; moving right is tx > 0; nearing is tz < 0."""
    turn = np.array([[0, 0, 0], [0, 0, 0], [0, 0.2, 0]], np.float64)
    points = model.vertices @ rotation_matrices(turn).transpose(0, 2, 1) * 10
    points[1] = points[1] * 1.1 + np.array([63, 0, 0])
    assert points[2, 1, 0] < points[0, 1, 0], "the nose tip is further left"
    motion = procrustes_poses(points.astype(np.float32), model.vertices).motion(model.vertices)
    assert motion.shape == (3, 6)
    np.testing.assert_allclose(motion[2, :3], [0, 0.2, 0], atol=1e-4)
    assert motion[1, 3] == pytest.approx(1.0, abs=0.02) and motion[1, 5] < -0.5


def test_mediapipe_matrices_change_axes() -> None:
    matrix = np.eye(4)[None].repeat(3, 0)
    tilt = 0.3
    # MediaPipe, y up: nodding down is a positive turn about x; both conventions share that.
    matrix[2, :3, :3] = rotation_matrices(np.array([tilt, 0.1, -0.2]))
    matrix[:, :3, 3] = [1.0, 2.0, -30.0]
    pose = pose_from_mediapipe(matrix, iod=6.0)
    np.testing.assert_allclose(pose[2, :3], [tilt, -0.1, 0.2], atol=1e-6)
    np.testing.assert_allclose(pose[0, 3:], [1 / 6, -2 / 6, 5.0], atol=1e-6)
    assert not relative_to_median(pose)[0].any()


def test_gaze_from_irises() -> None:
    landmarks = np.zeros((3, 478, 3), np.float32)
    landmarks[:, [33, 133, 362, 263], 0] = [-0.7, -0.3, 0.3, 0.7]
    landmarks[:, 468, 0], landmarks[:, 473, 0] = -0.5, 0.5
    landmarks[1, [468, 473], 0] += 0.05
    landmarks[2, [468, 473], 1] += 0.05
    weights = gaze_coefficients(landmarks)
    assert not weights[0].any()
    # The image right is outwards for the subject's left eye and inwards for the right one.
    look = {name for name, k in INDEX.items() if weights[1, k] > 0}
    assert look == {"eyeLookInRight", "eyeLookOutLeft"}
    angle = np.degrees(np.arcsin(0.05 / 0.19))
    assert weights[1, INDEX["eyeLookOutLeft"]] == pytest.approx(angle / 35, abs=1e-3)
    assert {n for n, k in INDEX.items() if weights[2, k] > 0} == {
        "eyeLookDownRight",
        "eyeLookDownLeft",
    }
