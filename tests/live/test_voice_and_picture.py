"""Voice in, picture out, judged by a face tracker: the mouth follows at the stated delay."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from live_support import SECOND, SPEECH, MemorySink, VirtualClock, astronaut, wait_until

from vasa_cam.audio import read_speech
from vasa_cam.audio.paced import FileSource
from vasa_cam.live.daemon import LiveDaemon
from vasa_cam.live.pipeline_config import PipelineConfig
from vasa_cam.motion.controls import lip_opening
from vasa_cam.motion.space import COEFFICIENTS
from vasa_cam.motion.voice import VoiceConfig, VoiceStream

SIDE = 256


def mouth_openings(pictures: list[np.ndarray], model: Path) -> np.ndarray:
    """Gap of the inner lips over the height of the face, as MediaPipe sees it; NaN: no face."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=str(model)))
    gaps = []
    with vision.FaceLandmarker.create_from_options(options) as tracker:
        for picture in pictures:
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
            faces = tracker.detect(image).face_landmarks
            points = np.array([[p.x, p.y] for p in faces[0]]) if faces else None
            gap = np.nan if points is None else np.linalg.norm(points[13] - points[14])
            gaps.append(gap if points is None else gap / np.ptp(points[:, 1]))
    return np.array(gaps)


def expected_openings(seconds: float) -> np.ndarray:
    """Lip opening at 25 Hz of the same sentence, straight from the motion model."""
    speech = np.tile(read_speech(SPEECH), 3)[: round(16000 * seconds)]
    frames = VoiceStream(VoiceConfig(seed=0)).push(speech)
    return frames[:, :COEFFICIENTS] @ lip_opening()


def best_delay(times_s: np.ndarray, seen: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """The shift in seconds at which `seen` follows `expected` (25 Hz) best, and the correlation."""
    shifts = np.arange(-0.1, 0.6, 0.005)
    grid = np.arange(len(expected)) / 25
    scores = [
        np.corrcoef(seen, np.interp(times_s - shift, grid, expected))[0, 1] for shift in shifts
    ]
    top = int(np.argmax(scores))
    return float(shifts[top]), float(scores[top])


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
    return best_delay(times_s, seen[usable], expected_openings(times_s[-1] + 0.5))


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
