"""Faces in a video: 478 landmarks in every frame, by MediaPipe's Face Landmarker in image mode.

Image mode, because the tracker's video mode smooths: it delays lips by 0.4 frames at 25 fps and
hides a quarter of all lip closures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.detect import LANDMARKS
from vasa_cam.avatar.mediapipe_tasks import load_tasks, quiet_stderr, task_image
from vasa_cam.avatar.models import FACE_LANDMARKER, find_model
from vasa_cam.errors import InputError, MissingDependencyError
from vasa_cam.motion.space import COEFFICIENTS, INDEX

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

# A longer side than this adds work and no precision: the landmark network sees 256 x 256 pixels.
_LONG_SIDE_PX: Final = 1280
_MAX_FACES: Final = 4
_CONTAINERS: Final = "mov,mp4,m4a,matroska,webm,avi,mpegts,mpeg,asf,flv,ogg,gif"


@dataclass(frozen=True)
class VideoFaces:
    """What the tracker saw in a video of T frames.

    times_s float64 [T]: when each frame is shown, from 0. landmarks_px float32 [T, 478, 3]: x
    right, y down, z away, in pixels of (width, height) = size_px; NaN where no face was found.
    scores float32 [T, 52]: the tracker's own coefficients in our order (tongueOut is always 0).
    several: whether another face was seen too.
    """

    times_s: F64
    landmarks_px: F32
    scores: F32
    size_px: tuple[int, int]
    several: bool

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Frames with a face, bool [T]."""
        return ~np.isnan(self.landmarks_px[:, 0, 0])


def find_faces(
    video: Path,
    models_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VideoFaces:
    """Track the largest face through a video, the one nearest to the frame before when several.

    progress: called with (frames done, frames in all as far as the file says). Raises InputError
    for files without pictures and MissingDependencyError when MediaPipe cannot start.
    """
    times: list[float] = []
    landmarks: list[F32] = []
    scores: list[F32] = []
    size, several = (0, 0), False
    last: F32 | None = None
    frames = video_frames(video)
    first = next(frames)  # a file without pictures is refused before a model is looked for
    with _landmarker(models_dir) as detect:
        for time_s, rgb, total in chain((first,), frames):
            size = (rgb.shape[1], rgb.shape[0])
            seen = detect(rgb)
            several = several or len(seen) > 1
            if seen:
                points, score = min(seen, key=lambda face: _preference(face[0], last))
                last = points
            else:
                points = np.full((LANDMARKS, 3), np.nan, np.float32)
                score = np.zeros(COEFFICIENTS, np.float32)
            times.append(time_s)
            landmarks.append(points)
            scores.append(score)
            progress(len(times), max(total, len(times)))
    return VideoFaces(
        np.array(times) - times[0], np.stack(landmarks), np.stack(scores), size, several
    )


def _preference(points: F32, last: F32 | None) -> float:
    """Smaller is better: near the last face, or large when there is none."""
    if last is None:
        return -float(np.ptp(points[:, 1]))
    return float(np.abs(points[:, :2].mean(0) - last[:, :2].mean(0)).sum())


@contextmanager
def _landmarker(models_dir: Path | None) -> Iterator[Callable[[U8], list[tuple[F32, F32]]]]:
    """A function from uint8 [H, W, 3] to (landmarks [478, 3] px, scores [52]) of every face."""
    path = find_model(FACE_LANDMARKER, models_dir)
    _, vision = load_tasks()
    from mediapipe.tasks.python import BaseOptions

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(path)),
        num_faces=_MAX_FACES,
        output_face_blendshapes=True,
    )
    try:
        with quiet_stderr():
            task: Any = vision.FaceLandmarker.create_from_options(options)
            # The first picture makes MediaPipe talk; later ones must not hide a progress bar.
            task.detect(task_image(np.zeros((64, 64, 3), np.uint8)))
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise MissingDependencyError(
            f"MediaPipe's face landmarker cannot start ({reason}); on Debian or Ubuntu "
            "install: apt-get install libgl1 libegl1 libgles2"
        ) from error

    def detect(rgb: U8) -> list[tuple[F32, F32]]:
        result = task.detect(task_image(rgb))
        # MediaPipe's z has the scale of x; its pixel centres are at half integers, ours at whole.
        scale = np.array([rgb.shape[1], rgb.shape[0], rgb.shape[1]], np.float32)
        half = np.array([0.5, 0.5, 0.0], np.float32)
        return [
            (np.array([[p.x, p.y, p.z] for p in face], np.float32) * scale - half, _by_name(scores))
            for face, scores in zip(result.face_landmarks, result.face_blendshapes, strict=True)
        ]

    try:
        yield detect
    finally:
        with quiet_stderr():
            task.close()


def _by_name(categories: list[Any]) -> F32:
    """The tracker's scores, which come in alphabetical order, in ours."""
    scores = np.zeros(COEFFICIENTS, np.float32)
    for category in categories:
        place = INDEX.get(category.category_name)
        if place is not None:
            scores[place] = category.score
    return scores


def video_frames(video: Path) -> Iterator[tuple[float, U8, int]]:
    """(time in seconds, uint8 [H, W, 3] upright, frames in all or 0) of every frame.

    At most 1280 pixels on the longer side. Raises InputError for files without pictures.
    """
    import av
    from av.error import FFmpegError

    if not video.is_file():
        kind = "is not a file" if video.exists() else "does not exist"
        raise InputError(f"{video} {kind}; expected a video of a face.")
    if video.stat().st_size == 0:
        raise InputError(f"{video} is empty (0 bytes); expected a video of a face.")
    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
    try:
        container = av.open(str(video.resolve()), "r", options=options)
    except (FFmpegError, OSError) as error:
        raise InputError(
            f"{video} is not a video that can be read; expected MP4, MOV, MKV, WebM or AVI."
        ) from error
    count = 0
    with container:
        if not container.streams.video or container.streams.video[0].codec_context is None:
            raise InputError(f"{video} has no pictures that can be decoded; expected a video.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        total = stream.frames or round(
            (container.duration or 0) / 1e6 * float(stream.average_rate or 0)
        )
        shown = -np.inf
        try:
            for frame in container.decode(stream):
                time_s = frame.time if frame.time is not None else count / 25.0
                if time_s <= shown:  # damaged or doubled time stamps
                    continue
                shown = time_s
                count += 1
                yield time_s, _upright(frame), total
        except FFmpegError as error:
            if not count:
                raise InputError(f"{video} cannot be decoded: {error.strerror}.") from error
    if not count:
        raise InputError(f"{video} holds no picture.")


def _upright(frame: Any) -> U8:
    """uint8 [H, W, 3], at most 1280 px on the longer side, turned as phones ask players to."""
    shrink = min(1.0, _LONG_SIDE_PX / max(frame.width, frame.height))
    size = (max(2, round(frame.width * shrink)), max(2, round(frame.height * shrink)))
    rgb = frame.reformat(*size, format="rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90) % 4))
