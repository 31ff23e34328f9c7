"""The options of `vasa-cam live`; None leaves a setting as the file, or its default, has it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vasa_cam.cli.control_options import StyleOption, WeightsOption

Avatar = Annotated[
    Path | None, typer.Argument(help="A .vasa avatar or a photo; default: the built-in one.")
]
Config = Annotated[Path | None, typer.Option(help="Settings, a TOML file.")]
Source = Annotated[
    str | None,
    typer.Option(
        help="mic, mic:NAME_OR_INDEX, monitor, monitor:NAME, file:PATH, pcm:-, ws or silence."
    ),
]
Loop = Annotated[bool | None, typer.Option(help="A file begins again at its end.")]
StopAtEnd = Annotated[bool | None, typer.Option(help="End when a file or stream has ended.")]
Fps = Annotated[int | None, typer.Option(help="Frames a second: 25, 30, 40, 50, 60.")]
Size = Annotated[str | None, typer.Option(help="Width x height in pixels.")]
Background = Annotated[
    str | None, typer.Option(help="photo, blur, transparent, #rrggbb or an image file.")
]
Seed = Annotated[int | None, typer.Option(help="Varies head motion, gaze and blinks.")]
Style = StyleOption
Weights = WeightsOption
Webcam = Annotated[bool | None, typer.Option(help="Feed a virtual webcam.")]
WebcamDevice = Annotated[str | None, typer.Option(help="Which one: a path, number or label.")]
Preview = Annotated[bool | None, typer.Option(help="Serve the preview page.")]
Port = Annotated[int | None, typer.Option(help="Of the preview page; 0 takes a free one.")]
Record = Annotated[Path | None, typer.Option(help="Record to this .mp4 or .mkv.")]
VirtualMic = Annotated[
    bool | None, typer.Option(help="Make a microphone that has the delayed voice (Linux).")
]
VoiceOut = Annotated[str | None, typer.Option(help="Play the delayed voice to this device.")]
Mirror = Annotated[bool | None, typer.Option(help="Mirror the preview, not the webcam.")]
Panic = Annotated[
    str | None, typer.Option(help="What panic shows: freeze, photo, black, real-camera.")
]
Metrics = Annotated[Path | None, typer.Option(help="Append JSON lines to this file.")]
Seconds = Annotated[
    float | None, typer.Option(help="End after so long.", min=0.1, show_default=False)
]
Tui = Annotated[bool, typer.Option(help="Live view with keys, where the output is a terminal.")]
Models = Annotated[Path | None, typer.Option(help="Folder with MediaPipe's model files.")]
