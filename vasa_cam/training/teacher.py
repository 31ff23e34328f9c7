"""The phone-to-lips teacher: phones with times to lip controls, learnt on the tracked speaker.

It sees the future and exact phones, so it gives lip targets for voices that nobody filmed:
synthetic speech and recordings with aligned phones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vasa_cam.errors import InputError
from vasa_cam.motion.lips import CONTROL, CONTROLS, SOFTPLUS_SHARPNESS, close_lips
from vasa_cam.training.loss import LipLoss
from vasa_cam.training.phones import GESTURE_NAMES, Phone, gesture_track
from vasa_cam.training.samples import RATE_HZ, Sample, phone_events
from vasa_cam.training.targets import control_basis

Floats = npt.NDArray[np.float32]

_STEPS_A_FRAME = 4
_CROP = 60


class PhoneTeacher(nn.Module):
    """Gestures [B, T, 4 x 14] -> controls [B, T, 16]; sees seven frames each way."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(_STEPS_A_FRAME * len(GESTURE_NAMES), width, 5, padding=2),
            nn.SiLU(),
            nn.Conv1d(width, width, 7, padding=3),
            nn.SiLU(),
            nn.Dropout1d(0.15),
            nn.Conv1d(width, width, 5, padding=2),
            nn.SiLU(),
            nn.Conv1d(width, len(CONTROLS), 1),
        )

    def forward(self, gestures: torch.Tensor) -> torch.Tensor:
        raw = self.layers(gestures.transpose(1, 2)).transpose(1, 2)
        return nn.functional.softplus(raw, beta=SOFTPLUS_SHARPNESS)


def phone_rows(phones: list[Phone], frames: int) -> Floats:
    """Gestures around every frame, float32 [frames, 4 x 14]."""
    count = frames * _STEPS_A_FRAME
    steps = (np.arange(count, dtype=np.float64) - 1.5) / (RATE_HZ * _STEPS_A_FRAME)
    return gesture_track(phones, steps).reshape(frames, -1)


def train_teacher(
    phones: list[list[Phone]], samples: list[Sample], steps: int, rng: np.random.Generator
) -> PhoneTeacher:
    """Fit the teacher on tracked clips (same order) with small phone-time jitter."""
    torch.manual_seed(int(rng.integers(1 << 31)))
    teacher = PhoneTeacher()
    loss_of = LipLoss()
    optimiser = torch.optim.AdamW(teacher.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        rows, picked, starts = [], [], []
        for index in rng.integers(0, len(samples), 32):
            shift, stretch = rng.normal(0.0, 0.008), 1.0 + rng.normal(0.0, 0.01)
            moved = [(a * stretch + shift, b * stretch + shift, s) for a, b, s in phones[index]]
            sample = samples[index]
            start = int(rng.integers(0, max(1, len(sample.controls) - _CROP)))
            gestures = phone_rows(moved, len(sample.controls))
            rows.append(gestures[start : start + _CROP])
            picked.append(sample)
            starts.append(start)
        controls = teacher(torch.from_numpy(np.stack(rows)))
        loss = loss_of.lips(controls, *loss_of.targets(picked, starts, _CROP))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    teacher.eval()
    return teacher


def taught_teacher(
    labelled: list[tuple[list[Phone], Sample]], steps: int, rng: np.random.Generator
) -> PhoneTeacher:
    """train_teacher on tracked clips with their phones; InputError when there are none."""
    if not labelled:
        raise InputError(
            "no tracked clip has phones, so no lips can be taught to voices without a face; add a "
            "folder of clips with aligned phones to --talk."
        )
    return train_teacher([phones for phones, _ in labelled], [s for _, s in labelled], steps, rng)


def taught_controls(teacher: PhoneTeacher, phones: list[Phone], frames: int) -> Floats:
    """Controls float32 [frames, 16] for phones; B, P and M are closed for certain."""
    with torch.no_grad():
        rows = torch.from_numpy(phone_rows(phones, frames))[None]
        controls = teacher(rows)[0].numpy().clip(0.0, 1.0)
    opening = control_basis()[:, 15, 1] - control_basis()[:, 5, 1]
    controls = with_mouth_shapes(controls, phones, opening)
    return close_lips(controls, phone_events(phones, frames)[:, 0], opening)


def with_mouth_shapes(controls: Floats, phones: list[Phone], opening: Floats) -> Floats:
    """At least as much rounding, funnelling and spreading as the phones ask for.

    The tracked speaker hardly rounds or spreads his lips; other speakers do, and viewers read it.
    The opening stays what the teacher said. controls: float32 [T, 16]; opening: float32 [16].
    """
    rows = phone_rows(phones, len(controls)).reshape(len(controls), _STEPS_A_FRAME, -1).mean(axis=1)
    padded = np.concatenate([rows[:1], rows, rows[-1:]])
    soft = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    around, funnel, spread = (
        soft[:, GESTURE_NAMES.index(name)] for name in ("round", "funnel", "spread")
    )
    shaped = controls.copy()
    for name in ("mouthUpperUp", "mouthStretch", "mouthSmile"):
        shaped[:, CONTROL[name]] *= 1.0 - 0.8 * around
    for name, least in (
        ("mouthPucker", np.maximum(0.5 * around, 0.15 * funnel)),
        ("mouthFunnel", np.maximum(0.25 * around, 0.3 * funnel)),
        ("mouthStretch", 0.16 * spread),
        ("mouthSmile", 0.08 * spread),
    ):
        shaped[:, CONTROL[name]] = np.maximum(shaped[:, CONTROL[name]], least)
    jaw = CONTROL["jawOpen"]
    excess = (shaped - controls) @ opening
    shaped[:, jaw] = np.clip(shaped[:, jaw] - excess / opening[jaw], 0.0, 1.0)
    return np.asarray(shaped, np.float32)
