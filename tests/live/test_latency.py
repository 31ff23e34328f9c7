"""`vasa-cam latency`: the arithmetic on drawn frames with a known delay; the command for real."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from command_line import run_cli
from live_support import astronaut
from pulse import PrivatePulse

from vasa_cam.audio import read_speech
from vasa_cam.errors import InputError
from vasa_cam.live.latency import Recording, Sighting, measure, mouth_opening
from vasa_cam.live.latency_probe import block_means
from vasa_cam.motion.space import MOTION_RATE_HZ
from vasa_cam.motion.voice import VoiceMotion
from vasa_cam.render.layered import LayeredRenderer, RenderConfig

SPEECH = Path(str(resources.files("vasa_cam") / "assets" / "demo_speech.flac"))
STARTED_S = 5000.0


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return read_speech(SPEECH)


def _view(motion: np.ndarray, fps: float, delay_s: float, rng: np.random.Generator) -> Sighting:
    """Frames of the avatar as they would be read back: late by `delay_s`, a little uneven."""
    renderer = LayeredRenderer(RenderConfig(256, 144))
    state = renderer.prepare(astronaut())
    times_s = np.arange(0.3, len(motion) / MOTION_RATE_HZ + 2.0, 1.0 / fps)
    blocks = []
    for time_s in times_s:
        place = np.clip((time_s - delay_s) * MOTION_RATE_HZ, 0, len(motion) - 1.001)
        first, part = int(place), np.float32(place % 1)
        frame = renderer.render(state, (1 - part) * motion[first] + part * motion[first + 1])
        grey = frame.mean(axis=2).astype(np.uint8)
        blocks.append(block_means(grey))
    return Sighting(STARTED_S + times_s + rng.uniform(0, 0.002, len(times_s)), np.stack(blocks))


def _heard(speech: np.ndarray, late_s: float, rng: np.random.Generator) -> Recording:
    """A recording that begins half a second before the speech is heard."""
    samples = np.concatenate([np.zeros(8000), 0.3 * speech, np.zeros(40_000)])
    noise = rng.normal(0, 1e-3, len(samples))
    return Recording((samples + noise).astype(np.float32), STARTED_S - 0.5 + late_s)


@pytest.mark.parametrize(("fps", "delay_s", "exact_ms"), [(30, 0.160, 8), (10, 0.437, 20)])
def test_a_known_delay_is_found(
    speech: np.ndarray, fps: float, delay_s: float, exact_ms: float, rng: np.random.Generator
) -> None:
    # Another seed: head and eyes move differently, the lips alike.
    seen = _view(VoiceMotion(3).motion(speech).frames, fps, delay_s, rng)
    opening = mouth_opening(VoiceMotion().motion(speech).frames)
    report = measure(speech, opening, _heard(speech, 0.0, rng), seen, _heard(speech, 0.15, rng))
    assert abs(report.picture_ms - 1e3 * delay_s) < exact_ms, report
    assert report.voice_ms is not None and abs(report.voice_ms - 150.0) < 0.5
    assert report.offset_ms == pytest.approx(report.picture_ms - report.voice_ms)
    assert report.follows > 0.8
    assert report.fps == pytest.approx(fps, rel=0.01)


def test_a_picture_that_follows_something_else_is_told(
    speech: np.ndarray, rng: np.random.Generator
) -> None:
    seen = _view(VoiceMotion(3).motion(speech[::-1].copy()).frames, 20, 0.16, rng)
    opening = mouth_opening(VoiceMotion().motion(speech).frames)
    with pytest.raises(InputError, match="nothing in the picture follows"):
        measure(speech, opening, _heard(speech, 0.0, rng), seen, None)
    silence = Recording(np.zeros(400_000, np.float32), STARTED_S)
    with pytest.raises(InputError, match="not heard at the microphone"):
        measure(speech, opening, silence, seen, None)
    followed = _view(VoiceMotion().motion(speech).frames, 10, 0.16, rng)
    noise = Recording(rng.normal(0, 0.1, 400_000).astype(np.float32), STARTED_S)
    with pytest.raises(InputError, match="delayed voice was not heard"):
        measure(speech, opening, _heard(speech, 0.0, rng), followed, noise)


@pytest.mark.slow
def test_the_command_measures_a_real_run(pulse: PrivatePulse, tmp_path: Path) -> None:
    """Sound through a sound server, frames through the preview: nothing is simulated."""
    done = run_cli(
        "latency", "--json", "--size", "256x256", "--fps", "25",
        cwd=tmp_path, **pulse.environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["follows"] > 0.62
    # Not how fast this machine is, but that it was measured: nothing is faster than its look-ahead.
    assert 60 < report["picture_ms"] < 1500
    assert 60 < report["voice_ms"] < 1500
    # What is left behind: nothing.
    assert "vasa_cam" not in pulse.pactl("list", "short", "sinks")
    assert list(tmp_path.iterdir()) == []


def test_bad_requests(tmp_path: Path) -> None:
    for arguments, says in (
        (["--against", "teeth"], "lips or loudness"),
        (["--listen", "mic:x"], "--listen needs --play"),
        (["--config", "none.toml"], "none.toml"),
    ):
        done = run_cli("latency", *arguments, cwd=tmp_path, XDG_RUNTIME_DIR=str(tmp_path))
        assert done.returncode == 2 and says in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1
