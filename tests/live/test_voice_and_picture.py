"""Voice in, picture out, judged by a face tracker: the mouth follows at the stated delay."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from live_support import MS, SECOND, SPEECH, MemorySink, astronaut, wait_until

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


@pytest.mark.slow
def test_the_mouth_follows_the_speech_at_the_stated_delay(shared: Path) -> None:
    class Source(FileSource):
        started_ns = 0

        def start(self) -> None:
            super().start()
            self.started_ns = self._clock.now_ns()

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
    capture, _, _, taken = np.array(sink.frames).T
    seen = mouth_openings(sink.pixels, shared / "models" / "face_landmarker.task")
    # From two seconds on the delay has settled.
    usable = ~np.isnan(seen) & (taken - source.started_ns > 2 * SECOND)
    assert usable.mean() > 0.6, "the tracker finds the face"
    # The clock on the wall against the file's own time: nothing of the daemon's stamps is in it.
    times_s = (taken[usable] - source.started_ns) / SECOND
    delay_s, likeness = best_delay(times_s, seen[usable], expected_openings(times_s[-1] + 0.5))
    stated_s = float(np.median(taken - capture)) / SECOND
    assert likeness > 0.8, f"the mouth follows the speech only with a correlation of {likeness:.2f}"
    assert abs(delay_s - stated_s) < 0.02, f"shown after {delay_s:.3f} s, stated {stated_s:.3f} s"
    assert abs(stated_s - daemon.delay_ns / SECOND) < 0.06
    assert stated_s > 100 * MS / SECOND, "earlier than sound can be understood"
