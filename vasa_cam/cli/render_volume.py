"""`vasa-cam render --renderer volume`: public networks move a photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from vasa_cam.render_volume import VolumeJob


def run_volume(job: VolumeJob) -> None:
    """Do a job with progress on stderr; a stop signal leaves no half-written file."""
    from rich.console import Console

    from vasa_cam.cli.progress import frame_progress
    from vasa_cam.cli.render import print_report
    from vasa_cam.cli.stopping import stop_signals_interrupt
    from vasa_cam.render_volume import latent_motion, open_renderer, plan_volume, render_volume

    console = Console(stderr=True)
    inputs = job.inputs
    with stop_signals_interrupt():
        model = plan_volume(job)
        from vasa_cam.render.volume.photo import read_photo

        with console.status(f"Looking for the face in {inputs.portrait}"):
            photo = read_photo(inputs.portrait, job.models_dir)
        for note in photo.notes:
            typer.echo(f"Note: {note}", err=True)
        with console.status(f"Opening the model {model.name}"):
            renderer = open_renderer(job, model)
        if inputs.driving is not None:
            with frame_progress("Watching", 25.0) as progress:
                motion = latent_motion(job, renderer, photo, progress)
        else:
            with console.status("Listening to the voice"):
                motion = latent_motion(job, renderer, photo)
        with frame_progress("Rendering", float(job.fps or motion.fps)) as progress:
            report = render_volume(job, renderer, photo, motion, progress)
    height, width = photo.rgb.shape[:2]
    side = renderer.sizes.output_px
    size = f"{width}x{height}" if job.whole else f"{side}x{side}"
    print_report(job.out, size, report)
