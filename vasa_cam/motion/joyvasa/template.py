"""The scales of JoyVASA's numbers: from what the network gives to LivePortrait's units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.motion.latent import EXPRESSION, LATENT_SIZE, SCALE

Floats = npt.NDArray[np.float32]

_PARTS: Final = {"scale": 1, "t": 3, "pitch": 1, "yaw": 1, "roll": 1}
# A scale of a face is about 1; no released weights come near this.
_SMALLEST_SCALE: Final = 0.01


@dataclass(frozen=True, eq=False)
class Template:
    """Latent rows are factor * x + offset; both float32 [70], in the order of LatentMotion.rows."""

    factor: Floats
    offset: Floats

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Template:
        """Of the public template: mean_exp, std_exp, min_ and max_ of scale, t, pitch, yaw, roll.

        Raises InputError when one is missing or has another size.
        """

        def part(name: str, size: int) -> Floats:
            values = np.asarray(arrays.get(name, ()), np.float32).reshape(-1)
            if len(values) != size or not np.isfinite(values).all():
                raise InputError(
                    f"JoyVASA's motion template should hold {size} finite numbers as {name} and "
                    f"holds {len(values)}: download it again."
                )
            return values

        low = np.concatenate([part(f"min_{name}", size) for name, size in _PARTS.items()])
        high = np.concatenate([part(f"max_{name}", size) for name, size in _PARTS.items()])
        mean, std = part("mean_exp", EXPRESSION.stop), part("std_exp", EXPRESSION.stop)
        return cls(np.concatenate([std, high - low]), np.concatenate([mean, low]))

    def rows(self, motion: Floats) -> Floats:
        """Latent rows float32 [T, 70] of the network's motion [T, d], d at least 70."""
        rows = motion[:, :LATENT_SIZE] * self.factor + self.offset
        rows[:, SCALE] = np.maximum(rows[:, SCALE], _SMALLEST_SCALE)
        return np.asarray(rows, np.float32)
