"""soxr at a variable rate: the sound stays the same, and we know when it was captured."""

from __future__ import annotations

import numpy as np
import pytest

from vasa_cam.audio.blocks import AudioBlock
from vasa_cam.audio.variable_rate import VariableRate

RATES = [(48_000, 48_000), (44_100, 48_000), (16_000, 48_000), (48_000, 44_100), (48_000, 16_000)]


def residual_db(samples: np.ndarray, rate_hz: float, tone_hz: float) -> float:
    """What is left of a tone's power when the best tone of that frequency is taken out."""
    t = np.arange(len(samples)) / rate_hz
    basis = np.stack([np.sin(2 * np.pi * tone_hz * t), np.cos(2 * np.pi * tone_hz * t)], 1)
    best, *_ = np.linalg.lstsq(basis, samples, rcond=None)
    rest = samples - basis @ best
    return float(10 * np.log10((rest**2).mean() / ((basis @ best) ** 2).mean()))


@pytest.mark.parametrize("speed", [1.0, 1.0003, 0.995])
@pytest.mark.parametrize(("rate_hz", "out_rate_hz"), RATES)
def test_a_tone_stays_a_tone(rate_hz: int, out_rate_hz: int, speed: float) -> None:
    tone_hz = 997.0
    x = np.sin(2 * np.pi * tone_hz * np.arange(2 * rate_hz) / rate_hz).astype(np.float32)
    stream = VariableRate(rate_hz, out_rate_hz)
    block = rate_hz // 100
    y = np.concatenate([stream.push(x[k : k + block], speed) for k in range(0, len(x), block)])
    middle = y[out_rate_hz // 2 : out_rate_hz]
    assert residual_db(middle, out_rate_hz, tone_hz * speed) < -90.0


@pytest.mark.parametrize(("rate_hz", "out_rate_hz"), RATES)
def test_it_knows_when_each_sample_was_captured(rate_hz: int, out_rate_hz: int) -> None:
    # A slow ramp: the value of a sample is the time at which it was captured.
    x = (np.arange(6 * rate_hz) / rate_hz).astype(np.float32)
    stream = VariableRate(rate_hz, out_rate_hz)
    block = rate_hz // 100
    speeds = [1.0, 1.004, 0.97, 1.0001, 0.996, 1.02]
    for k in range(len(x) // block):
        start_ns = round(k * block / rate_hz * 1e9)
        expected_s = stream.next_capture_ns(AudioBlock(x[:1], rate_hz, start_ns)) / 1e9
        out = stream.push(x[k * block : (k + 1) * block], speeds[k // 100])
        # Half a millisecond would be enough; ripple in the pass band scales the ramp a little.
        if len(out) and k > 5:
            assert out[0] == pytest.approx(expected_s, rel=4e-4, abs=2e-4)
