"""Speech that a program sends: bytes split anywhere, sent too fast, too slowly, or broken off."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sound_support import FakeClock

from vasa_cam.audio.pcm import BUFFER_S, JITTER_MS, PcmSource

RATE_HZ = 16_000


def take(source: PcmSource, blocks: int) -> np.ndarray:
    """So many blocks as int16, as many as there are."""
    parts = [source.read(1.0) for _ in range(blocks)]
    samples = np.concatenate([np.zeros(0), *(part.samples for part in parts if part is not None)])
    return np.rint(samples * 32768).astype(np.int16)


def loud(count: int, start: int = 1) -> np.ndarray:
    """Samples that say which they are, none of them quiet: int16 [count]."""
    return (np.arange(start, start + count) % 20_000 + 5_000).astype("<i2")


@given(sizes=st.lists(st.integers(0, 700), max_size=40))
def test_bytes_split_anywhere_are_the_same_samples(sizes: list[int]) -> None:
    source = PcmSource(clock=FakeClock())
    source.start()
    data = loud(sum(sizes) // 2).tobytes() + b"\x07" * (sum(sizes) % 2)
    for size in sizes:
        assert source.feed(data[:size]) == 0
        data = data[size:]
    source.close()
    got = take(source, 2 + sum(sizes) // 320)
    np.testing.assert_array_equal(got[: sum(sizes) // 2], loud(sum(sizes) // 2))
    assert not got[sum(sizes) // 2 :].any()
    assert source.ended and source.drops == 0


def test_a_sentence_sent_at_once_is_spoken_in_real_time() -> None:
    clock = FakeClock()
    source = PcmSource(clock=clock)
    source.start()
    start_ns = clock.now
    assert not take(source, 5).any()
    source.feed(loud(3 * RATE_HZ).tobytes())
    assert source.buffered_s == 3.0
    np.testing.assert_array_equal(take(source, 300), loud(3 * RATE_HZ))
    assert clock.now - start_ns == 3_050_000_000
    assert not take(source, 5).any()
    assert source.underruns == 1


def test_speech_begins_when_a_little_has_arrived() -> None:
    source = PcmSource(clock=FakeClock())
    source.start()
    blocks_needed = JITTER_MS // 10
    for k in range(blocks_needed - 1):
        source.feed(loud(160, 1 + 160 * k).tobytes())
        assert not take(source, 1).any()
    source.feed(loud(160, 1 + 160 * (blocks_needed - 1)).tobytes())
    np.testing.assert_array_equal(take(source, 1), loud(160))


def test_a_very_short_word_is_not_kept_for_ever() -> None:
    source = PcmSource(clock=FakeClock())
    source.start()
    source.feed(loud(100).tobytes())
    got = take(source, 40)
    np.testing.assert_array_equal(got[got != 0], loud(100))


def test_what_finds_no_room_is_counted_and_whole_samples_are_lost() -> None:
    source = PcmSource(clock=FakeClock())
    source.start()
    limit = 2 * round(BUFFER_S * RATE_HZ)
    # The last byte of the first part is half a sample.
    assert source.feed(loud(limit // 2 - 1).tobytes() + b"\x01") == 0
    assert source.feed(b"\x10" + loud(50).tobytes()) == 100
    assert source.drops == 50
    last = take(source, limit // 320)[-1]
    assert last == 0x1001


def test_an_interrupted_agent_is_silent_at_once() -> None:
    source = PcmSource(clock=FakeClock())
    source.start()
    source.feed(loud(RATE_HZ).tobytes())
    assert take(source, 10).all()
    source.clear()
    assert not take(source, 30).any()
    source.feed(loud(RATE_HZ, 7).tobytes())
    np.testing.assert_array_equal(take(source, 1), loud(160, 7))


def test_a_sender_whose_clock_is_fast_never_gets_far_ahead() -> None:
    source = PcmSource(clock=FakeClock())
    source.start()
    word, pause = loud(1_600), np.zeros(1_600, "<i2")
    source.feed(np.tile(loud(160), 6).tobytes())
    levels = []
    for second in range(180):
        # 1 % fast: a hundred times worse than real clocks.
        extra = np.zeros(160, "<i2")
        source.feed(np.concatenate([*[word, pause] * 5, extra]).tobytes())
        assert len(take(source, 100)) == RATE_HZ
        if second > 60:
            levels.append(source.buffered_s)
    assert max(levels) - min(levels) < 0.05
    assert source.drops == 0


def test_a_stream_is_read_to_its_end_whatever_its_length() -> None:
    total = round(2.5 * BUFFER_S * RATE_HZ)
    reader, writer = os.pipe()

    def send() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(loud(total).tobytes())

    sender = threading.Thread(target=send)
    sender.start()
    with os.fdopen(reader, "rb") as pipe:
        source = PcmSource(pipe, clock=FakeClock())
        source.start()
        got: list[np.ndarray] = []
        while not source.ended:
            block = source.read(1.0)
            if block is not None:
                got.append(np.rint(block.samples * 32768).astype(np.int16))
        sender.join()
    samples = np.concatenate(got)
    # Time flies here: where the pipe could not follow there is silence, but nothing is lost.
    np.testing.assert_array_equal(samples[samples != 0], loud(total))
    assert source.drops == 0


@pytest.mark.parametrize("source", ["ws", "pcm:-"])
def test_standard_input_drives_it_from_a_process(source: str) -> None:
    script = (
        "import sys\nfrom vasa_cam.audio import audio_source\n"
        f"s = audio_source({source!r}); s.start(); heard = 0\n"
        "for _ in range(40):\n"
        "    b = s.read(0.1)\n"
        "    heard += 0 if b is None else int((b.samples != 0).sum())\n"
        "    if s.ended: break\n"
        "print(heard)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=loud(1_000).tobytes(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert int(done.stdout) == (1_000 if source == "pcm:-" else 0)
