"""All cases, and the choice of some of them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from vasa_cam.bench.case import SUITES, Case
from vasa_cam.bench.cases import (
    layered,
    models,
    pipeline,
    pixel,
    sampler,
    spade,
    transformer,
    volume,
)
from vasa_cam.errors import InputError

_FAMILIES = (layered, pixel, sampler, transformer, volume, spade, models, pipeline)


def all_cases() -> list[Case]:
    """Every case, by suite and in the order of the families."""
    made = [case for family in _FAMILIES for case in family.cases()]
    return sorted(made, key=lambda case: SUITES.index(case.suite))


def choose(
    suites: Iterable[str] = (), pattern: str = "*", device: str = "cpu", goals: bool = False
) -> list[Case]:
    """Cases of these suites (none: all) for a device whose name matches a shell pattern.

    goals: only those with a number to reach. Raises InputError for an unknown suite or when nothing
    is left.
    """
    wanted = tuple(suites) or SUITES
    for suite in wanted:
        if suite not in SUITES:
            raise InputError(f"--suite must be one of {', '.join(SUITES)}, got {suite}.")
    chosen = [
        case
        for case in all_cases()
        if case.suite in wanted
        and device in case.devices
        and fnmatchcase(case.name, pattern)
        and (not goals or (case.goal is not None and device in case.goal.devices))
    ]
    if not chosen:
        raise InputError(
            f"no case matches {pattern!r} in {', '.join(wanted)} on {device}; "
            "`vasa-cam bench --list` names them all."
        )
    return chosen
