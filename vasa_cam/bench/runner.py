"""Runs cases: first every way of a case is verified, then the right ones take turns.

Nothing is left out in silence: a way whose package is missing, that fails or that is wrong is named
with its reason, and a case with a wrong way is a failed one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from vasa_cam import ops
from vasa_cam.bench.case import Arrays, Call, Case, Setting, Trial, Way, Work
from vasa_cam.bench.devices import Clock, Device, has_module
from vasa_cam.bench.timing import Times, take_turns
from vasa_cam.bench.verify import WrongResultError, fetched, verify
from vasa_cam.errors import MissingDependencyError

_log = logging.getLogger(__name__)

State = Literal["timed", "missing", "failed", "wrong"]
"""Of a way: "failed" threw something, "wrong" does not agree with the reference."""


@dataclass(frozen=True)
class RunConfig:
    """seconds: about how long to measure each way, with warm and again with cold caches. cold:
    whether to do the second. seed: of every case's inputs."""

    seconds: float = 0.5
    cold: bool = True
    seed: int = 0


@dataclass(eq=False)
class WayResult:
    """What became of one way. error: its difference from the reference; None when not verified."""

    way: Way
    state: State = "timed"
    why: str = ""
    error: float | None = None
    warm: Times | None = None
    cold: Times | None = None


@dataclass(eq=False)
class CaseResult:
    """What became of one case; ways is empty when it was skipped."""

    case: Case
    state: Literal["timed", "skipped", "failed"] = "timed"
    why: str = ""
    work: Work | None = None
    ways: list[WayResult] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


def run_cases(
    cases: Iterable[Case],
    device: Device,
    config: RunConfig,
    tell: Callable[[str], None] = lambda _: None,
) -> list[CaseResult]:
    """Every case, one after the other; `tell` is told what runs now."""
    results = []
    for case in cases:
        tell(case.name)
        results.append(run_case(case, device, config))
    return results


def run_case(case: Case, device: Device, config: RunConfig) -> CaseResult:
    """One case: verified, then timed with warm and with cold caches."""
    if missing := [name for name in case.needs if not has_module(name)]:
        return CaseResult(case, "skipped", f"needs {', '.join(missing)}")
    with _threads(case.threads):
        setting = Setting(device, ops.get_num_threads(), config.seed)
        try:
            trial = case.build(setting)
            expected = fetched(trial.reference())
        except MissingDependencyError as error:
            return CaseResult(case, "skipped", _one_line(error))
        result = CaseResult(case, work=trial.work)
        ready = _verified(trial, expected, result)
        ours = result.ways[0]
        if ours.state != "timed" or any(way.state == "wrong" for way in result.ways):
            wrong = next(way for way in result.ways if way.state in ("wrong", "failed"))
            result.state, result.why = "failed", f"{wrong.way.name}: {wrong.why}"
            return result
        _time(result, ready, device, config)
        assert ours.warm is not None
        result.figures = trial.figures(ours.warm.median_s)
    return result


def _verified(trial: Trial, expected: Arrays, result: CaseResult) -> list[tuple[WayResult, Call]]:
    """Prepares every way and compares its first result; gives those that may be timed."""
    ready = []
    for way in trial.ways:
        entry = WayResult(way)
        result.ways.append(entry)
        if missing := [name for name in way.needs if not has_module(name)]:
            entry.state, entry.why = "missing", f"{', '.join(missing)} is not installed"
            continue
        try:
            call = way.make()
            found = fetched(call())
            if not way.part:
                wanted: Arrays = expected
                if way.select is not None:
                    found, wanted = list(way.select(found)), way.select(expected)
                entry.error = verify(found, wanted, way.check or trial.check)
        except WrongResultError as error:
            entry.state, entry.why = "wrong", _one_line(error)
        except Exception as error:
            _log.debug("%s: %s", result.case.name, way.name, exc_info=True)
            entry.state, entry.why = "failed", _one_line(error)
        else:
            ready.append((entry, call))
    return ready


def _time(
    result: CaseResult, ready: list[tuple[WayResult, Call]], device: Device, config: RunConfig
) -> None:
    by_wall = result.case.clock == "wall"

    def measure(chosen: list[tuple[WayResult, Call]], cold: bool) -> list[Times]:
        calls: list[tuple[Call, Clock]] = [
            (call, "wall" if by_wall else entry.way.clock) for entry, call in chosen
        ]
        return take_turns(device, calls, config.seconds, cold)

    for (entry, _), times in zip(ready, measure(ready, cold=False), strict=True):
        entry.warm = times
    if not (config.cold and result.case.cold and device.cold_bytes()):
        return
    if device.kind == "cuda":  # only the GPU's cache is emptied
        ready = [(entry, call) for entry, call in ready if entry.way.clock == "device"]
    for (entry, _), times in zip(ready, measure(ready, cold=True), strict=True):
        entry.cold = times


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = ops.get_num_threads()
    ops.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        ops.set_num_threads(before)


def _one_line(error: BaseException, limit: int = 200) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."
