"""The options that set a face's controls, and how their texts are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vasa_cam.errors import InputError

if TYPE_CHECKING:
    from vasa_cam.motion.controls import Controls

GazeOption = Annotated[
    str, typer.Option("--gaze", help="Where to look, degrees right,up; 0,0 is into the camera.")
]
DistanceOption = Annotated[
    float, typer.Option("--distance", help="From the camera: 1 as in the photo, 1.2 farther.")
]
EmotionOption = Annotated[
    str, typer.Option("--emotion", help="happy=0.5, or sad=0.3,surprised=0.4; also angry.")
]
LipsOption = Annotated[float, typer.Option("--lips", help="Gain of the mouth's movement, 0 to 3.")]
FaceOption = Annotated[float, typer.Option("--face", help="Gain of brows and cheeks, 0 to 3.")]
HeadOption = Annotated[float, typer.Option("--head", help="Gain of the head's movement, 0 to 3.")]
StyleOption = Annotated[
    Path | None, typer.Option("--style", help="Lips like those in this track of you talking.")
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", help="Folder of weight files instead of the shipped ones."),
]
PublicEncoderOption = Annotated[
    str | None,
    typer.Option(
        "--public-encoder",
        help="HuBERT or wav2vec 2.0 that the weights were trained with: folder or NAME@COMMIT.",
    ),
]
BlinksOption = Annotated[float, typer.Option("--blinks", help="Gain of the blink rate, 0 to 3.")]


def controls_of(
    gaze: str, distance: float, emotion: str, gains: tuple[float, float, float, float]
) -> Controls:
    """Controls from the options' texts; gains of lips, face, head and blinks. Raises InputError."""
    from vasa_cam.motion.controls import Controls

    lips, face, head, blinks = gains
    return Controls(
        gaze_deg=parse_gaze(gaze),
        distance=distance,
        emotion=parse_emotion(emotion),
        lips=lips,
        face=face,
        head=head,
        blinks=blinks,
    )


def parse_gaze(text: str) -> tuple[float, float]:
    """Degrees (right, up) from "10,-5". Raises InputError for anything else."""
    try:
        right, up = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"the gaze {text!r} is not understood; expected degrees right,up such as 10,-5."
        ) from None
    return right, up


def parse_emotion(text: str) -> dict[str, float]:
    """Emotion -> amount from "happy=0.5,sad=0.2"; a bare name is 1. Raises InputError."""
    amounts: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, separator, amount = part.partition("=")
        try:
            amounts[name.strip()] = float(amount) if separator else 1.0
        except ValueError:
            raise InputError(
                f"the emotion {part!r} is not understood; expected such as happy=0.5."
            ) from None
    return amounts
