"""JoyVASA's denoiser on the fused sampler against the reference vectors, without torch."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vasa_cam import ops
from vasa_cam.motion.joyvasa.fused import fused_denoiser
from vasa_cam.motion.schedule import ddim_coefficients, guidance_weights
from vasa_cam.ops import SamplerWindow

PREVIOUS, FRAMES, CHANNELS = 10, 100, 73


@cache
def rule_of(folder: Path) -> Any:
    """The documented rule that makes weights and inputs from names."""
    spec = importlib.util.spec_from_file_location("golden_rule", folder / "golden" / "rule.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def state_of(folder: Path, width: int) -> dict[str, np.ndarray]:
    path = folder / "keys" / f"state_dict_joyvasa_denoising_net_{width}.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    shapes = {name: entry["shape"] for name, entry in table.items()}
    made = rule_of(folder).make_state(f"JV{width}", shapes)
    return {name: value for name, value in made.items() if value is not None}


class Golden:
    """One of the four reference files with the inputs that belong to it."""

    def __init__(self, shared: Path, width: int, places: str) -> None:
        self.folder = shared / "specs" / "liveportrait"
        if not self.folder.is_dir():
            pytest.skip(f"the reference vectors are missing: expected them in {self.folder}")
        self.rule, self.name = rule_of(self.folder), f"JV{width}"
        self.arrays = np.load(self.folder / "golden" / f"JV{width}_{places}.npz")
        self.denoiser = fused_denoiser(state_of(self.folder, width), places)  # type: ignore[arg-type]
        audio = np.concatenate(
            [self.made("prev_audio", 10, width), self.made("audio_feat", 100, width)]
        )
        silent = audio.copy()
        silent[PREVIOUS:] = self.rule.z32(f"{self.name}/null_audio_feat", (1, 1, width))[0]
        self.audio = np.stack([audio, silent])

    def made(self, name: str, *shape: int) -> np.ndarray:
        return np.asarray(self.rule.z32(f"input/{self.name}/{name}", (1, *shape))[0])

    def window(self, passes: list[int], weights: Any, time: int) -> SamplerWindow:
        return self.denoiser.window(
            self.made("prev_motion", PREVIOUS, CHANNELS),
            self.audio[passes],
            np.asarray(weights, np.float32),
            self.made("motion_T", FRAMES, CHANNELS),
            [time],
            np.zeros((1, 2), np.float32),
        )

    def expected(self, name: str) -> np.ndarray:
        return np.asarray(self.arrays[name][0, -FRAMES:])


def assert_equal_to(found: np.ndarray, expected: np.ndarray, allowed: float = 2e-5) -> None:
    difference = np.linalg.norm(found.astype(np.float64) - expected)
    assert difference <= allowed * np.linalg.norm(expected)
    assert np.abs(found - expected).max() <= 5 * allowed * max(1.0, np.abs(expected).max())


@pytest.fixture(
    scope="module", params=[(256, "legacy"), (256, "fixed"), (512, "legacy"), (512, "fixed")]
)
def golden(request: pytest.FixtureRequest, shared: Path) -> Golden:
    return Golden(shared, *request.param)


def test_predictions_are_the_reference_vectors(golden: Golden) -> None:
    for name, passes, time in (
        ("cond_t50", [0], 50),
        ("cond_t25", [0], 25),
        ("cond_t1", [0], 1),
        ("uncond_t50", [1], 50),
    ):
        found = ops.sample(golden.denoiser.model, golden.window(passes, [1.0], time))
        assert_equal_to(found, golden.expected(name))


@pytest.mark.parametrize("scale", [1.2, 2.8])
def test_guided_predictions_are_the_reference_vectors(golden: Golden, scale: float) -> None:
    window = golden.window([0, 1], guidance_weights([scale - 1.0]), 50)
    found = ops.sample(golden.denoiser.model, window)
    assert_equal_to(found, golden.expected(f"cfg{scale}_t50"))


def test_fifty_steps_are_the_reference_trajectory(shared: Path) -> None:
    golden = Golden(shared, 256, "legacy")
    bars = np.load(golden.folder / "golden" / "JV_schedule50.npz")["alpha_bars"].astype(np.float64)
    times = list(range(50, 0, -1))
    coefficients = np.asarray(
        [ddim_coefficients(bars[t], bars[t - 1], eta=1.0) for t in times], np.float32
    )
    noise = np.stack(
        [
            golden.rule.z32(f"noise/{golden.name}/t{t}", (1, FRAMES, CHANNELS))[0] * (t > 1)
            for t in times
        ]
    ).astype(np.float32)
    window = golden.denoiser.window(
        golden.made("prev_motion", PREVIOUS, CHANNELS),
        golden.audio,
        guidance_weights([1.8]),
        golden.made("motion_T", FRAMES, CHANNELS),
        times,
        coefficients,
        noise,
    )
    found = ops.sample(golden.denoiser.model, window)
    assert_equal_to(found, golden.expected("traj_t0"))


def test_the_solver_is_the_reference_schedule(shared: Path) -> None:
    folder = shared / "specs" / "liveportrait" / "golden"
    if not folder.is_dir():
        pytest.skip(f"the reference vectors are missing: expected them in {folder}")
    schedule = np.load(folder / "JV_schedule50.npz")
    bars = schedule["alpha_bars"].astype(np.float64)
    for t in range(1, 51):
        found = ddim_coefficients(bars[t], bars[t - 1], eta=1.0)
        alpha = float(schedule["alphas"][t])
        left = 1.0 - bars[t]
        keep = (1.0 - bars[t - 1]) * np.sqrt(alpha) / left
        step = (1.0 - alpha) * np.sqrt(bars[t - 1]) / left
        expected = (keep, step, float(schedule["sigmas_inflex"][t]))
        assert found == pytest.approx(expected, abs=2e-4)


def test_says_what_is_missing(shared: Path) -> None:
    state = dict(Golden(shared, 256, "fixed").denoiser.state)
    del state["motion_dec.2.bias"]
    with pytest.raises(KeyError, match=r"motion_dec\.2\.bias"):
        fused_denoiser(state)
