"""`vasa-cam info`: what an avatar file holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vasa_cam.avatar.file import Avatar


def info(avatar: Annotated[Path, typer.Argument(help="A .vasa file.")]) -> None:
    """Print what is in an avatar file."""
    from vasa_cam.avatar.file import load_avatar

    print_avatar(avatar, load_avatar(avatar))


def print_avatar(path: Path, avatar: Avatar) -> None:
    """A table of an avatar's contents on standard output, its notes below."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    meta = avatar.meta
    view, face = ([round(number) for number in box_px] for box_px in (meta.view_px, meta.face_px))
    rows = {
        "file": f"{path} ({path.stat().st_size / 1e6:.1f} MB)",
        "name": meta.name,
        "photo": f"{meta.source_size[0]} x {meta.source_size[1]} px",
        "canvas": f"{meta.canvas_px[0]} x {meta.canvas_px[1]} px",
        "view": f"{view[2]} x {view[3]} px at ({view[0]}, {view[1]})",
        "face": f"{face[2]} x {face[3]} px at ({face[0]}, {face[1]}), "
        f"eyes {meta.iod_px:.0f} px apart",
        "mouth": "closed in the photo" if meta.closed_mouth else "open in the photo",
        "glasses": "a layer of their own" if avatar.glasses_rgba.size else "none split off",
        "mesh": f"{len(avatar.rest_px):,} vertices, {len(avatar.triangles):,} triangles",
    }
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, value in rows.items():
        table.add_row(label, escape(value))
    console = Console()
    console.print(table)
    for note in meta.notes:
        console.print(f"Note: {escape(note)}")
