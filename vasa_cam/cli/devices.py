"""`vasa-cam devices`: microphones, outputs and cameras of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from vasa_cam.live.devices import Camera, ServerDevice, SoundDevice


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List microphones, outputs and cameras, and how to name them."""
    from rich.console import Console

    from vasa_cam.errors import MissingDependencyError
    from vasa_cam.live.devices import cameras, server_devices, sound_devices

    problem = ""
    sounds: list[SoundDevice] = []
    try:
        sounds = sound_devices()
    except MissingDependencyError as error:
        problem = str(error)
    pulse, video = server_devices(), cameras()
    if as_json:
        _print_json(sounds, pulse, video, problem)
        return
    console = Console()
    _print_sounds(console, sounds, problem)
    if pulse is not None:
        _print_pulse(console, pulse)
    _print_cameras(console, video)


def _print_json(
    sounds: list[SoundDevice], pulse: list[ServerDevice] | None, video: list[Camera], problem: str
) -> None:
    import json
    from dataclasses import asdict

    typer.echo(
        json.dumps(
            {
                "sound": [asdict(one) for one in sounds],
                "sound_problem": problem,
                "sound_server": None if pulse is None else [asdict(one) for one in pulse],
                "cameras": [asdict(one) for one in video],
            },
            indent=2,
        )
    )


def _print_sounds(console: Console, sounds: list[SoundDevice], problem: str) -> None:
    for title, channels, default, option in (
        ("Microphones", "inputs", "default_input", "--source mic:INDEX or mic:NAME"),
        ("Outputs", "outputs", "default_output", "--voice-out INDEX or NAME"),
    ):
        rows = [
            (
                str(one.index),
                one.name,
                one.api,
                f"{getattr(one, channels)} ch",
                f"{one.rate_hz:.0f} Hz",
                "default" if getattr(one, default) else "",
            )
            for one in sounds
            if getattr(one, channels)
        ]
        _print_table(console, f"{title} ({option})", rows, problem or "none")


def _print_pulse(console: Console, pulse: list[ServerDevice]) -> None:
    kinds = {"input": "microphone", "output": "output"}
    rows = [
        (
            one.name,
            one.description,
            "monitor" if one.monitor else kinds[one.direction],
            "default" if one.default else "",
        )
        for one in pulse
    ]
    title = "PulseAudio or PipeWire (mic:NAME, or --source monitor:NAME to hear an output)"
    _print_table(console, title, rows)


def _print_cameras(console: Console, video: list[Camera]) -> None:
    rows = []
    for one in video:
        roles = [word for word, is_so in (("read", one.captures), ("write", one.takes)) if is_so]
        kind = "virtual" if one.virtual else "hardware"
        rows.append((one.path, one.name, one.driver, kind, one.problem or ", ".join(roles)))
    _print_table(console, "Cameras (--webcam-device PATH of a virtual one)", rows)


def _print_table(
    console: Console, title: str, rows: Sequence[tuple[str, ...]], without: str = "none"
) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    console.print(escape(title), style="bold")
    if not rows:
        console.print(f"  {escape(without)}")
        console.print()
        return
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    for _ in rows[0]:
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
