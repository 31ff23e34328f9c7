"""`vasa-cam poses`: the contact sheet of a portrait."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def poses(
    portrait: Annotated[Path, typer.Argument(help="A photo, or a .vasa avatar.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="PNG file to write.")] = Path(
        "poses.png"
    ),
    size: Annotated[int, typer.Option(help="Side of one tile in pixels.", min=64, max=1080)] = 384,
    models: Annotated[
        Path | None, typer.Option(help="Folder with MediaPipe's model files.")
    ] = None,
) -> None:
    """Render a contact sheet: mouth shapes, blink, gaze, brows and head turns."""
    from PIL import Image
    from rich import print as say

    from vasa_cam.cli.portrait import open_portrait
    from vasa_cam.files import check_output_path, replace_file
    from vasa_cam.render.poses import contact_sheet

    check_output_path(out)
    sheet = Image.fromarray(contact_sheet(open_portrait(portrait, models), size))
    with replace_file(out) as partial:
        sheet.save(partial, format="PNG")
    say(f"Contact sheet: {out} ({sheet.width}x{sheet.height})")
