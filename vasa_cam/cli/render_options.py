"""Options of `vasa-cam render`, and which of its renderers knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from vasa_cam.errors import InputError

RENDERERS: Final = ("layered", "volume")

ModelsOption = Annotated[Path | None, typer.Option(help="Folder with MediaPipe's model files.")]
FpsOption = Annotated[str, typer.Option(help="Frames a second, such as 25, 29.97 or 60.")]
SizeOption = Annotated[str, typer.Option(help="Width x height in pixels.")]
BackgroundOption = Annotated[
    str, typer.Option(help="photo, blur, transparent, #rrggbb or an image file.")
]
SeedOption = Annotated[int, typer.Option(help="Varies head motion, gaze and blinks.", min=0)]
MotionOption = Annotated[
    Path | None, typer.Option(help="Drive from this Live Link Face CSV instead of the voice.")
]
MotionFpsOption = Annotated[
    float | None, typer.Option(help="Rows a second of the CSV; default: its timecodes.")
]
DegreesOption = Annotated[
    bool, typer.Option("--degrees", help="Head angles of the CSV are degrees, not radians.")
]
ThreadsOption = Annotated[int, typer.Option(help="CPU threads.", min=1, max=64)]

RendererOption = Annotated[
    str, typer.Option("--renderer", help="layered, or volume with public networks (slow, a GPU).")
]
ModelOption = Annotated[
    str, typer.Option("--model", help="volume: name of the networks, see `vasa-cam models`.")
]
GeneratorOption = Annotated[
    str, typer.Option("--generator", help="volume: name of the model that moves the face.")
]
DrivingOption = Annotated[
    Path | None, typer.Option("--driving", help="volume: a face video moves the portrait.")
]
CropOption = Annotated[
    bool, typer.Option("--crop", help="volume: only the square around the face, 512x512.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="volume: auto, cpu, cuda or cuda:N.")]
DtypeOption = Annotated[
    str, typer.Option("--dtype", help="volume: auto, float32, float16 or bfloat16.")
]
BatchOption = Annotated[
    int, typer.Option("--batch", help="volume: frames computed at once.", min=1, max=64)
]
EncoderOption = Annotated[
    Path | None, typer.Option("--encoder", help="volume: ONNX file that Ditto hears with.")
]

_OF_VOLUME: Final = frozenset(
    {"model", "generator", "driving", "crop", "device", "dtype", "batch", "encoder"}
)
_OF_LAYERED: Final = frozenset(
    {
        *("size", "background", "gaze", "distance", "emotion", "lips", "face", "head", "blinks"),
        *("style", "weights", "public_encoder", "motion_fps", "degrees"),
    }
)


def given(context: typer.Context, name: str) -> bool:
    """Whether an option was written on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def check_renderer(context: typer.Context, renderer: str) -> None:
    """Raise InputError for an unknown renderer, or options that belong to the other one."""
    if renderer not in RENDERERS:
        raise InputError(f"there is no renderer {renderer!r}: expected {' or '.join(RENDERERS)}.")
    others = _OF_VOLUME if renderer == "layered" else _OF_LAYERED
    if wrong := sorted(name for name in others if given(context, name)):
        other = RENDERERS[1 - RENDERERS.index(renderer)]
        options = ", ".join(f"--{name.replace('_', '-')}" for name in wrong)
        raise InputError(
            f"{options} belongs to the {other} renderer: leave it out, or take --renderer {other}."
        )
