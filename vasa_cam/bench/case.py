"""What a benchmark is made of: a case, the ways of computing it, and the work that it takes.

A case names an operation, a shape and a type; its `build` makes seeded inputs, the reference that
every way must agree with before it is timed, and the count of bytes and operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vasa_cam.bench.devices import Device

Suite = Literal["ops", "models", "pipeline"]
SUITES: Final[tuple[Suite, ...]] = get_args(Suite)
Peak = Literal["fp32", "fp16"]
Call: TypeAlias = Callable[[], Any]
"""Does the work once; gives an array, or a sequence of arrays, of any library."""
Arrays: TypeAlias = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True)
class Work:
    """What has to be done at least, counted by a stated formula and not measured.

    bytes_moved: every input read once and every output written once. flops: additions and
    multiplications. peak: which measured peak the operations are set against.
    """

    bytes_moved: int
    flops: int
    formula: str
    peak: Peak = "fp32"


@dataclass(frozen=True)
class Check:
    """How close a result must be to the reference.

    kind "absolute": no element differs by more than `limit`, except a share of them; "relative_l2":
    the norm of the difference is at most `limit` of the reference's norm.
    """

    kind: Literal["absolute", "relative_l2"]
    limit: float
    share: float = 0.0


@dataclass(frozen=True, eq=False)
class Way:
    """One way of computing a case; the first of a trial is ours.

    make: prepares whatever can be prepared and gives the call to time. The first call's result is
    verified. needs: modules without which the way is reported as missing. check: another limit than
    the trial's, with its reason in `note`. select: what is compared, for a way that gives the same
    picture in another layout or with another rounding of a part. part: what a way leaves out or
    does alone, said in words; such a way is not verified, because it computes something else.
    clock: "wall" for work on the processor in a case on a GPU.
    """

    name: str
    make: Callable[[], Call]
    needs: tuple[str, ...] = ()
    check: Check | None = None
    select: Callable[[Arrays], Arrays] | None = None
    part: str = ""
    note: str = ""
    clock: Literal["device", "wall"] = "device"


@dataclass(frozen=True, eq=False)
class Trial:
    """A case with its inputs made. figures: what else is reported, computed after the timing from
    the median of our warm readings in seconds."""

    ways: tuple[Way, ...]
    reference: Callable[[], Any]
    check: Check
    work: Work
    figures: Callable[[float], dict[str, float]] = lambda _: {}


@dataclass(frozen=True)
class Goal:
    """A number to reach, from the project's plan; it was set for an H100.

    times_faster: (way, ratio) pairs. share: of the measured roofline. devices: where the case
    stands in the table of goals: half precision for a GPU, single for the CPU twins.
    """

    what: str
    text: str
    milliseconds: float | None = None
    times_faster: tuple[tuple[str, float], ...] = ()
    share: float | None = None
    devices: tuple[str, ...] = ("cpu", "cuda")


@dataclass(frozen=True, eq=False)
class Setting:
    """What a case is built for. The seed makes every random number of its inputs."""

    device: Device
    threads: int
    seed: int = 0

    def rng(self) -> np.random.Generator:
        """A new generator: every input is the same in every run."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True, eq=False)
class Case:
    """One line of a report.

    name: "family/variant", stable over versions. ops: the public operations it runs. needs: modules
    without which it is skipped. threads: of the core, where the case is about their number. clock:
    "device" takes a GPU's own events, "wall" what the caller waits. cold: whether to measure with
    emptied caches, too.
    """

    name: str
    suite: Suite
    ops: tuple[str, ...]
    shape: str
    dtype: str
    build: Callable[[Setting], Trial]
    devices: tuple[str, ...] = ("cpu", "cuda")
    needs: tuple[str, ...] = ()
    threads: int | None = None
    clock: Literal["device", "wall"] = "device"
    cold: bool = True
    goal: Goal | None = None


def bytes_of(*arrays: Any) -> int:
    """The sizes of these arrays, of any library."""
    return sum(int(array.nbytes) for array in arrays)
