"""Runs the real command in a process of its own, as a user's shell would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import vasa_cam

TIMEOUT_S = 300


def run_cli(
    *arguments: str | Path,
    cwd: Path,
    before: Callable[[], None] | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """`vasa-cam ARGUMENTS` in the folder `cwd`, of the very package that this test imported."""
    return subprocess.run(
        [sys.executable, "-m", "vasa_cam", *map(str, arguments)],
        cwd=cwd,
        env=os.environ
        | {"PYTHONPATH": str(Path(vasa_cam.__file__).parents[1]), "COLUMNS": "100"}
        | environment,
        preexec_fn=before,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
