"""`vasa-cam bench`: what the operations, networks and pipelines cost on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vasa_cam.bench.case import Case

EXIT_WRONG = 1
_WIDTH = 150


def bench(
    suite: Annotated[
        list[str] | None,
        typer.Option(help="ops, models or pipeline; may be repeated. All of them."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    case: Annotated[str, typer.Option(help="Only cases like this, such as 'pixel/*'.")] = "*",
    goals: Annotated[
        bool, typer.Option("--goals", help="Only cases with a number to reach, as one table.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(help="How long to measure each way of a case.", min=0.001, max=60.0)
    ] = 0.5,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1, max=64)] = 2,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every figure to this file, too.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the ratios to this PNG file.")] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Name the cases and measure nothing.")
    ] = False,
) -> None:
    """Verify, then time every operation, network and pipeline against its alternatives."""
    from vasa_cam import ops
    from vasa_cam.bench.devices import open_device
    from vasa_cam.bench.plot import draw_results
    from vasa_cam.bench.registry import choose
    from vasa_cam.bench.results import check_document
    from vasa_cam.cli.stopping import stop_signals_interrupt
    from vasa_cam.files import check_output_path, replace_file

    place = open_device(device)
    chosen = choose(suite or (), case, device, goals)
    if list_only:
        _print_cases(chosen)
        return
    for path in (json_file, plot):
        if path is not None:
            check_output_path(path)
    ops.set_num_threads(threads)
    with stop_signals_interrupt():
        document = _measure(chosen, place, seconds)
    check_document(document, "the results")
    _print(document, goals)
    if json_file is not None:
        with replace_file(json_file) as partial:
            partial.write_text(_as_text(document), encoding="utf-8")
    if plot is not None:
        with replace_file(plot) as partial:
            draw_results(document).save(partial, format="PNG")
    if any(entry["state"] == "failed" for entry in document["cases"]):
        raise typer.Exit(EXIT_WRONG)


def _measure(chosen: list[Case], place: Any, seconds: float) -> dict[str, Any]:
    from rich.console import Console

    from vasa_cam import ops
    from vasa_cam.bench.results import document
    from vasa_cam.bench.roofline import measure_roofline
    from vasa_cam.bench.runner import RunConfig, run_cases

    with Console(stderr=True).status("measuring what this machine can do") as status:

        def tell(name: str) -> None:
            status.update(f"measuring {name}")

        roofline = measure_roofline(place)
        results = run_cases(chosen, place, RunConfig(seconds), tell)
        return document(results, place, roofline, ops.get_num_threads())


def _as_text(document: dict[str, Any]) -> str:
    import json

    return json.dumps(document, indent=1) + "\n"


def _print_cases(chosen: list[Case]) -> None:
    for case in chosen:
        typer.echo(f"{case.suite:<9} {case.name:<40} {case.dtype:<9} {case.shape}")


def _print(document: dict[str, Any], goals: bool) -> None:
    from rich.console import Console

    from vasa_cam.bench.report import goal_table, machine_lines, result_table

    # A file or a pipe has no width of its own: do not squeeze the table into 80 columns.
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    for line in machine_lines(document):
        console.print(line, markup=False)
    console.print(result_table(document))
    if goals:
        console.print(goal_table(document))
