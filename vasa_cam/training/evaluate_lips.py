"""How well audio predicts the lips: the figures of docs/lips-model.md, from NumPy inference.

Command: python -m vasa_cam.training.evaluate_lips --talk DIR --speech DIR [--weights FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.features import loud_level_db
from vasa_cam.motion.lips import (
    DEFAULT_STYLE,
    LipFrames,
    LipNetwork,
    LipStyle,
    lip_frames,
    load_lip_network,
    packaged_network,
    shape_lips,
)
from vasa_cam.training.phones import SEALED, VOWELS, symbol_track
from vasa_cam.training.samples import RATE_HZ, music_sound, noise_sound
from vasa_cam.training.talk_data import TalkClip, Utterance, load_talk
from vasa_cam.training.targets import aperture, closed_rest, predicted_movement, width

Floats = npt.NDArray[np.float32]

CLOSED_IOD = 0.03
"""Lips count as closed below this opening (the tracker reads .006 - .02 on closed lips)."""

_NEAR_S = 0.06


def shaped_movement(frames: LipFrames, network: LipNetwork, style: LipStyle) -> Floats:
    """Landmark movement of styled network output, float32 [T, 48, 3]."""
    shaped = shape_lips(frames.controls, frames.probabilities, network.opening, style)
    return predicted_movement(shaped)


def openings(audio: Floats, network: LipNetwork, style: LipStyle = DEFAULT_STYLE) -> Floats:
    """Lip opening per frame, inter-ocular distances, through the linear shapes, float32 [T]."""
    frames = lip_frames(audio, network, loud_level_db(audio))
    return gap_and_width(shaped_movement(frames, network, style))[0]


def gap_and_width(movement: Floats) -> tuple[Floats, Floats]:
    """Lip opening and change of the mouth's width of landmark movement [T, 48, 3], each [T]."""
    gap = np.maximum(0.0, movement[:, 15, 1] - movement[:, 5, 1])
    return gap.astype(np.float32), np.asarray(movement[:, 10, 0] - movement[:, 0, 0], np.float32)


def best_correlation(predicted: Floats, real: Floats) -> float:
    """Largest Pearson correlation over lags of -1, 0 and +1 frame."""
    best = -1.0
    for lag in (-1, 0, 1):
        a = predicted[max(0, lag) : len(predicted) + min(0, lag)]
        b = real[max(0, -lag) : len(real) + min(0, -lag)]
        if a.std() > 1e-6 and b.std() > 1e-6:
            best = max(best, float(np.corrcoef(a, b)[0, 1]))
    return best


def pooled_correlation(predicted: list[Floats], real: list[Floats]) -> float:
    """best_correlation of all clips joined (each clip keeps its own ends; lag within the join)."""
    return best_correlation(np.concatenate(predicted), np.concatenate(real))


def closures(clip: TalkClip, gap: Floats) -> list[tuple[int, int]]:
    """Frame ranges around B, P and M where the tracked lips did close."""
    ranges = []
    for start, end, symbol in clip.phones or []:
        if symbol in SEALED:
            a = max(0, round((start - _NEAR_S) * RATE_HZ))
            b = min(len(gap), round((end + _NEAR_S) * RATE_HZ) + 1)
            if b > a and gap[a:b].min() < CLOSED_IOD:
                ranges.append((a, b))
    return ranges


def talk_figures(clips: list[TalkClip], network: LipNetwork) -> dict[str, float]:
    """Correlation, closure recall and chance level on tracked clips."""
    rest_width = float(width(closed_rest(clips)))
    style = DEFAULT_STYLE
    predicted, real, widths, real_widths, loud = [], [], [], [], []
    hit, total, silent, false_closed, vowel_frames = 0, 0, [], 0, 0
    for clip in clips:
        frames = lip_frames(clip.audio, network, loud_level_db(clip.audio))
        gap, wide_by = gap_and_width(shaped_movement(frames, network, style))
        real_gap = aperture(clip.landmarks[:, :20])
        predicted.append(gap)
        real.append(real_gap)
        loud.append(frames.loudness)
        widths.append(wide_by)
        real_widths.append(width(clip.landmarks[:, :20]) - rest_width)
        for a, b in closures(clip, real_gap):
            total += 1
            hit += int(gap[a:b].min() < CLOSED_IOD)
        times = np.arange(len(gap)) / RATE_HZ
        phones = clip.phones or []
        spoken = symbol_track(phones, frozenset({s for *_, s in phones} - {"SIL"}), times, 0.2)
        silent.append(gap[spoken == 0.0])
        wide = (symbol_track(phones, VOWELS, times, 1e-6) > 0.0) & (real_gap > 0.12)
        vowel_frames += int(wide.sum())
        false_closed += int((gap[wide] < CLOSED_IOD).sum())
    shifted = predicted[1:] + predicted[:1]
    length = min(len(x) for x in real)
    joined = np.concatenate(silent)
    return {
        "aperture_r": pooled_correlation(predicted, real),
        "loudness_r": pooled_correlation(loud, real),
        "aperture_r_clip_median": float(
            np.median([best_correlation(p, r) for p, r in zip(predicted, real, strict=True)])
        ),
        "width_r": pooled_correlation(widths, real_widths),
        "aperture_rms_iod": float(
            np.sqrt(np.mean((np.concatenate(predicted) - np.concatenate(real)) ** 2))
        ),
        "aperture_gain": float(np.concatenate(predicted).std() / np.concatenate(real).std()),
        "closure_recall": hit / max(1, total),
        "closures": float(total),
        "open_vowels_closed": false_closed / max(1, vowel_frames),
        "chance_r": pooled_correlation([x[:length] for x in shifted], [x[:length] for x in real]),
        "silence_aperture_median": float(np.median(joined)),
        "silence_aperture_p95": float(np.percentile(joined, 95)),
    }


def voice_figures(voices: list[Utterance], network: LipNetwork) -> dict[str, float]:
    """Phone-level checks on voices without faces: what the lips do on B P M, vowels and silence."""
    closed, opened, still = [], [], []
    round_width, spread_width = [], []
    for voice in voices:
        frames = lip_frames(voice.audio, network, loud_level_db(voice.audio))
        gap, wide_by = gap_and_width(shaped_movement(frames, network, DEFAULT_STYLE))
        for start, end, symbol in voice.phones:
            a, b = round((start - 0.03) * RATE_HZ), round((end + 0.03) * RATE_HZ) + 1
            part = gap[max(0, a) : b]
            if len(part) == 0:
                continue
            if symbol in SEALED:
                closed.append(part.min() < CLOSED_IOD)
            elif symbol in ("AA", "AE", "AY", "AW", "EH") and end - start > 0.07:
                opened.append(part.max())
            elif symbol in ("UW", "OW", "W"):
                round_width.append(wide_by[min(len(gap) - 1, (a + b) // 2)])
            elif symbol in ("IY", "EY", "EH"):
                spread_width.append(wide_by[min(len(gap) - 1, (a + b) // 2)])
            elif symbol == "SIL" and end - start > 0.5:
                still.append(gap[round((start + 0.3) * RATE_HZ) : round((end - 0.1) * RATE_HZ)])
    return {
        "closure_recall": float(np.mean(closed)),
        "open_vowel_aperture": float(np.median(opened)),
        "silence_aperture": float(np.median(np.concatenate(still))) if still else 0.0,
        "round_width": float(np.mean(round_width)),
        "spread_width": float(np.mean(spread_width)),
    }


def stillness_figures(network: LipNetwork, seed: int = 5) -> dict[str, float]:
    """95th percentile of the opening in generated noise and in generated music, and in silence."""
    rng = np.random.default_rng(seed)
    noise = [openings(noise_sound(rng, 5.0), network) for _ in range(12)]
    music = [openings(music_sound(rng, 5.0), network) for _ in range(12)]
    silence = openings(np.zeros(80000, np.float32), network)
    return {
        "noise_aperture_p95": float(np.percentile(np.concatenate(noise), 95)),
        "music_aperture_p95": float(np.percentile(np.concatenate(music), 95)),
        "digital_silence_aperture_max": float(silence.max()),
    }


def wild_figures(clips: list[TalkClip], network: LipNetwork) -> dict[str, float]:
    """Median correlation on other people's clips (validation only; other cameras, other styles)."""
    scores = []
    for clip in clips:
        gap = openings(clip.audio, network)
        count = min(len(gap), len(clip.landmarks))
        scores.append(best_correlation(gap[:count], aperture(clip.landmarks[:count, :20])))
    return {
        "aperture_r_median": float(np.median(scores)),
        "aperture_r_mean": float(np.mean(scores)),
    }


def all_figures(
    network: LipNetwork, talk: Path, voices: list[Utterance] | None = None
) -> dict[str, dict[str, float]]:
    """Every figure that the data at hand allows, by group."""
    figures = {
        "validation": talk_figures(load_talk(talk, "val.jsonl"), network),
        "still": stillness_figures(network),
    }
    weak_sync = {"astorfi_sample", "styletalk_andrew_clip1", "styletalk_feifeili_clip2_short"}
    if (talk / "wild" / "wild.jsonl").is_file():
        wild = [c for c in load_talk(talk / "wild", "wild.jsonl") if c.name not in weak_sync]
        figures["wild"] = wild_figures(wild, network)
    if voices:
        figures["synthetic"] = voice_figures(voices, network)
    return figures


def main() -> None:
    """Print the figures of a weight file as JSON."""
    from vasa_cam.training.voices import synthetic_voices

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--talk", type=Path, required=True)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    network = load_lip_network(options.weights) if options.weights else packaged_network()
    # Another seed than training's: other voices, rates and pitches for the same sentences.
    voices = synthetic_voices(options.speech, np.random.default_rng(77), 40)
    figures: dict[str, Any] = all_figures(network, options.talk, voices)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
