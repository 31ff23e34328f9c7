"""`vasa-cam enrol`: a photo becomes an avatar file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def enrol(
    photo: Annotated[Path, typer.Argument(help="JPEG, PNG or WebP with a face.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Avatar to write; default: PHOTO.vasa here.")
    ] = None,
    face: Annotated[
        int | None, typer.Option(help="Which face, from 1; the largest is 1.", min=1)
    ] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(help="JSON with 478 (or 468) points [x, y] or [x, y, z] in photo pixels."),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder with MediaPipe's model files.")
    ] = None,
) -> None:
    """Find the face in a photo and make an avatar of it, once."""
    import time

    from rich.console import Console

    from vasa_cam.avatar.enrolment import enrol as enrol_photo
    from vasa_cam.avatar.file import save_avatar
    from vasa_cam.avatar.portrait import PortraitOptions
    from vasa_cam.cli.info import print_avatar
    from vasa_cam.files import check_output_path

    target = out or Path(f"{photo.stem}.vasa")
    check_output_path(target)
    started = time.monotonic()
    with Console(stderr=True).status(f"enrolling {photo.name}"):
        avatar = enrol_photo(photo, PortraitOptions(face, landmarks, models))
    save_avatar(target, avatar)
    print_avatar(target, avatar)
    typer.echo(f"Enrolled in {time.monotonic() - started:.1f} s.")
