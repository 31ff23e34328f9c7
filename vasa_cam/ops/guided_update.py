"""Op `guided_update`: guidance over any number of passes and one solver step, in one kernel.

With weights w that sum to 1 a guided prediction is x_0 = sum_p w_p outputs_p: the paper's
(1 + sum l_c) H(all) - sum l_c H(without c), and u + s (c - u) as [s, 1 - s]. Every solver that is
linear in state, prediction and fresh noise is x_{t-1} = keep x_t + step x_0 + sigma z: DDIM with
any eta, and ancestral sampling (`vasa_cam.motion.schedule` gives their coefficients).
"""

from __future__ import annotations

from typing import NamedTuple

from vasa_cam import _core
from vasa_cam.ops import _check
from vasa_cam.ops._check import Array

_OP = "guided_update"


class UpdateCoefficients(NamedTuple):
    """One step of a solver: x_{t-1} = keep x_t + step x_0 + sigma z."""

    keep: float
    step: float
    sigma: float = 0.0


def guided_update(
    x_t: Array,  # [...] float32, 1 to 4 axes, such as [B, T, C]
    outputs: Array,  # [P, ...] float32, float16 or bfloat16
    weights: Array,  # [P] float32
    coefficients: UpdateCoefficients,
    noise: Array | None = None,  # [...] float32
    *,
    clean: Array | None = None,  # [...] float32
    out: Array | None = None,  # [...] float32
) -> Array:
    """The next state x_{t-1}, float32 in the shape of `x_t`.

    outputs: what the network predicts as x_0 in each of P >= 1 passes; `weights` combine them, in
    float32. noise: z, needed where sigma is not 0 and otherwise ignored. clean: receives the
    combined x_0 if given. out: written and returned; may be `x_t` itself. All arrays on one device,
    C-contiguous; a CUDA call runs on the caller's current stream and can be captured into a graph.
    NaN in gives NaN out at that element. Raises TypeError or ValueError.
    """
    device = _check.device_of(x_t, _OP, "x_t")
    shape = _check.check_array(x_t, _OP, "x_t", "float32", (None,) * len(x_t.shape))
    if not 1 <= len(shape) <= 4:
        raise ValueError(f"{_OP}: x_t must have 1 to 4 axes, got {len(shape)}")
    passes, *_ = _check.check_array(outputs, _OP, "outputs", _check.FLOATS, (None, *shape), device)
    if passes < 1:
        raise ValueError(f"{_OP}: outputs must hold at least one pass, got none")
    _check.check_array(weights, _OP, "weights", "float32", (passes,), device)
    keep, step, sigma = coefficients
    if sigma == 0.0:
        noise = None
    elif noise is None:
        raise ValueError(f"{_OP}: sigma is {sigma:g}, which needs noise; pass it, or sigma 0")
    else:
        _check.check_array(noise, _OP, "noise", "float32", shape, device)
    if clean is not None:
        clean = _check.check_output(clean, _OP, "clean", "float32", shape, x_t)
    out = _check.check_output(out, _OP, "out", "float32", shape, x_t)
    arrays = (x_t, outputs, weights, noise, clean, out)
    _core.guided_update(arrays, (keep, step, sigma), _check.current_stream(out))
    return out
