"""A driving video becomes motion in LivePortrait's space: its networks see each frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.video_faces import VideoFaces, find_faces, video_frames
from vasa_cam.errors import InputError
from vasa_cam.motion.latent import LatentMotion
from vasa_cam.motion.timecode import rate_of
from vasa_cam.render.volume.crop import Crop, common_crop, cut_out, network_input

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

_BATCH: Final = 4
"""Frames seen at once: enough to keep a GPU busy, and little memory on a CPU."""


def filmed_motion(
    video: Path,
    see: Callable[[Floats], LatentMotion],
    image_px: int,
    models_dir: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> LatentMotion:
    """The motion of the largest face in a video, at the video's own rate.

    see: a motion extractor, from pictures float32 [N, 3, image_px, image_px] in 0 .. 1. One square
    is cut out of all frames, the mean of those around the faces. progress: called with (frames
    done, frames in all) in either of two passes. Raises InputError when the file cannot be read or
    shows no face, MissingDependencyError when MediaPipe cannot start.
    """
    faces = find_faces(video, models_dir, progress)
    crop = common_crop([points for points in faces.landmarks_px if not np.isnan(points[0, 0])])
    rows = [
        see(np.stack(pictures)).rows()
        for pictures in _batches(video, faces, crop, image_px, progress)
    ]
    return _even(video, np.concatenate(rows), faces)


def _batches(
    video: Path, faces: VideoFaces, crop: Crop, image_px: int, progress: Progress
) -> Iterator[list[Floats]]:
    waiting: list[Floats] = []
    count = len(faces.times_s)
    for index, (_, picture, _) in enumerate(video_frames(video)):
        waiting.append(network_input(cut_out(picture, crop), image_px))
        if len(waiting) == _BATCH or index + 1 == count:
            yield waiting
            waiting = []
        progress(index + 1, count)


def _even(video: Path, rows: Floats, faces: VideoFaces) -> LatentMotion:
    """Frames at the times that a file gives them, on an even grid of the same rate."""
    if len(rows) != len(faces.times_s):
        raise InputError(f"{video} changed while it was read: try again.")
    rate_hz = rate_of(faces.times_s) if len(rows) > 1 else 25.0
    if rate_hz is None:
        raise InputError(f"the frames of {video} have no usable times: convert it to another file.")
    even = np.arange(round(float(faces.times_s[-1]) * rate_hz) + 1) / rate_hz
    columns = [np.interp(even, faces.times_s, column) for column in rows.T]
    return LatentMotion.from_rows(np.stack(columns, axis=1).astype(np.float32), rate_hz)
