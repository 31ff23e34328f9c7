"""What a running daemon says about itself, as tables: for `ctl status` and the live view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_HOPS = {
    "capture_to_block": "microphone to block",
    "block_to_motion": "block to motion",
    "capture_to_motion": "sound to motion",
    "motion_to_render": "motion to drawing",
    "render": "drawing",
    "render_to_send": "wait for the deadline",
    "end_to_end": "sound to picture, all",
    "frame_interval": "between two frames",
}
_QUANTILES = ("p50", "p95", "p99", "max")


def print_status(status: Mapping[str, Any]) -> None:
    """Everything the daemon answered, on standard output."""
    from rich.console import Console

    Console(highlight=False).print(status_view(status))


def status_view(status: Mapping[str, Any]) -> RenderableType:
    """Tables of times, outputs and counts; what is unknown to this version is shown as it is."""
    from rich.console import Group
    from rich.text import Text

    rest = {
        key: value for key, value in status.items() if key not in ("hops_ms", "counters", "sinks")
    }
    plain = {key: value for key, value in rest.items() if not isinstance(value, Mapping | list)}
    parts: list[RenderableType] = []
    if status.get("hops_ms"):
        parts.append(_hops(status["hops_ms"]))
    if status.get("sinks"):
        parts.append(_outputs(status["sinks"]))
        problems = [one for one in status["sinks"] if one.get("problem")]
        parts += [Text(f"{one['name']}: {one['problem']}", style="yellow") for one in problems]
    counters = {key: value for key, value in status.get("counters", {}).items() if value}
    for figures in (plain, counters):
        if figures:
            words = [f"{key.replace('_', ' ')} {_shown(value)}" for key, value in figures.items()]
            parts.append(Text("   ".join(words), overflow="fold"))
    for key, value in rest.items():
        if isinstance(value, Mapping) and value:
            told = {name: _shown(one) for name, one in value.items() if one not in ("", None)}
            inner = "   ".join(f"{name.replace('_', ' ')} {one}" for name, one in told.items())
            parts.append(Text(f"{key.replace('_', ' ')}: {inner}", overflow="fold"))
    return Group(*parts)


def _table(*headers: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, pad_edge=False)
    for number, header in enumerate(headers):
        table.add_column(header, justify="right" if number else "left", overflow="fold")
    return table


def _hops(hops: Mapping[str, Mapping[str, float]]) -> Table:
    table = _table("ms", *_QUANTILES)
    for name, figures in hops.items():
        cells = [f"{figures[one]:.1f}" if one in figures else "" for one in _QUANTILES]
        style = "bold" if name == "end_to_end" else ""
        table.add_row(_HOPS.get(name, name.replace("_", " ")), *cells, style=style)
    return table


def _outputs(outputs: Sequence[Mapping[str, Any]]) -> Table:
    from rich.markup import escape

    counts = ("sent", "repeats", "dropped", "failures", "waiting")
    table = _table("output", "state", *counts, "p95 ms")
    for one in outputs:
        p95 = one.get("end_to_end_ms", {}).get("p95", "")
        cells = (one.get("name"), one.get("state"), *(one.get(key) for key in counts), p95)
        table.add_row(*(escape(_shown(cell)) for cell in cells))
    return table


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
    if isinstance(value, list):
        return "x".join(map(_shown, value))
    return "" if value is None else str(value)
