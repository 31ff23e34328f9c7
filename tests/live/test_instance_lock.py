"""One daemon a user: a second is refused, a killed one leaves nothing in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import vasa_cam
from vasa_cam.errors import InputError
from vasa_cam.live.instance_lock import InstanceLock
from vasa_cam.live.runtime_dir import runtime_folder, write_private

_HOLDER = """
import sys, time
from pathlib import Path
from vasa_cam.live.instance_lock import InstanceLock
with InstanceLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(300)
"""


def _hold(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder)],
        env=os.environ | {"PYTHONPATH": str(Path(vasa_cam.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_instance_is_told_about_the_first(tmp_path: Path) -> None:
    with _hold(tmp_path) as first:
        try:
            with pytest.raises(InputError) as caught, InstanceLock(tmp_path):
                pass
        finally:
            first.kill()
    assert f"process {first.pid}" in str(caught.value)
    assert "vasa-cam ctl stop" in str(caught.value)


def test_one_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    with _hold(tmp_path) as first:
        first.send_signal(signal.SIGKILL)
    assert "pid" in (tmp_path / "live.lock").read_text()
    with InstanceLock(tmp_path):
        assert str(os.getpid()) in (tmp_path / "live.lock").read_text()
    assert (tmp_path / "live.lock").read_text() == ""
    with InstanceLock(tmp_path):
        pass


def test_whatever_the_lock_file_holds(tmp_path: Path) -> None:
    for content in ("", "{}", "no json", '{"pid": null}'):
        with InstanceLock(tmp_path):
            (tmp_path / "live.lock").write_text(content)
            with pytest.raises(InputError, match="running already; stop it"):
                InstanceLock(tmp_path).__enter__()


def test_the_runtime_folder_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    folder = runtime_folder()
    assert folder.is_relative_to(tmp_path / "run")
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    assert runtime_folder().stat().st_mode & 0o777 == 0o700
    write_private(folder / "secret", "one")
    write_private(folder / "secret", "two")
    assert (folder / "secret").read_text() == "two"
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["secret"]


def test_a_runtime_folder_that_somebody_else_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "run" / "vasa-cam").symlink_to(elsewhere)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with pytest.raises(InputError, match="not a folder of yours"):
        runtime_folder()
