"""Outputs that stall, fail, cannot be opened or hang: the others and the end do not wait."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from live_support import MemorySink, wait_until

from vasa_cam.errors import InputError
from vasa_cam.live import sink_worker
from vasa_cam.live.messages import Frame
from vasa_cam.live.metrics import Metrics
from vasa_cam.live.pictures import LentFrame, PicturePool
from vasa_cam.live.sink_worker import SinkWorker
from vasa_cam.output.sink import SinkError


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_worker, "_WAIT_S", (0.01, 0.02))


class Bench:
    def __init__(self, sink, alpha: bool = False) -> None:
        self.pool = PicturePool(4, 2, alpha, 8)
        self.metrics = Metrics()
        self.sink = sink
        self.worker = SinkWorker(sink, self.pool, self.metrics)
        self.sequence = 0

    def send(self) -> int:
        """Offer a frame whose pixels are its number; False when the pool is exhausted."""
        picture = self.pool.borrow()
        assert picture is not None, "a stalled output holds two pictures, no more"
        self.sequence += 1
        picture.rgb[:] = self.sequence
        if picture.rgba is not None:
            picture.rgba[:] = self.sequence
        frame = Frame(picture.rgb, picture.rgba, self.sequence, self.sequence, self.sequence)
        self.worker.offer(LentFrame(frame, picture, 0))
        self.pool.let_go(picture)
        return self.sequence

    def sequences(self) -> list[int]:
        return [sequence for _, _, sequence, _ in self.sink.frames]


@pytest.fixture
def start():
    benches: list[Bench] = []

    def make(sink, alpha: bool = False) -> Bench:
        bench = Bench(sink, alpha)
        benches.append(bench)
        bench.worker.start()
        return bench

    yield make
    for bench in benches:
        bench.worker.stop()
        assert bench.worker.join(20.0)
        assert bench.pool.lent == 0, "every picture is given back"
        assert bench.sink.closed >= min(1, bench.sink.opened)


@pytest.mark.parametrize("wants_alpha", [False, True])
def test_a_sink_gets_what_it_asks_for(start, wants_alpha: bool) -> None:
    bench = start(MemorySink(alpha=wants_alpha, keep=True), alpha=True)
    wanted = bench.send()
    wait_until(lambda: bool(bench.sink.frames))
    assert bench.sequences() == [wanted]
    assert bench.sink.pixels[0].shape == (2, 4, 4 if wants_alpha else 3)
    assert (bench.sink.pixels[0] == wanted).all()


def test_a_slow_sink_gets_the_newest_and_the_rest_is_counted(start) -> None:
    gate = threading.Event()

    class Slow(MemorySink):
        def send(self, frame: np.ndarray, *times: int) -> None:
            super().send(frame, *times)
            gate.wait(20.0)

    bench = start(Slow())
    bench.send()
    wait_until(lambda: bool(bench.sink.frames))
    last = [bench.send() for _ in range(50)][-1]
    assert bench.worker.status()["waiting"] == 1
    gate.set()
    wait_until(lambda: len(bench.sink.frames) == 2)
    assert bench.sequences() == [1, last]
    assert bench.worker.status()["dropped"] == 49


def test_a_stall_is_told(start) -> None:
    gate = threading.Event()

    class Stalling(MemorySink):
        def send(self, frame: np.ndarray, *times: int) -> None:
            gate.wait(20.0)

    bench = start(Stalling())
    bench.send()
    wait_until(lambda: bench.worker.status()["state"] == "stalled")
    gate.set()
    wait_until(lambda: bench.worker.status()["state"] == "open")


@pytest.mark.parametrize("error", [SinkError("the device is gone"), ValueError("bug")])
def test_it_fails_and_recovers(start, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(MemorySink):
        broken = True

        def send(self, frame: np.ndarray, *times: int) -> None:
            if self.broken:
                raise error
            super().send(frame, *times)

    sink = Failing()
    bench = start(sink)

    def sent() -> bool:
        bench.send()
        return bench.worker.status()["failures"] >= 3

    wait_until(sent)
    assert str(error) in bench.worker.status()["problem"]
    assert caplog.text.count("tried again later") == 1, "said once, not at every try"
    sink.broken = False
    wait_until(lambda: bool(bench.send() and sink.frames))
    assert bench.worker.status()["problem"] == ""
    assert sink.opened >= 4 and sink.closed >= 3


def test_a_device_that_appears_later_is_taken(start) -> None:
    class Absent(MemorySink):
        there = False

        def open(self) -> None:
            if not self.there:
                raise InputError("no camera; load the module.")
            super().open()

    sink = Absent()
    bench = start(sink)
    wait_until(lambda: bench.worker.status()["failures"] > 3)
    assert bench.worker.status()["state"] in ("failed", "opening")
    assert "load the module" in bench.worker.status()["problem"]
    sink.there = True
    wait_until(lambda: bool(bench.send() and sink.frames))


def test_a_sink_that_hangs_does_not_hold_up_the_end() -> None:
    gate = threading.Event()

    class Hanging(MemorySink):
        def send(self, frame: np.ndarray, *times: int) -> None:
            gate.wait(20.0)

    bench = Bench(Hanging())
    bench.worker.start()
    bench.send()
    wait_until(lambda: bench.worker.status()["waiting"] == 0)
    bench.worker.stop()
    assert not bench.worker.join(0.1)
    gate.set()
    assert bench.worker.join(20.0)
    assert bench.sink.closed == 1
