"""Sound goes on whatever the source does: lost and back, quiet, ended, hanging."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from live_support import MS, SECOND, FakeClock, TonePieces, wait_until

from vasa_cam.audio.blocks import AudioBlock, SourceLostError
from vasa_cam.errors import InputError
from vasa_cam.live.metrics import Metrics
from vasa_cam.live.source_supervisor import SourceSupervisor

TONE = np.full(160, 0.5, np.float32)


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.source = TonePieces()
        self.metrics = Metrics()
        self.supervisor = SourceSupervisor(self.source, self.metrics, self.clock)

    def speak(self, blocks: int = 1) -> None:
        for k in range(blocks):
            self.source.blocks.append(
                AudioBlock(TONE, 16000, self.clock.now_ns() + (k - blocks) * 10 * MS)
            )

    def read(self, wait_ms: int = 100) -> AudioBlock | None:
        """As the motion thread does; the source of the test does not wait, so the clock does."""
        block = self.supervisor.read(wait_ms / 1000)
        if block is None:
            self.clock.time_ns += wait_ms * MS
        return block

    def hear(self, seconds: float) -> tuple[int, int]:
        """Blocks of voice and of silence within so long."""
        end = self.clock.now_ns() + round(seconds * SECOND)
        voice = silence = 0
        while self.clock.now_ns() < end:
            block = self.read()
            if block is not None and block.samples.any():
                voice += 1
            elif block is not None:
                silence += 1
        return voice, silence


@pytest.fixture
def bench():
    one = Bench()
    yield one
    one.supervisor.stop()


def test_blocks_pass_through(bench: Bench) -> None:
    bench.supervisor.start()
    bench.speak(3)
    blocks = [bench.read() for _ in range(3)]
    assert all(block is not None and block.samples is TONE for block in blocks)
    assert bench.supervisor.state == "live"


def test_a_source_that_cannot_be_opened_at_first_is_an_error(bench: Bench) -> None:
    bench.source.refuse = True
    with pytest.raises(InputError, match="plug one in"):
        bench.supervisor.start()


@pytest.mark.parametrize("error", [SourceLostError("the microphone is gone"), OSError("-9999")])
def test_lost_and_back(bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    bench.supervisor.start()
    bench.speak()
    bench.read()
    bench.source.refuse = True
    bench.source.error = error
    voice, silence = bench.hear(2.0)
    assert voice == 0 and silence >= 195, "silence in real time"
    assert bench.supervisor.state == "lost"
    wait_until(lambda: "plug one in" in bench.supervisor.problem)
    assert bench.metrics.counter("source_losses") == 1
    bench.source.refuse = False
    wait_until(bench.supervisor._reopened.is_set)
    bench.speak(2)
    assert bench.hear(0.02)[0] == 2
    assert bench.supervisor.state == "live" and bench.supervisor.problem == ""
    assert bench.source.stops >= 1


def test_a_source_that_falls_silent_is_bridged_and_then_reopened(bench: Bench) -> None:
    bench.supervisor.start()
    bench.speak()
    bench.read()
    assert bench.hear(2.0)[1] > 150
    assert bench.supervisor.state == "quiet"
    bench.speak(1)
    assert bench.read() is not None and bench.supervisor.state == "live"
    bench.hear(7.0)
    assert bench.metrics.counter("source_losses") >= 1
    wait_until(lambda: bench.source.starts >= 2)


def test_after_the_end_there_is_silence(bench: Bench) -> None:
    bench.supervisor.start()
    bench.speak()
    bench.read()
    bench.source.ended = True
    voice, silence = bench.hear(1.0)
    assert (voice, bench.supervisor.state) == (0, "ended") and silence >= 90
    assert bench.metrics.counter("source_losses") == 0


def test_a_driver_that_hangs_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    class Hanging(TonePieces):
        def stop(self) -> None:
            release.wait(30.0)

    supervisor = SourceSupervisor(Hanging(), Metrics(), FakeClock())
    supervisor.start()
    supervisor.stop(0.05)
    assert "left behind" in caplog.text
    release.set()
