"""A face tracker that looks at mouths, and what their opening is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vasa_cam.motion.controls import lip_opening
from vasa_cam.motion.space import COEFFICIENTS
from vasa_cam.motion.voice import VoiceConfig, VoiceStream


def mouth_openings(pictures: list[np.ndarray], model: Path) -> np.ndarray:
    """Gap of the inner lips over the height of the face, as MediaPipe sees it; NaN: no face."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=str(model)))
    gaps = []
    with vision.FaceLandmarker.create_from_options(options) as tracker:
        for picture in pictures:
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
            faces = tracker.detect(image).face_landmarks
            points = np.array([[p.x, p.y] for p in faces[0]]) if faces else None
            gap = np.nan if points is None else np.linalg.norm(points[13] - points[14])
            gaps.append(gap if points is None else gap / np.ptp(points[:, 1]))
    return np.array(gaps)


def expected_openings(speech: np.ndarray) -> np.ndarray:
    """Lip opening at 25 Hz of speech float32 [n] at 16 kHz, straight from the motion model."""
    frames = VoiceStream(VoiceConfig(seed=0)).push(speech)
    return frames[:, :COEFFICIENTS] @ lip_opening()


def best_delay(times_s: np.ndarray, seen: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """The shift in seconds at which `seen` follows `expected` (25 Hz) best, and the correlation."""
    shifts = np.arange(-0.1, 0.6, 0.005)
    grid = np.arange(len(expected)) / 25
    scores = [
        np.corrcoef(seen, np.interp(times_s - shift, grid, expected))[0, 1] for shift in shifts
    ]
    top = int(np.argmax(scores))
    return float(shifts[top]), float(scores[top])
