"""The systemd user unit that keeps the live avatar running from login on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vasa_cam.errors import InputError

UNIT: Final = "vasa-cam.service"
_SYSTEMCTL_S: Final = 30.0
_TEMPLATE: Final = """\
[Unit]
Description=vasa-cam, a talking avatar as webcam
After=pipewire-pulse.service pulseaudio.service

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=5
# Unusable settings stay unusable; do not try them again and again.
RestartPreventExitStatus=2
TimeoutStopSec=10
NoNewPrivileges=yes
UMask=0077

[Install]
WantedBy=default.target
"""


def unit_path() -> Path:
    """Where the unit lies: systemd's folder for units of this user."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "systemd" / "user" / UNIT


def unit_text(arguments: Sequence[str]) -> str:
    """The unit that runs `vasa-cam live ARGUMENTS` with this very Python."""
    command = [sys.executable, "-m", "vasa_cam", "live", "--no-tui", *arguments]
    return _TEMPLATE.format(command=" ".join(map(_quoted, command)))


def install(text: str) -> str:
    """Write the unit, enable and start it; a sentence about what happened.

    Raises InputError when there is no systemd, or the unit cannot be written.
    """
    _require_systemd()
    path = unit_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}; make its folder writable."
        ) from error
    steps = (("daemon-reload",), ("enable", "--now", UNIT))
    for step in steps:
        if (problem := _systemctl(*step)) is not None:
            commands = " && ".join(f"systemctl --user {' '.join(one)}" for one in steps)
            return f"{path} is written, but not started ({problem}); after login run: {commands}"
    return f"{path} is written and started; its log: journalctl --user -u {UNIT}"


def uninstall() -> str:
    """Stop, disable and remove the unit; a sentence. Raises InputError when there is none."""
    path = unit_path()
    if not path.exists():
        raise InputError(f"there is no service to remove: {path} does not exist.")
    problem = _systemctl("disable", "--now", UNIT)
    path.unlink()
    # Without a running systemd its link would stay.
    (path.parent / "default.target.wants" / UNIT).unlink(missing_ok=True)
    _systemctl("daemon-reload")
    ended = "stopped and removed" if problem is None else "removed"
    return f"{path} is {ended}"


def _require_systemd() -> None:
    if shutil.which("systemctl") is None:
        raise InputError(
            "there is no systemd here; start vasa-cam live --no-tui at login by other means."
        )


def _systemctl(*arguments: str) -> str | None:
    """None when it worked, else why not, in a few words."""
    try:
        done = subprocess.run(
            ["systemctl", "--user", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SYSTEMCTL_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return type(error).__name__
    if done.returncode == 0:
        return None
    return " ".join(done.stderr.split()) or f"systemctl ended with {done.returncode}"


def _quoted(word: str) -> str:
    """One word of ExecStart. Raises InputError for a line break, which no unit can hold."""
    if any(ord(character) < 32 for character in word):
        raise InputError(f"{word!r} holds a control character; rename the file.")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
