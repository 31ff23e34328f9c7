"""What this machine can do at most, measured: memory traffic and multiply-adds.

Not for pictures: `vasa_cam.bench` sets every op's time against these two.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vasa_cam import _core
from vasa_cam.ops import _check

Floats = npt.NDArray[np.float32]


def triad(
    a: Floats,  # [n]
    b: Floats,  # [n]
    factor: float,
    out: Floats | None = None,  # [n]
) -> Floats:
    """a + factor * b, which moves 12 bytes for two operations; out may be a or b.

    Raises TypeError or ValueError.
    """
    op = "triad"
    (count,) = _check.check_array(a, op, "a", "float32", (None,))
    _check.check_array(b, op, "b", "float32", (count,), _check.device_of(a, op, "a"))
    out = _check.check_output(out, op, "out", "float32", (count,), a)
    _core.triad(a, b, float(factor), out, _check.current_stream(out))
    return out


def multiply_add(values: Floats, factor: float, addend: float, rounds: int) -> None:
    """x = factor * x + addend, `rounds` times for every x of values [n], in place.

    Takes 2 n rounds operations and next to no traffic. Raises TypeError or ValueError.
    """
    op = "multiply_add"
    _check.check_array(values, op, "values", "float32", (None,))
    _check.check_writable(values, op, "values")
    if rounds < 0:
        raise ValueError(f"{op}: rounds must be at least 0, got {rounds}")
    stream = _check.current_stream(values)
    _core.multiply_add(values, float(factor), float(addend), int(rounds), stream)
