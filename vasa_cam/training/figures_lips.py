"""Figures of the lips: do they follow the voice, close, rest, take shape and move smoothly.

Every function takes clips and, for each, one motion of at least as many frames at 25 Hz. How each
figure is defined and why: docs/motion-evaluation.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.controls import lip_opening
from vasa_cam.motion.space import COEFFICIENTS, Motion
from vasa_cam.training.evaluation_data import EvalClip
from vasa_cam.training.lip_shapes import SHAPES, at_phones, classify, f1_scores, lip_reader
from vasa_cam.training.phones import SEALED
from vasa_cam.training.signals import (
    RATE_HZ,
    low_pass,
    pearson,
    pooled_correlation,
    pooled_lag,
    shifted,
)

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Figures = dict[str, Any]

CLOSED_SHARE: Final = 0.15
"""Lips are closed below this share of the clip's 95th percentile of opening."""
LEAST_OPEN_IOD: Final = 0.03
"""A mouth whose 95th percentile is lower never opens, so it cannot close either."""
CLOSURE_MARGIN_S: Final = 0.04
SILENCE_S: Final = 0.2
SILENCE_MARGIN_S: Final = 0.08
FAR_MARGIN_S: Final = 0.3
SMOOTH_HZ: Final = 5.0


def gap(frames: Floats) -> Doubles:
    """Lip opening of motion frames float32 [T, >=52], float64 [T], inter-ocular distances."""
    signed = frames[:, :COEFFICIENTS].astype(np.float64) @ lip_opening()
    return np.maximum(signed, 0.0)


def gaps_of(clips: Sequence[EvalClip], motions: Sequence[Motion]) -> list[Doubles]:
    """Lip openings, cut to the clips' lengths."""
    pairs = zip(clips, motions, strict=True)
    return [gap(motion.frames)[: clip.frames] for clip, motion in pairs]


def correlation(clips: Sequence[EvalClip], gaps: Sequence[Doubles]) -> Figures:
    """Correlation of openings with the tracked ones over the speech span, and the lag.

    The lag is one for all clips, at most a frame either way, but for `r_best_mean`, which takes
    each clip's own best; `lag_frames` has a fraction and is positive when the lips are late.
    """
    real, spans = [clip.real_gap for clip in clips], [clip.span for clip in clips]
    lag = max((0, -1, 1), key=lambda lag: pooled_correlation(gaps, real, spans, lag))
    by_lag = {
        step: [_span_r(predicted, clip, step) for predicted, clip in zip(gaps, clips, strict=True)]
        for step in (0, -1, 1)
    }
    each = by_lag[lag]
    whole = [pearson(g, clip.real_gap) for g, clip in zip(gaps, clips, strict=True)]
    ours_std, real_std = (
        np.concatenate([x[slice(*span)] - x[slice(*span)].mean() for x, span in pairs]).std()
        for pairs in (list(zip(gaps, spans, strict=True)), list(zip(real, spans, strict=True)))
    )
    return {
        "r_best_mean": float(np.mean(np.max(list(by_lag.values()), axis=0))),
        "r_mean": float(np.mean(each)),
        "r_median": float(np.median(each)),
        "r_pooled": pooled_correlation(gaps, real, spans, lag),
        "r_whole_mean": float(np.mean(whole)),
        "gain": float(ours_std / real_std),
        "lag_frames": pooled_lag(gaps, real, spans),
        "clips": len(clips),
        "r_by_clip": {clip.talk.name: r for clip, r in zip(clips, each, strict=True)},
    }


def _span_r(predicted: Doubles, clip: EvalClip, lag: int) -> float:
    """Correlation over the clip's speech span with the prediction `lag` frames later."""
    part, where = shifted(predicted, clip.span, lag)
    return pearson(part, clip.real_gap[slice(*clip.span)][where])


def closed_below(opening: Doubles) -> float:
    """The opening below which this clip's lips count as closed; NaN if they never open."""
    wide = float(np.percentile(opening, 95.0))
    return CLOSED_SHARE * wide if wide >= LEAST_OPEN_IOD else math.nan


def closures(clips: Sequence[EvalClip], gaps: Sequence[Doubles]) -> Figures:
    """Share of M, B and P within 40 ms of which the lips close."""
    hits: dict[str, list[bool]] = {symbol: [] for symbol in sorted(SEALED)}
    for clip, opening in zip(clips, gaps, strict=True):
        limit = closed_below(opening)
        for start, end, symbol in clip.talk.phones or []:
            if symbol in SEALED:
                first = max(0, math.ceil((start - CLOSURE_MARGIN_S) * RATE_HZ - 1e-6))
                last = math.floor((end + CLOSURE_MARGIN_S) * RATE_HZ + 1e-6)
                near = opening[first : last + 1]
                if len(near):
                    hits[symbol].append(bool(near.min() < limit))
    every = [hit for found in hits.values() for hit in found]
    return {
        "closed": _mean(every),
        "count": len(every),
        "closed_by_phone": {symbol: _mean(found) for symbol, found in hits.items()},
    }


def silences(
    clips: Sequence[EvalClip], margin_s: float = SILENCE_MARGIN_S
) -> list[list[tuple[int, int]]]:
    """Frame ranges of silence longer than 0.2 s, without a margin at each end, clip by clip."""
    margin, least = math.ceil(margin_s * RATE_HZ - 1e-6), SILENCE_S * RATE_HZ
    return [
        [(a + margin, b - margin) for a, b in clip.pauses if b - a > max(least, 2 * margin)]
        for clip in clips
    ]


def stillness(clips: Sequence[EvalClip], gaps: Sequence[Doubles]) -> Figures:
    """Share of silent frames with closed lips; variance of the opening there against speech.

    closed_far counts only what is 0.3 s or further from speech: people open before they speak.
    """
    quiet, frames = 0.0, 0
    for opening, ranges in zip(gaps, silences(clips), strict=True):
        for part in (opening[first:last] for first, last in ranges):
            quiet += float(part.var()) * len(part)
            frames += len(part)
    talking = [float(g[slice(*clip.span)].var()) for clip, g in zip(clips, gaps, strict=True)]
    loud = float(np.mean(talking))
    return {
        "closed": _closed_share(gaps, silences(clips)),
        "closed_far": _closed_share(gaps, silences(clips, FAR_MARGIN_S)),
        "variance_share": quiet / frames / loud if frames and loud > 1e-9 else math.nan,
        "frames": frames,
    }


def _closed_share(gaps: Sequence[Doubles], ranges: Sequence[Sequence[tuple[int, int]]]) -> float:
    """Share of the frames in these ranges with closed lips."""
    closed: list[bool] = []
    for opening, parts in zip(gaps, ranges, strict=True):
        limit = closed_below(opening)
        # A mouth that never opens in speech must at least not stand open.
        limit = limit if math.isfinite(limit) else CLOSED_SHARE * LEAST_OPEN_IOD
        for first, last in parts:
            closed += [bool(value) for value in opening[first:last] < limit]
    return _mean(closed)


def shapes(clips: Sequence[EvalClip], motions: Sequence[Motion]) -> Figures:
    """F1 of the four lip shapes at the middle of their phones, read from the drawn mesh."""
    wanted, names, got = [], [], []
    for clip, motion in zip(clips, motions, strict=True):
        rows, shape, symbols = at_phones(motion.frames, clip.talk.phones or [])
        wanted.append(shape)
        names += symbols
        got.append(classify(lip_reader().read(rows)))
    truth = np.concatenate([*wanted, np.zeros(0, np.int64)])
    read = np.concatenate([*got, np.zeros(0, np.int64)])
    f1 = f1_scores(truth, read)
    symbols_of = np.array(names)
    recall = {
        symbol: float((read[symbols_of == symbol] == truth[symbols_of == symbol]).mean())
        for symbol in sorted(set(names))
    }
    counts = [[int(np.sum((truth == a) & (read == b))) for b in range(4)] for a in range(4)]
    known = np.isfinite(f1)
    return {
        "macro_f1": float(f1[known].mean()) if known.any() else math.nan,
        "f1": dict(zip(SHAPES, f1.tolist(), strict=True)),
        "recall_by_phone": recall,
        "confusion": counts,
        "count": len(truth),
    }


def acceleration(signal: npt.ArrayLike, span: tuple[int, int] | None = None) -> float:
    """Mean size of the second difference after a 5 Hz low-pass; all columns alike."""
    smooth = low_pass(signal, SMOOTH_HZ)
    first, last = (0, len(smooth)) if span is None else span
    second = np.diff(smooth[first:last], n=2, axis=0)
    return float(np.abs(second).mean()) if len(second) else math.nan


def smoothness(clips: Sequence[EvalClip], gaps: Sequence[Doubles]) -> Figures:
    """Second difference of the opening over the speech span, against the tracked one's."""
    ours = [acceleration(opening, clip.span) for clip, opening in zip(clips, gaps, strict=True)]
    real = [acceleration(clip.real_gap, clip.span) for clip in clips]
    weights = [clip.span[1] - clip.span[0] for clip in clips]
    a, b = (float(np.average(side, weights=weights)) for side in (ours, real))
    return {"ours_iod": a, "real_iod": b, "ratio": a / b}


def lip_figures(clips: Sequence[EvalClip], motions: Sequence[Motion]) -> Figures:
    """All figures above of one group of clips; those that need phones only where there are some."""
    gaps = gaps_of(clips, motions)
    figures: Figures = {
        "correlation": correlation(clips, gaps),
        "smoothness": smoothness(clips, gaps),
        "silence": stillness(clips, gaps),
    }
    spoken = [k for k, clip in enumerate(clips) if clip.talk.phones is not None]
    if spoken:
        some = [clips[k] for k in spoken]
        figures["closures"] = closures(some, [gaps[k] for k in spoken])
        figures["shapes"] = shapes(some, [motions[k] for k in spoken])
    return figures


def same_lips(first: Sequence[Motion], second: Sequence[Motion]) -> float:
    """Correlation of two performances' lip openings, all clips joined; 1 where both never move."""
    a, b = (np.concatenate([gap(m.frames) for m in side]) for side in (first, second))
    return 1.0 if a.std() < 1e-6 and b.std() < 1e-6 else pearson(a, b)


def _mean(hits: Sequence[bool]) -> float:
    return float(np.mean(hits)) if hits else math.nan
