"""The figures of an evaluation as rows with goals: what `vasa-cam evaluate` prints."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vasa_cam.training.evaluate import Evaluation
from vasa_cam.training.figures_head import AXES

Figures = dict[str, Any]

COLUMNS: Final = ("model", "real", "another voice", "mean face")
# Goals for the correlation: the training data's speaker, other people reading, people at large.
_OWN_R, _READ_R, _FREE_R = 0.90, 0.76, 0.38
_OWN_SPLIT: Final = "val"


@dataclass(frozen=True)
class TableRow:
    """One line: where it was measured, what, a text per column of COLUMNS, the goal, and if met."""

    group: str
    figure: str
    cells: tuple[str, ...]
    goal: str = ""
    met: bool | None = None


def table(evaluation: Evaluation) -> list[TableRow]:
    """All rows, split by split, and then those that only the model has."""
    rows: list[TableRow] = []
    for split in evaluation.clips:
        sides = [evaluation.rows.get(name, {}).get(split, {}) for name in COLUMNS]
        rows += _lip_rows(split, sides) + _head_rows(split, sides)
    return rows + _extra_rows(evaluation.extra)


def _find(figures: Figures, path: str) -> Any:
    found: Any = figures
    for part in path.split("/"):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _text(value: Any, style: str) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, dict):
        return " / ".join(_text(value[axis], style) for axis in AXES)
    return format(value, style)


def _row(
    group: str,
    figure: str,
    sides: Sequence[Figures],
    path: str,
    goal: str = "",
    met: Callable[[Any], bool] | None = None,
    style: str = ".3f",
) -> list[TableRow]:
    """A row, or none where the split does not have the figure."""
    values = [_find(side, path) for side in sides]
    if values[0] is None:
        return []
    known = not (isinstance(values[0], float) and math.isnan(values[0]))
    verdict = bool(met(values[0])) if met is not None and known else None
    return [TableRow(group, figure, tuple(_text(v, style) for v in values), goal, verdict)]


def _between(low: float, high: float) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        parts = value.values() if isinstance(value, dict) else [value]
        return all(low <= part <= high for part in parts)

    return check


def _lip_rows(split: str, sides: Sequence[Figures]) -> list[TableRow]:
    spoken = _find(sides[0], "lips/closures") is not None
    own = split == _OWN_SPLIT and "people" not in sides[0]
    wanted = (_OWN_R if own else _READ_R) if spoken else _FREE_R
    real_closed = _find(sides[1], "lips/closures/closed") or 0.0
    real_w = _find(sides[1], "lips/shapes/recall_by_phone/W") or 0.0
    aim = f">= {wanted:.2f}"
    # Pauses found by level hold breaths and open mouths: no goal for those.
    still, calm = (">= 99 %", "< 1 %") if spoken else ("", "")
    corr = "lips/correlation/"
    return [
        *_row(split, "lip opening, r in speech, mean of clips", sides, corr + "r_best_mean", aim,
              lambda r: r >= wanted),
        *_row(split, "the same at one lag for all", sides, corr + "r_mean"),
        *_row(split, "the same, median of clips", sides, corr + "r_median"),
        *_row(split, "the same, all clips joined", sides, corr + "r_pooled"),
        *_row(split, "the same, mean of people", sides, "people/r_mean", aim,
              lambda r: r >= wanted),
        *_row(split, "lips late by, frames", sides, corr + "lag_frames", "0 +- 0.5",
              _between(-0.5, 0.5), ".2f"),
        *_row(split, "spread of the opening against real", sides, corr + "gain", "", None, ".2f"),
        *_row(split, "m b p closed", sides, "lips/closures/closed", ">= real, aim 98 %",
              lambda x: x >= real_closed, ".1%"),
        *_row(split, "silence: frames closed", sides, "lips/silence/closed", still,
              (lambda x: x >= 0.99) if spoken else None, ".1%"),
        *_row(split, "the same, 0.3 s from speech", sides, "lips/silence/closed_far", "", None,
              ".1%"),
        *_row(split, "silence: variance against speech", sides, "lips/silence/variance_share",
              calm, (lambda x: x < 0.01) if spoken else None, ".2%"),
        *_row(split, "lip shapes, macro F1", sides, "lips/shapes/macro_f1", ">= 0.75",
              lambda x: x >= 0.75),
        *_row(split, "W seen as rounded", sides, "lips/shapes/recall_by_phone/W", "> real",
              lambda x: x > real_w, ".1%"),
        *_row(split, "lips, second difference against real", sides, "lips/smoothness/ratio",
              "0.8 - 1.2", _between(0.8, 1.2), ".2f"),
    ]  # fmt: skip


def _head_rows(split: str, sides: Sequence[Figures]) -> list[TableRow]:
    """Against real heads; goals only for people who talk freely, whose clips have no phones."""
    free = _find(sides[0], "lips/closures") is None
    ratio = "head/against_real/"
    goal, met = ("0.7 - 1.3", _between(0.7, 1.3)) if free else ("", None)
    smooth, calm = ("0.8 - 1.2", _between(0.8, 1.2)) if free else ("", None)
    rows = [
        *_row(split, "head, change a frame against real, yaw / pitch / roll", sides,
              ratio + "step_by_axis", goal, met, ".2f"),
        *_row(split, "head, range against real", sides, ratio + "range_by_axis", goal, met, ".2f"),
        *_row(split, "head, range in 3 s against real", sides, ratio + "range_3s_by_axis", "",
              None, ".2f"),
        *_row(split, "head, second difference against real", sides, ratio + "acceleration",
              smooth, calm, ".2f"),
    ]  # fmt: skip
    for name, title in (("nod", "nose up when louder"), ("speed", "faster when louder")):
        path = f"head/prominence/{name}/"
        chance = _find(sides[0], path + "shuffled_95")
        if chance is not None and math.isfinite(chance):
            goal = f"> {chance:.2f} (95 % of shuffled)"
            rows += _row(split, f"head, {title}, r", sides, path + "r", goal, _above(chance))
            rows += _row(split, "the same, voice shuffled", sides, path + "shuffled_mean")
    rows += _row(split, "gaze shifts a minute", sides, "head/gaze_shifts_a_minute", "", None, ".0f")
    return rows


def _above(limit: float) -> Callable[[Any], bool]:
    return lambda value: bool(value > limit)


def _extra_rows(extra: Figures) -> list[TableRow]:
    sides = [extra]
    loss = "levels/largest_loss"
    chance = _find(extra, "long_run/intervals/ks_5_percent") or math.nan
    rows = [
        *_row("levels", "r with the level known", sides, "levels/known"),
        *(
            row
            for name in extra.get("levels") or {}
            if name.endswith(" dB")
            for row in _row("levels", f"r live, voice at {name}", sides, f"levels/{name}")
        ),
        *_row("levels", "largest loss", sides, loss, "<= 0.02", lambda x: x <= 0.02),
        *_row("seeds", "r of the lips of two seeds", sides, "seeds/lips_r", "> 0.9",
              lambda r: r > 0.9),
        *_row("seeds", "r of their heads", sides, "seeds/head/r", "< 0.5", lambda r: r < 0.5),
        *_row("seeds", "their distance, degrees rms", sides, "seeds/head/rms_deg", "", None, ".2f"),
        *_row("long run", "blinks a minute", sides, "long_run/blinks/a_minute", "12 - 26",
              _between(12.0, 26.0), ".1f"),
        *_row("long run", "blink intervals, KS distance to real", sides, "long_run/intervals/ks",
              f"< {chance:.2f} (5 % of chance)", lambda d: d < chance),
        *_row("silence", "largest opening in 30 s, IOD", sides, "quiet/opening_max_iod", "< 0.03",
              lambda x: x < 0.03),
        *_row("silence", "blinks in 30 s", sides, "quiet/blinks", "> 0", lambda n: n > 0, "d"),
    ]  # fmt: skip
    return rows
