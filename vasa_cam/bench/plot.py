"""A run as a picture: how many times longer the others take, and how near we are to the roofline.

Drawn with Pillow, which is installed anyway; a plotting library would be a large dependency for
two kinds of bars.
"""

from __future__ import annotations

import math
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from vasa_cam.bench.numbers import milliseconds
from vasa_cam.errors import InputError

_WIDTH: Final = 1200
_NAMES: Final = 470
_BARS: Final = (480, 900)
_SHARES: Final = (980, 1160)
_ROW: Final = 22
_GAP: Final = 14
_TOP: Final = 96
_BOTTOM: Final = 40
_INK: Final = (33, 37, 41)
_FAINT: Final = (206, 212, 218)
_OURS: Final = (25, 113, 194)
_OTHERS: Final = (134, 142, 150)
_ROOF: Final = (47, 158, 68)
_MOST_SHARE: Final = 1.0


def draw_results(document: dict[str, Any]) -> Image.Image:
    """An RGB picture, as tall as it has cases. Raises InputError when nothing was timed."""
    cases = [case for case in document["cases"] if case["state"] == "timed"]
    if not cases:
        raise InputError("no case was timed, so there is nothing to draw.")
    rows = sum(len(_timed(case)) for case in cases)
    height = _TOP + rows * _ROW + len(cases) * _GAP + _BOTTOM
    picture = Image.new("RGB", (_WIDTH, height), "white")
    draw = ImageDraw.Draw(picture)
    scale = _Scale(cases)
    _head(draw, document, scale, height)
    y = _TOP
    for case in cases:
        for way in _timed(case):
            _row(draw, y, case, way, scale)
            y += _ROW
        y += _GAP
    return picture


class _Scale:
    """Logarithmic: the same length for twice as slow as for twice as fast."""

    def __init__(self, cases: list[dict[str, Any]]) -> None:
        ratios = [_ratio(way) for case in cases for way in _timed(case)]
        self.low = math.floor(math.log10(min(0.5, *ratios)))
        self.high = max(math.ceil(math.log10(max(2.0, *ratios))), self.low + 1)

    def x(self, ratio: float) -> float:
        left, right = _BARS
        part = (math.log10(ratio) - self.low) / (self.high - self.low)
        return left + part * (right - left)


def _timed(case: dict[str, Any]) -> list[dict[str, Any]]:
    return [way for way in case["ways"] if way["warm"] is not None]


def _ratio(way: dict[str, Any]) -> float:
    return max(float(way["warm"]["ours_is_times_faster"] or 1.0), 1e-6)


def _head(draw: ImageDraw.ImageDraw, document: dict[str, Any], scale: _Scale, height: int) -> None:
    device = document["device"]
    name = (device.get("gpu") or {}).get("name") or device["cpu"]["name"]
    title = f"vasa_cam on {name}, commit {document['commit'] or 'unknown'}"
    draw.text((16, 12), title, _INK, _font(20))
    draw.text((_BARS[0], 46), "time relative to vasa_cam (longer is slower)", _INK, _font(14))
    draw.text((_SHARES[0], 46), "share of the measured roofline", _INK, _font(14))
    for power in range(scale.low, scale.high + 1):
        x = scale.x(10.0**power)
        draw.line((x, _TOP - 8, x, height - _BOTTOM), _FAINT)
        draw.text((x, 70), f"{10.0**power:g}x", _INK, _font(13), anchor="ma")
    for share in (0.0, 0.5, 1.0):
        x = _SHARES[0] + share * (_SHARES[1] - _SHARES[0])
        draw.line((x, _TOP - 8, x, height - _BOTTOM), _FAINT)
        draw.text((x, 70), f"{share:.0%}", _INK, _font(13), anchor="ma")


def _row(
    draw: ImageDraw.ImageDraw, y: int, case: dict[str, Any], way: dict[str, Any], scale: _Scale
) -> None:
    ours = way is case["ways"][0]
    label = f"{case['name']}  {way['name']}" if ours else way["name"]
    draw.text((_NAMES, y + 2), _fitted(label), _INK, _font(14), anchor="ra")
    ratio = _ratio(way)
    start, end = sorted((scale.x(1.0), scale.x(ratio)))
    bar = (start - 1, y + 3, max(end, start + 1), y + _ROW - 5)
    draw.rectangle(bar, fill=_OURS if ours else _OTHERS)
    said = f"{milliseconds(way['warm']['median_ms'])} ms" + ("" if ours else f", {ratio:.3g}x")
    draw.text((end + 5, y + 2), said, _INK, _font(13))
    share = way["warm"]["roofline_share"]
    if share is not None and not way["part"]:
        left, right = _SHARES
        width = min(share, _MOST_SHARE) * (right - left)
        draw.rectangle((left, y + 3, left + max(width, 1), y + _ROW - 5), fill=_ROOF)


def _fitted(label: str, most: int = 62) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
