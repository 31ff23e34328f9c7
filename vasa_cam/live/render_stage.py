"""The render thread: for each deadline the picture of one delay earlier, begun early enough."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.live.clock import MONOTONIC, NS_A_MS, NS_A_SECOND, Clock
from vasa_cam.live.delay import DelayControl
from vasa_cam.live.frame_grid import FrameGrid, next_step
from vasa_cam.live.mailbox import Mailbox
from vasa_cam.live.messages import Bytes, Frame
from vasa_cam.live.metrics import Metrics
from vasa_cam.live.panic import PanicScreen
from vasa_cam.live.pictures import LentFrame, PicturePool
from vasa_cam.live.scene_keeper import SceneKeeper
from vasa_cam.live.stage_thread import StageThread
from vasa_cam.live.timeline import MotionTimeline
from vasa_cam.motion.space import MOTION_SIZE

Floats = npt.NDArray[np.float32]

SLICE_NS: Final = 200 * NS_A_MS
"""Longest sleep, so that a stop is noticed."""

_KEPT: Final = 100  # drawing times
_SLACK_NS: Final = 2 * NS_A_MS
_LONGEST_LEAD_NS: Final = 100 * NS_A_MS

_log = logging.getLogger(__name__)


class DrawingTime:
    """How long before a deadline to begin. lead_ns: 95 % of recent pictures took less."""

    def __init__(self, first_guess_ns: int) -> None:
        self._taken_ns: deque[int] = deque(maxlen=_KEPT)
        self.lead_ns = first_guess_ns + _SLACK_NS

    def took(self, duration_ns: int) -> None:
        """One more picture."""
        self._taken_ns.append(duration_ns)
        if len(self._taken_ns) % 10 == 0 or len(self._taken_ns) == 1:
            ordered = sorted(self._taken_ns)
            usual_ns = ordered[round(0.95 * (len(ordered) - 1))]
            # In whole milliseconds, so that the delay does not follow every breath of it.
            lead_ns = -(-(usual_ns + _SLACK_NS) // NS_A_MS) * NS_A_MS
            self.lead_ns = min(lead_ns, _LONGEST_LEAD_NS)


class RenderStage(StageThread):
    """Draws into the slot that the pacer takes from. Runs until `stop`.

    wants_alpha: asked for every picture, whether rgba is drawn where the pool's pictures have it.
    """

    def __init__(
        self,
        grid: FrameGrid,
        timeline: MotionTimeline,
        delay: DelayControl,
        keeper: SceneKeeper,
        panic: PanicScreen,
        pool: PicturePool,
        metrics: Metrics,
        clock: Clock = MONOTONIC,
    ) -> None:
        super().__init__("render")
        self.slot: Mailbox[LentFrame] = Mailbox()
        self.wants_alpha: Callable[[], bool] = lambda: True
        self._grid = grid
        self._timeline = timeline
        self._delay = delay
        self._keeper = keeper
        self._panic = panic
        self._pool = pool
        self._metrics = metrics
        self._clock = clock
        self._drawing = DrawingTime(grid.period_ns // 3)
        self._motion: Floats = np.zeros(MOTION_SIZE, np.float32)
        self._sequence = 0
        self._waits_until_ns = 0  # deadline of the last picture

    def _run(self) -> None:
        index = self._grid.index_from(self._clock.now_ns()) - 1
        while not self._stopping.is_set():
            try:
                index = self._serve_next(index)
            except Exception:
                _log.exception("the render thread met something unforeseen")
                self._stopping.wait(0.1)
        if (left := self.slot.close()) is not None:
            self._pool.let_go(left.picture)

    def _serve_next(self, last_index: int) -> int:
        """Sleep until the next picture is to be begun and draw it; returns its index."""
        lead_ns = self._drawing.lead_ns
        # A deadline that can still be met a little late is better served late than left out.
        lateness_ns = min(lead_ns, self._grid.period_ns // 4)
        earliest_ns = self._clock.now_ns() + lead_ns - lateness_ns
        step = next_step(self._grid, last_index, earliest_ns)
        self._metrics.count("pictures_skipped", step.missed)
        deadline_ns = self._grid.time_ns(step.index)
        # A picture that waits for its deadline must not be overwritten.
        begin_ns = deadline_ns - lead_ns
        if 0 < self._waits_until_ns - begin_ns < _LONGEST_LEAD_NS:
            begin_ns = self._waits_until_ns
        while (now_ns := self._clock.now_ns()) < begin_ns:
            if self._stopping.is_set():
                return step.index
            self._clock.sleep_until(min(begin_ns, now_ns + SLICE_NS))
            if now_ns - self._clock.now_ns() > NS_A_SECOND:
                return step.index  # the clock was set back: choose anew
        if now_ns - begin_ns <= self._grid.period_ns:
            self._draw_for(deadline_ns)
            return step.index
        return step.index - 1  # slept past it: choose anew

    def _draw_for(self, deadline_ns: int) -> None:
        begun_ns = self._clock.now_ns()
        self._delay.drawing_takes(self._drawing.lead_ns)
        shown_ns = deadline_ns - self._delay.update(begun_ns)
        sample = self._timeline.sample(shown_ns, self._motion)
        if sample is not None:
            shown_ns = sample.capture_ns
            self._metrics.count("motion_held", sample.held_ns > 0)
        picture = self._pool.borrow()
        if picture is None:  # every picture is held by outputs that stall
            self._metrics.count("pictures_skipped")
            return
        rgba = picture.rgba if self.wants_alpha() else None
        if not self._draw(picture.rgb, rgba, begun_ns):
            self._pool.let_go(picture)
            return
        done_ns = self._clock.now_ns()
        self._drawing.took(done_ns - begun_ns)
        self._metrics.count("pictures_drawn")
        self._metrics.hops["render"].add_ns(done_ns - begun_ns)
        if sample is not None and sample.held_ns == 0:
            self._metrics.hops["motion_to_render"].add_ns(begun_ns - sample.arrival_ns)
        self._sequence += 1
        frame = Frame(picture.rgb, rgba, shown_ns, deadline_ns, self._sequence)
        self._waits_until_ns = deadline_ns
        replaced = self.slot.put(LentFrame(frame, picture, done_ns))
        if replaced is not None:
            self._pool.let_go(replaced.picture)

    def _draw(self, rgb: Bytes, rgba: Bytes | None, now_ns: int) -> bool:
        if self._panic.mode is not None:
            return self._panic.draw(self._keeper, rgb, rgba, now_ns)
        return self._keeper.draw(self._motion, rgb, rgba, now_ns)
