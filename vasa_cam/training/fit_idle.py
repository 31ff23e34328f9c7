"""Fit the idle-motion statistics: heads, blinks, gaze and brows of people filmed while they talk.

Command: python -m vasa_cam.training.fit_idle --wild DIR -o vasa_cam/motion/weights/idle.json
DIR holds wild.jsonl and stats.json (folder talk/wild). Only figures are stored, never a track.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vasa_cam.motion.features import features, loud_level_db, loudness
from vasa_cam.motion.idle import CORNERS_HZ, KERNEL_FRAMES, component_power, kernel_basis
from vasa_cam.training.talk_data import TalkClip, load_talk

Floats = npt.NDArray[np.float64]

BANDS_HZ = ((0.2, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0))
_RATE_HZ = 25.0
_BLINK_RISE = 0.25
_BLINK_LONGEST = 15
_RIDGE = 0.05


def smooth_below(rows: Floats, low_hz: float, high_hz: float) -> Floats:
    """Zero-phase band-pass by FFT with mirrored ends, along axis 0."""
    mirrored = np.concatenate([rows[::-1], rows, rows[::-1]])
    hz = np.fft.rfftfreq(len(mirrored), 1.0 / _RATE_HZ)
    keep = 1.0 / (1.0 + (hz / high_hz) ** 8) * (1.0 - 1.0 / (1.0 + (hz / low_hz + 1e-9) ** 8))
    spectrum = np.fft.rfft(mirrored, axis=0)
    shaped = spectrum * keep.reshape(-1, *[1] * (rows.ndim - 1))
    return np.asarray(np.fft.irfft(shaped, len(mirrored), axis=0)[len(rows) : 2 * len(rows)])


def head_components(band_rms: Floats, noise_rms: Floats) -> Floats:
    """Sigmas in degrees, [components, 3], whose summed spectra match the bands' RMS.

    band_rms: [5, 3] for BANDS_HZ. noise_rms: [3] in 8-12.5 Hz, taken as white tracker noise and
    subtracted. Non-negative least squares on relative band power, by projected gradient.
    """
    power = np.stack([component_power(corner, BANDS_HZ) for corner in CORNERS_HZ], axis=1)
    sigmas = np.zeros((len(CORNERS_HZ), 3))
    for axis in range(3):
        widths = np.array([b - a for a, b in BANDS_HZ])
        wanted = band_rms[:, axis] ** 2 - noise_rms[axis] ** 2 * widths / 4.5
        wanted = np.maximum(wanted, 0.05 * band_rms[:, axis] ** 2)
        relative = power / wanted[:, None]
        variance = np.full(len(CORNERS_HZ), 0.1)
        step = 0.5 / np.linalg.norm(relative, 2) ** 2
        for _ in range(200000):
            variance = np.maximum(0.0, variance - step * relative.T @ (relative @ variance - 1.0))
        sigmas[:, axis] = np.sqrt(variance)
    return sigmas


def brow_raise(scores: npt.NDArray[np.float32], names: list[str]) -> Floats:
    """Mean raise minus mean lowering of the brows, tracker scores [T, 52] -> [T]."""

    def mean(*parts: str) -> Floats:
        return np.asarray(np.mean([scores[:, names.index(n)] for n in parts], axis=0), np.float64)

    up = 0.5 * mean("browInnerUp") + 0.5 * mean("browOuterUpLeft", "browOuterUpRight")
    return up - 0.5 * mean("browDownLeft", "browDownRight")


def clip_loudness(clip: TalkClip) -> Floats:
    """Loudness 0..1 at 25 Hz, as the running system computes it."""
    rows = features(clip.audio, level_db=loud_level_db(clip.audio))
    count = len(rows) // 4
    per_frame = loudness(rows[: 4 * count]).reshape(count, 4).mean(axis=1)
    return np.asarray(per_frame, np.float64)


def loudness_kernel(clips: list[TalkClip], signals: list[Floats]) -> tuple[Floats, float]:
    """Ridge regression of a signal on past loudness; returns (kernel [KERNEL_FRAMES], r)."""
    basis = kernel_basis()
    rows, wanted = [], []
    for clip, signal in zip(clips, signals, strict=True):
        loud = clip_loudness(clip)
        count = min(len(loud), len(signal))
        loud = loud[:count] - loud[:count].mean()
        padded = np.concatenate([np.zeros(KERNEL_FRAMES - 1), loud])
        history = np.stack(
            [padded[KERNEL_FRAMES - 1 - k :][:count] for k in range(KERNEL_FRAMES)], 1
        )
        rows.append(smooth_below(history @ basis.T, 0.2, 5.0))
        wanted.append(smooth_below(signal[:count], 0.2, 5.0))
    x, y = np.concatenate(rows), np.concatenate(wanted)
    gram = x.T @ x
    weights = np.linalg.solve(
        gram + _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)), x.T @ y
    )
    return weights @ basis, float(np.corrcoef(x @ weights, y)[0, 1])


def find_blinks(lids: Floats) -> list[int]:
    """Peaks of lid closure that rise by 0.25 within 0.6 s and fall again, frame numbers."""
    peaks = []
    for k in range(2, len(lids) - 2):
        around = lids[max(0, k - _BLINK_LONGEST // 2) : k + _BLINK_LONGEST // 2 + 1]
        left = lids[max(0, k - 8) : k + 1].min()
        right = lids[k : k + 9].min()
        if lids[k] == around.max() and lids[k] - max(left, right) >= _BLINK_RISE:
            peaks.append(k)
    return peaks


def blink_figures(clips: list[TalkClip], names: list[str], rate_a_minute: float) -> dict[str, Any]:
    """Interval distribution (scaled to the given rate) and the mean lid profile around a peak."""
    left, right = names.index("eyeBlinkLeft"), names.index("eyeBlinkRight")
    gaps: list[float] = []
    profiles = []
    for clip in clips:
        lids = clip.scores[:, [left, right]].mean(axis=1).astype(np.float64)
        peaks = find_blinks(lids)
        gaps += [float(g) / _RATE_HZ for g in np.diff(peaks)]
        for peak in peaks:
            window = lids[peak - 6 : peak + 11] if peak >= 6 else lids[:0]
            if len(window) == 17:
                base = min(np.median(window[:3]), np.median(window[-3:]))
                profiles.append((window - base) / (window[6] - base))
    log = np.log(np.array(gaps))
    sigma = float(log.std())
    # Short clips see short gaps only: keep the spread, set the mean from the blink rate.
    mean_s = 60.0 / rate_a_minute
    return {
        "log_interval_mean": float(np.log(mean_s) - 0.5 * sigma**2),
        "log_interval_std": sigma,
        "count": len(profiles),
        "profile": np.round(np.mean(profiles, axis=0), 4).tolist(),
    }


def gaze_figures(clips: list[TalkClip], names: list[str]) -> dict[str, float]:
    """Log-normal sizes of gaze shifts in degrees, and their horizontal share."""

    def column(clip: TalkClip, name: str) -> Floats:
        return np.asarray(clip.scores[:, names.index(name)], np.float64)

    sizes, flat = [], []
    for clip in clips:
        side = column(clip, "eyeLookOutLeft") - column(clip, "eyeLookInLeft")
        side += column(clip, "eyeLookInRight") - column(clip, "eyeLookOutRight")
        up = column(clip, "eyeLookUpLeft") - column(clip, "eyeLookDownLeft")
        up += column(clip, "eyeLookUpRight") - column(clip, "eyeLookDownRight")
        lids = column(clip, "eyeBlinkLeft") + column(clip, "eyeBlinkRight")
        angles = 17.5 * np.stack([side, up], axis=1)
        jump = angles[4:] - angles[:-4]
        clear = np.array([lids[k : k + 9].max() < 0.8 for k in range(len(jump))])
        size = np.hypot(*jump.T) * clear
        k = 0
        while k < len(size):
            if size[k] >= 5.0:
                top = k + int(np.argmax(size[k : k + 5]))
                sizes.append(size[top])
                flat.append(abs(jump[top, 0]) / size[top])
                k = top + 6
            k += 1
    log = np.log(np.array(sizes))
    seconds = sum(len(clip.scores) for clip in clips) / _RATE_HZ
    return {
        "log_size_mean": float(log.mean()),
        "log_size_std": float(log.std()),
        "horizontal": float(np.mean(flat)),
        "shifts_a_minute": 60.0 * len(sizes) / seconds,
    }


def fit(folder: Path) -> dict[str, Any]:
    """All fitted figures as plain JSON values."""
    stats = json.loads((folder / "stats.json").read_text())
    names = json.loads((folder.parent / "meta.json").read_text())["blendshape_names"]
    clips = load_talk(folder, "wild.jsonl")
    bands = np.array(stats["band_rms_deg"]["yaw_pitch_roll"])
    degrees = [np.rad2deg(clip.pose[:, :3].astype(np.float64)) for clip in clips]
    pitch_kernel, pitch_r = loudness_kernel(clips, [d[:, 0] for d in degrees])
    brows = [brow_raise(clip.scores, names) for clip in clips]
    brow_kernel, brow_r = loudness_kernel(clips, brows)
    sigmas = head_components(bands[:5], bands[5])
    return {
        "source": "13 clips of 9 people, 227 s; figures only",
        "corners_hz": list(CORNERS_HZ),
        "head_sigma_deg": {
            axis: np.round(sigmas[:, column], 4).tolist()
            for axis, column in (("rx", 1), ("ry", 0), ("rz", 2))
        },
        "speech_speed_ratio": stats["pooled"]["speech_ratio"],
        "pitch_kernel_deg": np.round(pitch_kernel, 4).tolist(),
        "pitch_kernel_r": pitch_r,
        "brow_kernel": np.round(brow_kernel, 4).tolist(),
        "brow_kernel_r": brow_r,
        "blink": blink_figures(clips, names, float(stats["person_median"]["blink"][0])),
        "gaze": gaze_figures(clips, names),
    }


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wild", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    temporary = options.output.with_name(f".{options.output.name}.new")
    temporary.write_text(json.dumps(fit(options.wild), indent=1, sort_keys=True) + "\n")
    os.replace(temporary, options.output)


if __name__ == "__main__":
    main()
