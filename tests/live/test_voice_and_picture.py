"""Voice in, picture out, judged by a face tracker: the mouth follows at the stated delay."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from live_support import SECOND, SPEECH, MemorySink, VirtualClock, astronaut, wait_until
from mouth_support import best_delay, expected_openings, mouth_openings

from vasa_cam.audio import read_speech
from vasa_cam.audio.paced import FileSource
from vasa_cam.live.daemon import LiveDaemon
from vasa_cam.live.pipeline_config import PipelineConfig

SIDE = 256


class Source(FileSource):
    """The packaged sentence again and again; remembers when it began."""

    started_ns = 0

    def start(self) -> None:
        super().start()
        self.started_ns = self._clock.now_ns()


def judged(
    sink: MemorySink, source: Source, shown_ns: np.ndarray, model: Path
) -> tuple[float, float]:
    """Seconds from a sound to its picture, and how alike they are, from two seconds on.

    Nothing of the daemon's own stamps goes into it: when pictures were seen, and the file's time.
    """
    seen = mouth_openings(sink.pixels, model)
    usable = ~np.isnan(seen) & (shown_ns - source.started_ns > 2 * SECOND)
    assert usable.mean() > 0.6, "the tracker finds the face"
    times_s = (shown_ns[usable] - source.started_ns) / SECOND
    speech = np.tile(read_speech(SPEECH), 3)[: round(16_000 * (times_s[-1] + 0.5))]
    return best_delay(times_s, seen[usable], expected_openings(speech))


@pytest.mark.slow
def test_the_mouth_follows_the_speech_at_the_stated_delay(shared: Path) -> None:
    """In virtual time, where no busy machine blurs it."""
    clock = VirtualClock(sleepers=3)
    source, sink = Source(SPEECH, loop=True, clock=clock), MemorySink(keep=True)
    config = PipelineConfig(width_px=SIDE, height_px=SIDE, fps=40)
    daemon = LiveDaemon(config, astronaut(), source, [sink], clock=clock)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    try:
        clock.run(9.0)
    finally:
        daemon.stop()
        clock.free()
        thread.join(30.0)
    shown = np.array(sink.frames)[: len(sink.pixels), 1]
    delay_s, likeness = judged(sink, source, shown, shared / "models" / "face_landmarker.task")
    assert likeness > 0.85, f"a correlation of {likeness:.2f}"
    assert abs(delay_s - daemon.delay_ns / SECOND) < 0.012
    assert 0.1 < delay_s < 0.17


@pytest.mark.slow
def test_in_real_time_pictures_are_handed_over_at_the_stated_delay(shared: Path) -> None:
    source, sink = Source(SPEECH, loop=True), MemorySink(keep=True)
    config = PipelineConfig(width_px=SIDE, height_px=SIDE, fps=40)
    daemon = LiveDaemon(config, astronaut(), source, [sink])
    thread = threading.Thread(target=daemon.run)
    thread.start()
    try:
        wait_until(lambda: len(sink.frames) > 320, timeout_s=60.0)
    finally:
        daemon.stop()
        thread.join(30.0)
    capture, _, _, taken = np.array(sink.frames)[: len(sink.pixels)].T
    delay_s, likeness = judged(sink, source, taken, shared / "models" / "face_landmarker.task")
    stated_s = float(np.median(taken - capture)) / SECOND
    assert likeness > 0.6, f"a correlation of {likeness:.2f}"
    assert abs(delay_s - stated_s) < 0.03, f"shown after {delay_s:.3f} s, stated {stated_s:.3f} s"
