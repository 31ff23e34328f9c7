"""The live view in a real terminal: figures appear, single keys work, the terminal is put back."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from command_line import run_cli

import vasa_cam
from vasa_cam.cli.live_view import one_line

PATIENCE_S = 90.0


class Terminal:
    """`vasa-cam live` at the other end of a pseudo-terminal."""

    def __init__(self, folder: Path, runtime: Path, *arguments: str) -> None:
        self._master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vasa_cam", "live", *arguments],
            cwd=folder,
            env=os.environ
            | {
                "PYTHONPATH": str(Path(vasa_cam.__file__).parents[1]),
                "XDG_RUNTIME_DIR": str(runtime),
                "TERM": "xterm",
                "COLUMNS": "110",
                "LINES": "50",
            },
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
        )
        self.shown = ""

    def wait_for(self, pattern: str) -> None:
        """Read what is shown until it holds the pattern, after what was waited for before."""
        give_up = time.monotonic() + PATIENCE_S
        self.shown = ""
        while not re.search(pattern, self.shown):
            assert time.monotonic() < give_up, f"{pattern!r} never came:\n{self.shown[-3000:]}"
            if select.select([self._master], [], [], 0.5)[0]:
                self.shown += os.read(self._master, 65_536).decode(errors="replace")
            else:
                assert self.process.poll() is None, self.shown

    def press(self, key: str) -> None:
        os.write(self._master, key.encode())

    def end(self) -> int:
        """Read on until it has ended; its exit code."""
        give_up = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < give_up
            if select.select([self._master], [], [], 0.1)[0]:
                self.shown += os.read(self._master, 65_536).decode(errors="replace")
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self.slave)


def test_figures_and_keys(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    terminal = Terminal(
        tmp_path, runtime, "--no-webcam", "--source", "silence", "--size", "128x128", "--fps", "25"
    )
    try:
        terminal.wait_for(r"preview: http://127\.0\.0\.1:\d+/\?token=\S+")
        terminal.wait_for("q quit")
        terminal.press("p")
        terminal.wait_for("paused yes")
        terminal.press("p")
        terminal.wait_for("paused no")
        terminal.press("m")
        terminal.wait_for("muted yes")
        terminal.press("x")
        terminal.wait_for("panic photo")
        terminal.press("z")
        terminal.press("q")
        assert terminal.end() == 0, terminal.shown
        assert "Traceback" not in terminal.shown
        assert termios.tcgetattr(terminal.slave) == terminal.before
    finally:
        terminal.close()


@pytest.mark.parametrize("status", [{}, {"uptime_s": 3.0, "source": {"problem": "gone"}}])
def test_the_state_in_one_line_whatever_is_known(status: dict[str, object]) -> None:
    assert one_line(status).startswith(f"{status.get('uptime_s', 0):.0f} s")


def test_the_view_shows_what_a_daemon_tells(tmp_path: Path) -> None:
    """Also things that this version knows nothing of."""
    program = (
        "from vasa_cam.cli.status import print_status\n"
        "print_status({'hops_ms': {'end_to_end': {'p50': 151.2, 'p95': 160.0}, 'new_hop': {}},"
        "'sinks': [{'name': 'webcam', 'state': 'failed', 'problem': 'no [b]camera[/b].'}],"
        "'counters': {'frames_shown': 3, 'blocks': 0}, 'delay_ms': 150.25,"
        "'state': {'size_px': [512, 512], 'panic': None}, 'something_new': {'a': 1}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(Path(vasa_cam.__file__).parents[1]), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    for words in (
        "sound to picture", "151.2", "new hop", "webcam", "no [b]camera[/b].", "frames shown 3",
        "delay ms 150.2", "512x512", "something new: a 1",
    ):  # fmt: skip
        assert words in done.stdout, done.stdout
    assert run_cli("ctl", "--help", cwd=tmp_path).stdout.count("\n    ") >= 16
