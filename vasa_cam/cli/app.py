"""The `vasa-cam` command line: registers the sub-commands and turns errors into exit codes.

Exit codes: 0 done, 1 a defect of ours (traceback kept), 2 wrong usage or unusable input (one
sentence on stderr), 3 `doctor` found that live cannot work, 130 interrupted. Command modules import
what is heavy inside their function, so that `vasa-cam --help` answers at once.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

import vasa_cam
from vasa_cam.cli.bench import bench
from vasa_cam.cli.config import config
from vasa_cam.cli.ctl import ctl, ctl_help
from vasa_cam.cli.demo import demo
from vasa_cam.cli.devices import devices
from vasa_cam.cli.doctor import doctor
from vasa_cam.cli.enrol import enrol
from vasa_cam.cli.evaluate import evaluate
from vasa_cam.cli.info import info
from vasa_cam.cli.install_service import install_service
from vasa_cam.cli.latency import latency
from vasa_cam.cli.live import live
from vasa_cam.cli.models import models
from vasa_cam.cli.poses import poses
from vasa_cam.cli.render import render
from vasa_cam.cli.track import track
from vasa_cam.errors import VasaCamError

EXIT_DEFECT = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

app = typer.Typer(
    name="vasa-cam",
    help="One portrait photo and a voice become a talking head.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # as markup, the brackets in our help texts would vanish
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"vasa-cam {vasa_cam.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and stop.", callback=_print_version, is_eager=True
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log what is being done to stderr.")
    ] = False,
) -> None:
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    if verbose:
        logging.getLogger("vasa_cam").setLevel(logging.DEBUG)


_COMMANDS: tuple[Callable[..., None], ...] = (
    *(demo, enrol, evaluate, info, poses, render, track),
    *(bench, live, latency, config, devices, doctor, install_service),
)
for _command in _COMMANDS:
    app.command()(_command)
app.add_typer(models)
# Negative numbers are no options: vasa-cam ctl gaze 10 -5.
app.command(epilog=ctl_help(), context_settings={"ignore_unknown_options": True})(ctl)


def _fail(message: str) -> NoReturn:
    """Print one line, whatever the message holds, and exit as for unusable input."""
    sys.stderr.write(f"vasa-cam: {' '.join(message.split())}\n")
    raise SystemExit(EXIT_BAD_INPUT)


def main() -> NoReturn:
    """Run the command line given by `sys.argv`; always ends by SystemExit."""
    try:
        app()
    except VasaCamError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL_DISK:
            place = f" while writing {os.fspath(error.filename)}" if error.filename else ""
            _fail(f"the disk is full{place}; free some space or choose another output folder")
        traceback.print_exc()
        sys.stderr.write(
            f"vasa-cam {vasa_cam.__version__}: this is a defect of vasa-cam, not of your input; "
            "please report it with the lines above\n"
        )
        raise SystemExit(EXIT_DEFECT) from None
    raise SystemExit(0)
