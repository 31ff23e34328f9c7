"""`vasa-cam ctl`: tells a running `vasa-cam live` what to do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vasa_cam.errors import InputError
from vasa_cam.live.commands import VERBS, Argument, check_command

_FLAGS = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def ctl_help() -> str:
    """The commands, one a line, as they stand below the options in the help."""
    lines = []
    for verb in VERBS.values():
        words = [
            one.name.upper() if one.required and one.default is None else f"[{one.name.upper()}]"
            for one in verb.arguments
        ]
        lines.append(f"{' '.join([verb.name, *words]):<28}{verb.note}")
    return "\b\nCommands:\n  " + "\n  ".join(lines)


def ctl(
    command: Annotated[str, typer.Argument(help="One of those below.", show_default=False)],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT", help="What it takes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Control the running avatar, for example: vasa-cam ctl gaze 10 -5"""
    import json

    from vasa_cam.live.control_client import ControlClient

    message = check_command(parse_words(command, arguments or []))
    if message["command"] == "avatar":
        from pathlib import Path

        # The daemon may have been started in another folder.
        message["path"] = str(Path(message["path"]).expanduser().resolve())
    with ControlClient() as client:
        answer = client.send(message)
    answer.pop("ok")
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    elif message["command"] == "status":
        from vasa_cam.cli.status import print_status

        print_status(answer)
    elif answer.pop("queued", False):
        typer.echo("queued")
    elif answer:
        typer.echo(", ".join(f"{key}: {value}" for key, value in answer.items()))


def parse_words(name: str, words: list[str]) -> dict[str, Any]:
    """A command message from what stands on the command line. Raises InputError."""
    verb = VERBS.get(name)
    if verb is None:
        check_command({"command": name})  # says what was probably meant
        raise AssertionError("unreachable")
    if len(words) > len(verb.arguments):
        takes = " ".join(one.name.upper() for one in verb.arguments) or "no arguments"
        raise InputError(f"{name} takes {takes}; {' '.join(words)!r} is too much.")
    message: dict[str, Any] = {"command": name}
    for argument, word in zip(verb.arguments, words, strict=False):
        message[argument.name] = _value(name, argument, word)
    return message


def _value(name: str, argument: Argument, word: str) -> str | float | bool:
    if argument.kind == "number":
        try:
            return float(word)
        except ValueError:
            raise InputError(
                f"{name}: {argument.name} must be a number ({argument.note}), got {word!r}."
            ) from None
    if argument.kind == "flag":
        if word.lower() not in _FLAGS:
            raise InputError(f"{name}: {argument.name} must be on or off, got {word!r}.")
        return _FLAGS[word.lower()]
    return word
