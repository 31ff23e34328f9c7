"""Runs in the virtual machine: vasa-cam live with a jaw that follows the loudness.

The motion network takes seconds there for a second of speech; everything else is the program as it
is. Usage: light_live.py SETTINGS.toml
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

import numpy as np

from vasa_cam.avatar.file import load_avatar
from vasa_cam.live.config_file import read_config
from vasa_cam.live.session import live_session
from vasa_cam.live.signals import stop_on_signals
from vasa_cam.motion.controls import Controls
from vasa_cam.motion.space import INDEX, neutral

SAMPLES_A_FRAME = 640


class LoudnessMotion:
    """Frame k of the motion stream, once its 40 ms have been heard."""

    latency_ms = 40.0

    def __init__(self, controls: Controls) -> None:
        self._rest = np.zeros(0, np.float32)

    def push(self, samples: np.ndarray) -> np.ndarray:
        self._rest = np.concatenate([self._rest, samples])
        count = len(self._rest) // SAMPLES_A_FRAME
        heard = self._rest[: count * SAMPLES_A_FRAME].reshape(count, SAMPLES_A_FRAME)
        self._rest = self._rest[count * SAMPLES_A_FRAME :]
        frames = neutral(count)
        frames[:, INDEX["jawOpen"]] = np.minimum(0.7, 3.0 * np.sqrt(np.square(heard).mean(axis=1)))
        return frames

    def set_controls(self, controls: Controls) -> None:
        pass


def main() -> None:
    config = read_config(Path(sys.argv[1]))
    with resources.as_file(resources.files("vasa_cam") / "assets" / "astronaut.vasa") as path:
        avatar = load_avatar(path)
    with live_session(config, avatar, LoudnessMotion) as session, stop_on_signals(session.daemon):
        session.daemon.run(on_start=lambda: print("started", flush=True))


main()
