"""The mouth's inside: it belongs to the face, moves with it, and is never whiter than it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_face import FACE_PX_PER_CM, LIPS, TEETH, DrawnFace, drawn_face

from vasa_cam.avatar.mouth import MouthInterior, build_mouth
from vasa_cam.avatar.own_teeth import find_own_teeth
from vasa_cam.face_model import load_face_model
from vasa_cam.motion.space import INDEX

LUMA = np.array([0.299, 0.587, 0.114])


def build(face: DrawnFace, closed: bool = True, seed: int = 0) -> MouthInterior:
    return build_mouth(
        face.canvas, face.lip_upper, face.lip_lower, face.points, face.frame, closed, seed
    )


@pytest.fixture(scope="module")
def face() -> DrawnFace:
    return drawn_face()


@pytest.fixture(scope="module")
def mouth(face: DrawnFace) -> MouthInterior:
    return build(face)


def pieces(mouth: MouthInterior) -> list[np.ndarray]:
    """Vertex indices of the connected pieces, as they lie in the atlas from top to bottom."""
    label = np.arange(len(mouth.vertices))
    for _ in range(400):
        low = label[mouth.triangles].min(1)
        before = label.copy()
        for corner in range(3):
            np.minimum.at(label, mouth.triangles[:, corner], low)
        if np.array_equal(before, label):
            break
    return [np.flatnonzero(label == value) for value in np.unique(label)]


def test_four_pieces_with_sound_indices(mouth: MouthInterior) -> None:
    assert len(pieces(mouth)) == 4
    assert mouth.triangles.min() == 0
    assert mouth.triangles.max() == len(mouth.vertices) - 1
    for name in ("vertices", "uv", "jaw_weight", "tongue", "cavity_rgb", "jaw_params"):
        value = getattr(mouth, name)
        assert value.dtype == np.float32
        assert np.isfinite(value).all()


def test_atlas_is_padded_with_its_own_edges(mouth: MouthInterior) -> None:
    """A bicubic lookup (two texels around) never sees a neighbour or a hole."""
    height, width = mouth.atlas.shape[:2]
    assert (mouth.atlas[..., 3] == 255).all()
    for piece in pieces(mouth):
        u, v = mouth.uv[piece].T
        assert u.min() >= 2
        assert v.min() >= 2
        assert u.max() <= width - 3
        assert v.max() <= height - 3
        left = int(np.floor(u.min()))
        rows = slice(int(np.ceil(v.min())), int(v.max()))
        pad = mouth.atlas[rows, left - 2 : left + 1].astype(int)
        assert np.abs(pad - pad[:, -1:]).max() <= 1


def test_upper_teeth_stay_lower_teeth_follow_the_lower_lip(
    mouth: MouthInterior, face: DrawnFace
) -> None:
    _, _, lower, upper = pieces(mouth)
    assert (mouth.jaw_weight[upper] == 0).all()
    assert (mouth.jaw_weight[lower] == 1).all()
    hinge, angle = mouth.jaw_params[:3], float(mouth.jaw_params[3])
    front = mouth.vertices[lower][np.argmin(mouth.vertices[lower][:, 2])]
    y, z = front[1:] - hinge[1:]
    drop = y * np.cos(angle) - z * np.sin(angle) - y
    lip = load_face_model().offsets[INDEX["jawOpen"]][14, 1] * FACE_PX_PER_CM
    assert 0.75 * lip < drop <= 1.02 * lip


def test_at_rest_teeth_hide_behind_closed_lips(mouth: MouthInterior, face: DrawnFace) -> None:
    seam = face.lip_upper[len(face.lip_upper) // 2]
    _, _, lower, upper = pieces(mouth)
    for piece in (lower, upper):
        assert mouth.vertices[piece][:, 2].min() > seam[2]
    edge = mouth.vertices[upper][:, 1].max()
    assert 0.05 < (edge - seam[1]) / FACE_PX_PER_CM < 0.3
    assert mouth.vertices[lower][:, 1].min() > seam[1]


def test_only_the_tongue_moves_with_the_tongue(mouth: MouthInterior) -> None:
    cavity, tongue, lower, upper = pieces(mouth)
    for piece in (cavity, lower, upper):
        assert (mouth.tongue[piece] == 0).all()
    tip = mouth.tongue[tongue][np.argmax(np.linalg.norm(mouth.tongue[tongue], axis=1))]
    assert tip[1] < 0
    assert tip[2] < 0


def front_teeth(mouth: MouthInterior) -> np.ndarray:
    """Atlas colours of the upper incisors' middle, [n, 3]."""
    upper = pieces(mouth)[3]
    centre = np.abs(mouth.vertices[upper][:, 0] - np.median(mouth.vertices[upper][:, 0]))
    near = upper[centre < 0.6 * FACE_PX_PER_CM]
    low, high = mouth.uv[near].min(0), mouth.uv[near].max(0)
    rows = slice(int(low[1] + 0.55 * (high - low)[1]), int(low[1] + 0.85 * (high - low)[1]))
    return mouth.atlas[rows, int(low[0]) : int(high[0]), :3].reshape(-1, 3).astype(float)


def test_teeth_are_warm_and_not_whiter_than_the_face_s_white(
    mouth: MouthInterior, face: DrawnFace
) -> None:
    white = (face.canvas.reshape(-1, 3) @ LUMA).max()
    assert (mouth.atlas[..., :3] @ LUMA).max() <= 1.06 * white
    red, green, blue = np.median(front_teeth(mouth), 0)
    assert red > green > blue
    assert 0.55 * white < np.median(front_teeth(mouth) @ LUMA) <= white


def test_a_darker_photo_has_darker_teeth(face: DrawnFace, mouth: MouthInterior) -> None:
    dark = build(replace(face, canvas=(face.canvas * 0.4).astype(np.uint8)))
    assert np.median(front_teeth(dark) @ LUMA) < 0.75 * np.median(front_teeth(mouth) @ LUMA)


def test_a_grey_photo_has_a_grey_mouth(face: DrawnFace) -> None:
    grey = np.repeat((face.canvas @ LUMA).astype(np.uint8)[..., None], 3, axis=2)
    mouth = build(replace(face, canvas=grey))
    assert np.ptp(mouth.atlas[..., :3].astype(int), axis=-1).max() <= 1
    assert np.ptp(mouth.cavity_rgb) < 1.0


def test_the_deep_is_dark_and_red(mouth: MouthInterior) -> None:
    red, green, blue = mouth.cavity_rgb
    assert red > 1.3 * green
    assert red > 1.3 * blue
    assert mouth.cavity_rgb @ LUMA < 0.45 * (LIPS @ LUMA)


def test_teeth_differ_and_the_arch_fades(mouth: MouthInterior) -> None:
    upper = pieces(mouth)[3]
    v = mouth.uv[upper][:, 1]
    row = int(v.min() + 0.7 * np.ptp(v))
    luma = mouth.atlas[row, ..., :3] @ LUMA
    u = mouth.uv[upper][:, 0]
    middle, end = luma[int(u.mean()) - 3 : int(u.mean()) + 3].mean(), luma[int(u.min()) + 3]
    assert end < 0.45 * middle
    left = luma[int(u.min()) : int(u.mean())]
    right = luma[int(u.mean()) : int(u.max())][::-1]
    size = min(len(left), len(right))
    assert np.abs(left[-size:] - right[-size:]).max() > 3.0


def test_own_teeth_are_found_and_laid_onto_the_arch() -> None:
    face = drawn_face(gap_cm=1.0, teeth_cm=0.5)
    outline = np.concatenate([face.lip_upper, face.lip_lower[::-1]])[:, :2]
    own = find_own_teeth(face.canvas, outline)
    assert own is not None
    assert np.median(own.rgb[own.share > 0.8], 0) == pytest.approx(TEETH, abs=2)
    mouth = build(face, closed=False)
    upper = pieces(mouth)[3]
    seam = face.lip_upper[len(face.lip_upper) // 2]
    front = upper[np.abs(mouth.vertices[upper][:, 0] - seam[0]) < 0.35 * FACE_PX_PER_CM]
    edge = mouth.vertices[front][:, 1].max()
    assert edge == pytest.approx(seam[1] + 0.5 * FACE_PX_PER_CM, abs=2.5)
    near = mouth.uv[front].max(0) - [0, 3]
    colour = mouth.atlas[int(near[1]), int(mouth.uv[front][:, 0].mean()), :3]
    assert colour == pytest.approx(TEETH, abs=6)


def test_a_dark_open_mouth_has_no_own_teeth() -> None:
    face = drawn_face(gap_cm=1.0)
    outline = np.concatenate([face.lip_upper, face.lip_lower[::-1]])[:, :2]
    assert find_own_teeth(face.canvas, outline) is None
    build(face, closed=False)


def test_deterministic_and_seeded(face: DrawnFace, mouth: MouthInterior) -> None:
    again, other = build(face), build(face, seed=5)
    for name in ("vertices", "uv", "triangles", "atlas", "cavity_rgb", "jaw_params"):
        assert np.array_equal(getattr(mouth, name), getattr(again, name))
    assert not np.array_equal(mouth.atlas, other.atlas)


def test_wrong_input_is_refused(face: DrawnFace) -> None:
    with pytest.raises(ValueError, match="canvas_rgb"):
        build(replace(face, canvas=face.canvas.astype(np.float32)))
    with pytest.raises(ValueError, match="lip chains"):
        build(replace(face, lip_lower=face.lip_lower[:-1]))
