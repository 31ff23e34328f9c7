"""A video of a face becomes a motion track, so that it can drive any portrait.

Landmarks in every frame, head pose by Procrustes on the person's own upper face, our 52 shapes
fitted to what is left, gaze from the irises. The person's rest face is measured from the video
itself: its calmest frames. `docs/tracking.md` says how well each coefficient comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.video_faces import VideoFaces, find_faces
from vasa_cam.errors import InputError
from vasa_cam.face_model import load_face_model
from vasa_cam.landmarks import COARSE_VERTICES
from vasa_cam.motion.fit import clip_rest, fit_motion
from vasa_cam.motion.gaze import gaze_coefficients
from vasa_cam.motion.pose import iod_cm, procrustes_poses
from vasa_cam.motion.space import Motion

Floats = npt.NDArray[np.float32]

LONGEST_GAP_S: Final = 0.5
"""A face that is away for longer ends the track; shorter losses are bridged."""
SHORTEST_TRACK_S: Final = 0.4
_POSE_SMOOTHING_S: Final = 0.03


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
    landmarks, rate_hz, notes = continuous(video, faces)
    if faces.several:
        notes.append("several faces were seen; the largest one was followed.")
    return Track(motion_of_landmarks(landmarks, rate_hz), tuple(notes))


def continuous(video: Path, faces: VideoFaces) -> tuple[Floats, float, list[str]]:
    """Landmarks float32 [T, 478, 3] on an even grid, its rate in hertz, and notes.

    The longest run without a loss of more than LONGEST_GAP_S is kept, shorter losses are filled by
    linear interpolation. Raises InputError when that leaves less than SHORTEST_TRACK_S.
    """
    seen = np.flatnonzero(faces.found)
    if not len(seen):
        raise InputError(
            f"no face was found in {video}; use a video that shows one from the front."
        )
    times = faces.times_s[seen]
    breaks = np.flatnonzero(np.diff(times) > LONGEST_GAP_S) + 1
    run = max(
        np.split(np.arange(len(seen)), breaks), key=lambda part: times[part[-1]] - times[part[0]]
    )
    start_s, end_s = float(times[run[0]]), float(times[run[-1]])
    if end_s - start_s < SHORTEST_TRACK_S:
        raise InputError(
            f"the face in {video} is seen for {end_s - start_s:.1f} s at most; "
            f"at least {SHORTEST_TRACK_S} s are needed."
        )
    notes = []
    if len(breaks) or start_s - faces.times_s[0] > LONGEST_GAP_S:
        notes.append(f"the face was lost; the track is cut to {start_s:.2f}-{end_s:.2f} s.")
    rate_hz = 1.0 / float(np.median(np.diff(faces.times_s)))
    even = start_s + np.arange(int((end_s - start_s) * rate_hz + 0.5) + 1) / rate_hz
    flat = faces.landmarks_px[seen[run]].reshape(len(run), -1)
    filled = np.stack([np.interp(even, times[run], column) for column in flat.T], axis=1)
    lost = len(even) - len(run)
    if lost > 0:
        notes.append(f"{lost} of {len(even)} frames without a face were filled in between.")
    return (
        filled.reshape(len(even), *faces.landmarks_px.shape[1:]).astype(np.float32),
        rate_hz,
        notes,
    )


def motion_of_landmarks(landmarks_px: Floats, rate_hz: float) -> Motion:
    """Motion from landmarks float32 [T, 478, 3] in pixels (x right, y down, z away)."""
    model = load_face_model()
    poses = procrustes_poses(landmarks_px, model.vertices)
    # Again on the person's own face: what is left of its shape would otherwise turn the head when
    # the picture does.
    head = poses.to_head(landmarks_px, model.vertices)
    person = np.median(head[:, :COARSE_VERTICES], axis=0) * iod_cm(model.vertices)
    poses = procrustes_poses(landmarks_px, person)
    head = poses.to_head(landmarks_px, person)
    indices = range(COARSE_VERTICES)
    coarse = head[:, :COARSE_VERTICES]
    weights = fit_motion(
        coarse, indices, model.offsets, clip_rest(coarse, indices), given=gaze_coefficients(head)
    )
    pose = _smoothed(poses.motion(person), _POSE_SMOOTHING_S * rate_hz)
    return Motion(np.concatenate([weights, pose], axis=1), rate_hz)


def _smoothed(values: Floats, width: float) -> Floats:
    """Columns of [T, n] convolved with a Gaussian of `width` frames: no delay; ends held."""
    reach = max(1, round(3 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(width, 1e-3)) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    columns = [np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T]
    return np.stack(columns, axis=1).astype(np.float32)
