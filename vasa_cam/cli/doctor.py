"""`vasa-cam doctor`: whether this machine is ready, and what to do if not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXIT_UNUSABLE = 3
_MARKS = {"good": "[green]ok  [/]", "note": "[yellow]note[/]", "bad": "[red]bad [/]"}


def doctor(
    config: Annotated[Path | None, typer.Option(help="Check for these settings.")] = None,
    listen: Annotated[
        bool, typer.Option(help="Listen to the microphone for a second; say something.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check everything `vasa-cam live` needs; says for each problem the one thing to do."""
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.markup import escape

    from vasa_cam.live.config_file import read_config
    from vasa_cam.live.doctor import examine

    settings = None if config is None else read_config(config)
    console = Console(highlight=False, soft_wrap=True)
    findings = []
    for finding in examine(settings, listen):
        findings.append(finding)
        if as_json:
            continue
        console.print(f"{_MARKS[finding.state]} {finding.name:<13} {escape(finding.found)}")
        if finding.remedy:
            console.print(f"     {'':<13} [bold]->[/] {escape(finding.remedy)}")
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(EXIT_UNUSABLE)
