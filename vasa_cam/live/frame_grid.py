"""When frames are due: an even grid on the clock that nothing moves, so that no error adds up."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from vasa_cam.live.clock import NS_A_SECOND


@dataclass(frozen=True)
class FrameGrid:
    """Deadlines origin_ns + k / fps for every whole k, rounded to a nanosecond."""

    fps: Fraction
    origin_ns: int

    @property
    def period_ns(self) -> int:
        """Time between two deadlines, rounded."""
        return round(NS_A_SECOND / self.fps)

    def time_ns(self, index: int) -> int:
        """The deadline of a frame."""
        return self.origin_ns + round(index * NS_A_SECOND / self.fps)

    def index_from(self, moment_ns: int) -> int:
        """The first frame whose deadline is at this moment or after it."""
        exact = Fraction(moment_ns - self.origin_ns) * self.fps / NS_A_SECOND
        index = -(-exact.numerator // exact.denominator)
        # Deadlines are rounded, so the neighbour may be due at this very nanosecond.
        return index - 1 if self.time_ns(index - 1) >= moment_ns else index


@dataclass(frozen=True)
class Step:
    """The next frame to serve. missed: deadlines left out before it. jumped: the clock did."""

    index: int
    missed: int
    jumped: bool


def next_step(grid: FrameGrid, last_index: int, from_ns: int, jump_ns: int = NS_A_SECOND) -> Step:
    """The frame after `last_index`, or, where that is due before `from_ns`, the first that is not.

    More than `jump_ns` off the grid in either direction is no missed deadline but a clock that was
    set or a machine that slept: the grid is joined anew and nothing counts as missed.
    """
    due_ns = grid.time_ns(last_index + 1)
    if abs(from_ns - due_ns) > jump_ns + grid.period_ns:
        return Step(grid.index_from(from_ns), 0, True)
    index = max(last_index + 1, grid.index_from(from_ns))
    return Step(index, index - last_index - 1, False)
