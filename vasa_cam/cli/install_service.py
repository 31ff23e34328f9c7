"""`vasa-cam install-service`: the avatar runs from login on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def install_service(
    avatar: Annotated[
        Path | None, typer.Argument(help="A .vasa avatar; default: the built-in one.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings for it, a TOML file.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the unit and change nothing.")
    ] = False,
    uninstall: Annotated[
        bool, typer.Option("--uninstall", help="Stop and remove the service.")
    ] = False,
) -> None:
    """Install a systemd user unit that runs `vasa-cam live` from login on."""
    from vasa_cam.live import service

    if uninstall:
        typer.echo(service.uninstall())
        return
    arguments = []
    if avatar is not None:
        from vasa_cam.avatar.file import load_avatar

        load_avatar(avatar)
        arguments.append(str(avatar.resolve()))
    if config is not None:
        from vasa_cam.live.config_file import read_config

        read_config(config)
        arguments += ["--config", str(config.resolve())]
    text = service.unit_text(arguments)
    typer.echo(text.rstrip() if dry_run else service.install(text))
