"""The whole daemon in real time: it speaks, takes commands, stops, survives floods and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from live_support import ASSETS, MS, SPEECH, MemorySink, TonePieces, astronaut, wait_until

from vasa_cam.audio.blocks import AudioBlock
from vasa_cam.audio.paced import FileSource, SilenceSource
from vasa_cam.errors import InputError
from vasa_cam.live.commands import check_command
from vasa_cam.live.daemon import LiveDaemon
from vasa_cam.live.pipeline_config import PipelineConfig

SMALL = PipelineConfig(width_px=96, height_px=64, fps=40)


class Running:
    """A daemon in a thread of its own."""

    def __init__(self, daemon: LiveDaemon) -> None:
        self.daemon = daemon
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.daemon.run()
        except BaseException as error:
            self.error = error

    def do(self, **command: object) -> dict:
        return self.daemon.handle(check_command(command))

    def count(self, name: str) -> int:
        return self.daemon.metrics.counter(name)

    def shows(self, frames: int = 20) -> None:
        """Wait until so many more frames were shown."""
        wanted = self.count("frames_shown") + frames
        wait_until(lambda: self.count("frames_shown") >= wanted)

    def end(self) -> float:
        """Seconds that stopping took."""
        begun = time.monotonic()
        self.daemon.stop()
        self._thread.join(30.0)
        assert not self._thread.is_alive()
        return time.monotonic() - begun


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    everyone: list[Running] = []
    before = set(threading.enumerate())

    def make(config=SMALL, source=None, sinks=(), **more) -> Running:
        source = source or FileSource(SPEECH, loop=True)
        everyone.append(Running(LiveDaemon(config, astronaut(), source, sinks, **more)))
        return everyone[-1]

    yield make
    for one in everyone:
        one.end()
    wait_until(lambda: not set(threading.enumerate()) - before)


def test_it_speaks_to_all_outputs_and_stops_within_a_second(start) -> None:
    class Tap:
        blocks: list[AudioBlock] = []  # noqa: RUF012

        def push(self, block: AudioBlock) -> None:
            self.blocks.append(block)

    sinks = [MemorySink("one", keep=True), MemorySink("two", alpha=True)]
    tap = Tap()
    one = start(sinks=sinks, taps=[tap])
    wait_until(lambda: len(sinks[0].frames) > 80 and len(sinks[1].frames) > 80)
    assert one.end() < 1.5, "a second, and what a busy machine adds"
    assert one.error is None
    for sink in sinks:
        assert (sink.opened, sink.closed) == (1, 1)
        capture, shown, sequence, _ = np.array(sink.frames).T
        steps = np.diff(shown) / (25 * MS)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
        assert (np.diff(sequence) >= 0).all() and (np.diff(capture) >= 0).all()
        delay = (shown - capture)[20:] / MS
        assert 60 < np.median(delay) < 600
    pictures = np.array(sinks[0].pixels)
    assert np.abs(np.diff(pictures.astype(int), axis=0)).max() > 10, "the picture moves"
    assert len(tap.blocks) > 150 and any(block.samples.any() for block in tap.blocks)
    status = one.daemon.status()
    assert status["state"]["motion"] == "voice" and status["state"]["drawing_way"] == 0
    assert status["hops_ms"]["end_to_end"]["p50"] > 60
    assert {"capture_to_block", "capture_to_motion", "render", "frame_interval"} <= set(
        status["hops_ms"]
    )
    json.dumps(status)
    assert "vasa_cam_frames_shown_total" in one.daemon.metrics.prometheus()


def test_the_delay_is_what_the_frames_have(start) -> None:
    sink = MemorySink()
    one = start(sinks=[sink])
    wait_until(lambda: len(sink.frames) > 120)
    capture, shown, _, _ = sink.frames[-1]
    assert abs((shown - capture) - one.daemon.delay_ns) < 60 * MS
    assert one.daemon.delay_jumps >= 1


def test_commands_act(start, tmp_path: Path) -> None:
    sink = MemorySink(keep=True)
    one = start(sinks=[sink])
    one.shows()
    assert one.do(command="gaze", x=20, y=0) == {}
    one.do(command="emotion", name="happy", amount=0.8)
    one.do(command="distance", value=1.4)
    one.do(command="expressiveness", part="head", value=0.5)
    one.do(command="blinks", value=0)
    one.do(command="mirror", on=True)
    assert sink.mirror
    controls = one.daemon._controls
    assert controls.gaze_deg == (20.0, 0.0) and dict(controls.emotion) == {"happy": 0.8}
    assert (controls.distance, controls.head, controls.blinks) == (1.4, 0.5, 0.0)
    one.do(command="background", spec="#00ff00")
    green = np.array([0, 255, 0])
    wait_until(lambda: bool(np.abs(sink.pixels[-1][0, 0] - green).max() < 15))
    assert one.do(command="status")["state"]["background"] == "#00ff00"
    one.do(command="avatar", path=str(ASSETS / "astronaut.vasa"))
    for path, said in (("missing.vasa", "missing.vasa"), ("missing.jpg", "does not exist")):
        with pytest.raises(InputError, match=said):
            one.do(command="avatar", path=str(tmp_path / path))
    with pytest.raises(InputError, match="background"):
        one.do(command="background", spec=str(tmp_path / "none.png"))
    assert one.count("commands_refused") == 3
    one.do(command="stop")
    wait_until(lambda: not one.daemon.running)


@pytest.mark.slow
def test_a_photo_becomes_the_avatar_while_frames_go_on(start, shared: Path) -> None:
    photo = next((shared / "data" / "portraits").rglob("*.jpg"))
    one = start(replace(SMALL, models=shared / "models"), sinks=[MemorySink()])
    one.shows()
    before = one.count("frames_shown")
    one.do(command="avatar", path=str(photo))
    state = one.daemon.metrics.snapshot
    wait_until(lambda: state()["state"]["avatar"] != "astronaut", timeout_s=120.0)
    assert state()["state"]["picture_problem"] == ""
    assert one.count("frames_shown") > before + 20


def test_pause_and_mute_close_the_mouth_and_panic_shows_black(start) -> None:
    class Tap:
        loud = False

        def push(self, block: AudioBlock) -> None:
            self.loud = bool(block.samples.any())

    tap, sink = Tap(), MemorySink(keep=True)
    one = start(sinks=[sink], taps=[tap])
    wait_until(lambda: tap.loud)
    for on, off in (("pause", "resume"), ("mute", "unmute")):
        one.do(command=on)
        time.sleep(0.05)
        wait_until(lambda: not tap.loud)
        before = len(sink.pixels)
        one.shows(60)
        moved = np.array(sink.pixels[before + 30 :]).astype(int)
        assert np.abs(np.diff(moved, axis=0)).max() > 0, "the avatar breathes"
        one.do(command=off)
        wait_until(lambda: tap.loud)
    one.do(command="mute")
    one.do(command="pause")
    one.do(command="resume")
    time.sleep(0.1)
    assert one.daemon.status()["state"]["muted"] and not tap.loud
    one.do(command="unmute")
    one.do(command="panic", mode="black")
    wait_until(lambda: not sink.pixels[-1].any())
    one.do(command="panic", mode="freeze")
    one.shows(4)
    sent = len(sink.frames)
    one.shows(20)
    assert len({frame[2] for frame in sink.frames[sent:]}) == 1, "one picture, again and again"
    one.do(command="calm")
    wait_until(lambda: bool(sink.pixels[-1].any()))
    wait_until(lambda: tap.loud)


def test_ten_thousand_commands_a_second_cost_no_frames(start) -> None:
    one = start(config=PipelineConfig(width_px=96, height_px=64, fps=25), sinks=[MemorySink()])
    one.shows()
    shown, begun = one.count("frames_shown"), time.monotonic()
    commands = [check_command({"command": "gaze", "x": x % 30, "y": 0}) for x in range(1000)]
    for second in range(3):
        for round_ in range(10):
            for command in commands:
                one.daemon.handle(command)
            due = begun + second + (round_ + 1) / 10
            time.sleep(max(0.0, due - time.monotonic()))
    took = time.monotonic() - begun
    assert one.count("commands") >= 30_000
    assert one.count("frames_shown") - shown > 0.8 * 25 * took - 3
    assert one.daemon._controls.gaze_deg == (commands[-1]["x"], 0.0)


def test_one_failing_output_does_not_stop_the_others(start, caplog) -> None:
    class Failing(MemorySink):
        def send(self, frame: np.ndarray, *times: int) -> None:
            raise OSError("disk full")

    class Absent(MemorySink):
        def open(self) -> None:
            raise InputError("no camera; load the module.")

    gate = threading.Event()

    class Stalling(MemorySink):
        def send(self, frame: np.ndarray, *times: int) -> None:
            gate.wait(30.0)

    good = MemorySink("good")
    one = start(sinks=[Failing("full"), Absent("absent"), Stalling("stuck"), good])
    wait_until(lambda: len(good.frames) > 80)
    states = {sink["name"]: sink for sink in one.daemon.status()["sinks"]}
    assert states["good"]["state"] == "open" and states["good"]["problem"] == ""
    assert "disk full" in states["full"]["problem"]
    assert "load the module" in states["absent"]["problem"]
    assert states["stuck"]["state"] == "stalled"
    assert good.frames[-1][2] > 60, "pictures are not held up by those that are stuck"
    assert one.end() < 2.0
    gate.set()


def test_transparency_is_drawn_only_while_somebody_watches_it(start) -> None:
    class Source(MemorySink):
        alpha_watched = False

        def send_both(self, rgb, rgba, *times: int) -> None:
            self.frames.append((*times, 0 if rgba is None else 1))

    source, camera = Source(alpha=True), MemorySink("camera")
    run = start(sinks=[source, camera])
    run.shows()
    assert {drawn for *_, drawn in source.frames} == {0}
    source.alpha_watched = True
    run.shows()
    assert source.frames[-1][-1] == 1
    source.alpha_watched = False
    run.shows()
    assert source.frames[-1][-1] == 0 and camera.frames
    run.end()


def test_the_source_is_lost_and_comes_back(start, caplog) -> None:
    """Frames go on without it, the avatar breathes, and it speaks again afterwards."""

    class Unplugged(FileSource):
        gone = False

        def start(self) -> None:
            if self.gone:
                raise InputError("no microphone.")
            super().start()

        def read(self, timeout_s: float):
            if self.gone:
                from vasa_cam.audio.blocks import SourceLostError

                raise SourceLostError("the microphone is gone")
            return super().read(timeout_s)

    source, sink = Unplugged(SPEECH, loop=True), MemorySink()
    one = start(source=source, sinks=[sink])
    one.shows(40)
    source.gone = True
    wait_until(lambda: one.daemon.status()["source"]["state"] == "lost")
    before = one.count("motion_frames")
    one.shows(60)
    assert one.count("motion_frames") - before > 20, "silence keeps the motion going"
    source.gone = False
    wait_until(lambda: one.daemon.status()["source"]["state"] == "live")
    one.shows(40)
    assert one.count("source_losses") == 1


def test_a_source_that_cannot_be_opened_ends_it_before_anything_began(start) -> None:
    source, sink = TonePieces(), MemorySink()
    source.refuse = True
    one = start(source=source, sinks=[sink])
    wait_until(lambda: one.error is not None)
    assert isinstance(one.error, InputError) and sink.opened == 0


def test_it_ends_with_its_source_when_told_to(start) -> None:
    sink = MemorySink()
    config = PipelineConfig(width_px=96, height_px=64, stop_at_end=True)
    source = FileSource(SPEECH, speed=20.0)
    one = start(config=config, source=source, sinks=[sink])
    wait_until(lambda: not one._thread.is_alive())
    assert one.error is None and sink.closed == 1


def test_metrics_are_written_as_json_lines(start, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    config = PipelineConfig(width_px=96, height_px=64, metrics_file=path, metrics_interval_s=0.2)
    one = start(config=config, source=SilenceSource(), sinks=[MemorySink()])
    wait_until(lambda: path.exists() and path.read_text().count("\n") >= 4)
    one.end()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[-1]["counters"]["frames_shown"] > lines[1]["counters"]["frames_shown"]
    assert lines[-1]["uptime_s"] > lines[0]["uptime_s"]


_PROGRAM = """
import sys, time
from pathlib import Path
from vasa_cam.audio.paced import FileSource
from vasa_cam.avatar.file import load_avatar
from vasa_cam.live.daemon import LiveDaemon
from vasa_cam.live.pipeline_config import PipelineConfig
from vasa_cam.live.signals import stop_on_signals
from vasa_cam.output.null import NullSink
folder = Path(sys.argv[1])
class Telling(NullSink):
    def send(self, *frame):
        super().send(*frame)
        if self.sent % 10 == 0:
            state = daemon.status()["state"]["panic"]
            print("frame", self.sent, state, flush=True)
    def close(self):
        print("closed", flush=True)
daemon = LiveDaemon(PipelineConfig(96, 64), load_avatar(folder / "astronaut.vasa"),
                    FileSource(folder / "demo_speech.flac", loop=True), [Telling()])
with stop_on_signals(daemon):
    daemon.run()
print("ended", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX systems")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signals_stop_it_in_order(name: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(ASSETS)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("frame 10 None")
        process.send_signal(signal.SIGUSR1)
        while (line := process.stdout.readline()).split()[2] == "None":
            pass
        assert line.split()[2] == "photo"
        process.send_signal(signal.SIGUSR1)
        while process.stdout.readline().split()[2] != "None":
            pass
        begun = time.monotonic()
        process.send_signal(getattr(signal, name))
        rest, _ = process.communicate(timeout=20)
        assert time.monotonic() - begun < 3.0, "a second, and the interpreter's own end"
    finally:
        process.kill()
        process.wait()
    assert rest.endswith("closed\nended\n")
    assert process.returncode == 0
