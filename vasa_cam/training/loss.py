"""The training loss: what the lips look like (through the linear shapes), not only coefficients."""

from __future__ import annotations

import numpy as np
import torch

from vasa_cam.motion.lips import CONTROLS
from vasa_cam.training.samples import Sample
from vasa_cam.training.targets import control_basis, landmark_weights

_LANDMARK = 30.0
_OPENING = 40.0
_SPEED = 40.0
_CONTROL = 6.0
_CLOSED_EXTRA = 2.5
_SEAL_EXTRA = 4.0
_EVENT = 0.4
_ALIVE = 2.0


class LipLoss:
    """Weighted squared errors of landmarks, opening, its speed and the controls themselves."""

    def __init__(self) -> None:
        basis = control_basis().reshape(len(CONTROLS), -1)
        self.basis = torch.from_numpy(np.ascontiguousarray(basis))
        self.weights = torch.from_numpy(landmark_weights().reshape(-1))
        # Movement is [landmark, axis] flattened: y of 14 minus y of 13 is the opening.
        self.low, self.high = 3 * 15 + 1, 3 * 5 + 1

    def targets(
        self, samples: list[Sample], starts: list[int], crop: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Zero-padded crops [B, crop, ...] of controls, movement, events and frame weights."""

        def padded(rows: np.ndarray, start: int) -> np.ndarray:
            part = rows[start : start + crop]
            return np.concatenate([part, np.zeros((crop - len(part), *rows.shape[1:]), np.float32)])

        weight = []
        for sample, start in zip(samples, starts, strict=True):
            row = padded(np.full(len(sample.controls), sample.trust, np.float32), start)
            if start > 0:
                row[:8] = 0.0
            weight.append(row)
        stacks = [
            np.stack([padded(getattr(s, name), a) for s, a in zip(samples, starts, strict=True)])
            for name in ("controls", "movement", "events")
        ]
        tensors = [torch.from_numpy(stack) for stack in [*stacks, np.stack(weight)]]
        return tensors[0], tensors[1], tensors[2], tensors[3]

    def lips(
        self, controls: torch.Tensor, wanted: torch.Tensor, movement: torch.Tensor,
        events: torch.Tensor, weight: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Lip error of controls [B, T, 16]."""
        shape = controls @ self.basis
        difference = (shape - movement) * self.weights
        gap = shape[..., self.low] - shape[..., self.high]
        gap_wanted = movement[..., self.low] - movement[..., self.high]
        # Pressed lips touch: once both are closed there is nothing left to correct.
        wrong = torch.clamp(gap, min=-0.02) - torch.clamp(gap_wanted, min=-0.01)
        closed = (gap_wanted < 0.03).float() * events[..., 2]
        emphasis = weight * (1.0 + _CLOSED_EXTRA * closed + _SEAL_EXTRA * events[..., 0])
        speed = torch.diff(gap, dim=1) - torch.diff(gap_wanted, dim=1)
        return (
            _LANDMARK * (weight * difference.square().sum(-1)).mean()
            + 10.0 * _OPENING * (emphasis * wrong.square()).mean()
            + 2.0 * _SPEED * (weight[:, 1:] * speed.square()).mean()
            + _CONTROL * (weight * (controls - wanted).square().sum(-1)).mean()
        )

    def alive(self, raw: torch.Tensor) -> torch.Tensor:
        """Cost of raw control outputs so far below zero that they could not come back."""
        return _ALIVE * torch.relu(-0.5 - raw[..., : len(CONTROLS)]).square().mean()

    def events(
        self, logits: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """Error of seal, tuck and speech logits [B, T, 3]; rare events count more."""
        balance = torch.tensor([3.0, 3.0, 1.0])
        error = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, wanted, pos_weight=balance, reduction="none"
        )
        seen = (weight > 0.0).float()[..., None]
        return _EVENT * (error * seen).mean()
