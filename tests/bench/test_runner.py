"""A case's fate: wrong ways are caught, missing ones named, right ones timed in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vasa_cam import ops
from vasa_cam.bench.case import Case, Check, Setting, Trial, Way, Work
from vasa_cam.bench.cases.pixel import pixel_case
from vasa_cam.bench.devices import CpuDevice
from vasa_cam.bench.results import case_json
from vasa_cam.bench.roofline import Roofline
from vasa_cam.bench.runner import CaseResult, RunConfig, run_case
from vasa_cam.bench.timing import Times, take_turns

QUICK = RunConfig(seconds=0.001, cold=False)
ROOF = Roofline(((1000, 4e9), (100_000, 1e9)), {"fp32": 1e9})


def doubling(*others: Way, **options: Any) -> Case:
    """Our way doubles eight numbers, rightly."""

    def build(setting: Setting) -> Trial:
        x = setting.rng().standard_normal(8)
        ours = Way("vasa_cam", lambda: lambda: x + x)
        return Trial(
            (ours, *others), lambda: 2 * x, Check("absolute", 0.0), Work(128, 8, "counted")
        )

    return Case("doubling/8", "ops", ("pixel",), "[8]", "float64", build, **options)


def run(case: Case) -> CaseResult:
    return run_case(case, CpuDevice(), QUICK)


def given(call: Callable[[], Any]) -> Callable[[], Callable[[], Any]]:
    return lambda: call


def test_a_wrong_kernel_fails_the_case_and_is_not_timed() -> None:
    """The deliberately wrong one: 1 in 10,000 off, as a race would do it."""
    right = np.random.default_rng(0).standard_normal(8)
    wrong = 2 * right
    wrong[5] *= 1.0001
    result = run(doubling(Way("wrong", given(lambda: wrong))))
    assert result.state == "failed"
    assert result.why.startswith("wrong: array 0: off by up to")
    assert [way.state for way in result.ways] == ["timed", "wrong"]
    assert all(way.warm is None for way in result.ways)


def test_our_own_kernel_wrong_in_a_real_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """The op itself is broken: one luma sample in 32 rows is three levels too bright."""
    real = ops.pixel

    def broken(*arguments: Any) -> np.ndarray:
        out = real(*arguments)
        out[3] += 3
        return out

    case = pixel_case("tiny", 32, 48, "i420")
    assert run(case).state == "timed"
    monkeypatch.setattr(ops, "pixel", broken)
    result = run(case)
    assert (result.state, result.ways[0].state) == ("failed", "wrong")
    assert result.ways[0].warm is None


def test_a_way_that_throws_is_named_and_the_others_are_timed() -> None:
    def explode() -> None:
        raise RuntimeError("no\nkernel image")

    result = run(doubling(Way("broken", given(explode))))
    assert result.state == "timed"
    assert (result.ways[1].state, result.ways[1].why) == ("failed", "no kernel image")
    assert result.ways[0].warm is not None and result.ways[1].warm is None


def test_our_own_way_throws() -> None:
    def build(_: Setting) -> Trial:
        def explode() -> None:
            raise ValueError("bad shape")

        ours = Way("vasa_cam", given(explode))
        return Trial((ours,), lambda: np.zeros(1), Check("absolute", 0.0), Work(1, 1, ""))

    result = run(replace(doubling(), build=build))
    assert (result.state, result.why) == ("failed", "vasa_cam: bad shape")


def test_a_missing_package_is_named() -> None:
    absent = Way("absent", given(lambda: None), needs=("no_such_package",))
    result = run(doubling(absent))
    assert (result.ways[1].state, result.ways[1].why) == (
        "missing",
        "no_such_package is not installed",
    )
    skipped = run(doubling(needs=("no_such_package",)))
    assert (skipped.state, skipped.why, skipped.ways) == ("skipped", "needs no_such_package", [])


def test_a_part_is_timed_without_being_compared() -> None:
    result = run(doubling(Way("half", given(lambda: np.zeros(3)), part="the reading alone")))
    assert result.ways[1].state == "timed" and result.ways[1].error is None
    assert result.ways[1].warm is not None


def test_threads_of_a_case_are_set_and_restored() -> None:
    seen = []

    def build(setting: Setting) -> Trial:
        seen.append((setting.threads, ops.get_num_threads()))
        return doubling().build(setting)

    ops.set_num_threads(2)
    run(replace(doubling(), build=build, threads=3))
    assert (seen, ops.get_num_threads()) == ([(3, 3)], 2)


def test_ratios_and_shares_in_the_file() -> None:
    result = run(
        doubling(Way("other", given(lambda: 2 * np.random.default_rng(0).standard_normal(8))))
    )
    result.ways[0].warm, result.ways[1].warm = (
        Times(2e-7, 1e-7, 3e-7, 9),
        Times(1e-6, 1e-6, 1e-6, 9),
    )
    entry = case_json(result, ROOF)
    ours, other = entry["ways"]
    assert other["warm"]["ours_is_times_faster"] == 5.0
    assert (ours["warm"]["median_ms"], ours["warm"]["p10_ms"]) == (2e-4, 1e-4)
    # 128 bytes at 4 GB/s take 32 ns, 8 operations at 1 GFLOP/s 8 ns; 200 ns were measured.
    assert ours["warm"]["roofline_share"] == 0.16
    assert ours["warm"]["gb_per_s"] == pytest.approx(0.64)
    assert ours["cold"] is None


def test_turns_are_taken_and_times_are_those_of_the_clock() -> None:
    """A sleep of 3 ms beside nothing: medians differ by it, and nobody runs twice in a row."""
    order: list[str] = []

    def slow() -> None:
        order.append("slow")
        time.sleep(0.003)

    def fast() -> None:
        order.append("fast")

    slow_times, fast_times = take_turns(
        CpuDevice(), [(slow, "wall"), (fast, "wall")], 0.02, cold=False
    )
    assert slow_times.p10_s >= 0.003
    assert fast_times.median_s < 0.001
    assert slow_times.readings == fast_times.readings >= 5
    runs = [name for index, name in enumerate(order) if index == 0 or order[index - 1] != name]
    assert runs[-6:] == ["slow", "fast"] * 3


def test_percentiles() -> None:
    times = Times.of([float(value) for value in range(101)])
    assert (times.p10_s, times.median_s, times.p90_s, times.readings) == (10.0, 50.0, 90.0, 101)
