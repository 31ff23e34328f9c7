"""The pacer under a clock of the test's own: even deadlines, repeats, misses, jumps, no backlog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise

import pytest
from live_support import MS, SECOND, VirtualClock

from vasa_cam.live.frame_grid import FrameGrid
from vasa_cam.live.mailbox import Mailbox
from vasa_cam.live.messages import Frame
from vasa_cam.live.metrics import Metrics
from vasa_cam.live.pacer import Pacer
from vasa_cam.live.pictures import LentFrame, PicturePool


class Taker:
    """Stands where outputs do; remembers when it was offered what."""

    def __init__(self, clock: VirtualClock) -> None:
        self.offers: list[tuple[int, LentFrame]] = []
        self._clock = clock

    def offer(self, lent: LentFrame) -> None:
        self.offers.append((self._clock.now_ns(), lent))

    @property
    def sequences(self) -> list[int]:
        return [lent.frame.sequence for _, lent in self.offers]


class Bench:
    """A pacer, what it takes from, and what came out."""

    def __init__(self, fps: int) -> None:
        self.clock = VirtualClock(sleepers=1)
        self.start_ns = self.clock.now_ns()
        self.grid = FrameGrid(Fraction(fps), self.start_ns)
        self.slot: Mailbox[LentFrame] = Mailbox()
        self.pool = PicturePool(2, 2, False, 8)
        self.metrics = Metrics()
        self.taker = Taker(self.clock)
        self.pacer = Pacer(self.grid, self.slot, [self.taker], self.pool, self.metrics, self.clock)  # type: ignore[list-item]
        self.pacer.start()

    def draw(self, index: int) -> None:
        picture = self.pool.borrow()
        assert picture is not None
        shown_ns = self.grid.time_ns(index)
        frame = Frame(picture.rgb, None, shown_ns - 150 * MS, shown_ns, index)
        replaced = self.slot.put(LentFrame(frame, picture, self.clock.now_ns()))
        if replaced is not None:
            self.pool.let_go(replaced.picture)

    def end(self) -> None:
        self.pacer.stop()
        self.clock.free()
        assert self.pacer.join(10.0)


@pytest.fixture
def bench() -> Iterator[Callable[[int], Bench]]:
    benches: list[Bench] = []

    def make(fps: int) -> Bench:
        benches.append(Bench(fps))
        return benches[-1]

    yield make
    for one in benches:
        one.end()
        assert one.pool.lent == one.slot.depth, "every picture is given back"


@pytest.mark.parametrize("fps", [25, 30, 40, 50, 60])
def test_every_deadline_is_kept_to_the_nanosecond(bench, fps: int) -> None:
    one = bench(fps)
    one.clock.run(0.5 / fps)
    for index in range(1, fps + 1):
        one.draw(index)
        one.clock.run(1 / fps)
    offers = one.taker.offers
    assert len(offers) == fps
    for moment, lent in offers:
        assert moment == lent.frame.shown_ns == one.grid.time_ns(lent.frame.sequence)
    assert one.metrics.counter("frames_repeated") == one.metrics.counter("deadlines_missed") == 0
    assert one.metrics.hops["frame_interval"].quantiles()["max"] == pytest.approx(1e3 / fps, abs=1)


def test_nothing_is_shown_before_anything_was_drawn(bench) -> None:
    one = bench(40)
    one.clock.run(0.5)
    assert one.taker.offers == []


def test_without_news_the_last_picture_is_repeated(bench) -> None:
    one = bench(40)
    one.draw(0)
    one.clock.run(0.25)
    sequences = one.taker.sequences
    assert len(sequences) >= 9 and set(sequences) == {0}
    assert [lent.repeat for _, lent in one.taker.offers] == [False] + [True] * (len(sequences) - 1)
    shown = [lent.frame.shown_ns for _, lent in one.taker.offers]
    assert shown == [one.grid.time_ns(index) for index in range(len(shown))]
    assert {lent.frame.capture_ns for _, lent in one.taker.offers} == {shown[0] - 150 * MS}
    assert one.metrics.counter("frames_repeated") == len(sequences) - 1


def test_the_newest_wins_and_old_ones_never_queue_up(bench) -> None:
    one = bench(40)
    one.clock.run(0.01)
    for index in range(5):
        one.draw(index)
        one.draw(index)
    one.clock.run(0.2)
    assert set(one.taker.sequences) == {4}
    assert one.slot.drops == 9


def test_a_picture_that_is_early_waits_for_its_deadline(bench) -> None:
    one = bench(40)
    one.draw(0)
    one.clock.run(0.001)
    one.draw(4)
    one.clock.run(0.2)
    first = next(lent for _, lent in one.taker.offers if lent.frame.sequence == 4)
    assert first.frame.shown_ns == one.grid.time_ns(4)


@pytest.mark.parametrize("seconds", [60.0, -60.0])
def test_a_jump_of_the_clock_leaves_no_debt(bench, seconds: float) -> None:
    """A suspension of a minute, or a clock set back: serving goes on at once, at the old pace."""
    one = bench(40)
    one.draw(0)
    one.clock.run(0.5)
    before = len(one.taker.offers)
    one.clock.jump(seconds)
    one.clock.run(0.5)
    assert 19 <= len(one.taker.offers) - before <= 21
    assert one.metrics.counter("clock_jumps") == 1
    assert one.metrics.counter("deadlines_missed") == 0
    moments = [moment for moment, _ in one.taker.offers[before + 1 :]]
    assert all(b - a == pytest.approx(SECOND / 40, abs=1) for a, b in pairwise(moments))


def test_a_short_stall_is_counted_and_not_made_up_for(bench) -> None:
    one = bench(40)
    one.draw(0)
    one.clock.run(0.5)
    before = len(one.taker.offers)
    one.clock.jump(0.3)
    one.clock.run(0.2)
    assert 8 <= len(one.taker.offers) - before <= 10
    assert 10 <= one.metrics.counter("deadlines_missed") <= 12
    assert one.metrics.counter("clock_jumps") == 0
