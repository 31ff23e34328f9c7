"""The offline pipeline: a portrait and a voice, or a motion track, become a video file.

Order: everything a user can get wrong is checked first (`plan`), then the motion is made, then
frames are drawn and encoded one by one, so that memory does not grow with the length.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.audio import SPEECH_RATE_HZ, probe_audio, read_speech, stereo_blocks
from vasa_cam.avatar.file import Avatar
from vasa_cam.errors import InputError
from vasa_cam.motion.controls import DEFAULT_CONTROLS, Controls, steer_track
from vasa_cam.motion.csv import read_motion_csv
from vasa_cam.motion.lips import DEFAULT_STYLE, LipStyle
from vasa_cam.motion.space import Motion
from vasa_cam.output.file import VideoFile, VideoFileConfig
from vasa_cam.render.framing import check_background
from vasa_cam.render.layered import LayeredRenderer, RenderConfig

if TYPE_CHECKING:
    from vasa_cam.motion.encoder import Encoder
    from vasa_cam.motion.generator import Generator

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

TRANSPARENT: Final = "transparent"


@dataclass(frozen=True)
class RenderJob:
    """What to render.

    out: the video file. voice: sound file, or None to be silent. track: Live Link Face CSV that
    drives instead of the voice. fps: frames a second, exact. seed: of head, gaze and blinks.
    controls: gaze, distance, emotion, gains. style: track of a person whose lips' character the
    voice's lips take. weights, public_encoder: of the voice's motion, see load_models.
    track_rate_hz: rows a second of the track, None reads its timecodes. track_degrees: its head
    angles are degrees. threads: CPU threads, None keeps the setting. render: size and background.
    """

    out: Path
    voice: Path | None = None
    track: Path | None = None
    fps: Fraction = Fraction(40)
    seed: int = 0
    controls: Controls = DEFAULT_CONTROLS
    style: Path | None = None
    weights: Path | None = None
    public_encoder: str | None = None
    track_rate_hz: float | None = None
    track_degrees: bool = False
    threads: int | None = None
    render: RenderConfig = field(default_factory=RenderConfig)


@dataclass(frozen=True)
class RenderReport:
    """What was rendered and how long it took.

    frames: how many. video_s: length of the video. first_frame_s: until the first one was drawn.
    drawing_s: drawing all of them. wall_s: everything, encoding included.
    """

    frames: int
    video_s: float
    first_frame_s: float
    drawing_s: float
    wall_s: float

    @property
    def frames_per_s(self) -> float:
        """Frames drawn and encoded a second, start-up included."""
        return self.frames / self.wall_s

    @property
    def speed(self) -> float:
        """Seconds of video made in a second."""
        return self.video_s / self.wall_s


def plan(job: RenderJob) -> VideoFileConfig:
    """Check a job without drawing anything; returns the file it will write.

    Raises InputError for inputs, sizes, rates and outputs that cannot work.
    """
    if job.voice is None and job.track is None:
        raise InputError("nothing to say: give a sound file, or a motion track with --motion.")
    rate_hz = None if job.voice is None else probe_audio(job.voice).rate_hz
    for source in (job.voice, job.track):
        if source is not None and job.out.exists() and job.out.samefile(source):
            raise InputError(f"{job.out} is the input itself; choose another output.")
    check_background(job.render.background)
    return VideoFileConfig(
        job.out,
        (job.render.width, job.render.height),
        job.fps,
        transparent=job.render.background == TRANSPARENT,
        source_rate_hz=rate_hz,
        threads=job.threads or 0,
    )


def make_motion(job: RenderJob) -> Floats:
    """The motion of every video frame, float32 [T, 58] at `job.fps`; T covers the whole voice."""
    fps = float(job.fps)
    if job.track is not None:
        track = read_motion_csv(job.track, job.track_rate_hz, job.track_degrees)
        return steer_track(track.resampled(fps).frames, job.controls)
    if job.voice is None:
        raise ValueError("make_motion: the job has neither voice nor track")
    from vasa_cam.motion.models import load_models
    from vasa_cam.motion.voice import VoiceConfig, VoiceMotion

    speech, models = read_speech(job.voice), load_models(job.weights, job.public_encoder)
    style = DEFAULT_STYLE if job.style is None else read_style(job.style, *models)
    spoken = VoiceMotion(VoiceConfig(job.seed, job.controls, style), *models).motion(speech)
    return _of_length(spoken.resampled(fps), math.ceil(len(speech) / SPEECH_RATE_HZ * job.fps))


def read_style(
    track: Path, encoder: Encoder | None = None, generator: Generator | None = None
) -> LipStyle:
    """The lip style of a tracked person (Live Link Face CSV), against the model's own lips.

    encoder, generator: the model, None for the shipped ones. Raises InputError when the track
    cannot be read or shows too little talk.
    """
    from vasa_cam.motion.style import style_from_track
    from vasa_cam.motion.voice import VoiceMotion

    filmed = read_motion_csv(track)
    place = resources.files("vasa_cam") / "assets" / "demo_speech.flac"
    with resources.as_file(place) as path:
        spoken = VoiceMotion(encoder=encoder, generator=generator).motion(read_speech(path))
        return style_from_track(filmed, spoken)


def render_video(
    job: RenderJob, avatar: Avatar, motion: Floats, progress: Progress = lambda done, total: None
) -> RenderReport:
    """Draw and encode every frame of `motion` (float32 [T, 58] at `job.fps`) into `job.out`.

    progress: called with (frames done, frames in all) after each. The file appears when complete.
    Raises InputError as `plan` does, and when the disk is full.
    """
    started = time.monotonic()
    config = plan(job)
    if job.threads is not None:
        ops.set_num_threads(job.threads)
    renderer = LayeredRenderer(job.render)
    state = renderer.prepare(avatar)
    sound = None if job.voice is None else stereo_blocks(job.voice, config.rate_hz)
    first_s = drawing_s = 0.0
    with VideoFile(config, sound) as video:
        for index, frame_motion in enumerate(motion):
            begun = time.monotonic()
            frame = renderer.render(state, frame_motion)
            drawing_s += time.monotonic() - begun
            first_s = first_s or time.monotonic() - started
            video.write(frame)
            progress(index + 1, len(motion))
    seconds = float(len(motion) / job.fps)
    return RenderReport(len(motion), seconds, first_s, drawing_s, time.monotonic() - started)


def _of_length(motion: Motion, frames: int) -> Floats:
    """Cut, or continued by its last frame."""
    missing = frames - len(motion.frames)
    if missing <= 0:
        return motion.frames[:frames]
    return np.concatenate([motion.frames, np.repeat(motion.frames[-1:], missing, axis=0)])
