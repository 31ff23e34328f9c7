"""Numbers to reach: which case carries one, when it is met, and what the table says."""

from __future__ import annotations

from typing import Any

import pytest

from vasa_cam.bench.registry import all_cases, choose
from vasa_cam.bench.report import goal_met, goal_rows

WHAT = (
    "W+G for one frame",
    "warp_volume, batch 1",
    "warp_volume, batch 16",
    "dense_motion up to the hourglass input",
    "SPADE block without its convolutions",
    "one guided transformer step",
    "layered renderer, motion to I420",
    "first import to first frame",
)


def times(median_ms: float, ratio: float, share: float | None = None) -> dict[str, Any]:
    return {
        "median_ms": median_ms,
        "ours_is_times_faster": ratio,
        "roofline_share": share,
    }


def case(**changes: Any) -> dict[str, Any]:
    """2 ms warm, 3 ms cold; torch takes 4 and 4.5 times as long."""
    goal = {"what": "it", "text": "fast", "milliseconds": 4.0, "roofline_share": 0.5,
            "times_faster": [{"way": "torch", "ratio": 4.0}]} | changes  # fmt: skip
    ours = {"name": "vasa_cam", "state": "timed", "why": "", "warm": times(2, 1, 0.6),
            "cold": times(3, 1, 0.55)}  # fmt: skip
    torch = {"name": "torch", "state": "timed", "why": "", "warm": times(8, 4.0),
             "cold": times(13.5, 4.5)}  # fmt: skip
    return {"name": "a/b", "goal": goal, "state": "timed", "why": "", "ways": [ours, torch]}


def test_all_conditions_hold() -> None:
    assert goal_met(case()) is True


@pytest.mark.parametrize(
    "changes",
    [
        {"milliseconds": 2.5},  # warm holds, cold does not
        {"roofline_share": 0.58},
        {"times_faster": [{"way": "torch", "ratio": 4.2}]},
    ],
)
def test_one_condition_fails(changes: dict[str, Any]) -> None:
    assert goal_met(case(**changes)) is False


def test_not_known_without_the_contender() -> None:
    assert goal_met(case(times_faster=[{"way": "absent", "ratio": 2.0}])) is None
    failing = case(times_faster=[{"way": "absent", "ratio": 2.0}], milliseconds=1.0)
    assert goal_met(failing) is False


def test_the_table_judges_a_gpu_only() -> None:
    on_gpu = {"device": {"kind": "cuda"}, "cases": [case()]}
    on_cpu = {"device": {"kind": "cpu"}, "cases": [case()]}
    assert [row[-1] for row in goal_rows(on_gpu)] == ["yes"]
    assert [row[-1] for row in goal_rows(on_cpu)] == ["-"]
    (row,) = goal_rows(on_gpu)
    assert row[:5] == ("it", "a/b", "fast", "2.00", "3.00")
    assert row[5:7] == ("torch 4.00x", "60%")


def test_a_skipped_case_keeps_its_row() -> None:
    skipped = case() | {"state": "skipped", "why": "needs torch", "ways": []}
    (row,) = goal_rows({"device": {"kind": "cuda"}, "cases": [skipped]})
    assert row[5] == "skipped: needs torch" and row[-1] == "-"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_number_to_reach_has_a_case_on_both_devices(device: str) -> None:
    """Half precision on a GPU, single on a CPU, and no row twice."""
    chosen = choose(device=device, goals=True)
    said = [one.goal.what for one in chosen if one.goal is not None]
    for what in WHAT:
        assert any(text.startswith(what) for text in said), what
    assert len(set(said)) == len(said)
    networks = [one for one in chosen if one.suite != "pipeline"]
    assert {one.dtype for one in networks} == {"float16" if device == "cuda" else "float32"}


def test_goals_name_ways_that_exist() -> None:
    """A misspelt contender would make a goal that is never judged."""
    known = {
        *("torch eager", "torch compiled"),
        "torch compiled, in a graph",
    }
    named = {way for one in all_cases() if one.goal for way, _ in one.goal.times_faster}
    assert named <= known
