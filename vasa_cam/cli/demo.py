"""`vasa-cam demo`: the shipped portrait speaks the shipped sentence, to see what this can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vasa_cam.render_video import RenderReport


def demo(
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for demo.mp4 and demo.png.")
    ] = Path("."),
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1, max=64)] = 2,
) -> None:
    """Render the built-in demo: demo.mp4, and demo.png with the portrait in many poses."""
    import time
    from importlib import resources

    from vasa_cam.avatar.file import load_avatar
    from vasa_cam.cli.render import run
    from vasa_cam.files import replace_file
    from vasa_cam.render_video import RenderJob

    started = time.monotonic()
    folder = resources.files("vasa_cam").joinpath("assets")
    with (
        resources.as_file(folder / "astronaut.vasa") as portrait,
        resources.as_file(folder / "demo_speech.flac") as voice,
    ):
        video, sheet = out / "demo.mp4", out / "demo.png"
        report = run(RenderJob(out=video, voice=voice, threads=threads), portrait, None)
        avatar = load_avatar(portrait)
    from PIL import Image

    from vasa_cam.render.poses import contact_sheet

    picture = Image.fromarray(contact_sheet(avatar))
    with replace_file(sheet) as partial:
        picture.save(partial, format="PNG")
    typer.echo(describe(report, time.monotonic() - started))
    typer.echo(f"video: {video.resolve()}")
    typer.echo(f"contact sheet: {sheet.resolve()}")


def describe(report: RenderReport, total_s: float) -> str:
    """How fast it was, in one sentence."""
    drawing_ms = 1000 * report.drawing_s / report.frames
    return (
        f"{report.frames} frames ({report.video_s:.1f} s) at {report.frames_per_s:.0f} frames a "
        f"second with encoding; {drawing_ms:.1f} ms to draw one; first frame after "
        f"{report.first_frame_s:.2f} s; {total_s:.1f} s in all"
    )
