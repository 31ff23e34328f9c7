"""A face video as training clips: tracked, filtered, its sound moved onto its lips, at 25 Hz."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.audio import SPEECH_RATE_HZ, read_speech
from vasa_cam.avatar.video_faces import VideoFaces, find_faces
from vasa_cam.errors import InputError
from vasa_cam.face_model import load_face_model
from vasa_cam.landmarks import COARSE_VERTICES, EYE_CORNERS, MOUTH_CORNERS
from vasa_cam.motion.pose import iod_cm, procrustes_poses, rotation_vectors
from vasa_cam.motion.space import MOTION_RATE_HZ
from vasa_cam.training.audio_sync import (
    DEFAULT_SYNC,
    Sync,
    SyncConfig,
    expected_opening,
    measure_sync,
)

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

SAMPLES_A_FRAME: Final = 640
LANDMARKS: Final = (
    *(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95),
    *(61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146),
    *(33, 159, 158, 133, 153, 145, 362, 385, 386, 263, 374, 380),
    *(172, 150, 176, 152, 400, 379, 397, 199),
)
"""Mesh indices of the 60 stored landmarks: inner lips, outer lips, right eye, left eye, jaw."""

# Stored coordinates have x right, y up, z to the viewer, as MediaPipe's metric space does.
_STORED_AXES: Final = np.array([1.0, -1.0, -1.0])
# MediaPipe assumes this vertical field of view; translations are as nominal as it.
_FIELD_OF_VIEW_DEG: Final = 63.0
_INNER_LIPS: Final = (13, 14)


@dataclass(frozen=True)
class PrepareConfig:
    """What a video must be like. Degrees, seconds, pixels; shares 0..1.

    longest_gap_s: a shorter loss of the face is bridged. cut_jump: a face that moves further than
    this many of its widths between frames is another shot. shortest_s: of a clip. least_mouth_px:
    between the mouth's corners. several_faces: whether videos with other faces are taken, too.
    """

    most_yaw_deg: float = 40.0
    most_pitch_deg: float = 35.0
    least_tracked: float = 0.9
    least_valid: float = 0.8
    longest_gap_s: float = 0.2
    cut_jump: float = 0.35
    shortest_s: float = 2.0
    least_mouth_px: float = 24.0
    several_faces: bool = False
    sync: SyncConfig = DEFAULT_SYNC


DEFAULT_PREPARE: Final = PrepareConfig()


@dataclass(frozen=True)
class FaceClip:
    """One shot at 25 Hz with its sound.

    scores: float32 [T, 52], our order. pose: float32 [T, 6], rotation vector and translation in cm
    in stored axes. landmarks: float32 [T, 60, 3], stored axes, inter-ocular distances. tracked:
    bool [T], seen and not bridged. valid: bool [T], tracked and not turned away too far. audio:
    float32 [640 T] at 16 kHz. audio_valid_s: how much of it is sound from the file. start_s: where
    the clip begins in the video.
    """

    scores: Floats
    pose: Floats
    landmarks: Floats
    tracked: npt.NDArray[np.bool_]
    valid: npt.NDArray[np.bool_]
    audio: Floats
    audio_valid_s: float
    start_s: float
    iod_cm: float
    origin_cm: tuple[float, float, float]
    iod_px: float
    mouth_px: float

    @property
    def opening(self) -> Floats:
        """Distance between the inner lips, float32 [T], inter-ocular distances."""
        upper, lower = (LANDMARKS.index(index) for index in _INNER_LIPS)
        gap = self.landmarks[:, upper, :2] - self.landmarks[:, lower, :2]
        return np.asarray(np.hypot(gap[:, 0], gap[:, 1]), np.float32)


@dataclass(frozen=True)
class PreparedVideo:
    """Clips of one video, sound already moved, and its sync before that."""

    clips: tuple[FaceClip, ...]
    sync: Sync
    fps: float
    size_px: tuple[int, int]


def prepare_video(
    video: Path,
    models_dir: Path | None = None,
    config: PrepareConfig = DEFAULT_PREPARE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PreparedVideo:
    """Track a video and cut it into clips with synchronous sound.

    Weak sync is left as it is, and said so in the result. Raises InputError with the reason when
    nothing usable is in the file.
    """
    try:
        sound = read_speech(video)
    except InputError as error:
        raise InputError(
            f"{video} has no sound that can be read; expected a video of a face that speaks."
        ) from error
    faces = find_faces(video, models_dir, progress)
    if faces.several and not config.several_faces:
        raise InputError(f"{video} shows several faces; expected one: cut or crop the video first.")
    offset_s = _picture_after_sound_s(video)
    fps = (len(faces.times_s) - 1) / max(1e-6, float(faces.times_s[-1]))
    pieces = [_clip(faces, shot, fps, config) for shot in shots(faces, config)]
    clips = [clip for clip in pieces if clip is not None]
    if not clips:
        raise InputError(
            f"{video} has no {config.shortest_s:g} s of one face that looks ahead and is at least "
            f"{config.least_mouth_px:g} px across the mouth; use a closer, frontal video."
        )
    heard = [_with_sound(clip, sound, offset_s) for clip in clips]
    sync = _sync(heard, sound, offset_s, config)
    if sync.strong:
        heard = [_with_sound(clip, sound, offset_s + sync.late_s) for clip in clips]
    return PreparedVideo(tuple(heard), sync, fps, faces.size_px)


def _picture_after_sound_s(video: Path) -> float:
    """Time stamp of the first picture minus that of the first sound."""
    import av

    first = {}
    with av.open(str(video.resolve()), "r", options={"protocol_whitelist": "file"}) as container:
        for kind in ("video", "audio"):
            container.seek(0)
            frame = next(iter(container.decode(**{kind: 0})))
            first[kind] = frame.time or 0.0
    return first["video"] - first["audio"]


def shots(faces: VideoFaces, config: PrepareConfig) -> list[npt.NDArray[np.int64]]:
    """Runs of frames with the same face: no long loss, no cut; indices of the frames with it."""
    seen = np.flatnonzero(faces.found)
    if not len(seen):
        return []
    outline = faces.landmarks_px[seen, :COARSE_VERTICES, :2]
    centre, width = outline.mean(axis=1), np.ptp(outline[..., 0], axis=1)
    moved = np.linalg.norm(np.diff(centre, axis=0), axis=1) / width[1:]
    grown = np.abs(np.diff(np.log(width)))
    gap_s = np.diff(faces.times_s[seen])
    breaks = (gap_s > config.longest_gap_s) | (moved > config.cut_jump) | (grown > config.cut_jump)
    return np.split(seen, np.flatnonzero(breaks) + 1)


def _clip(
    faces: VideoFaces, shot: npt.NDArray[np.int64], fps: float, config: PrepareConfig
) -> FaceClip | None:
    """The shot at 25 Hz without sound, or None when it is not good enough."""
    times = faces.times_s[shot]
    first = int(np.ceil(times[0] * MOTION_RATE_HZ - 1e-3))
    last = int(np.floor(times[-1] * MOTION_RATE_HZ + 1e-3))
    grid = np.arange(first, last + 1) / MOTION_RATE_HZ
    if len(grid) < config.shortest_s * MOTION_RATE_HZ:
        return None
    landmarks = at_times(thinned(faces.landmarks_px[shot], fps), times, grid)
    scores = np.clip(at_times(thinned(faces.scores[shot], fps), times, grid), 0.0, 1.0)
    tracked = _distance(grid, times) <= 0.75 / fps
    clip = _measured(landmarks, scores, tracked, faces.size_px, config)
    good = clip.mouth_px >= config.least_mouth_px
    good &= float(tracked.mean()) >= config.least_tracked
    good &= float(clip.valid.mean()) >= config.least_valid
    return replace(clip, start_s=float(grid[0])) if good else None


def _distance(grid: Array, times: Array) -> Array:
    """How far each grid time is from the nearest of the sorted times."""
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    return np.minimum(np.abs(grid - times[after - 1]), np.abs(times[after] - grid))


def thinned(values: Floats, fps: float) -> Floats:
    """Values per frame, smoothed where the video has far more frames than 25 a second."""
    if fps < 1.6 * MOTION_RATE_HZ or len(values) < 3:
        return values
    padded = np.concatenate([values[:1], values, values[-1:]])
    return np.asarray(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:], np.float32)


def at_times(values: Floats, times: Array, wanted: Array) -> Floats:
    """Values [N, ...] at increasing times [N] -> at the wanted times, by cubic Hermite curves."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    if len(flat) < 2:
        return np.repeat(values[:1], len(wanted), axis=0)
    slopes = np.gradient(flat, times, axis=0)
    k = np.clip(np.searchsorted(times, wanted, "right") - 1, 0, len(times) - 2)
    step = (times[k + 1] - times[k])[:, None]
    s = np.clip((wanted - times[k])[:, None] / step, 0.0, 1.0)
    curve = (
        (1.0 + 2.0 * s) * (1.0 - s) ** 2 * flat[k]
        + s * (1.0 - s) ** 2 * step * slopes[k]
        + s**2 * (3.0 - 2.0 * s) * flat[k + 1]
        + s**2 * (s - 1.0) * step * slopes[k + 1]
    )
    return curve.reshape(len(wanted), *values.shape[1:]).astype(np.float32)


def _measured(
    landmarks_px: Floats,
    scores: Floats,
    tracked: npt.NDArray[np.bool_],
    size_px: tuple[int, int],
    config: PrepareConfig,
) -> FaceClip:
    """Pose and head-frame landmarks of pixel landmarks, float32 [T, 478, 3]."""
    model = load_face_model()
    poses = procrustes_poses(landmarks_px, model.vertices)
    head = poses.to_head(landmarks_px, model.vertices)
    person = np.median(head[:, :COARSE_VERTICES], axis=0) * iod_cm(model.vertices)
    poses = procrustes_poses(landmarks_px, person)
    head = poses.to_head(landmarks_px, person)
    eyes = np.stack([head[:, list(corners)].mean(axis=1) for corners in EYE_CORNERS], axis=1)
    origin = np.median(eyes.mean(axis=1), axis=0)
    vectors = rotation_vectors(poses.rotation) * _STORED_AXES
    yaw, pitch = np.rad2deg(vectors[:, 1]), np.rad2deg(vectors[:, 0])
    ahead = (np.abs(yaw) < config.most_yaw_deg) & (np.abs(pitch) < config.most_pitch_deg)
    width, height = size_px
    focal_px = 0.5 * height / np.tan(np.deg2rad(0.5 * _FIELD_OF_VIEW_DEG))
    translation = np.stack(
        [
            (poses.origin[:, 0] - 0.5 * width) / poses.scale,
            -(poses.origin[:, 1] - 0.5 * height) / poses.scale,
            -focal_px / poses.scale,
        ],
        axis=1,
    )
    unit_cm = iod_cm(person)
    right, left = MOUTH_CORNERS
    mouth_px = np.linalg.norm(landmarks_px[:, left, :2] - landmarks_px[:, right, :2], axis=1)
    x, y, z = origin * _STORED_AXES * unit_cm
    return FaceClip(
        scores=scores,
        pose=np.concatenate([vectors, translation], axis=1).astype(np.float32),
        landmarks=((head[:, list(LANDMARKS)] - origin) * _STORED_AXES).astype(np.float32),
        tracked=tracked,
        valid=tracked & ahead,
        audio=np.zeros(len(scores) * SAMPLES_A_FRAME, np.float32),
        audio_valid_s=0.0,
        start_s=0.0,
        iod_cm=unit_cm,
        origin_cm=(float(x), float(y), float(z)),
        iod_px=float(np.median(poses.scale) * unit_cm),
        mouth_px=float(np.median(mouth_px)),
    )


def _with_sound(clip: FaceClip, sound: Floats, offset_s: float) -> FaceClip:
    """The clip with the sound that is heard offset_s later than its picture is stamped."""
    audio, valid_s = _cut(sound, clip.start_s + offset_s, len(clip.scores) * SAMPLES_A_FRAME)
    return replace(clip, audio=audio, audio_valid_s=valid_s)


def _cut(sound: Floats, start_s: float, count: int) -> tuple[Floats, float]:
    """`count` samples from start_s on, silent where there is no sound; seconds up to its end."""
    first = round(start_s * SPEECH_RATE_HZ)
    out = np.zeros(count, np.float32)
    begin, end = max(0, first), min(len(sound), first + count)
    if end > begin:
        out[begin - first : end - first] = sound[begin:end]
    return out, max(0, end - first) / SPEECH_RATE_HZ


def _sync(clips: list[FaceClip], sound: Floats, offset_s: float, config: PrepareConfig) -> Sync:
    """One lag for the whole video, from all its clips (their sound in one piece, with margins)."""
    frames = round((max(c.start_s for c in clips)) * MOTION_RATE_HZ) + len(clips[-1].scores)
    audio, _ = _cut(sound, offset_s, frames * SAMPLES_A_FRAME)
    opening = np.zeros(frames, np.float32)
    valid = np.zeros(frames, bool)
    for clip in clips:
        rows = slice(
            round(clip.start_s * MOTION_RATE_HZ),
            round(clip.start_s * MOTION_RATE_HZ) + len(clip.scores),
        )
        opening[rows], valid[rows] = clip.opening, clip.valid
    return measure_sync(opening, expected_opening(audio), valid, config.sync)
