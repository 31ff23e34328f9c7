"""`vasa-cam models`: public checkpoints are added, listed and verified."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vasa_cam.errors import InputError

if TYPE_CHECKING:
    from vasa_cam.checkpoints.recognise import Part
    from vasa_cam.checkpoints.registry import Model

models = typer.Typer(
    name="models",
    help="Public checkpoints for `render --renderer volume`: add, list and verify them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@models.command()
def add(
    where: Annotated[
        str, typer.Argument(help="A folder, or OWNER/NAME[/FOLDER][@REVISION] on the hub.")
    ],
    name: Annotated[str | None, typer.Option(help="Name to keep it by; default: its kind.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licences without asking.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a model of the same name.")
    ] = False,
) -> None:
    """Check public checkpoints key by key and keep them, converted once to safetensors."""
    from vasa_cam.checkpoints.registry import (
        add_model,
        check_complete,
        check_name,
        choose_parts,
        models_folder,
    )

    folder, source, revision = _place(where)
    found = choose_parts(_scan(folder))
    if not found:
        raise InputError(
            f"{where} holds no checkpoint of a known model: expected those of LivePortrait, "
            "JoyVASA, HuBERT or Ditto."
        )
    if name is not None and len(found) > 1:
        raise InputError(
            f"{where} holds several models ({', '.join(found)}): leave --name out, or name the "
            "folder of one."
        )
    names = {family: name or family for family in found}
    for family, parts in found.items():
        check_complete(family, parts)
        check_name(names[family], models_folder(), replace=replace)
    _accept(list(found), yes)
    for family, parts in found.items():
        model = add_model(names[family], family, parts, source, revision=revision, replace=replace)
        typer.echo(f"Added {model.name}: {_megabytes(model)}, in {model.folder}")


@models.command("list")
def list_() -> None:
    """List the models that were added."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from vasa_cam.checkpoints.registry import list_models

    there_are = list_models()
    if not there_are:
        typer.echo("No models yet: `vasa-cam models add FOLDER` or OWNER/NAME adds one.")
        return
    table = Table("name", "kind", "parts", "size", "from", box=box.SIMPLE, pad_edge=False)
    for model in there_are:
        source = model.source + (f"@{model.revision[:12]}" if model.revision else "")
        parts = ", ".join(file.part for file in model.files)
        row = (model.name, model.family, parts, _megabytes(model), source)
        table.add_row(*map(escape, row))
    Console().print(table)


@models.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="Which model; default: all.")] = None,
) -> None:
    """Check sizes, sha256 sums, keys and shapes of models that were added."""
    from vasa_cam.checkpoints.registry import find_model, list_models, verify_model

    damaged = []
    for model in [find_model(name)] if name is not None else list_models():
        for file, problem, report in verify_model(model):
            typer.echo(f"{model.name}/{file.name}: {problem or 'good'}")
            if report is not None and not report.fits:
                typer.echo(report.text())
            if problem:
                damaged.append(f"{model.name}/{file.name}")
    if damaged:
        raise InputError(
            f"{len(damaged)} files are damaged ({', '.join(damaged)}): add their models again with "
            "--replace."
        )


def _place(where: str) -> tuple[Path, str, str | None]:
    """Folder, source as it is recorded, and the hub's commit."""
    folder = Path(where)
    if folder.is_dir():
        return folder, str(folder.resolve()), None
    from vasa_cam.checkpoints.hub import fetch, is_address

    if folder.exists() or not is_address(where):
        raise InputError(
            f"{where} is neither a folder nor OWNER/NAME[/FOLDER][@REVISION] on the hub."
        )
    fetched = fetch(where)
    return fetched.folder, fetched.name, fetched.commit


def _scan(folder: Path) -> list[Part]:
    """All parts in a folder; says what each file is, or why it is not used, on stderr."""
    from vasa_cam.checkpoints.machine import shown
    from vasa_cam.checkpoints.recognise import candidates, recognise

    parts = []
    for path in candidates(folder):
        name = shown(str(path.relative_to(folder)))
        try:
            found = recognise(path)
        except InputError as error:
            typer.echo(f"{name}: not used: {str(error).rpartition('is not used: ')[2]}", err=True)
            continue
        if not found:
            typer.echo(f"{name}: not used: none of the networks that are known here", err=True)
        for part in found:
            typer.echo(f"{name}: {part.family}, {part.report.text()}", err=True)
        parts += found
    return parts


def _accept(families: list[str], yes: bool) -> None:
    from vasa_cam.checkpoints.licences import CONSENT, LICENCES

    lines = dict.fromkeys(line for family in families for line in LICENCES[family])
    typer.echo("\n".join([*lines, CONSENT]), err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("nobody is there to accept the licences above: read them and give --yes.")
    if not typer.confirm("Do you accept them?", err=True):
        raise InputError("nothing was added: the licences were not accepted.")


def _megabytes(model: Model) -> str:
    return f"{model.size / 1e6:.1f} MB"
