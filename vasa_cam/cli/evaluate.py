"""`vasa-cam evaluate`: how well a motion model does, measured on tracked clips."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vasa_cam.cli.control_options import PublicEncoderOption, WeightsOption

if TYPE_CHECKING:
    from vasa_cam.training.evaluate import Evaluation

_WIDTH = 180


def evaluate(
    data: Annotated[Path, typer.Option(help="Folder of tracked clips, such as talk/.")],
    weights: WeightsOption = None,
    public_encoder: PublicEncoderOption = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every figure to this file, too.")
    ] = None,
) -> None:
    """Measure the motion model on tracked clips and print every figure with its goal."""
    import json

    from rich.console import Console

    from vasa_cam.cli.stopping import stop_signals_interrupt
    from vasa_cam.files import check_output_path, replace_file
    from vasa_cam.training.evaluate import evaluate as measure

    if json_file is not None:
        check_output_path(json_file)
    console = Console(stderr=True)
    with stop_signals_interrupt(), console.status("evaluating") as status:

        def tell(what: str) -> None:
            status.update(f"evaluating: {what}")

        evaluation = measure(data, weights, tell, public_encoder)
    _print(evaluation)
    if json_file is not None:
        with replace_file(json_file) as partial:
            partial.write_text(json.dumps(evaluation.as_json(), indent=1) + "\n", encoding="utf-8")


def _print(evaluation: Evaluation) -> None:
    from rich.console import Console
    from rich.table import Table

    from vasa_cam.training.evaluate_table import COLUMNS, table

    counts = ", ".join(f"{count} of {split}" for split, count in evaluation.clips.items())
    shown = Table(title=f"{evaluation.name}: {counts} clips")
    for heading in ("", "figure", *COLUMNS, "goal", "met"):
        shown.add_column(heading, justify="right" if heading in COLUMNS else "left")
    group = ""
    for row in table(evaluation):
        if row.group != group and group:
            shown.add_section()
        mark = {None: "", True: "yes", False: "NO"}[row.met]
        cells = [*row.cells, *[""] * (len(COLUMNS) - len(row.cells))]
        shown.add_row(row.group if row.group != group else "", row.figure, *cells, row.goal, mark)
        group = row.group
    # A file or a pipe has no width of its own: do not squeeze the table into 80 columns.
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(shown)
