"""The delayed voice against simulated devices: heard exactly in time, and never with a click."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_support import Voice

from vasa_cam.audio.blocks import AudioBlock
from vasa_cam.audio.delay_line import MAX_DELAY_S, DelayLine
from vasa_cam.errors import InputError
from vasa_cam.live.av_sync import DriftController

TONE_HZ = 200.0
LEVEL = 0.5
# Of a tone of that frequency and level, played up to 8 % too fast, at 48 kHz.
STEEPEST = LEVEL * 2 * np.pi * TONE_HZ * 1.08 / 48_000
RATES = [(48_000, 48_000), (44_100, 48_000), (16_000, 48_000), (48_000, 44_100)]


def clicks(times: np.ndarray) -> np.ndarray:
    """A pulse of a millisecond at every full half second."""
    away = (times + 0.25) % 0.5 - 0.25
    return np.exp(-((away / 0.0005) ** 2))


def tone(times: np.ndarray) -> np.ndarray:
    """A sine that any jump in time would tear."""
    return LEVEL * np.sin(2 * np.pi * TONE_HZ * times)


def voice(
    signal: object, rng: np.random.Generator, delay_s: float = 0.15, **settings: object
) -> Voice:
    out_rate_hz = settings.pop("out_rate_hz", 48_000)
    line = DelayLine(out_rate_hz, delay_s, DriftController())
    return Voice(line, signal, rng, **settings)  # type: ignore[arg-type]


def click_offsets_ms(played: Voice, delay_s: float, since_s: float = 0.0) -> np.ndarray:
    """How much later than wanted each click was heard."""
    y, t = played.heard, played.heard_s
    peaks = np.flatnonzero((y[1:-1] > 0.3) & (y[1:-1] >= y[:-2]) & (y[1:-1] > y[2:])) + 1
    at = t[peaks][t[peaks] >= since_s]
    return 1000.0 * ((at - delay_s + 0.25) % 0.5 - 0.25)


def steepest(played: Voice) -> float:
    """The largest step from one sample to the next."""
    return float(np.abs(np.diff(played.heard)).max())


def far_from_tone_db(samples: np.ndarray) -> float:
    """Power more than 400 Hz away from the tone, against all of it."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    far = np.abs(np.fft.rfftfreq(len(samples), 1 / 48_000) - TONE_HZ) > 400.0
    return float(10 * np.log10(spectrum[far].sum() / spectrum.sum()))


@pytest.mark.parametrize("drift_ppm", [(0, 0), (300, -300), (-300, 300)])
@pytest.mark.parametrize(("rate_hz", "out_rate_hz"), RATES)
def test_every_click_is_heard_in_time(
    rate_hz: int, out_rate_hz: int, drift_ppm: tuple[int, int], rng: np.random.Generator
) -> None:
    played = voice(
        clicks, rng, rate_hz=rate_hz, out_rate_hz=out_rate_hz,
        mic_ppm=drift_ppm[0], out_ppm=drift_ppm[1],
    )  # fmt: skip
    played.run(24.0)
    offsets = click_offsets_ms(played, 0.15)
    assert len(offsets) >= 46
    # 600 ppm are answered within 2.5 ms and then learnt.
    assert np.abs(offsets).max() < 3.0
    assert np.abs(offsets[-10:]).max() < np.abs(offsets).max() or np.abs(offsets).max() < 0.5
    assert played.line.output.underruns == 0
    assert played.line.resyncs == 1  # the first block's silence before it


@given(
    delay_s=st.floats(0.08, 1.0),
    block_ms=st.integers(2, 40),
    mic_ppm=st.floats(-300, 300),
    seed=st.integers(0, 1000),
)
@settings(max_examples=12)
def test_any_block_and_delay(delay_s: float, block_ms: int, mic_ppm: float, seed: int) -> None:
    delay_s += block_ms / 1000.0
    played = voice(
        clicks, np.random.default_rng(seed), delay_s, block_s=block_ms / 1000.0, mic_ppm=mic_ppm
    )
    played.run(5.0 + delay_s)
    offsets = click_offsets_ms(played, delay_s)
    assert len(offsets) >= 7
    assert np.abs(offsets).max() < 3.0


@pytest.mark.parametrize("change_ms", [40, -40])
def test_a_small_change_of_the_delay_glides(change_ms: int, rng: np.random.Generator) -> None:
    played = voice(tone, rng, delay_s=0.2)
    played.run(3.0)
    played.line.set_delay(0.2 + change_ms / 1000.0)
    played.run(5.0)
    assert played.line.delay_s == pytest.approx(0.2 + change_ms / 1000.0, abs=1e-6)
    assert played.line.resyncs == 1 and played.line.output.underruns == 0
    assert steepest(played) < STEEPEST
    # A click is heard because it holds all frequencies. The glide moves the tone by up to 9 Hz.
    y = played.heard[played.heard_s > 1.0]
    assert far_from_tone_db(y) < -80.0
    # The judge hears a quarter of a millisecond cut out.
    assert far_from_tone_db(np.delete(y, slice(len(y) // 2, len(y) // 2 + 12))) > -70.0


@pytest.mark.parametrize("change_ms", [60, 400, -60, -300])
def test_a_large_change_of_the_delay_jumps(change_ms: int, rng: np.random.Generator) -> None:
    delay_s = 0.4 + change_ms / 1000.0
    played = voice(tone, rng, delay_s=0.4)
    played.run(3.0)
    played.line.set_delay(delay_s)
    played.run(2.0)
    assert played.line.resyncs == 2
    assert steepest(played) < STEEPEST + 2 * LEVEL / 240  # and the slope of the fades
    played = voice(clicks, rng, delay_s=0.4)
    played.run(3.0)
    played.line.set_delay(delay_s)
    played.run(3.0)
    # Everything that was not on its way already is heard at the new time.
    offsets = click_offsets_ms(played, delay_s, 3.5 + max(change_ms / 1000.0, 0.0))
    assert len(offsets) >= 3
    assert np.abs(offsets).max() < 6.0


@pytest.mark.parametrize("rate", [0.04, -0.01])
def test_a_delay_that_creeps_is_followed(rate: float, rng: np.random.Generator) -> None:
    played = voice(clicks, rng, delay_s=0.2)
    played.run(3.0)
    target_s = 0.2
    for _ in range(20):
        # As the daemon does it: ten times a second, by 4 ms up or 1 ms down.
        target_s += 0.1 * rate
        played.line.set_delay(target_s)
        played.run(0.1)
        assert abs(played.line.delay_s - target_s) < 0.006
    played.run(3.0)
    assert played.line.delay_s == pytest.approx(target_s, abs=1e-5)
    assert played.line.resyncs == 1
    assert np.abs(click_offsets_ms(played, target_s, 6.0)).max() < 3.0


def test_lost_blocks_are_jumped_over_without_a_click(rng: np.random.Generator) -> None:
    played = voice(tone, rng)
    played.run(3.0)
    played.lost_blocks = 8
    played.run(3.0)
    assert played.line.resyncs == 2
    assert abs(played.errors_s[-1]) < 0.003
    # The fades of 5 ms add their own slope.
    assert steepest(played) < STEEPEST + LEVEL / 240


def test_blocks_that_come_in_a_late_burst_are_heard_in_time_or_not_at_all(
    rng: np.random.Generator,
) -> None:
    played = voice(clicks, rng)
    played.run(3.0)
    # The thread that pushes was held up for half a second, then hands over everything at once.
    played.mic_stalled_until_s = 3.5
    played.run(4.0)
    assert 0.2 < played.line.dropped_s < 0.5
    assert np.abs(click_offsets_ms(played, 0.15)).max() < 6.0  # half a block and jitter
    played = voice(tone, rng)
    played.run(3.0)
    played.mic_stalled_until_s = 3.5
    played.run(4.0)
    assert steepest(played) < STEEPEST + 2 * LEVEL / 240


@pytest.mark.parametrize("stall_s", [0.1, 0.5, 5.0])
def test_an_output_that_stood_still_catches_up(stall_s: float, rng: np.random.Generator) -> None:
    played = voice(clicks, rng)
    played.run(3.0)
    played.stall_output(stall_s)
    played.run(stall_s + 3.0)
    offsets = click_offsets_ms(played, 0.15, 3.0 + stall_s + 1.0)
    assert len(offsets) >= 3
    assert np.abs(offsets).max() < 20.0
    played = voice(tone, rng)
    played.run(3.0)
    played.stall_output(stall_s)
    played.run(stall_s + 3.0)
    assert steepest(played) < STEEPEST + 2 * LEVEL / 240


def test_mute_is_at_once_and_nothing_said_meanwhile_is_heard(rng: np.random.Generator) -> None:
    played = voice(tone, rng, delay_s=0.3)
    played.run(2.0)
    played.line.set_muted(True)
    played.run(1.0)
    played.line.set_muted(False)
    played.run(2.0)
    y, t = played.heard, played.heard_s
    latency = played.output_latency_s
    assert np.abs(y[(t > 2.0 + latency + 0.02) & (t < 3.3 - 0.02)]).max() < 1e-9
    assert np.abs(y[(t > 1.0) & (t < 2.0)]).max() == pytest.approx(LEVEL, rel=0.01)
    assert np.abs(y[t > 3.35]).max() == pytest.approx(LEVEL, rel=0.01)
    assert steepest(played) < STEEPEST + LEVEL / 240


def test_a_delay_that_cannot_be_kept_becomes_the_shortest_that_can(
    rng: np.random.Generator,
) -> None:
    played = voice(clicks, rng, delay_s=0.01)
    played.run(10.0)
    assert 0.03 < played.line.delay_s < 0.12
    offsets = click_offsets_ms(played, played.line.delay_s, 5.0)
    assert len(offsets) >= 9
    assert np.abs(offsets).max() < 6.0


def test_a_time_of_need_is_not_remembered_for_ever(rng: np.random.Generator) -> None:
    played = voice(clicks, rng)
    played.run(3.0)
    # Three seconds in which every block is handed over 0.6 s late: the delay cannot be kept.
    played.push_late_s = 0.6
    played.run(3.0)
    assert played.line.delay_s > 0.5
    played.push_late_s = 0.0
    played.run(8.0)
    assert played.line.delay_s == pytest.approx(0.15, abs=1e-3)
    offsets = click_offsets_ms(played, 0.15, played.heard_s[-1] - 3.0)
    assert len(offsets) >= 5
    assert np.abs(offsets).max() < 6.0


def test_another_rate_of_the_source_is_taken_as_it_comes(rng: np.random.Generator) -> None:
    played = voice(tone, rng)
    played.run(2.0)
    start_ns = 10**12 + 2 * 10**9
    for k in range(200):
        times = np.arange(k * 160, (k + 1) * 160) / 16_000 + 2.0
        played.line.push(AudioBlock(tone(times).astype(np.float32), 16_000, start_ns + k * 10**7))
        out = np.zeros((480, 2), np.float32)
        played.line.output.render(out, start_ns + k * 10**7 + 30_000_000)
        played._parts.append(out[:, 0].copy())
    assert np.abs(played.heard[-24_000:]).max() == pytest.approx(LEVEL, rel=0.01)
    assert steepest(played) < STEEPEST + LEVEL / 240


def test_memory_stays_as_it_is(rng: np.random.Generator) -> None:
    import tracemalloc

    played = voice(tone, rng)
    played.run(2.0)
    out = np.zeros((480, 2), np.float32)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for k in range(200):
            played.line.output.render(out, 10**12 + k)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The callback makes views and numbers; 480 samples would be 1920 bytes.
    assert peak - before < 1_500


@pytest.mark.parametrize("delay_s", [-0.1, MAX_DELAY_S + 0.1, float("nan")])
def test_an_impossible_delay_is_refused(delay_s: float) -> None:
    with pytest.raises(InputError, match="0 to 2 s"):
        DelayLine(48_000, 0.1, DriftController()).set_delay(delay_s)
