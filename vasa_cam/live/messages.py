"""What the stages of the daemon hand to one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture at its output deadline.

    rgb: uint8 [H, W, 3]. rgba: uint8 [H, W, 4], straight alpha, where an output asked for it.
    capture_ns: when the voice that it shows was captured. shown_ns: its deadline. sequence: number
    of the picture; a repeat has the number of the frame that it repeats and a new deadline.
    """

    rgb: Bytes
    rgba: Bytes | None
    capture_ns: int
    shown_ns: int
    sequence: int
