"""`vasa-cam config`: every setting of the live avatar, as a file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vasa_cam.errors import InputError


def config(
    file: Annotated[
        Path | None, typer.Argument(help="A TOML file to check and show, instead of the defaults.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print all settings with their units, as TOML.")
    ] = False,
) -> None:
    """Check a file of live settings, or print all settings with their units."""
    from vasa_cam.live.config import LiveConfig
    from vasa_cam.live.config_file import read_config, to_toml

    if file is None and not show:
        raise InputError("nothing to do; use vasa-cam config --show, or name a file to check.")
    settings = LiveConfig() if file is None else read_config(file)
    typer.echo(to_toml(settings).rstrip() if show else f"{file}: all settings are good.")
