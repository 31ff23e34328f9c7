"""Personal shapes: contacts that must be exact, on tracked portraits and on made-up faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vasa_cam.avatar.shapes import REST_ROW, personal_shapes, shapes_for_landmarks, smile_amount
from vasa_cam.face_model import FaceModel, load_face_model
from vasa_cam.landmarks import LOWER_MOUTH_LINE, UPPER_MOUTH_LINE
from vasa_cam.motion.space import INDEX

LIDS = (
    ("Right", "right_lid_upper", "right_lid_lower"),
    ("Left", "left_lid_upper", "left_lid_lower"),
)
IOD_CM = 6.302


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


def _lid_gap(model: FaceModel, face: np.ndarray, side: tuple[str, str, str]) -> float:
    dense = model.subdivide(face)
    upper, lower = getattr(model, side[1]), getattr(model, side[2])
    return float(np.linalg.norm(dense[upper] - dense[lower], axis=1).max())


def _lip_gap(model: FaceModel, face: np.ndarray) -> float:
    # Across the picture: the tracker and the canonical lips disagree a little in depth.
    dense = model.subdivide(face)
    apart = (dense[model.lip_upper] - dense[model.lip_lower])[:, :2]
    return float(np.linalg.norm(apart, axis=1).max())


def test_open_mouth_is_closed_and_stays_sealed_over_a_dropped_jaw(model: FaceModel) -> None:
    offsets, folds = personal_shapes(model, model.vertices, closed_mouth=False)
    assert offsets.shape == (53, 468, 3) and folds.shape == (53, 468)
    rest = model.vertices + offsets[REST_ROW]
    assert _lip_gap(model, model.vertices) > 0.4
    assert _lip_gap(model, rest) < 1e-4
    for weight in (0.25, 0.5, 1.0):
        sealed = rest + weight * (offsets[INDEX["jawOpen"]] + offsets[INDEX["mouthClose"]])
        assert _lip_gap(model, sealed) < 5e-3
    assert _lip_gap(model, rest + offsets[INDEX["jawOpen"]]) > 1.5


def test_closed_mouth_has_no_rest_correction(model: FaceModel) -> None:
    offsets, _ = personal_shapes(model, model.vertices, closed_mouth=True)
    assert not offsets[REST_ROW].any()


@pytest.mark.parametrize("opening", [0.5, 1.0, 2.0])
def test_blink_closes_narrow_and_wide_eyes(model: FaceModel, opening: float) -> None:
    face = model.vertices.copy()
    for upper, lower in (((159, 158, 160, 157, 161), 145), ((386, 385, 387, 384, 388), 374)):
        line = face[lower, 1]
        face[list(upper), 1] = line + (face[list(upper), 1] - line) * opening
    offsets, _ = personal_shapes(model, face, closed_mouth=True)
    for side in LIDS:
        assert _lid_gap(model, face + offsets[INDEX[f"eyeBlink{side[0]}"]], side) < 1e-4
        assert _lid_gap(model, face, side) > 0.2
        looking_down = face + offsets[INDEX[f"eyeLookDown{side[0]}"]]
        assert _lid_gap(model, looking_down, side) > 0.08, "looking down leaves a slit"


def test_blink_leaves_the_other_eye_and_the_mouth(model: FaceModel) -> None:
    offsets, _ = personal_shapes(model, model.vertices, closed_mouth=True)
    moved = np.linalg.norm(offsets[INDEX["eyeBlinkLeft"]], axis=1)
    assert moved[model.vertices[:, 0] < -0.5].max() < 0.02
    assert moved[model.vertices[:, 1] > 2.5].max() < 0.02


def test_smile_is_measured_and_taken_back(model: FaceModel) -> None:
    smile = model.offsets[INDEX["mouthSmileLeft"]] + model.offsets[INDEX["mouthSmileRight"]]
    jaw = 0.15 * model.offsets[INDEX["jawOpen"]]
    rest = model.vertices.astype(np.float64)
    amounts = [smile_amount(rest, rest + share * smile + jaw) for share in (0.0, 0.4, 0.8)]
    assert amounts[0] < 0.05 and amounts[0] < amounts[1] < amounts[2]
    assert amounts[1] == pytest.approx(0.4, abs=0.2)
    smiling = (rest + 0.7 * smile + jaw).astype(np.float32)
    offsets, folds = personal_shapes(model, smiling, closed_mouth=False)
    corrected = smiling + offsets[REST_ROW]
    assert corrected[61, 1] > smiling[61, 1] + 0.1, "the corner sinks"
    width = corrected[291, 0] - corrected[61, 0]
    assert width < (smiling[291, 0] - smiling[61, 0]) - 0.3
    assert folds[INDEX["mouthSmileLeft"]].max() < model.folds[INDEX["mouthSmileLeft"]].max()


def test_mouth_shapes_follow_the_mouth_width(model: FaceModel) -> None:
    wide = model.vertices.copy()
    beside = (np.abs(wide[:, 0]) < 3.2) & (wide[:, 1] > 2.5)
    wide[beside, 0] *= 1.2
    usual, _ = personal_shapes(model, model.vertices, closed_mouth=True)
    scaled, _ = personal_shapes(model, wide, closed_mouth=True)
    smile = INDEX["mouthSmileLeft"]
    ratio = np.abs(scaled[smile]).max() / np.abs(usual[smile]).max()
    assert ratio == pytest.approx(1.2, abs=0.01)


def test_shapes_from_few_landmarks_equal_those_from_all(model: FaceModel) -> None:
    offsets, _ = personal_shapes(model, model.vertices, closed_mouth=True)
    few = [*UPPER_MOUTH_LINE, *LOWER_MOUTH_LINE[1:-1], 61, 291, 0, 17, 33, 133, 159, 145, 152]
    fitted = shapes_for_landmarks(model, model.vertices[few] / IOD_CM, few)
    np.testing.assert_allclose(fitted, offsets[:52], atol=2e-3)


def test_wrong_shape_is_refused(model: FaceModel) -> None:
    with pytest.raises(ValueError, match="rest_cm"):
        personal_shapes(model, np.zeros((478, 3), np.float32), closed_mouth=True)


def test_lids_and_lips_meet_on_every_portrait(model: FaceModel, shared: Path) -> None:
    pytest.importorskip("mediapipe")
    from vasa_cam.avatar.detect import detect_faces
    from vasa_cam.avatar.image import load_image
    from vasa_cam.avatar.mesh import fit_head_frame, settle_depth
    from vasa_cam.avatar.seam import is_closed, snap_seam

    photos = sorted((shared / "data/portraits/generated").glob("*.jpg"))[::3]
    assert len(photos) >= 10
    for photo in photos:
        rgb = load_image(photo).rgb
        points = detect_faces(rgb, shared / "models")[0].landmarks_px
        closed = is_closed(points)
        if closed:
            points = snap_seam(rgb.astype(np.float32).mean(2), points)
        frame = fit_head_frame(points, model)
        face = frame.to_cm(settle_depth(points, frame, model))
        offsets, folds = personal_shapes(model, face, closed)
        assert np.isfinite(offsets).all() and np.isfinite(folds).all()
        rest = face + offsets[REST_ROW]
        for side in LIDS:
            blink = rest + offsets[INDEX[f"eyeBlink{side[0]}"]]
            assert _lid_gap(model, blink, side) < 2e-3, photo.name
        sealed = rest + 0.5 * (offsets[INDEX["jawOpen"]] + offsets[INDEX["mouthClose"]])
        # A photo's closed lips coincide in the picture; in depth they are 0.1 cm apart, which a
        # turned head's frame shows as a few hundredths across.
        assert _lip_gap(model, sealed) < 0.05, photo.name
        assert np.abs(offsets[:52]).max() < 6.0, photo.name
