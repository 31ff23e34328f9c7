"""`vasa-cam render`: a portrait and a voice become a video file."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vasa_cam.cli.control_options import (
    BlinksOption,
    DistanceOption,
    EmotionOption,
    FaceOption,
    GazeOption,
    HeadOption,
    LipsOption,
    PublicEncoderOption,
    StyleOption,
    WeightsOption,
    controls_of,
)
from vasa_cam.cli.render_options import (
    BackgroundOption,
    BatchOption,
    CropOption,
    DegreesOption,
    DeviceOption,
    DrivingOption,
    DtypeOption,
    EncoderOption,
    FpsOption,
    GeneratorOption,
    ModelOption,
    ModelsOption,
    MotionFpsOption,
    MotionOption,
    RendererOption,
    SeedOption,
    SizeOption,
    ThreadsOption,
    check_renderer,
    given,
)
from vasa_cam.errors import InputError

if TYPE_CHECKING:
    from vasa_cam.render_video import RenderJob, RenderReport

_FPS = re.compile(r"\d{1,4}(\.\d{1,6})?|\d{1,7}/[1-9]\d{0,5}")


def render(
    context: typer.Context,
    portrait: Annotated[Path, typer.Argument(help="A photo, or a .vasa avatar.")],
    audio: Annotated[
        Path | None, typer.Argument(help="The voice: a sound file, or a video's sound.")
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Video to write: .mp4, .mov, .mkv or .webm.")
    ] = Path("out.mp4"),
    fps: FpsOption = "40",
    size: SizeOption = "512x512",
    background: BackgroundOption = "photo",
    seed: SeedOption = 0,
    gaze: GazeOption = "0,0",
    distance: DistanceOption = 1.0,
    emotion: EmotionOption = "",
    lips: LipsOption = 1.0,
    face: FaceOption = 1.0,
    head: HeadOption = 1.0,
    blinks: BlinksOption = 1.0,
    style: StyleOption = None,
    weights: WeightsOption = None,
    public_encoder: PublicEncoderOption = None,
    motion: MotionOption = None,
    motion_fps: MotionFpsOption = None,
    degrees: DegreesOption = False,
    models: ModelsOption = None,
    threads: ThreadsOption = 2,
    renderer: RendererOption = "layered",
    model: ModelOption = "liveportrait",
    generator: GeneratorOption = "joyvasa",
    driving: DrivingOption = None,
    crop: CropOption = False,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    batch: BatchOption = 1,
    encoder: EncoderOption = None,
) -> None:
    """Make a video of a portrait that speaks: H.264 and AAC, or with transparency."""
    check_renderer(context, renderer)
    if renderer == "volume":
        from vasa_cam.cli.render_volume import run_volume
        from vasa_cam.render_volume import NetworkChoice, VolumeInputs, VolumeJob

        inputs = VolumeInputs(portrait, audio, driving, motion)
        networks = NetworkChoice(model, generator, device, dtype, batch, encoder)
        rate = parse_fps(fps) if given(context, "fps") else None
        run_volume(VolumeJob(out, inputs, networks, rate, seed, not crop, models, threads))
        return
    from vasa_cam.render.layered import RenderConfig
    from vasa_cam.render_video import RenderJob

    job = RenderJob(out, audio, motion, parse_fps(fps), seed, threads=threads)
    controls = controls_of(gaze, distance, emotion, (lips, face, head, blinks))
    job = replace(job, controls=controls, style=style)
    job = replace(job, weights=weights, public_encoder=public_encoder)
    job = replace(job, track_rate_hz=motion_fps, track_degrees=degrees)
    job = replace(job, render=RenderConfig(*parse_size(size), background))
    print_report(out, size, run(job, portrait, models))


def print_report(out: Path, size: str, report: RenderReport) -> None:
    """Say what was rendered and how fast; size: of a frame, in words."""
    typer.echo(
        f"{out}: {report.video_s:.2f} s, {report.frames} frames of {size}; "
        f"{report.frames_per_s:.{0 if report.frames_per_s > 10 else 2}f} frames a second, "
        f"{report.speed:.{1 if report.speed >= 0.1 else 3}f} x real time"
    )


def run(job: RenderJob, portrait: Path, models: Path | None) -> RenderReport:
    """Do a job with progress on stderr; a stop signal leaves no half-written file."""
    from rich.console import Console

    from vasa_cam.cli.portrait import open_portrait
    from vasa_cam.cli.progress import frame_progress
    from vasa_cam.cli.stopping import stop_signals_interrupt
    from vasa_cam.render_video import make_motion, plan, render_video

    console = Console(stderr=True)
    with stop_signals_interrupt():
        plan(job)
        with console.status(f"Opening {portrait}"):
            avatar = open_portrait(portrait, models)
        with console.status("Reading the motion" if job.track else "Listening to the voice"):
            motion = make_motion(job)
        with frame_progress("Rendering", float(job.fps)) as progress:
            return render_video(job, avatar, motion, progress)


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) from "640x480". Raises InputError for anything else."""
    width, separator, height = text.lower().partition("x")
    if not separator or not width.isdecimal() or not height.isdecimal():
        raise InputError(f"the size {text!r} is not understood; expected such as 512x512.")
    return int(width), int(height)


def parse_fps(text: str) -> Fraction:
    """A frame rate from "40", "29.97" (the NTSC rate 30000/1001) or "30000/1001".

    Raises InputError for anything else.
    """
    if not _FPS.fullmatch(text):
        raise InputError(f"{text!r} is not a frame rate; expected such as 25, 29.97 or 40.")
    fps = Fraction(text)
    ntsc = Fraction(round(fps * Fraction(1001, 1000)) * 1000, 1001)
    return ntsc if fps.denominator > 1 and abs(fps - ntsc) < Fraction(1, 200) else fps
