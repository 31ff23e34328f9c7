"""A video of a face becomes a motion track, so that it can drive any portrait.

Landmarks in every frame, head pose by Procrustes on the person's own upper face, our 52 shapes
fitted to what is left, gaze from the irises. The person's rest face is measured from the video
itself: its calmest frames. `docs/tracking.md` says how well each coefficient comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.shapes import personal_shapes
from vasa_cam.avatar.video_faces import VideoFaces, find_faces
from vasa_cam.errors import InputError
from vasa_cam.face_model import load_face_model
from vasa_cam.landmarks import (
    COARSE_VERTICES,
    EYE_CORNERS,
    LEFT_BROW,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP_RINGS,
    RIGHT_BROW,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_RINGS,
)
from vasa_cam.motion.fit import IOD_CM, FitOptions, clip_rest, fit_motion
from vasa_cam.motion.gaze import gaze_coefficients
from vasa_cam.motion.pose import iod_cm, procrustes_poses
from vasa_cam.motion.space import ARKIT_NAMES, INDEX, Motion
from vasa_cam.motion.timecode import rate_of

Floats = npt.NDArray[np.float32]

LONGEST_GAP_S: Final = 0.5
"""A face that is away for longer ends the track; shorter losses are bridged."""
SHORTEST_TRACK_S: Final = 0.4
_POSE_SMOOTHING_S: Final = 0.03

_POINTS: Final = tuple(
    sorted(
        {index for ring in (*UPPER_LIP_RINGS, *LOWER_LIP_RINGS) for index in ring}
        | {*RIGHT_UPPER_LID, *RIGHT_LOWER_LID, *LEFT_UPPER_LID, *LEFT_LOWER_LID}
        | {*RIGHT_BROW, *LEFT_BROW}
        | {205, 425, 50, 280, 49, 279, 101, 330}  # cheeks and nose
        | {18, 152, 172, 397, 150, 379, 176, 400, 199, 200}  # chin and jaw
    )
)
"""What moves with an expression. Points that do not would only outvote those that do."""

# Measured on renders of known motion (docs/tracking.md): weaker penalties than for the training
# data, because a tracker's user prefers a weak frown to none.
_FIT: Final = FitOptions(sparsity=0.004, ridge=0.01)
_GAZE_GAIN: Final = {"In": 1.2, "Out": 1.2, "Up": 2.4, "Down": 2.4}
_SCORES: Final = {
    "eyeBlink": (0.4, 1.4),
    "browInnerUp": (0.3, 2.5),
    "browOuterUp": (0.2, 1.0),
    "browDown": (2.0, 0.0),
    "mouthFunnel": (2.0, 0.0),
    "mouthLeft": (0.1, 1.8),
    "mouthRight": (0.1, 1.8),
}
"""Coefficient, or its stem before Left and Right -> share of our fit, gain of the score's rise."""


@dataclass(frozen=True)
class Track:
    """A tracked motion and what a person should know about it (sentences, maybe none)."""

    motion: Motion
    notes: tuple[str, ...]


def track_video(
    video: Path,
    models_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Track:
    """Track the largest face of a video into motion at the video's own frame rate.

    progress: called with (frames done, frames in all). Raises InputError when the file cannot be
    read or shows no face for long enough, MissingDependencyError when MediaPipe cannot start.
    """
    faces = find_faces(video, models_dir, progress)
    even, rate_hz, notes = continuous(video, faces)
    if faces.several:
        notes.append("several faces were seen; the largest one was followed.")
    return Track(motion_of_landmarks(even.landmarks_px, even.scores, rate_hz), tuple(notes))


def continuous(video: Path, faces: VideoFaces) -> tuple[VideoFaces, float, list[str]]:
    """The same faces on an even time grid without gaps, the grid's rate in hertz, and notes.

    The longest run without a loss of more than LONGEST_GAP_S is kept, shorter losses are filled by
    linear interpolation. Raises InputError when that leaves less than SHORTEST_TRACK_S.
    """
    seen = np.flatnonzero(faces.found)
    if not len(seen):
        raise InputError(f"no face was found in {video}; use one that shows a face from the front.")
    breaks = np.flatnonzero(np.diff(faces.times_s[seen]) > LONGEST_GAP_S) + 1
    runs = np.split(seen, breaks)
    run = max(runs, key=lambda part: faces.times_s[part[-1]] - faces.times_s[part[0]])
    times = faces.times_s[run]
    start_s, end_s = float(times[0]), float(times[-1])
    rate_hz = rate_of(faces.times_s)
    if rate_hz is None or end_s - start_s < SHORTEST_TRACK_S:
        raise InputError(
            f"the face in {video} is seen for {end_s - start_s:.1f} s at most; "
            f"at least {SHORTEST_TRACK_S} s are needed."
        )
    notes = []
    # A short loss at either end is filled too, so that the track stays in time with the sound.
    last_s = float(faces.times_s[-1])
    start_s = 0.0 if start_s <= LONGEST_GAP_S else start_s
    end_s = last_s if last_s - end_s <= LONGEST_GAP_S else end_s
    if start_s > 0.0 or end_s < last_s:
        notes.append(f"the face was lost; the track is cut to {start_s:.2f}-{end_s:.2f} s.")
    even = start_s + np.arange(round((end_s - start_s) * rate_hz) + 1) / rate_hz
    if len(even) > len(run):
        notes.append(f"{len(even) - len(run)} of {len(even)} frames were filled in between others.")

    def filled(values: Floats) -> Floats:
        columns = values[run].reshape(len(run), -1).T
        flat = np.stack([np.interp(even, times, column) for column in columns], axis=1)
        return flat.reshape(len(even), *values.shape[1:]).astype(np.float32)

    even_faces = replace(
        faces,
        times_s=even - start_s,
        landmarks_px=filled(faces.landmarks_px),
        scores=filled(faces.scores),
    )
    return even_faces, rate_hz, notes


def motion_of_landmarks(landmarks_px: Floats, scores: Floats, rate_hz: float) -> Motion:
    """Motion from landmarks float32 [T, 478, 3] in pixels (x right, y down, z away).

    scores: float32 [T, 52], the tracker's own coefficients, which a few of ours lean on.
    """
    model = load_face_model()
    poses = procrustes_poses(landmarks_px, model.vertices)
    # Again on the person's own face: what is left of its shape would otherwise turn the head when
    # the picture does.
    head = poses.to_head(landmarks_px, model.vertices)
    person = np.median(head[:, :COARSE_VERTICES], axis=0) * iod_cm(model.vertices)
    poses = procrustes_poses(landmarks_px, person)
    head = poses.to_head(landmarks_px, person)
    rest = clip_rest(head[:, :COARSE_VERTICES], range(COARSE_VERTICES))
    offsets, _ = personal_shapes(model, (rest * IOD_CM).astype(np.float32), closed_mouth=True)
    points = list(_POINTS)
    fitted = fit_motion(head[:, points], points, offsets, rest[points], _FIT, given=_gaze(head))
    weights = _lean_on_scores(fitted, scores)
    pose = _smoothed(poses.motion(person), _POSE_SMOOTHING_S * rate_hz)
    return Motion(np.concatenate([weights, pose], axis=1), rate_hz)


def _gaze(head: Floats) -> Floats:
    """eyeLook coefficients float32 [T, 52] from landmarks in the head frame."""
    steady = head.copy()
    corners = [index for pair in EYE_CORNERS for index in pair]
    # The tracker drags the eye's corners along with the iris: half of that is taken back.
    steady[:, corners] = (head[:, corners] + np.median(head[:, corners], axis=0)) / 2
    gaze = gaze_coefficients(steady)
    for name, gain in _GAZE_GAIN.items():
        columns = [INDEX[f"eyeLook{name}{side}"] for side in ("Left", "Right")]
        gaze[:, columns] = np.minimum(gain * gaze[:, columns], 1.0)
    return gaze


def _lean_on_scores(fitted: Floats, scores: Floats) -> Floats:
    """Mix in what the tracker's scores tell better: share * fit + gain * rise of the score."""
    out: Floats = fitted.copy()
    risen = np.maximum(scores - np.median(scores, axis=0), 0.0)
    for stem, (share, gain) in _SCORES.items():
        for name in ARKIT_NAMES:
            if stem in (name, name.removesuffix("Left").removesuffix("Right")):
                k = INDEX[name]
                out[:, k] = np.clip(share * fitted[:, k] + gain * risen[:, k], 0.0, 1.0)
    return out


def _smoothed(values: Floats, width: float) -> Floats:
    """Columns of [T, n] convolved with a Gaussian of `width` frames: no delay; ends held."""
    reach = max(1, round(3 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(width, 1e-3)) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    columns = [np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T]
    return np.stack(columns, axis=1).astype(np.float32)
