"""The commands that a running daemon takes, whoever sends them: what they are called and may hold.

A command is a JSON object such as `{"command": "gaze", "x": 10, "y": -5}`. The control socket, the
preview page and the daemon check it here, so that all refuse the same things in the same words.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from vasa_cam.errors import InputError
from vasa_cam.live.config import EMOTIONS, PANIC_MODES

Value = float | str | bool

_MAX_TEXT: Final = 4096
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_PLAIN_BACKGROUNDS: Final = frozenset({"photo", "blur", "transparent"})


@dataclass(frozen=True)
class Argument:
    """One field of a command.

    limits: of a number. choices: of a text. default: taken when the field is missing. required: a
    missing field without a default is an error; otherwise it is left out.
    """

    name: str
    kind: Literal["number", "text", "flag"]
    note: str
    limits: tuple[float, float] = (-math.inf, math.inf)
    choices: tuple[str, ...] = ()
    default: Value | None = None
    required: bool = True


@dataclass(frozen=True)
class Verb:
    """One command. slot: of several waiting commands in one slot only the newest matters."""

    name: str
    note: str
    arguments: tuple[Argument, ...] = ()
    slot: str = ""


def _verbs() -> tuple[Verb, ...]:
    gain = (0.0, 3.0)
    mode = Argument("mode", "text", "the configured one", choices=PANIC_MODES, required=False)
    return (
        Verb("pause", "hold an idle, breathing avatar that does not listen", slot="pause"),
        Verb("resume", "listen again", slot="pause"),
        Verb("mute", "silence the voice and close the mouth", slot="mute"),
        Verb("unmute", "let the voice through again", slot="mute"),
        Verb("panic", "show something harmless at once", (mode,), "panic"),
        Verb("calm", "end panic", slot="panic"),
        Verb(
            "avatar",
            "cross-fade to another avatar",
            (Argument("path", "text", "a .vasa file or a photo on this machine"),),
        ),
        Verb(
            "gaze",
            "look somewhere; 0 0 is into the camera",
            (
                Argument("x", "number", "degrees to the picture's right", (-35.0, 35.0)),
                Argument("y", "number", "degrees up", (-35.0, 35.0)),
            ),
        ),
        Verb(
            "distance",
            "come nearer or go farther away",
            (Argument("value", "number", "1 as in the photo, 1.2 farther", (0.5, 2.0)),),
        ),
        Verb(
            "emotion",
            "feel something",
            (
                Argument("name", "text", "which", choices=EMOTIONS),
                Argument("amount", "number", "how much", (0.0, 1.0), default=1.0),
            ),
        ),
        Verb(
            "expressiveness",
            "more or less movement of one part",
            (
                Argument("part", "text", "of what", choices=("lips", "face", "head")),
                Argument("value", "number", "1 is natural", gain),
            ),
        ),
        Verb(
            "blinks",
            "blink more or less often",
            (Argument("value", "number", "1 is natural", gain),),
        ),
        Verb(
            "background",
            "change the background",
            (Argument("spec", "text", "photo, blur, transparent, #rrggbb or an image file"),),
        ),
        Verb("mirror", "mirror the preview", (Argument("on", "flag", "on or off", default=True),)),
        Verb("status", "what is going on, with all figures"),
        Verb("stop", "end vasa-cam live"),
    )


VERBS: Final[Mapping[str, Verb]] = {verb.name: verb for verb in _verbs()}
"""All commands by name."""


def check_command(message: object, from_web: bool = False) -> dict[str, Any]:
    """The command with its defaults filled in and nothing else: "command" and its arguments.

    from_web: refuse whatever names a file, as nothing from a browser may reach the file system.
    Raises InputError with one sentence for anything else than a command of `VERBS`.
    """
    if not isinstance(message, Mapping):
        raise InputError('a command must be a JSON object such as {"command": "pause"}.')
    name = message.get("command")
    verb = VERBS.get(name) if isinstance(name, str) else None
    if verb is None:
        raise InputError(f"there is no command {_short(name)}{_nearest(name, VERBS) or '.'}")
    known = {argument.name: argument for argument in verb.arguments}
    for key in message:
        if key != "command" and key not in known:
            hint = _nearest(key, known) or f"; it takes {', '.join(known) or 'nothing'}."
            raise InputError(f"{verb.name} has no {_short(key)}{hint}")
    checked: dict[str, Any] = {"command": verb.name}
    for argument in verb.arguments:
        value = message.get(argument.name, argument.default)
        if value is None:
            if argument.required:
                raise InputError(f"{verb.name} needs {argument.name}: {argument.note}.")
            continue
        checked[argument.name] = _check_argument(verb.name, argument, value)
    if from_web:
        _refuse_files(checked)
    return checked


def slot(command: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What an accepted command sets; of two with the same slot only the newer one matters.

    None for commands that must each be done: status, avatar and stop.
    """
    verb = VERBS[command["command"]]
    if verb.name in ("status", "avatar", "stop"):
        return None
    part = (command["part"],) if verb.name == "expressiveness" else ()
    return (verb.slot or verb.name, *part)


def _check_argument(verb: str, argument: Argument, value: object) -> Value:
    name = f"{verb}: {argument.name}"
    if argument.kind == "flag":
        if not isinstance(value, bool):
            raise InputError(f"{name} must be true or false, got {_short(value)}.")
        return value
    if argument.kind == "number":
        low, high = argument.limits
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{name} must be a number ({argument.note}), got {_short(value)}.")
        if not low <= value <= high:  # also false for NaN
            raise InputError(f"{name} must be {low:g} to {high:g}, got {_short(value)}.")
        return float(value)
    if not isinstance(value, str) or not value or "\0" in value or len(value) > _MAX_TEXT:
        raise InputError(f"{name} must be a text ({argument.note}), got {_short(value)}.")
    if argument.choices and value not in argument.choices:
        choices = ", ".join(argument.choices)
        raise InputError(f"{name} must be one of {choices}, got {_short(value)}.")
    return value


def _refuse_files(command: Mapping[str, Any]) -> None:
    if command["command"] == "avatar":
        raise InputError("avatar is not possible from a web page; use vasa-cam ctl avatar.")
    if command["command"] == "background":
        spec = command["spec"]
        if spec not in _PLAIN_BACKGROUNDS and not _COLOUR.fullmatch(spec):
            raise InputError(
                "background: a web page may only ask for photo, blur, transparent or #rrggbb."
            )


def _nearest(name: object, names: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(str(name)[:64], list(names), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
