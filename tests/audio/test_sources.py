"""Names of sources, and those that no device paces: files and silence."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from sound_support import FakeClock

from vasa_cam.audio import SourceLostError, audio_source, read_speech, stereo_blocks
from vasa_cam.audio.blocks import NS_A_SECOND, AudioBlock
from vasa_cam.audio.microphone import MicrophoneSource, MonitorSource
from vasa_cam.audio.paced import FileSource, SilenceSource
from vasa_cam.audio.pcm import PcmSource
from vasa_cam.errors import InputError, VasaCamError

REPOSITORY = Path(__file__).resolve().parents[2]
SPEECH = REPOSITORY / "vasa_cam" / "assets" / "demo_speech.flac"


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("mic", MicrophoneSource),
        ("mic:3", MicrophoneSource),
        ("mic:Blue Yeti: left", MicrophoneSource),
        ("monitor", MonitorSource),
        ("monitor:speakers", MonitorSource),
        (f"file:{SPEECH}", FileSource),
        ("pcm:-", PcmSource),
        ("ws", PcmSource),
        ("silence", SilenceSource),
    ],
)
def test_every_kind_of_source_has_a_name(
    spec: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    assert type(audio_source(spec)) is kind


@pytest.mark.parametrize("spec", ["", "radio", "file:", "pcm:file.raw", "silence:2", "ws:8080"])
def test_other_names_are_refused_with_the_list(spec: str) -> None:
    with pytest.raises(InputError, match=r"expected mic, mic:NAME_OR_INDEX, monitor"):
        audio_source(spec)


def test_a_terminal_is_no_pcm_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = os.openpty()
    with os.fdopen(follower, "r") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        with pytest.raises(InputError, match=r"16-bit, little-endian, mono, 16 kHz.*terminal"):
            audio_source("pcm:-")
    os.close(leader)


def test_a_missing_file_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        audio_source(f"file:{tmp_path / 'none.wav'}")


def test_lost_is_one_of_our_errors() -> None:
    assert issubclass(SourceLostError, VasaCamError)


def read_all(source: FileSource, seconds: float) -> list[AudioBlock]:
    """Blocks until the source ends or so many seconds of sound have come."""
    blocks: list[AudioBlock] = []
    while not source.ended and sum(len(b.samples) for b in blocks) < seconds * source.rate_hz:
        block = source.read(0.5)
        if block is not None:
            blocks.append(block)
    return blocks


def test_a_file_comes_in_real_time_and_whole() -> None:
    clock = FakeClock()
    source = FileSource(SPEECH, clock=clock)
    source.start()
    start_ns = clock.now
    blocks = read_all(source, 1e9)
    want = np.concatenate([part.mean(axis=1) for part in stereo_blocks(SPEECH)])
    got = np.concatenate([block.samples for block in blocks])
    np.testing.assert_allclose(got, want, atol=1e-6)
    times = [block.capture_ns for block in blocks]
    np.testing.assert_array_equal(np.diff(times), 10_000_000)
    assert times[0] == start_ns
    # The last sample was captured when it was handed out, and not before.
    assert 0 <= clock.now - blocks[-1].end_ns <= 10_000_000
    assert source.ended and source.read(0.1) is None
    source.stop()


def test_speed_and_block_length_change_the_times_only() -> None:
    clock = FakeClock()
    source = FileSource(SPEECH, block_ms=20, speed=10.0, clock=clock)
    source.start()
    blocks = read_all(source, 1.0)
    assert {len(block.samples) for block in blocks} == {source.rate_hz // 50}
    np.testing.assert_array_equal(np.diff([block.capture_ns for block in blocks]), 2_000_000)
    source.stop()


def test_a_looped_file_goes_on_without_a_gap() -> None:
    source = FileSource(SPEECH, loop=True, clock=FakeClock())
    whole = read_speech(SPEECH)
    source.start()
    samples = np.concatenate([block.samples for block in read_all(source, 2.5 * len(whole) / 16e3)])
    source.stop()
    if source.rate_hz == 16_000:
        np.testing.assert_allclose(samples[: 2 * len(whole)], np.tile(whole, 2), atol=1e-6)
    assert not source.ended


def test_a_stopped_file_starts_again_at_its_beginning() -> None:
    source = FileSource(SPEECH, clock=FakeClock())
    firsts = []
    for _ in range(2):
        source.start()
        firsts.append(np.concatenate([block.samples for block in read_all(source, 0.5)]))
        source.stop()
    np.testing.assert_array_equal(*firsts)


def test_nothing_comes_before_it_is_due() -> None:
    clock = FakeClock()
    source = SilenceSource(clock=clock)
    source.start()
    start_ns = clock.now
    assert source.read(0.004) is None
    assert clock.now - start_ns == 4_000_000
    block = source.read(0.1)
    assert block is not None and not block.samples.any()
    assert (block.capture_ns, clock.now) == (start_ns, start_ns + 10_000_000)


def test_after_a_suspended_minute_blocks_come_one_at_a_time() -> None:
    clock = FakeClock()
    source = FileSource(SPEECH, clock=clock)
    source.start()
    read_all(source, 0.5)
    clock.now += 60 * NS_A_SECOND
    before_ns = clock.now
    blocks = read_all(source, 0.3)
    assert blocks[0].end_ns == before_ns
    assert clock.now - before_ns == pytest.approx(290_000_000, abs=1)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        FileSource(SPEECH, speed=speed)
