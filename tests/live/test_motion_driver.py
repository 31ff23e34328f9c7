"""Motion goes on whatever the model does: one failure, failures for ever, nonsense, no model."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from live_support import SECOND, SPEECH, FakeClock

from vasa_cam.audio import read_speech
from vasa_cam.live.metrics import Metrics
from vasa_cam.live.motion_driver import BLEND_FRAMES, MotionDriver
from vasa_cam.motion.controls import Controls
from vasa_cam.motion.space import INDEX, MOTION_SIZE, neutral
from vasa_cam.motion.voice import VoiceConfig, VoiceStream

BLOCK = 160


class Failing(VoiceStream):
    """The real model, with failures that a test asks for."""

    def __init__(self, controls: Controls, when, how: Exception | np.ndarray) -> None:
        super().__init__(VoiceConfig(seed=3, controls=controls))
        self._when, self._how = when, how

    def push(self, samples: np.ndarray) -> np.ndarray:
        if self._when():
            if isinstance(self._how, Exception):
                raise self._how
            return self._how
        return super().push(samples)


class Bench:
    """A driver that hears the packaged sentence in blocks of 10 ms."""

    def __init__(self, make) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.driver = MotionDriver(make, self.metrics, seed=3, clock=self.clock)
        self.speech = np.tile(read_speech(SPEECH), 12)
        self.heard = 0
        self.frames = neutral(0)
        self.places: list[int] = []

    def hear(self, seconds: float) -> np.ndarray:
        """The frames that came meanwhile."""
        parts = []
        for _ in range(round(seconds * 100)):
            frames, first = self.driver.push(self.speech[self.heard : self.heard + BLOCK])
            self.heard += BLOCK
            self.clock.time_ns += SECOND // 100
            self.places += [first + 640 * k for k in range(len(frames))]
            parts.append(frames)
        new = np.concatenate(parts)
        self.frames = np.concatenate([self.frames, new])
        return new

    @property
    def failures(self) -> int:
        return self.metrics.counter("motion_failures")


def test_without_failures_it_is_the_model_itself() -> None:
    bench = Bench(lambda controls: VoiceStream(VoiceConfig(seed=3)))
    got = bench.hear(4.0)
    stream = VoiceStream(VoiceConfig(seed=3))
    want = np.concatenate([stream.push(part) for part in bench.speech[:64000].reshape(-1, BLOCK)])
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert bench.places == [640 * k for k in range(len(got))]


@pytest.mark.parametrize(
    "how",
    [
        RuntimeError("out of memory"),
        np.full((1, MOTION_SIZE), np.nan, np.float32),
        np.zeros((1, 3), np.float32),
    ],
    ids=["raises", "not finite", "wrong shape"],
)
def test_one_failure_and_it_goes_on_listening(how, caplog: pytest.LogCaptureFixture) -> None:
    armed = [False]

    def once() -> bool:
        armed[0], was = False, armed[0]
        return was

    bench = Bench(lambda controls: Failing(controls, once, how))
    bench.hear(2.0)
    armed[0] = True
    after = bench.hear(3.0)
    assert bench.failures == 1 and bench.driver.driving == "voice"
    assert "started anew" in caplog.text
    assert np.ptp(after[:, INDEX["jawOpen"]]) > 0.1, "the mouth speaks again"
    assert len(after) > 3.0 * 25 - 5
    places = np.diff(bench.places)
    assert (places > 0).all() and places.max() <= 640 * 4, "a gap of at most the look-ahead"


def test_it_keeps_failing_and_the_avatar_breathes(caplog: pytest.LogCaptureFixture) -> None:
    broken = [False]
    bench = Bench(
        lambda controls: Failing(controls, lambda: broken[0], ValueError("weights are damaged"))
    )
    bench.hear(2.0)
    broken[0] = True
    idle = bench.hear(4.0)
    assert bench.driver.driving == "idle" and bench.failures == 3
    assert "weights are damaged" in bench.driver.problem
    assert len(idle) > 4.0 * 25 - 8
    settled = idle[BLEND_FRAMES + 2 :]
    assert settled[:, INDEX["jawOpen"]].max() < 0.02, "the mouth rests"
    assert np.std(settled[:, 52:55], axis=0).max() > 1e-4, "the head does not"
    # Tried again after 5 s, 10 s, 20 s ...: one failure each, and idling goes on meanwhile.
    bench.hear(40.0)
    assert bench.failures == 6 and bench.driver.driving == "idle"
    broken[0] = False
    bench.hear(42.0)
    assert bench.driver.driving == "voice" and bench.failures == 6
    assert np.ptp(bench.hear(3.0)[:, INDEX["jawOpen"]]) > 0.1
    assert (np.diff(bench.places) > 0).all()
    assert sum(record.levelno == logging.ERROR for record in caplog.records) == 4


def test_no_head_jumps_when_streams_change() -> None:
    broken = [False]
    bench = Bench(lambda controls: Failing(controls, lambda: broken[0], ValueError()))
    bench.driver.set_controls(Controls(gaze_deg=(20.0, 5.0), distance=1.3))
    bench.hear(1.0)
    bench.frames = bench.frames[-1:]
    bench.hear(20.0)
    broken[0] = True
    bench.hear(6.0)
    broken[0] = False
    bench.hear(10.0)
    steps = np.abs(np.diff(bench.frames[:, 52:], axis=0)).max()
    alone = Bench(lambda controls: VoiceStream(VoiceConfig(seed=3)))
    usual = np.abs(np.diff(alone.hear(36.0)[:, 52:], axis=0)).max()
    assert steps < 2.0 * usual + 0.01
    assert bench.frames[-1, 57] > 1.0, "the distance that was set outlives the stream"


def test_without_any_model_it_idles_from_the_start(caplog: pytest.LogCaptureFixture) -> None:
    def make(controls: Controls):
        raise OSError("no such file: lips.safetensors")

    bench = Bench(make)
    assert len(bench.hear(2.0)) == 50
    assert bench.driver.driving == "idle" and "no such file" in bench.driver.problem


def test_controls_that_the_model_refuses_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(VoiceStream):
        def set_controls(self, controls: Controls) -> None:
            raise RuntimeError("not now")

    bench = Bench(lambda controls: Stubborn(VoiceConfig(seed=3)))
    bench.driver.set_controls(Controls(lips=0.5))
    assert len(bench.hear(2.0)) >= 48
