"""A run for the terminal: the machine, every case with its contenders, and the goals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rich import box
from rich.markup import escape
from rich.table import Table

from vasa_cam.bench.numbers import milliseconds

_GOAL_COLUMNS: Final = (
    *("what", "case", "goal", "warm ms"),
    *("cold ms", "ratios, warm", "roofline", "met"),
)
_COLUMNS: Final = ("warm ms", "p10-p90", "cold ms", "GB/s", "GFLOP/s", "roofline", "ours faster")


def machine_lines(document: dict[str, Any]) -> Iterator[str]:
    """Which machine, which versions, and what it can do at most."""
    device, roofline = document["device"], document["roofline"]
    cpu = device["cpu"]
    yield (
        f"{cpu['name']}, {cpu['cores']} cores, {cpu['threads']} threads used, {cpu['simd']}, "
        f"{cpu['clock_mhz'] or '?'} MHz"
    )
    if gpu := device.get("gpu"):
        yield (
            f"{gpu['name']}, driver {gpu['driver']}, {gpu['sm_clock_mhz']:.0f} of "
            f"{gpu['sm_clock_max_mhz']:.0f} MHz"
        )
    versions = ", ".join(f"{name} {value}" for name, value in document["versions"].items())
    yield f"{versions}, commit {document['commit'] or 'unknown'}"
    ladder = roofline["bandwidth"]
    peaks = ", ".join(f"{value:,.0f} GFLOP/s {name}" for name, value in roofline["gflops"].items())
    yield (
        f"measured at most: {ladder[-1]['gb_per_s']:,.1f} GB/s from memory, "
        f"{max(step['gb_per_s'] for step in ladder):,.1f} GB/s from caches, {peaks}"
    )


def result_table(document: dict[str, Any]) -> Table:
    """A row for every way of every case."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("case", overflow="fold")
    table.add_column("way", overflow="fold")
    for heading in _COLUMNS:
        table.add_column(heading, justify="right")
    for case in document["cases"]:
        table.add_section()
        if not case["ways"]:
            table.add_row(escape(case["name"]), f"skipped: {escape(case['why'])}")
        for index, way in enumerate(case["ways"]):
            name = escape(case["name"]) if index == 0 else ""
            table.add_row(name, *_way_cells(way, first=index == 0))
        if case["figures"]:
            said = ", ".join(f"{name} {value:g}" for name, value in case["figures"].items())
            table.add_row("", escape(said))
    return table


def _way_cells(way: dict[str, Any], first: bool) -> list[str]:
    warm, cold = way["warm"], way["cold"]
    name = escape(way["name"]) + (f" ({escape(way['part'])})" if way["part"] else "")
    if warm is None:
        mark = "[red]WRONG[/]" if way["state"] == "wrong" else way["state"]
        return [f"{name}: {mark}: {escape(way['why'])}" if way["why"] else f"{name}: not timed"]
    ratio = warm["ours_is_times_faster"]
    shares = [times["roofline_share"] for times in (warm, cold) if times is not None]
    return [
        name,
        milliseconds(warm["median_ms"]),
        f"{milliseconds(warm['p10_ms'])}-{milliseconds(warm['p90_ms'])}",
        "" if cold is None else milliseconds(cold["median_ms"]),
        f"{warm['gb_per_s']:.3g}",
        f"{warm['gflops']:.3g}",
        "" if way["part"] else " / ".join(f"{share:.0%}" for share in shares if share is not None),
        "" if first or ratio is None else f"{ratio:.2f}x",
    ]


def goal_table(document: dict[str, Any]) -> Table:
    """The numbers to reach, with what was measured, and whether each condition holds."""
    table = Table(title="numbers to reach (set for an H100)", box=box.SIMPLE, pad_edge=False)
    for heading in _GOAL_COLUMNS:
        table.add_column(heading, overflow="fold")
    before = ""
    for row in goal_rows(document):
        what = "" if row[0] == before else row[0]
        before = row[0]
        table.add_row(*map(escape, (what, *row[1:])))
    return table


def goal_rows(document: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """what, case, goal, warm ms, cold ms, ratios, share of the roofline, and met: yes, NO or "-"
    (on a processor, whose numbers nobody set)."""
    on_gpu = document["device"]["kind"] == "cuda"
    for case in document["cases"]:
        goal = case["goal"]
        if goal is None:
            continue
        head = (goal["what"], case["name"], goal["text"])
        ours = case["ways"][0] if case["ways"] else None
        if ours is None or ours["warm"] is None:
            yield (*head, "", "", f"{case['state']}: {case['why']}", "", "-")
            continue
        warm, cold = ours["warm"], ours["cold"]
        others = [way for way in case["ways"][1:] if way["warm"] is not None]
        missing = [way for way in case["ways"][1:] if way["warm"] is None]
        ratios = [f"{way['name']} {way['warm']['ours_is_times_faster']:.2f}x" for way in others]
        ratios += [f"{way['name']} {way['state']}" for way in missing]
        share = warm["roofline_share"]
        yield (
            *head,
            milliseconds(warm["median_ms"]),
            "" if cold is None else milliseconds(cold["median_ms"]),
            ", ".join(ratios),
            "" if share is None else f"{share:.0%}",
            {True: "yes", False: "NO", None: "-"}[goal_met(case) if on_gpu else None],
        )


def goal_met(case: dict[str, Any]) -> bool | None:
    """Whether every condition of a case's goal holds, with warm caches and with cold ones where
    those were measured; None when a way that it names was not timed."""
    goal, ours = case["goal"], case["ways"][0]
    ways = {way["name"]: way for way in case["ways"]}
    results: list[bool | None] = []
    for state in ("warm", "cold"):
        times = ours[state]
        if times is None:
            continue
        if goal["milliseconds"] is not None:
            results.append(times["median_ms"] <= goal["milliseconds"])
        if goal["roofline_share"] is not None and times["roofline_share"] is not None:
            results.append(times["roofline_share"] >= goal["roofline_share"])
        for condition in goal["times_faster"]:
            other = ways.get(condition["way"])
            if other is None or other[state] is None:
                results.append(None)
            else:
                results.append(other[state]["ours_is_times_faster"] >= condition["ratio"])
    if False in results:
        return False
    return None if None in results or not results else True
