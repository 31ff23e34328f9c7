"""`vasa-cam track`: a video of a face becomes a motion track."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def track(
    video: Annotated[Path, typer.Argument(help="A video of a face, seen from the front.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Live Link Face CSV to write.")] = Path(
        "track.csv"
    ),
    models: Annotated[
        Path | None, typer.Option(help="Folder with MediaPipe's model files.")
    ] = None,
) -> None:
    """Track a face into a CSV that `vasa-cam render --motion` replays on any portrait."""
    from vasa_cam.avatar.track import track_video
    from vasa_cam.cli.progress import frame_progress
    from vasa_cam.cli.stopping import stop_signals_interrupt
    from vasa_cam.files import check_output_path
    from vasa_cam.motion.csv import write_motion_csv

    check_output_path(out)
    with stop_signals_interrupt(), frame_progress("Tracking") as progress:
        result = track_video(video, models, progress)
        write_motion_csv(out, result.motion)
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    rows, rate_hz = len(result.motion.frames), result.motion.rate_hz
    typer.echo(f"{out}: {result.motion.duration_s:.2f} s, {rows} rows at {rate_hz:g} a second")
