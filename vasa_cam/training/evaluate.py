"""`vasa-cam evaluate`: every figure by which a motion model is judged, from NumPy inference.

Each source runs once over each clip; all figures are taken from those runs. What they mean:
docs/motion-evaluation.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.space import Motion
from vasa_cam.training.evaluation_data import EvalClip, load_evaluation, loudness_db
from vasa_cam.training.figures_head import (
    against,
    blinks,
    different_heads,
    equal_windows,
    gaze_shifts_a_minute,
    head_movement,
    interval_distance,
    prominence,
)
from vasa_cam.training.figures_lips import correlation, gap, gaps_of, lip_figures, same_lips
from vasa_cam.training.motion_sources import (
    MotionSource,
    MotionSystem,
    another_voice,
    mean_face,
    voice_system,
)

Floats = npt.NDArray[np.float32]
Figures = dict[str, Any]
Progress = Callable[[str], None]

LEVELS_DB: Final = (0.0, -10.0, -20.0, -30.0)
LONG_RUN_S: Final = 180.0
_SUBSET: Final = 20
_QUIET_S: Final = 30.0


@dataclass(frozen=True)
class Evaluation:
    """Figures by row of the table: "model", "real", "another voice", "mean face".

    Each holds, by split, what `lip_figures` and the head functions give. extra: figures that only
    the model has (levels, seeds, quiet, long run).
    """

    name: str
    clips: dict[str, int]
    rows: dict[str, Figures]
    extra: Figures

    def as_json(self) -> Figures:
        """Plain values; NaN becomes None."""
        body = {"model": self.name, "clips": self.clips, "rows": self.rows, "extra": self.extra}
        plain: Figures = _plain(body)
        return plain


def evaluate(
    folder: Path,
    weights: Path | None = None,
    progress: Progress = lambda what: None,
    public: str | None = None,
) -> Evaluation:
    """All figures of the shipped model, or of other weights, on a folder of clips.

    public: a public encoder, see load_public_encoder. Raises InputError when the folder or the
    weights cannot be used.
    """
    system = voice_system(weights, public=public)
    progress("reading the clips")
    return evaluate_system(system, load_evaluation(folder), progress)


def evaluate_system(
    system: MotionSystem, clips: Sequence[EvalClip], progress: Progress = lambda what: None
) -> Evaluation:
    """All figures of any system on loaded clips."""
    if not clips:
        raise InputError("there is no clip to evaluate on.")
    motions = []
    for number, clip in enumerate(clips, 1):
        progress(f"clip {number} of {len(clips)}")
        motions.append(_run(system.whole, clip.talk.audio, 0, clip.frames))
    sides = {
        "model": motions,
        "real": [clip.real for clip in clips],
        "another voice": another_voice(clips, motions) if _have_neighbours(clips) else None,
        "mean face": mean_face(clips),
    }
    progress("measuring")
    rows = {name: _row(clips, side) for name, side in sides.items() if side is not None}
    extra = {
        "seeds": _seeds(system.whole, clips, motions),
        "levels": _levels(system, clips, motions),
        "quiet": _quiet(system),
        "long_run": _long_run(system, clips),
    }
    counts: dict[str, int] = {}
    for clip in clips:
        counts[clip.split] = counts.get(clip.split, 0) + 1
    return Evaluation(system.name, counts, rows, extra)


def _run(source: MotionSource, audio: Floats, seed: int, frames: int) -> Motion:
    """A source's motion, as long as the clip; a source that stops early holds its last frame."""
    made = source(audio, seed).frames[:frames]
    missing = frames - len(made)
    return Motion(np.concatenate([made, np.repeat(made[-1:], missing, axis=0)]))


def _have_neighbours(clips: Sequence[EvalClip]) -> bool:
    return all(sum(other.split == clip.split for other in clips) > 1 for clip in clips)


def _row(clips: Sequence[EvalClip], motions: Sequence[Motion]) -> Figures:
    """Figures of one row, split by split."""
    figures: Figures = {}
    for split in dict.fromkeys(clip.split for clip in clips):
        where = [k for k, clip in enumerate(clips) if clip.split == split]
        figures[split] = _split_figures([clips[k] for k in where], [motions[k] for k in where])
    return figures


def _split_figures(clips: Sequence[EvalClip], motions: Sequence[Motion]) -> Figures:
    sharp = [k for k, clip in enumerate(clips) if clip.lips]
    figures: Figures = {}
    if sharp:
        some, moved = [clips[k] for k in sharp], [motions[k] for k in sharp]
        figures["lips"] = lip_figures(some, moved)
        people = dict.fromkeys(clip.person for clip in some)
        if len(people) > 1:
            figures["people"] = _by_person(some, moved, list(people))
    heads, real = head_movement(motions), head_movement([clip.real for clip in clips])
    figures["head"] = {
        **heads,
        "against_real": against(heads, real),
        "blinks": blinks(motions),
        "gaze_shifts_a_minute": gaze_shifts_a_minute(motions),
        "prominence": prominence(motions, [clip.loud_db for clip in clips]),
    }
    return figures


def _by_person(
    clips: Sequence[EvalClip], motions: Sequence[Motion], people: Sequence[str]
) -> Figures:
    """Correlations person by person, and their mean over people."""
    each: Figures = {}
    for person in people:
        where = [k for k, clip in enumerate(clips) if clip.person == person]
        some = [clips[k] for k in where]
        found = correlation(some, gaps_of(some, [motions[k] for k in where]))
        each[person] = {name: found[name] for name in ("r_mean", "r_pooled", "lag_frames", "clips")}
    return {"r_mean": float(np.mean([figure["r_mean"] for figure in each.values()])), "by": each}


def _some(clips: Sequence[EvalClip]) -> list[int]:
    """About twenty clips spread over those that test lips, those with phones first of all."""
    sharp = [k for k, clip in enumerate(clips) if clip.lips]
    spoken = [k for k in sharp if clips[k].talk.phones is not None]
    chosen = spoken or sharp
    return chosen[:: max(1, len(chosen) // _SUBSET)][:_SUBSET]


def _seeds(
    source: MotionSource, clips: Sequence[EvalClip], motions: Sequence[Motion]
) -> Figures | None:
    """The same voices with another seed: the same lips, another head?"""
    chosen = _some(clips)
    if not chosen:
        return None
    first = [motions[k] for k in chosen]
    again = [_run(source, clips[k].talk.audio, 1, clips[k].frames) for k in chosen]
    return {"lips_r": same_lips(first, again), "head": different_heads(first, again)}


def _levels(
    system: MotionSystem, clips: Sequence[EvalClip], motions: Sequence[Motion]
) -> Figures | None:
    """Correlation when the level is not known before, for voices of several levels."""
    chosen = _some(clips)
    if system.live is None or not chosen:
        return None
    some = [clips[k] for k in chosen]
    known = correlation(some, gaps_of(some, [motions[k] for k in chosen]))["r_mean"]
    figures: Figures = {"known": known, "clips": len(some)}
    for level in LEVELS_DB:
        gain = np.float32(10.0 ** (level / 20.0))
        live = [_run(system.live, clip.talk.audio * gain, 0, clip.frames) for clip in some]
        figures[f"{level:g} dB"] = correlation(some, gaps_of(some, live))["r_mean"]
    figures["largest_loss"] = known - min(figures[f"{level:g} dB"] for level in LEVELS_DB)
    return figures


def _quiet(system: MotionSystem) -> Figures:
    """Half a minute of digital silence: the mouth's largest opening, and what still lives."""
    samples = np.zeros(round(_QUIET_S * 16000), np.float32)
    motion = (system.live or system.whole)(samples, 0)
    opening = gap(motion.frames)
    return {
        "opening_max_iod": float(opening.max()),
        "blinks": blinks([motion])["count"],
        "head_range_deg": head_movement([motion])["range_deg"],
    }


def _long_run(system: MotionSystem, clips: Sequence[EvalClip]) -> Figures:
    """One long performance, for what short clips cannot show: blinks and their intervals."""
    audio = np.concatenate([clip.talk.audio for clip in clips])[: round(LONG_RUN_S * 16000)]
    motion = _run(system.whole, audio, 2, len(audio) // 640)
    figures: Figures = {
        "seconds": motion.duration_s,
        "blinks": blinks([motion]),
        "head": head_movement([motion]),
        "gaze_shifts_a_minute": gaze_shifts_a_minute([motion]),
        "prominence": prominence([motion], [loudness_db(audio, len(motion.frames))]),
    }
    free = [clip for clip in clips if clip.talk.phones is None]
    if free:
        pieces = equal_windows(motion, [clip.frames for clip in free])
        real = blinks([clip.real for clip in free])["intervals_s"]
        figures["intervals"] = interval_distance(blinks(pieces)["intervals_s"], real)
    return figures


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
