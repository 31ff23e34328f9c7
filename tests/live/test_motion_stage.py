"""Sound with time stamps in, motion with capture times out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_support import MS, SECOND, SPEECH, FakeClock, TonePieces

from vasa_cam.audio import read_speech
from vasa_cam.audio.blocks import AudioBlock
from vasa_cam.live.delay import DelayControl
from vasa_cam.live.metrics import Metrics
from vasa_cam.live.motion_driver import MotionDriver
from vasa_cam.live.motion_stage import MotionStage
from vasa_cam.live.sample_times import SampleTimes
from vasa_cam.live.source_supervisor import SourceSupervisor
from vasa_cam.live.timeline import MotionTimeline
from vasa_cam.motion.controls import lip_opening
from vasa_cam.motion.space import COEFFICIENTS, INDEX, MOTION_SIZE
from vasa_cam.motion.voice import VoiceConfig, VoiceStream


@dataclass
class Tap:
    blocks: list[AudioBlock] = field(default_factory=list)

    def push(self, block: AudioBlock) -> None:
        self.blocks.append(block)


class Bench:
    def __init__(self, tap=None) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.timeline = MotionTimeline()
        self.delay = DelayControl()
        self.tap = tap or Tap()
        driver = MotionDriver(lambda controls: VoiceStream(VoiceConfig(1, controls)), self.metrics)
        supervisor = SourceSupervisor(TonePieces(), self.metrics, self.clock)
        self.stage = MotionStage(
            supervisor, driver, self.timeline, self.delay, self.metrics, [self.tap], self.clock
        )

    def take(self, samples: np.ndarray, rate_hz: int, capture_ns: int) -> None:
        self.clock.time_ns = capture_ns + len(samples) * SECOND // rate_hz
        self.stage.take(AudioBlock(samples, rate_hz, capture_ns))

    def speak(self, sound: np.ndarray, rate_hz: int, start_ns: int, late_ns=None) -> int:
        """In blocks of 10 ms; returns when the next one would begin."""
        size = rate_hz // 100
        for index in range(len(sound) // size):
            jitter = 0 if late_ns is None else int(late_ns[index])
            at = start_ns + index * 10 * MS + jitter
            self.take(sound[index * size : (index + 1) * size], rate_hz, at)
        return start_ns + len(sound) // size * 10 * MS


def motion_at(timeline: MotionTimeline, moment_ns: int) -> np.ndarray:
    out = np.zeros(MOTION_SIZE, np.float32)
    assert timeline.sample(moment_ns, out) is not None
    return out


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000])
def test_motion_carries_the_time_of_its_sound(rate_hz: int, rng: np.random.Generator) -> None:
    """A second of speech captured at a known time, with jittery stamps, at any rate."""
    import soxr

    speech = read_speech(SPEECH)[16000:48000]
    sound = soxr.resample(speech, 16000, rate_hz) if rate_hz != 16000 else speech
    start_ns = 5000 * SECOND
    bench = Bench()
    bench.speak(sound, rate_hz, start_ns, rng.normal(0, 2 * MS, 200).clip(-6 * MS, 6 * MS))
    stream = VoiceStream(VoiceConfig(seed=1))
    want = np.concatenate([stream.push(part) for part in speech.reshape(-1, 160)])
    jaw = INDEX["jawOpen"]
    places = range(5, len(want) - 2)
    got = {
        shift: np.array(
            [motion_at(bench.timeline, start_ns + k * 40 * MS + shift * MS)[jaw] for k in places]
        )
        for shift in (-12, -6, 0, 6, 12)
    }
    errors = {shift: np.std(values - want[5:-2, jaw]) for shift, values in got.items()}
    assert min(errors, key=errors.get) == 0, errors
    assert bench.metrics.counter("motion_frames") == len(want)


def test_lags_are_measured(rng: np.random.Generator) -> None:
    bench = Bench()
    bench.speak(rng.normal(0, 0.1, 32000).astype(np.float32), 16000, 7 * SECOND)
    figures = bench.metrics.hops["capture_to_motion"].quantiles()
    assert 60 <= figures["p50"] <= 71, "look-ahead of 60 ms and what blocks of 10 ms add"
    assert bench.metrics.hops["capture_to_block"].quantiles()["p50"] == pytest.approx(10, abs=0.1)
    assert bench.delay.needed_ns is not None


def test_a_gap_in_the_sound_moves_the_motion_with_it() -> None:
    bench = Bench()
    speech = read_speech(SPEECH)
    end_ns = bench.speak(speech[:16000], 16000, 10 * SECOND)
    bench.speak(speech[16000:48000], 16000, end_ns + 300 * MS)
    newest = bench.timeline.newest_ns
    assert newest is not None
    expected = end_ns + 300 * MS + 2 * SECOND - 80 * MS
    assert abs(newest - expected) < 25 * MS


def test_another_rate_in_mid_sentence_is_no_trouble() -> None:
    import soxr

    bench = Bench()
    speech = read_speech(SPEECH)
    end_ns = bench.speak(speech[:16000], 16000, 10 * SECOND)
    bench.speak(soxr.resample(speech[16000:48000], 16000, 48000), 48000, end_ns)
    newest = bench.timeline.newest_ns
    assert newest is not None and abs(newest - (end_ns + 2 * SECOND - 80 * MS)) < 25 * MS


def test_quiet_means_quiet_for_everybody() -> None:
    bench = Bench()
    speech = read_speech(SPEECH)
    now = bench.speak(speech[:32000], 16000, 10 * SECOND)
    assert any(block.samples.any() for block in bench.tap.blocks)
    bench.tap.blocks.clear()
    bench.stage.quiet = True
    now = bench.speak(speech[32000:64000], 16000, now)
    assert len(bench.tap.blocks) == 200
    assert not any(block.samples.any() for block in bench.tap.blocks)
    rest = motion_at(bench.timeline, now - 200 * MS)[:COEFFICIENTS]
    assert rest @ lip_opening() < 0.04, "the mouth rests; speech opens it by 0.2"


def test_sound_that_comes_far_too_late_is_passed_on_but_not_listened_to() -> None:
    bench = Bench()
    block = AudioBlock(np.zeros(160, np.float32), 16000, 10 * SECOND)
    bench.clock.time_ns = 12 * SECOND
    bench.stage.take(block)
    assert bench.metrics.counter("blocks_dropped") == 1
    assert bench.tap.blocks == [block]
    assert len(bench.timeline) == 0


def test_a_tap_that_fails_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        calls = 0

        def push(self, block: AudioBlock) -> None:
            self.calls += 1
            raise RuntimeError("the cable is gone")

    tap = Broken()
    bench = Bench(tap)
    bench.speak(np.zeros(16000, np.float32), 16000, SECOND)
    assert tap.calls == 1 and "the cable is gone" in caplog.text
    assert bench.metrics.counter("motion_frames") > 20


@given(ppm=st.integers(-300, 300), seed=st.integers(0, 50))
def test_sample_times_follow_drift_and_ignore_jitter(ppm: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = SampleTimes(16000)
    true_ns = 0.0
    for index in range(6000):
        true_ns = index * 10 * MS * (1 + ppm * 1e-6)
        stamp = SECOND + round(true_ns + rng.normal(0, 1.5 * MS))
        times.hear(AudioBlock(np.zeros(160, np.float32), 16000, stamp))
    error_ns = times.time_ns(5999 * 0.01) - (SECOND + true_ns)
    assert abs(error_ns) < 2 * MS
    assert times.breaks == 0
