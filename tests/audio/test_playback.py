"""The delayed voice through a real PulseAudio: in time, muted, unplugged, and back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from pulse import RATE_HZ, Player, PrivatePulse, Recorder, babble, delays_ms

from vasa_cam.audio import SourceLostError, audio_source
from vasa_cam.audio.playback import PlaybackStats, VoicePlayback
from vasa_cam.errors import InputError
from vasa_cam.live.av_sync import OFFSET_LIMIT_MS, DriftController


@contextmanager
def speaking(playback: VoicePlayback, source: str = "mic:voice_in.monitor") -> Iterator[None]:
    """A thread that hands the microphone's blocks to the playback, as the daemon does."""
    microphone = audio_source(source)
    microphone.start()
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            try:
                block = microphone.read(0.1)
            except SourceLostError:
                return
            if block is not None:
                playback.push(block)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        microphone.stop()


def wait_for(playback: VoicePlayback, happened: Callable[[PlaybackStats], bool]) -> PlaybackStats:
    """The stats as soon as something holds of them."""
    deadline = time.monotonic() + 40.0
    while not happened(stats := playback.stats()):
        assert time.monotonic() < deadline, f"did not happen: {stats}"
        time.sleep(0.05)
    return stats


def heard_after(
    pulse: PrivatePulse, rng: np.random.Generator, seconds: float, delay_ms: float
) -> tuple[list[float], PlaybackStats]:
    """Delays of what comes out of `voice_out` against what goes into `voice_in`."""
    words = np.tile(babble(20.0, rng), 1 + round(seconds / 20.0 + 3.0))
    playback = VoicePlayback("voice_out", DriftController, delay_ms=delay_ms)
    playback.start()
    try:
        with speaking(playback):
            wait_for(playback, lambda stats: stats.resyncs > 0)
            said, heard = Recorder(pulse, "voice_in.monitor"), Recorder(pulse, "voice_out.monitor")
            player = Player(pulse, "voice_in", words)
            time.sleep(seconds)
            stats = playback.stats()
            for thing in (player, heard, said):
                thing.stop()
    finally:
        playback.stop()
    return delays_ms(heard, said, every_s=max(0.5, seconds / 200)), stats


@pytest.mark.parametrize("delay_ms", [150.0, 400.0])
def test_the_voice_is_heard_the_delay_after_it_was_said(
    delay_ms: float, pulse: PrivatePulse, rng: np.random.Generator
) -> None:
    found, stats = heard_after(pulse, rng, 15.0, delay_ms)
    assert len(found) >= 3
    # The middle one: a machine that is busy elsewhere tears and holds up some of the windows.
    assert abs(float(np.median(found)) - delay_ms) < OFFSET_LIMIT_MS
    assert stats.device == "voice_out" and stats.losses == 0
    assert stats.delay_ms == pytest.approx(delay_ms)


@pytest.mark.soak
def test_ten_minutes_in_time(pulse: PrivatePulse, rng: np.random.Generator) -> None:
    found, stats = heard_after(pulse, rng, 600.0, 150.0)
    assert len(found) >= 60
    assert np.abs(np.array(found) - 150.0).max() < OFFSET_LIMIT_MS
    assert stats.losses == 0 and abs(stats.drift_ppm) < 5000.0


def loudness(recorder: Recorder, since_s: float) -> float:
    """Root mean square of the last seconds."""
    return float(np.sqrt((recorder.samples[-round(since_s * RATE_HZ) :] ** 2).mean()))


def test_mute_and_unmute(pulse: PrivatePulse, rng: np.random.Generator) -> None:
    playback = VoicePlayback("voice_out", DriftController, delay_ms=150.0)
    playback.start()
    words = 0.2 * rng.standard_normal(40 * RATE_HZ).astype(np.float32)
    with speaking(playback):
        heard, player = Recorder(pulse, "voice_out.monitor"), Player(pulse, "voice_in", words)
        wait_for(playback, lambda _: len(heard.samples) > RATE_HZ and loudness(heard, 0.3) > 0.1)
        playback.set_muted(True)
        time.sleep(1.5)
        assert loudness(heard, 0.5) == 0.0
        playback.set_muted(False)
        wait_for(playback, lambda _: loudness(heard, 0.3) > 0.1)
        for thing in (player, heard):
            thing.stop()
    playback.stop()
    playback.stop()
    assert playback.stats().device == ""


def test_an_output_that_is_unplugged_and_plugged_in_again(
    pulse: PrivatePulse, rng: np.random.Generator
) -> None:
    module = pulse.add_sink("headphones")
    playback = VoicePlayback("headphones", DriftController, delay_ms=150.0)
    playback.start()
    words = 0.2 * rng.standard_normal(60 * RATE_HZ).astype(np.float32)
    with speaking(playback):
        player = Player(pulse, "voice_in", words)
        wait_for(playback, lambda stats: stats.resyncs > 0)
        pulse.remove(module)
        # It must not go on through some other output that is plugged in.
        gone = wait_for(playback, lambda stats: stats.losses == 1)
        assert gone.device == ""
        pulse.add_sink("headphones")
        wait_for(playback, lambda stats: stats.device == "headphones")
        heard = Recorder(pulse, "headphones.monitor")
        wait_for(playback, lambda _: len(heard.samples) > RATE_HZ and loudness(heard, 0.3) > 0.1)
        for thing in (player, heard):
            thing.stop()
    playback.stop()
    assert playback.stats().losses == 1


def test_the_sound_server_dies_and_returns(pulse: PrivatePulse) -> None:
    calls = []
    playback = VoicePlayback(
        "voice_out", DriftController, delay_ms=100.0, before_open=lambda: calls.append(1)
    )
    playback.start()
    assert len(calls) == 1
    pulse.kill()
    wait_for(playback, lambda stats: stats.losses == 1)
    pulse.start()
    wait_for(playback, lambda stats: stats.device == "voice_out")
    assert len(calls) >= 2
    playback.set_delay_ms(9999.0)
    playback.stop()


def test_an_output_that_does_not_exist_is_told_at_once(pulse: PrivatePulse) -> None:
    playback = VoicePlayback("tannoy", DriftController, delay_ms=150.0)
    with pytest.raises(InputError, match=r"no sound output is called 'tannoy'; expected one of: v"):
        playback.start()
    playback.stop()
    assert playback.stats() == PlaybackStats("", 150.0, 0.0, 0.0, 0, 0, 0.0, 0)
