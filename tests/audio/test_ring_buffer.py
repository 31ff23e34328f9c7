"""The ring between a callback and a thread: order, loss, and what happens on two threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.audio.ring_buffer import RingBuffer

# Positive: write so many frames. Negative: read so many. Zero: skip three.
STEPS = st.lists(st.integers(-40, 40), max_size=60)


def numbered(start: int, count: int, channels: int) -> np.ndarray:
    """Frames that say which they are: float32 [count, channels]."""
    frames = np.arange(start, start + count, dtype=np.float32)
    return frames[:, None] + np.arange(channels, dtype=np.float32) / 8


@given(steps=STEPS, capacity=st.integers(1, 50), channels=st.integers(1, 3))
def test_any_split_of_writes_and_reads_keeps_the_order(
    steps: list[int], capacity: int, channels: int
) -> None:
    ring = RingBuffer(capacity, channels)
    waiting: list[int] = []
    offered = lost = 0
    for step in steps:
        if step > 0:
            fitted = ring.write(numbered(offered, step, channels))
            assert fitted == min(step, capacity - len(waiting))
            waiting += range(offered, offered + fitted)
            offered, lost = offered + step, lost + step - fitted
        elif step == 0:
            skipped = ring.skip(3)
            assert skipped == min(3, len(waiting))
            waiting = waiting[skipped:]
        else:
            out = np.full((-step, channels), -1.0, np.float32)
            peeked = out.copy()
            assert ring.peek(peeked) == min(-step, len(waiting))
            count = ring.read(out)
            expected, waiting = waiting[:count], waiting[count:]
            assert count == min(-step, len(expected) + len(waiting))
            want = np.array(expected, np.float32)[:, None] + np.arange(channels) / 8
            np.testing.assert_array_equal(out[:count], want)
            np.testing.assert_array_equal(out[count:], -1.0)
            np.testing.assert_array_equal(out, peeked)
        assert ring.available == len(waiting)
        assert ring.free == capacity - len(waiting)
        assert ring.overflow == lost
        assert ring.written - ring.consumed == ring.available


def test_two_threads_hand_over_every_frame_in_order() -> None:
    ring = RingBuffer(1000)
    total = 200_000
    got = np.zeros((total, 1), np.float32)

    def write() -> None:
        sent = 0
        while sent < total:
            count = min(total - sent, 1 + sent % 331, ring.free)
            sent += ring.write(numbered(sent, count, 1))

    writer = threading.Thread(target=write)
    writer.start()
    received = 0
    while received < total:
        received += ring.read(got[received : received + 257])
    writer.join()
    np.testing.assert_array_equal(got[:, 0], np.arange(total, dtype=np.float32))
    assert ring.overflow == 0


def test_neither_side_allocates_memory_for_samples() -> None:
    import tracemalloc

    ring = RingBuffer(48_000, 2)
    block, out = np.zeros((4_800, 2), np.float32), np.zeros((4_800, 2), np.float32)
    tracemalloc.start()
    try:
        for _ in range(100):
            ring.write(block)
            ring.read(out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Views and numbers come and go; a block would be 38 kB.
    assert peak < 8_000


@pytest.mark.parametrize(("capacity", "channels"), [(0, 1), (10, 0)])
def test_a_ring_without_room_is_refused(capacity: int, channels: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RingBuffer(capacity, channels)
