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
        parts.append(_rows(status["sinks"]))
    counters = {key: value for key, value in status.get("counters", {}).items() if value}
    for figures in (plain, counters):
        if figures:
            words = [f"{key.replace('_', ' ')} {_shown(value)}" for key, value in figures.items()]
            parts.append(Text("   ".join(words), overflow="fold"))
    for key, value in rest.items():
        if isinstance(value, Mapping) and value:
            inner = "   ".join(f"{name} {_shown(one)}" for name, one in value.items())
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


def _rows(rows: Sequence[Mapping[str, Any]]) -> Table:
    from rich.markup import escape

    keys = list(dict.fromkeys(key for row in rows for key in row))
    table = _table(*("output" if key == "name" else key.replace("_", " ") for key in keys))
    for row in rows:
        table.add_row(*(escape(_shown(row.get(key, ""))) for key in keys))
    return table


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)
