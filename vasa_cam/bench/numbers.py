"""How figures are written for people."""

from __future__ import annotations


def milliseconds(value: float) -> str:
    """Three digits or so, without an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.{2 if value >= 1 else 3 if value >= 0.1 else 4}f}"
