"""Small signal measures that the evaluation is made of: filters, correlations, lags, distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

RATE_HZ: Final = 25.0
_FLAT: Final = 1e-9


def low_pass(rows: npt.ArrayLike, corner_hz: float, rate_hz: float = RATE_HZ) -> Array:
    """Zero-phase low-pass along axis 0: a fourth-order Butterworth there and back, ends mirrored.

    rows: [T, ...]. The gain is 1/2 at corner_hz.
    """
    return _filtered(rows, lambda hz: np.asarray(1.0 / (1.0 + (hz / corner_hz) ** 8)), rate_hz)


def band_pass(
    rows: npt.ArrayLike, low_hz: float, high_hz: float, rate_hz: float = RATE_HZ
) -> Array:
    """Zero-phase band-pass along axis 0, both edges as steep as `low_pass`."""

    def gain(hz: Array) -> Array:
        rise = 1.0 / (1.0 + (low_hz / np.maximum(hz, 1e-6)) ** 8)
        return np.asarray(rise / (1.0 + (hz / high_hz) ** 8))

    return _filtered(rows, gain, rate_hz)


def _filtered(rows: npt.ArrayLike, gain: Callable[[Array], Array], rate_hz: float) -> Array:
    signal: Array = np.array(rows, np.float64)
    if len(signal) < 2:
        return signal
    mirrored = np.concatenate([signal[::-1], signal, signal[::-1]])
    hz: Array = np.fft.rfftfreq(len(mirrored), 1.0 / rate_hz).astype(np.float64)
    spectrum = np.fft.rfft(mirrored, axis=0) * gain(hz).reshape(-1, *[1] * (signal.ndim - 1))
    return np.asarray(np.fft.irfft(spectrum, len(mirrored), axis=0)[len(signal) : 2 * len(signal)])


def pearson(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Pearson's correlation; 0 when one side does not move."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > _FLAT else 0.0


def shifted(signal: Array, span: tuple[int, int], lag: int) -> tuple[Array, slice]:
    """signal[t + lag] for the t of span that exist, and which part of the span those are."""
    first, last = span
    start, stop = max(first + lag, 0), min(last + lag, len(signal))
    part = slice(start - first - lag, stop - first - lag)
    return signal[start:stop], part


def pooled_correlation(
    predicted: Sequence[Array], real: Sequence[Array], spans: Sequence[tuple[int, int]], lag: int
) -> float:
    """Correlation of predicted[t + lag] with real[t] over all spans, each clip's mean removed."""
    products = np.zeros(3)
    for p, r, span in zip(predicted, real, spans, strict=True):
        x, part = shifted(p, span, lag)
        y = r[slice(*span)][part]
        if len(x) > 1:
            x, y = x - x.mean(), y - y.mean()
            products += [x @ y, x @ x, y @ y]
    scale = float(np.sqrt(products[1] * products[2]))
    return float(products[0]) / scale if scale > _FLAT else 0.0


def pooled_lag(
    predicted: Sequence[Array],
    real: Sequence[Array],
    spans: Sequence[tuple[int, int]],
    largest: int = 6,
) -> float:
    """Frames by which predicted comes after real, with a fraction: a parabola through the peak.

    NaN when nothing moves, or when the peak lies at the edge of the search.
    """
    lags = np.arange(-largest, largest + 1)
    r = np.array([pooled_correlation(predicted, real, spans, int(lag)) for lag in lags])
    top = int(np.argmax(r))
    if top in (0, len(r) - 1) or r.max() <= 0.0:
        return float("nan")
    before, at, after = r[top - 1 : top + 2]
    return float(lags[top] + 0.5 * (before - after) / (before - 2.0 * at + after))


def ks_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Kolmogorov-Smirnov: the largest difference of two empirical distributions, 0..1."""
    x, y = np.sort(np.asarray(a, np.float64)), np.sort(np.asarray(b, np.float64))
    if not len(x) or not len(y):
        return float("nan")
    at = np.concatenate([x, y])
    below = [np.searchsorted(side, at, side="right") / len(side) for side in (x, y)]
    return float(np.abs(below[0] - below[1]).max())


def ks_critical(n: int, m: int) -> float:
    """The KS distance that two samples of one distribution exceed in 5 % of cases."""
    return float(1.358 * np.sqrt((n + m) / (n * m))) if n and m else float("nan")


def runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, stop) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
