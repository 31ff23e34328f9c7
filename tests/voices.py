"""Sounds that tests use as a voice."""

from __future__ import annotations

import numpy as np


def buzzing_voice(seconds: float, seed: int = 0) -> np.ndarray:
    """A buzz in syllables with a little noise, float32 [16000 seconds]."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16000)) / 16000.0
    buzz = sum(np.sin(2 * np.pi * 140.0 * k * t) / k for k in range(1, 20))
    envelope = np.clip(np.sin(2 * np.pi * 3.0 * t), 0.0, 1.0)
    return (0.05 * buzz * envelope + 1e-4 * rng.normal(size=len(t))).astype(np.float32)
