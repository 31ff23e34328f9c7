"""The offline pipeline of the volume renderer: a photo and a voice, or a driving video, to a file.

As `render_video` does it: what a user can get wrong is checked first, then the motion is made, then
frames are drawn and encoded one by one. Needs torch; everything that does is imported late.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.audio import probe_audio, read_speech, stereo_blocks
from vasa_cam.checkpoints.registry import Model, find_model
from vasa_cam.errors import InputError, MissingDependencyError
from vasa_cam.files import check_output_path
from vasa_cam.motion.latent import LatentMotion
from vasa_cam.motion.space import LIVEPORTRAIT_SPACE, Motion, check_space
from vasa_cam.output.encoding import encoding_for
from vasa_cam.output.file import VideoFile, VideoFileConfig
from vasa_cam.render_video import RenderReport
from vasa_cam.volume_generators import GeneratorSetting, check_generator, drives, open_generator

if TYPE_CHECKING:
    from vasa_cam.render.volume.photo import SourcePhoto
    from vasa_cam.render.volume.renderer import VolumeRenderer

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

FAMILY: Final = "liveportrait"
AUTO: Final = "auto"
_WIDEST_FPS_DENOMINATOR: Final = 1001


@dataclass(frozen=True)
class NetworkChoice:
    """Which networks, and where they compute.

    model, generator: names in the registry. device: "cpu", "cuda", "cuda:N" or "auto". dtype: of
    warp and decoder, or "auto". batch: frames at once. encoder: ONNX file that Ditto hears with.
    """

    model: str = FAMILY
    generator: str = "joyvasa"
    device: str = AUTO
    dtype: str = AUTO
    batch: int = 1
    encoder: Path | None = None


@dataclass(frozen=True)
class VolumeInputs:
    """What comes in.

    portrait: photo, or .vasa avatar. voice: sound file; it drives unless there is a driving video.
    driving: video of a face. track: a Live Link Face CSV, which no volume model is driven by.
    """

    portrait: Path
    voice: Path | None = None
    driving: Path | None = None
    track: Path | None = None


@dataclass(frozen=True)
class VolumeJob:
    """What to render.

    out: the video file. fps: None takes the motion's own. seed: of the motion. whole: each frame
    back in the photo, or the square around the face. models_dir: of MediaPipe's files. threads: CPU
    threads, None keeps the setting.
    """

    out: Path
    inputs: VolumeInputs
    networks: NetworkChoice = field(default_factory=NetworkChoice)
    fps: Fraction | None = None
    seed: int = 0
    whole: bool = True
    models_dir: Path | None = None
    threads: int | None = None


def plan_volume(job: VolumeJob) -> Model:
    """Check a job before anything slow is done; the model that draws.

    Raises InputError for inputs, outputs and models that cannot work, MissingDependencyError
    without torch.
    """
    if job.inputs.track is not None:
        check_space(Motion.space, "volume", LIVEPORTRAIT_SPACE)
    if job.inputs.voice is None and job.inputs.driving is None:
        raise InputError("nothing to say: give a sound file, or a face video with --driving.")
    if job.inputs.voice is not None:
        probe_audio(job.inputs.voice)
    sources = (job.inputs.voice, job.inputs.driving, job.inputs.portrait)
    there_are = [source for source in sources if source is not None and source.exists()]
    if job.out.exists() and any(job.out.samefile(source) for source in there_are):
        raise InputError(f"{job.out} is the input itself; choose another output.")
    encoding_for(job.out, transparent=False)
    check_output_path(job.out)
    model = find_model(job.networks.model, FAMILY)
    if job.inputs.driving is None:
        check_generator(find_model(job.networks.generator), job.networks.encoder)
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "the volume renderer needs torch: pip install 'vasa-cam[volume]'."
        ) from error
    return model


def open_renderer(job: VolumeJob, model: Model) -> VolumeRenderer:
    """The networks of a model, on the device of a job. Raises InputError when they do not fit."""
    import torch

    from vasa_cam.render.volume.driving import DrivingConfig
    from vasa_cam.render.volume.networks import VolumeNetworks
    from vasa_cam.render.volume.renderer import VolumeRenderConfig, VolumeRenderer

    if job.threads is not None:
        torch.set_num_threads(job.threads)
        ops.set_num_threads(job.threads)
    choice = job.networks
    device, dtype = choice.device, choice.dtype
    if device == AUTO:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == AUTO:
        dtype = "float32" if device == "cpu" else "float16"
    filmed = job.inputs.driving is not None
    try:
        driving = DrivingConfig(**({} if filmed else drives(find_model(choice.generator))))
        config = VolumeRenderConfig(device, dtype, choice.batch, driving=driving)
    except ValueError as error:
        raise InputError(f"the volume renderer cannot be set up so: {error}.") from error
    return VolumeRenderer(VolumeNetworks.load(model.tensors), config)


def latent_motion(
    job: VolumeJob,
    renderer: VolumeRenderer,
    photo: SourcePhoto,
    progress: Progress = lambda done, total: None,
) -> LatentMotion:
    """The motion of the whole voice or driving video, at the job's frame rate.

    photo: what will move; some generators are told of it. progress: of a driving video, see
    filmed_motion.
    """
    if job.inputs.driving is not None:
        from vasa_cam.render.volume.filmed import filmed_motion

        side = renderer.sizes.image_px
        motion = filmed_motion(job.inputs.driving, renderer.see, side, job.models_dir, progress)
    elif job.inputs.voice is not None:
        from vasa_cam.motion import latent_stream

        choice, device = job.networks, str(renderer.device)
        heads = partial(_heads, renderer, photo)
        setting = GeneratorSetting(job.seed, device, choice.encoder, heads)
        generator = open_generator(find_model(choice.generator), setting)
        motion = latent_stream.latent_motion(generator, read_speech(job.inputs.voice))
    else:
        raise ValueError("latent_motion: the job has neither voice nor driving video")
    return motion if job.fps is None else motion.resampled(float(job.fps))


def _heads(renderer: VolumeRenderer, photo: SourcePhoto) -> dict[str, Floats]:
    """What the motion extractor gives for the photo, by head, float32."""
    import torch

    from vasa_cam.render.volume.crop import cut_out, find_crop, network_input

    crop = find_crop(photo.landmarks_px, renderer.config.crop)
    picture = network_input(cut_out(photo.rgb, crop), renderer.sizes.image_px)
    with torch.inference_mode():
        heads = renderer.motion(torch.from_numpy(picture[None]).to(renderer.device))
    return {name: values[0].float().cpu().numpy() for name, values in heads.items()}


def render_volume(
    job: VolumeJob,
    renderer: VolumeRenderer,
    photo: SourcePhoto,
    motion: LatentMotion,
    progress: Progress = lambda done, total: None,
) -> RenderReport:
    """Draw and encode every frame of `motion` into `job.out`; the file appears when complete.

    progress: called with (frames done, frames in all) after each.
    """
    started = time.monotonic()
    fps = job.fps or Fraction(motion.fps).limit_denominator(_WIDEST_FPS_DENOMINATOR)
    voice = _sound(job)
    side = renderer.sizes.output_px
    height, width = photo.rgb.shape[:2] if job.whole else (side, side)
    config = VideoFileConfig(
        job.out,
        (width, height),
        fps,
        source_rate_hz=None if voice is None else probe_audio(voice).rate_hz,
        threads=job.threads or 0,
    )
    state = renderer.prepare(photo.rgb, photo.landmarks_px)
    sound = None if voice is None else stereo_blocks(voice, config.rate_hz)
    first_s = drawing_s = 0.0
    begun = time.monotonic()
    with VideoFile(config, sound) as video:
        for index, frame in enumerate(renderer.frames(state, motion, pasted=job.whole)):
            drawing_s += time.monotonic() - begun
            first_s = first_s or time.monotonic() - started
            video.write(frame)
            progress(index + 1, len(motion))
            begun = time.monotonic()
    wall_s = time.monotonic() - started
    return RenderReport(len(motion), float(len(motion) / fps), first_s, drawing_s, wall_s)


def _sound(job: VolumeJob) -> Path | None:
    """The sound of the video: the voice's, else the driving video's if it has one."""
    if job.inputs.voice is not None or job.inputs.driving is None:
        return job.inputs.voice
    try:
        probe_audio(job.inputs.driving)
    except InputError:
        return None
    return job.inputs.driving
