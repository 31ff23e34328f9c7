"""The pacer: at every deadline the newest picture goes to all outputs, or the one before again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from vasa_cam.live.clock import MONOTONIC, NS_A_SECOND, Clock
from vasa_cam.live.frame_grid import FrameGrid, next_step
from vasa_cam.live.mailbox import Mailbox
from vasa_cam.live.metrics import Metrics
from vasa_cam.live.pictures import LentFrame, PicturePool
from vasa_cam.live.render_stage import SLICE_NS
from vasa_cam.live.sink_worker import SinkWorker
from vasa_cam.live.stage_thread import StageThread

_GRACE: Final = 0.25  # of a period: so long a deadline waits for a picture that is being drawn

_log = logging.getLogger(__name__)


class Pacer(StageThread):
    """Serves deadlines from `slot` to the workers. Runs until `stop`."""

    def __init__(
        self,
        grid: FrameGrid,
        slot: Mailbox[LentFrame],
        workers: Sequence[SinkWorker],
        pool: PicturePool,
        metrics: Metrics,
        clock: Clock = MONOTONIC,
    ) -> None:
        super().__init__("pacer")
        self._grid = grid
        self._slot = slot
        self._workers = workers
        self._pool = pool
        self._metrics = metrics
        self._clock = clock
        self._shown: LentFrame | None = None
        self._handed_ns: int | None = None

    def _run(self) -> None:
        index = self._grid.index_from(self._clock.now_ns()) - 1
        while not self._stopping.is_set():
            try:
                index = self._serve_next(index)
            except Exception:
                _log.exception("the pacer met something unforeseen")
                self._stopping.wait(0.1)
        if self._shown is not None:
            self._pool.let_go(self._shown.picture)

    def _serve_next(self, last_index: int) -> int:
        """Sleep until the next deadline and serve it; returns its index."""
        late_ns = self._grid.period_ns // 2  # up to here a deadline is served late
        step = next_step(self._grid, last_index, self._clock.now_ns() - late_ns)
        self._metrics.count("deadlines_missed", step.missed)
        self._metrics.count("clock_jumps", step.jumped)
        deadline_ns = self._grid.time_ns(step.index)
        while (now_ns := self._clock.now_ns()) < deadline_ns:
            if self._stopping.is_set():
                return step.index
            self._clock.sleep_until(min(deadline_ns, now_ns + SLICE_NS))
            if now_ns - self._clock.now_ns() > NS_A_SECOND:
                return step.index  # the clock was set back: choose anew
        if now_ns - deadline_ns > late_ns:
            return step.index - 1  # slept past it: choose anew
        self._hand_over(deadline_ns)
        return step.index

    def _hand_over(self, deadline_ns: int) -> None:
        early_ns = deadline_ns + self._grid.period_ns // 2
        lent = self._slot.take(
            _GRACE * self._grid.period_ns / NS_A_SECOND,
            lambda item: item.frame.shown_ns < early_ns,
        )
        if lent is None:
            if self._shown is None:
                return  # nothing was drawn yet
            lent = replace(self._shown, repeat=True)
            self._metrics.count("frames_repeated")
        elif self._shown is not None:
            self._pool.let_go(self._shown.picture)
        if lent.frame.shown_ns != deadline_ns:  # drawn for an earlier one, and late
            lent = replace(lent, frame=replace(lent.frame, shown_ns=deadline_ns))
        self._shown = lent
        now_ns = self._clock.now_ns()
        for worker in self._workers:
            worker.offer(lent)
        self._metrics.count("frames_shown")
        if self._handed_ns is not None:
            self._metrics.hops["frame_interval"].add_ns(now_ns - self._handed_ns)
        self._handed_ns = now_ns
