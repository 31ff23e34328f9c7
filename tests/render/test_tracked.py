"""Frames judged by an independent face tracker: does MediaPipe see what was asked for?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vasa_cam.avatar.file import Avatar
from vasa_cam.render.layered import LayeredRenderer, RenderConfig
from vasa_cam.render.poses import motion_of


class Tracker:
    """MediaPipe's face landmarker on single frames."""

    def __init__(self, model: Path) -> None:
        from mediapipe.tasks.python import BaseOptions, vision

        self._landmarker = vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(model)),
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
            )
        )

    def __call__(self, frame: np.ndarray) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
        """Scores by name, the head's 3x3 rotation (x right, y up, z to the viewer), landmarks."""
        import mediapipe as mp

        result = self._landmarker.detect(
            mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(frame))
        )
        assert len(result.face_landmarks) == 1, "the tracker finds exactly one face"
        scores = {item.category_name: item.score for item in result.face_blendshapes[0]}
        points = np.array([[p.x, p.y] for p in result.face_landmarks[0]]) * 512
        return scores, np.array(result.facial_transformation_matrixes[0])[:3, :3], points


@pytest.fixture(scope="module")
def tracker(shared: Path) -> Tracker:
    return Tracker(shared / "models" / "face_landmarker.task")


@pytest.fixture(scope="module")
def draw(astronaut: Avatar):
    renderer = LayeredRenderer(RenderConfig(512, 512))
    state = renderer.prepare(astronaut)
    return lambda **pose: renderer.render(state, motion_of(pose))


def test_neutral_closes_the_smiling_mouth(tracker: Tracker, draw) -> None:
    _, _, points = tracker(draw())
    width = np.linalg.norm(points[61] - points[291])
    assert np.linalg.norm(points[13] - points[14]) < 0.04 * width


def test_blinks_are_seen(tracker: Tracker, draw) -> None:
    rest, _, _ = tracker(draw())
    shut, _, _ = tracker(draw(eyeBlinkLeft=1.0, eyeBlinkRight=1.0))
    for side in ("Left", "Right"):
        assert shut[f"eyeBlink{side}"] > rest[f"eyeBlink{side}"] + 0.25


def test_the_jaw_opens_in_proportion(tracker: Tracker, draw) -> None:
    gaps = []
    for opened in (0.0, 0.25, 0.5, 0.75):
        _, _, points = tracker(draw(jawOpen=opened))
        gaps.append(np.linalg.norm(points[13] - points[14]) / np.ptp(points[:, 1]))
    assert np.all(np.diff(gaps) > 0.01)


def test_smile_widens_and_pucker_narrows(tracker: Tracker, draw) -> None:
    def width(**pose: float) -> float:
        _, _, points = tracker(draw(**pose))
        return float(np.linalg.norm(points[61] - points[291]))

    rest = width()
    assert width(mouthSmileLeft=0.8, mouthSmileRight=0.8) > 1.08 * rest
    assert width(mouthPucker=0.8) < 0.9 * rest


def test_gaze_turns_the_irises(tracker: Tracker, draw) -> None:
    def irises(**pose: float) -> np.ndarray:
        _, _, points = tracker(draw(**pose))
        return points[[468, 473]] - points[[133, 362]]

    rest = irises()
    left = irises(eyeLookOutRight=0.6, eyeLookInLeft=0.6) - rest
    up = irises(eyeLookUpRight=0.6, eyeLookUpLeft=0.6) - rest
    assert (left[:, 0] < -1.0).all()
    assert (up[:, 1] < -0.3).all()


@pytest.mark.parametrize(
    ("axis", "degrees"), [("rx", 8.0), ("ry", 12.0), ("ry", -12.0), ("rz", 9.0)]
)
def test_head_turns_have_the_documented_sign_and_size(
    tracker: Tracker, draw, axis: str, degrees: float
) -> None:
    """docs: rx > 0 nods down, ry > 0 turns the nose to the image left, rz > 0 tilts clockwise."""
    _, rest, _ = tracker(draw())
    _, turned, _ = tracker(draw(**{axis: degrees}))
    relative = turned @ rest.T
    # To our axes (y and z change sign), then the small rotation's vector.
    flip = np.diag([1.0, -1.0, -1.0])
    ours = flip @ relative @ flip
    vector = 0.5 * np.array(
        [ours[2, 1] - ours[1, 2], ours[0, 2] - ours[2, 0], ours[1, 0] - ours[0, 1]]
    )
    seen = np.degrees(vector)["xyz".index(axis[1])]
    # The limit on depth flattens cheeks and ears, which the tracker reads as a smaller yaw.
    assert 0.55 * abs(degrees) < seen * np.sign(degrees) < 1.2 * abs(degrees)
