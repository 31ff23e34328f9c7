"""The command starts at once: what an enrolled avatar does not need is not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import TIMEOUT_S, run_cli

import vasa_cam

_HEAVY = ("torch", "mediapipe", "cv2", "scipy", "matplotlib", "skimage", "jax", "aiohttp")
_REPORT = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def _modules_after(program: str, cwd: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{_REPORT}"],
        cwd=cwd,
        env={"PYTHONPATH": str(Path(vasa_cam.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    loaded = _modules_after("import vasa_cam, vasa_cam.motion.space", tmp_path)
    assert loaded.isdisjoint({*_HEAVY, "av", "PIL", "typer", "rich"})


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    loaded = _modules_after("import vasa_cam.cli.app", tmp_path)
    assert loaded.isdisjoint({*_HEAVY, "av", "PIL", "numpy"})


@pytest.mark.slow
def test_the_demo_needs_neither_torch_nor_mediapipe_nor_opencv(tmp_path: Path) -> None:
    """The whole demo, so that an import deep inside a frame is seen too."""
    program = (
        "import sys; from vasa_cam.cli.app import main\n"
        "sys.argv[1:] = ['demo']\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0, end.code"
    )
    loaded = _modules_after(program, tmp_path)
    assert "av" in loaded, "the demo did not run"
    assert loaded.isdisjoint(_HEAVY)
    assert (tmp_path / "demo.mp4").stat().st_size > 100_000
    assert (tmp_path / "demo.png").stat().st_size > 100_000


def test_version_and_usage(tmp_path: Path) -> None:
    version = run_cli("--version", cwd=tmp_path)
    assert (version.returncode, version.stdout) == (0, f"vasa-cam {vasa_cam.__version__}\n")
    for wrong in (["nonsense"], ["render"], ["render", "--no-such-option"]):
        assert run_cli(*wrong, cwd=tmp_path).returncode == 2


def test_every_command_has_help(tmp_path: Path) -> None:
    overview = run_cli("--help", cwd=tmp_path).stdout
    for command in ("demo", "render", "enrol", "info", "models", "poses", "track"):
        assert command in overview
        done = run_cli(command, "--help", cwd=tmp_path)
        assert done.returncode == 0 and "Usage" in done.stdout, done.stderr
