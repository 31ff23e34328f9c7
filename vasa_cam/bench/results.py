"""The results file: one JSON document a run, checked when it is read.

`docs/benchmarks.md` lists its fields. A change that breaks a reader raises SCHEMA's number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from vasa_cam.bench import machine
from vasa_cam.bench.case import Case
from vasa_cam.bench.devices import Device
from vasa_cam.bench.roofline import Roofline
from vasa_cam.bench.runner import CaseResult, WayResult
from vasa_cam.errors import InputError

SCHEMA: Final = "vasa-cam-bench/1"

_OPTIONAL: Final = type(None)
_TIMES: Final[dict[str, tuple[type, ...]]] = {
    "median_ms": (float,),
    "p10_ms": (float,),
    "p90_ms": (float,),
    "readings": (int,),
    "gb_per_s": (float,),
    "gflops": (float,),
    "roofline_share": (float, _OPTIONAL),
    "ours_is_times_faster": (float, _OPTIONAL),
}
_WAY: Final[dict[str, tuple[type, ...]]] = {
    "name": (str,),
    "state": (str,),
    "why": (str,),
    "part": (str,),
    "note": (str,),
    "error": (float, _OPTIONAL),
    "warm": (dict, _OPTIONAL),
    "cold": (dict, _OPTIONAL),
}
_CASE: Final[dict[str, tuple[type, ...]]] = {
    "name": (str,),
    "suite": (str,),
    "ops": (list,),
    "shape": (str,),
    "dtype": (str,),
    "threads": (int, _OPTIONAL),
    "clock": (str,),
    "state": (str,),
    "why": (str,),
    "bytes": (int, _OPTIONAL),
    "flops": (int, _OPTIONAL),
    "formula": (str,),
    "figures": (dict,),
    "goal": (dict, _OPTIONAL),
    "ways": (list,),
}
_DOCUMENT: Final[dict[str, tuple[type, ...]]] = {
    "schema": (str,),
    "created": (str,),
    "commit": (str, _OPTIONAL),
    "versions": (dict,),
    "device": (dict,),
    "cold_bytes": (int,),
    "roofline": (dict,),
    "cases": (list,),
}


def document(
    results: Iterable[CaseResult], device: Device, roofline: Roofline, threads: int
) -> dict[str, Any]:
    """Everything about a run, ready for `json.dumps`."""
    described: dict[str, Any] = {"kind": device.kind, "cpu": machine.describe_cpu(threads)}
    if device.kind == "cuda":
        described["gpu"] = machine.describe_gpu(device.place[1])
    return {
        "schema": SCHEMA,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "versions": machine.versions(),
        "device": described,
        "cold_bytes": device.cold_bytes(),
        "roofline": roofline.as_json(),
        "cases": [case_json(result, roofline) for result in results],
    }


def read_results(path: Path) -> dict[str, Any]:
    """A results file, checked. Raises InputError for anything that is none."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{path} is not a JSON file; give one that `vasa-cam bench` wrote.") from (
            error
        )
    check_document(loaded, str(path))
    return dict(loaded)


def check_document(loaded: Any, name: str) -> None:
    """Raise InputError unless this is a document of this SCHEMA with every field of its type."""
    if not isinstance(loaded, dict) or loaded.get("schema") != SCHEMA:
        found = loaded.get("schema") if isinstance(loaded, dict) else None
        raise InputError(
            f"{name} must hold results of the schema {SCHEMA}, got {found!r}; "
            "measure again with `vasa-cam bench --json`."
        )
    _check_fields(loaded, _DOCUMENT, name)
    for case in loaded["cases"]:
        _check_fields(case, _CASE, f"{name}: a case")
        for way in case["ways"]:
            where = f"{name}: {case['name']}"
            _check_fields(way, _WAY, where)
            for times in (way["warm"], way["cold"]):
                if times is not None:
                    _check_fields(times, _TIMES, where)


def _check_fields(found: Any, fields: dict[str, tuple[type, ...]], where: str) -> None:
    if not isinstance(found, dict) or found.keys() != fields.keys():
        keys = sorted(found) if isinstance(found, dict) else type(found).__name__
        raise InputError(f"{where}: expected the fields {sorted(fields)}, got {keys}.")
    for name, types in fields.items():
        value = found[name]
        # JSON does not keep 2.0 apart from 2, and bool is an int in Python.
        allowed = (*types, int) if float in types else types
        if isinstance(value, bool) or not isinstance(value, allowed):
            wanted = " or ".join(kind.__name__ for kind in types)
            raise InputError(f"{where}: {name} must be {wanted}, got {value!r}.")


def case_json(result: CaseResult, roofline: Roofline) -> dict[str, Any]:
    """As a results file has it: times in milliseconds, ratios against our own way."""
    case, work = result.case, result.work
    entry: dict[str, Any] = {
        "name": case.name,
        "suite": case.suite,
        "ops": list(case.ops),
        "shape": case.shape,
        "dtype": case.dtype,
        "threads": case.threads,
        "clock": case.clock,
        "state": result.state,
        "why": result.why,
        "bytes": None if work is None else work.bytes_moved,
        "flops": None if work is None else work.flops,
        "formula": "" if work is None else work.formula,
        "figures": {name: round(value, 4) for name, value in result.figures.items()},
        "goal": _goal_json(case),
        "ways": [_way_json(way, result, roofline) for way in result.ways],
    }
    return entry


def _goal_json(case: Case) -> dict[str, Any] | None:
    goal = case.goal
    if goal is None:
        return None
    return {
        "what": goal.what,
        "text": goal.text,
        "milliseconds": goal.milliseconds,
        "times_faster": [{"way": way, "ratio": ratio} for way, ratio in goal.times_faster],
        "roofline_share": goal.share,
    }


def _way_json(way: WayResult, result: CaseResult, roofline: Roofline) -> dict[str, Any]:
    return {
        "name": way.way.name,
        "state": way.state,
        "why": way.why,
        "part": way.way.part,
        "note": way.way.note,
        "error": way.error,
        "warm": _times_json(way, result, roofline, cold=False),
        "cold": _times_json(way, result, roofline, cold=True),
    }


def _times_json(
    way: WayResult, result: CaseResult, roofline: Roofline, cold: bool
) -> dict[str, Any] | None:
    times = way.cold if cold else way.warm
    if times is None or result.work is None:
        return None
    ours = result.ways[0].cold if cold else result.ways[0].warm
    shortest = roofline.shortest_s(result.work, cold)
    return {
        "median_ms": _rounded(1e3 * times.median_s),
        "p10_ms": _rounded(1e3 * times.p10_s),
        "p90_ms": _rounded(1e3 * times.p90_s),
        "readings": times.readings,
        "gb_per_s": _rounded(result.work.bytes_moved / times.median_s / 1e9),
        "gflops": _rounded(result.work.flops / times.median_s / 1e9),
        "roofline_share": None if shortest is None else round(shortest / times.median_s, 4),
        "ours_is_times_faster": None if ours is None else round(times.median_s / ours.median_s, 3),
    }


def _rounded(value: float) -> float:
    """Five digits that mean something, whatever the size."""
    return float(f"{value:.5g}")
