"""Clock, machine and memory: a suspension, a clock set back, half the CPU, long runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from live_support import ASSETS, MS, SPEECH, MemorySink, VirtualClock, astronaut, wait_until

from vasa_cam.audio.paced import FileSource
from vasa_cam.live.daemon import LiveDaemon
from vasa_cam.live.delay import DelayConfig
from vasa_cam.live.pipeline_config import PipelineConfig
from vasa_cam.live.process import resident_mib

THREADS = 3  # that live by the clock: motion, render, pacer


class Virtual:
    """A daemon in virtual time: it runs as fast as the machine can, and exactly."""

    def __init__(self, sink, side_px: int = 64, fps: int = 40) -> None:
        self.clock = VirtualClock(THREADS)
        source = FileSource(SPEECH, loop=True, clock=self.clock)
        config = PipelineConfig(width_px=side_px, height_px=side_px, fps=fps)
        self.daemon = LiveDaemon(config, astronaut(), source, [sink], clock=self.clock)
        self._thread = threading.Thread(target=self.daemon.run)
        self._thread.start()

    def count(self, name: str) -> int:
        return self.daemon.metrics.counter(name)

    def end(self) -> None:
        self.daemon.stop()
        self.clock.free()
        self._thread.join(30.0)
        assert not self._thread.is_alive()


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def virtual(sink: MemorySink) -> Iterator[Virtual]:
    one = Virtual(sink)
    yield one
    one.end()


def ages_ms(frames: list) -> np.ndarray:
    """How long after its voice each frame was due."""
    return np.array([(shown - capture) / MS for capture, shown, _, _ in frames])


def test_virtual_time_is_exact(virtual: Virtual, sink: MemorySink) -> None:
    virtual.clock.run(10.0)
    assert virtual.count("frames_shown") in range(396, 402)
    assert virtual.count("deadlines_missed") == virtual.count("clock_jumps") == 0
    assert virtual.count("motion_held") <= 10, "at most before the first motion"
    assert np.ptp(ages_ms(sink.frames)[100:]) < 5


def test_a_minute_of_suspension(virtual: Virtual, sink: MemorySink) -> None:
    virtual.clock.run(5.0)
    before = virtual.daemon.delay_ns
    shown = virtual.count("frames_shown")
    virtual.clock.jump(60.0)
    virtual.clock.run(1.0)
    marked = len(sink.frames)
    virtual.clock.run(4.0)
    assert 190 <= virtual.count("frames_shown") - shown <= 202, "no burst, no debt"
    assert virtual.count("clock_jumps") >= 1
    assert virtual.count("deadlines_missed") < 10
    late = ages_ms(sink.frames[marked:])
    assert late.max() < before / MS + 30, "within a second everything is as before"
    assert virtual.daemon.delay_ns < before + 30 * MS


def test_a_clock_that_is_set_back(virtual: Virtual, sink: MemorySink) -> None:
    virtual.clock.run(5.0)
    before = virtual.daemon.delay_ns
    shown, motion = virtual.count("frames_shown"), virtual.count("motion_frames")
    virtual.clock.jump(-60.0)
    virtual.clock.run(10.0)
    assert virtual.count("frames_shown") - shown > 380
    assert virtual.count("motion_frames") - motion > 200
    wait_until(lambda: virtual.daemon.status()["source"]["state"] in ("live", "opening"))
    assert ages_ms(sink.frames)[-1] < before / MS + 60


@pytest.mark.parametrize("stall_s", [0.05, 0.13])
def test_a_starved_processor_in_virtual_time(
    virtual: Virtual, sink: MemorySink, stall_s: float
) -> None:
    """For ten seconds everything stands still half of the time, as when others take the CPU."""
    virtual.clock.run(5.0)
    usual = np.median(ages_ms(sink.frames[-40:]))
    shown, lent = virtual.count("frames_shown"), virtual.daemon.status()["pictures_lent"]
    for _ in range(round(5.0 / stall_s)):
        virtual.clock.run(stall_s)
        virtual.clock.jump(stall_s)
    hungry = ages_ms(sink.frames[-40:])
    assert virtual.count("frames_shown") - shown < 350, "frames are left out"
    assert np.median(hungry) < usual + 2000 * stall_s, "no more is waited for than is missing"
    virtual.clock.run(1.1)
    marked = len(sink.frames)
    virtual.clock.run(1.0)
    # Less than that is given back gently, by ten milliseconds a second.
    excess = np.median(ages_ms(sink.frames[marked:])) - usual
    assert excess < DelayConfig().jump_down_ms, "back within a second"
    status = virtual.daemon.status()
    assert status["pictures_lent"] <= lent + 2 and status["motion_queue"] < 5
    assert status["counters"]["blocks_dropped"] == 0


_PROGRAM = """
import json, sys, threading, time
from pathlib import Path
from vasa_cam.audio.paced import FileSource
from vasa_cam.avatar.file import load_avatar
from vasa_cam.live.daemon import LiveDaemon
from vasa_cam.live.delay import DelayConfig
from vasa_cam.live.pipeline_config import PipelineConfig
from vasa_cam.output.null import NullSink
folder = Path(sys.argv[1])
class Ages(NullSink):
    ages = []
    def send(self, frame, capture_ns, shown_ns, sequence):
        super().send(frame, capture_ns, shown_ns, sequence)
        self.ages.append((time.monotonic_ns() - capture_ns) / 1e6)
        self.ages = self.ages[-20:]
sink = Ages()
daemon = LiveDaemon(PipelineConfig(96, 64, 40), load_avatar(folder / "astronaut.vasa"),
                    FileSource(folder / "demo_speech.flac", loop=True), [sink])
def tell():
    while daemon.running:
        time.sleep(0.1)
        status = daemon.status()
        ages = sorted(sink.ages)
        print(json.dumps({
            "at": time.monotonic(), "age": ages[len(ages) // 2] if ages else 0.0,
            "delay": status["delay_ms"], "rss": status["resident_mib"],
            "lent": status["pictures_lent"], "queue": status["motion_queue"],
            **status["counters"]}), flush=True)
threading.Thread(target=tell, daemon=True).start()
daemon.run(float(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP to take the CPU away")
def test_half_the_cpu_for_ten_seconds() -> None:
    """The process is stopped half of the time: frames drop, latency recovers, nothing grows."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(ASSETS), "17"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines: list[dict] = []
    reader = threading.Thread(
        target=lambda: lines.extend(map(json.loads, process.stdout)), daemon=True
    )
    reader.start()
    try:
        time.sleep(4.0)
        begun = time.monotonic()
        while time.monotonic() - begun < 10.0:
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(0.06)
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.06)
        ended = time.monotonic()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    reader.join(20.0)
    process.stdout.close()
    calm = [line for line in lines if line["at"] < begun - 1.0]
    hungry = [line for line in lines if begun + 1 < line["at"] < ended]
    fed = [line for line in lines if line["at"] > ended + 1.2]
    assert hungry and len(fed) > 5
    assert hungry[-1]["pictures_skipped"] - calm[-1]["pictures_skipped"] > 20, "frames left out"
    assert all(line["lent"] <= 6 and line["queue"] < 20 for line in lines)
    assert fed[-1]["rss"] < calm[-1]["rss"] * 1.01 + 0.5, "nothing grows"
    assert fed[-1]["pictures_drawn"] > hungry[-1]["pictures_drawn"]
    usual = np.median([line["age"] for line in calm[-10:]])
    if usual < 200:  # else the machine starves it by itself, and there is no calm to come back to
        after = np.median([line["age"] for line in fed])
        assert after < usual + 100, "a second later the latency is back"


def soak(frames: int, side_px: int) -> None:
    """So many frames in virtual time; resident memory must not grow by more than 1 %."""

    class Counting:
        name = "count"
        wants_alpha = False
        sent = 0

        def open(self) -> None: ...

        def send(self, frame: np.ndarray, *times: int) -> None:
            self.sent += 1

        def close(self) -> None: ...

    fps = 40
    sink = Counting()
    one = Virtual(sink, side_px, fps)
    seconds = frames / fps
    try:
        # Caches fill and the allocator settles in the first tenth.
        one.clock.run(0.1 * seconds, timeout_s=1e5)
        readings = [resident_mib()]
        for _ in range(18):
            one.clock.run(0.05 * seconds, timeout_s=1e5)
            one.daemon.handle({"command": "gaze", "x": float(len(readings)), "y": 0.0})
            one.daemon.metrics.prometheus()
            readings.append(resident_mib())
        assert one.count("pictures_drawn") >= frames - 20
        assert one.count("deadlines_missed") == 0
        assert max(readings[9:]) < 1.01 * readings[0], readings
        assert sink.sent > 0.9 * frames
    finally:
        one.end()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_is_flat_over_twelve_thousand_frames() -> None:
    soak(12_000, side_px=64)


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_is_flat_over_half_a_million_frames() -> None:
    soak(500_000, side_px=64)
