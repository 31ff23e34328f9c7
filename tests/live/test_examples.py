"""The example voice agents, as their users run them: what they say is in the recording."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from virtual_machine import REPOSITORY

import vasa_cam
from vasa_cam.audio import read_speech

EXAMPLES = REPOSITORY / "examples"
SPEECH = Path(str(resources.files("vasa_cam") / "assets" / "demo_speech.flac"))
PATIENCE_S = 120.0
SMALL = ("--no-webcam", "--size", "128x128", "--fps", "25", "--no-tui", "--record", "talk.mkv")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    package = str(Path(vasa_cam.__file__).parents[1])
    return os.environ | {"PYTHONPATH": package, "XDG_RUNTIME_DIR": str(runtime)}


def _loudness(samples: np.ndarray) -> np.ndarray:
    """Peaks of each tenth of a second."""
    return np.abs(samples[: len(samples) // 1600 * 1600].reshape(-1, 1600)).max(axis=1)


def _correlation(speech: np.ndarray, recorded: np.ndarray) -> float:
    """The largest correlation of the speech's loudness with that of any part of the recording.

    Not of the samples: while the delay settles, the voice is played a little slower or faster.
    """
    said, heard = _loudness(speech), _loudness(recorded)
    parts = np.lib.stride_tricks.sliding_window_view(heard, len(said))
    return max(float(np.corrcoef(said, part)[0, 1]) for part in parts if part.std() > 0)


def test_examples_are_as_short_as_is_said() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert path.read_text().count("\n") <= 20, path


def test_a_voice_agent_speaks_through_the_websocket(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    speech = read_speech(SPEECH)[: 4 * 16_000]
    live = subprocess.Popen(
        [sys.executable, "-m", "vasa_cam", "live", "--source", "ws", *SMALL],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        endpoint = tmp_path / "runtime" / "vasa-cam" / "control.json"
        give_up = time.monotonic() + PATIENCE_S
        while not endpoint.exists():
            assert live.poll() is None and time.monotonic() < give_up
            time.sleep(0.1)
        time.sleep(2.0)
        subprocess.run(
            [
                sys.executable,
                str(EXAMPLES / "voice_agent_ws.py"),
                json.loads(endpoint.read_text())["preview"],
            ],
            input=(speech * 32767).astype("<i2").tobytes(),
            env=environment,
            check=True,
            timeout=PATIENCE_S,
        )
        time.sleep(6.0)
    finally:
        live.terminate()
        errors = live.communicate(timeout=PATIENCE_S)[1]
    assert live.returncode == 0 and "Traceback" not in errors, errors
    assert _correlation(speech, read_speech(tmp_path / "talk.mkv")) > 0.7


def test_a_voice_agent_speaks_into_standard_input(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    for tool in ("espeak-ng", "ffmpeg"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian/Ubuntu: apt-get install {tool})")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "voice_agent_stdin.py"), *SMALL, "--no-preview"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert "Traceback" not in done.stderr, done.stderr
    recorded = read_speech(tmp_path / "talk.mkv")
    # Two sentences of about four seconds together, and it ended by itself after them.
    assert 2.0 < (_loudness(recorded) > 0.05).sum() / 10 < 6.0
    assert len(recorded) / 16_000 < 12.0
