"""3x3 convolutions of nearest-upsampled maps, done on the small map: exactly, by phases.

Where a map was enlarged f = 2 or 4 times by repeating its pixels, many of the nine taps of a
convolution fall on copies of one pixel. Along an axis, of the f pixels made of map pixel i the
first sees i - 1 and i, the last i and i + 1, those between i alone. Their taps, added up, are
kernels of 2, 2 and 1 taps; in two dimensions of 2x2, 2x1, 1x2 and 1x1.

A last pixel and the first one after it both see the two map pixels around the edge between them.
So the 2x2 kernels of the four pixels around a map's corner are one convolution with four times the
outputs, on the grid of the corners, [h + 1, w + 1]; those of two pixels around an edge likewise.
A factor of 2 is the corners alone: 16 products of taps for each map pixel instead of 36. A factor
of 4 needs corners, both kinds of edges and the insides: 16 + 4 + 4 + 1 = 25 instead of 144. Each
is an ordinary convolution with a border of kernel // 2 zeros on every side, of a size that
libraries do well. (The nine classes as one 3x3 convolution with structural zeros would cost 81.)

The zero border of the large map becomes that of the small one: nothing is approximated. Results
differ from the plain convolution by the rounding of sums in another order.

The next convolution, of the map that was made this way, sees ten distinct taps along an axis for
four pixels instead of twelve: 100 products instead of 144. That isn't done: it takes sixteen
convolutions with a stride of 3 on a map of 3 h x 3 w instead of one large one of the shape that
libraries do best. It would save at most 31 %, and loses as soon as those reach less than 69 % of
the large one's rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam import _core
from vasa_cam.ops import _check
from vasa_cam.ops._check import Array

FACTORS: Final = (1, 2, 4)

# Along an axis, [tap on the map, tap of the 3x3 kernel].
_LAST = ((1, 1, 0), (0, 0, 1))
_FIRST = ((1, 0, 0), (0, 1, 1))
_BETWEEN = ((1, 1, 1),)


def phase_weights(
    weight: npt.NDArray[Any],  # [O, I, 3, 3]
    factor: int,
) -> tuple[npt.NDArray[Any], ...]:
    """The kernels of the convolutions on the small map, in the order of `phase_expand`'s parts.

    Factor 1: the weight itself. Factor 2: the corners' [4 O, I, 2, 2]. Factor 4: the corners',
    [2 O, I, 2, 1] and [2 O, I, 1, 2] of the edges between rows and between columns, and for the
    insides [O, I, 1, 1]. Convolve the small map with each, stride 1, no bias, zero padding of
    kernel // 2 along each axis; turn the results channels last and pass them to `phase_expand`.
    Outputs of several convolutions of one map may be concatenated along O first. Sums are float64,
    rounded once to the weight's dtype. Raises TypeError or ValueError.
    """
    op = "phase_weights"
    dtypes = ("float32", "float64")
    outputs, inputs, _, _ = _check.check_array(weight, op, "weight", dtypes, (None, None, 3, 3))
    _check_factor(factor, op)
    if factor == 1:
        return (weight,)
    wide = weight.astype(np.float64)

    def folded(vertical: Sequence[Any], horizontal: Sequence[Any]) -> npt.NDArray[Any]:
        rows, columns = np.array(vertical, np.float64), np.array(horizontal, np.float64)
        kernels = np.einsum("pyu,qxv,oiuv->pqoiyx", rows, columns, wide, optimize=True)
        shape = (len(rows) * len(columns) * outputs, inputs, rows.shape[1], columns.shape[1])
        return np.ascontiguousarray(kernels.reshape(shape).astype(weight.dtype))

    edge, inside = (_LAST, _FIRST), (_BETWEEN,)
    if factor == 2:
        return (folded(edge, edge),)
    return folded(edge, edge), folded(edge, inside), folded(inside, edge), folded(inside, inside)


def phase_expand(
    parts: Sequence[Array],
    bias: Array,  # [C]
    factor: int,
    *,
    groups: int | None = None,
    relu: bool = True,
    out: Array | None = None,
) -> Array:
    """The convolution of the upsampled map, [N, f h, f w, C], from those by `phase_weights`.

    parts: channels last. Factor 1: ([N, h, w, C],), to which this only adds bias and ReLU. Factor
    2: the corners ([N, h + 1, w + 1, 4 C],). Factor 4: the corners, the edges [N, h + 1, w, 2 C]
    and [N, h, w + 1, 2 C], and the insides [N, h, w, C]. bias: float32. groups: gives
    [groups, N, f h, f w, C / groups] instead, the channels split into arrays that follow one
    another. relu: negatives become 0; NaN stays. `out` may share no memory with the inputs. Raises
    TypeError or ValueError with the remedy.
    """
    op = "phase_expand"
    _check_factor(factor, op)
    count = 4 if factor == 4 else 1
    if len(parts) != count:
        raise ValueError(f"{op}: factor {factor} takes {count} parts, got {len(parts)}")
    images, height, width, channels = _check_parts(parts, factor)
    first = parts[0]
    dtype, device = _check.dtype_name(first), _check.device_of(first, op, "parts[0]")
    _check.check_array(bias, op, "bias", "float32", (channels,), device)
    shape: tuple[int, ...] = (images, factor * height, factor * width, channels)
    if groups is not None:
        if groups < 1 or channels % groups:
            raise ValueError(f"{op}: groups must divide the {channels} channels, got {groups}")
        shape = (groups, *shape[:3], channels // groups)
    out = _check.check_output(out, op, "out", dtype, shape, first)
    _core.phase_expand(list(parts), bias, factor, relu, out, _check.current_stream(first))
    return out


def _check_factor(factor: int, op: str) -> None:
    if factor not in FACTORS:
        raise ValueError(f"{op}: factor must be 1, 2 or 4, got {factor}")


def _check_parts(parts: Sequence[Array], factor: int) -> tuple[int, int, int, int]:
    """Images, height, width and channels of the small map."""
    op, first = "phase_expand", parts[0]
    images, height, width, channels = _check.check_array(
        first, op, "parts[0]", _check.FLOATS, (None,) * 4
    )
    if factor == 1:
        return images, height, width, channels
    if not height or not width or channels % 4:
        raise ValueError(
            f"{op}: parts[0], the corners, must be [N, h + 1, w + 1, 4 C], "
            f"got {[images, height, width, channels]}"
        )
    height, width, channels = height - 1, width - 1, channels // 4
    if factor == 4:
        dtype, device = _check.dtype_name(first), _check.device_of(first, op, "parts[0]")
        shapes = (
            (images, height + 1, width, 2 * channels),
            (images, height, width + 1, 2 * channels),
            (images, height, width, channels),
        )
        for index, shape in enumerate(shapes, 1):
            _check.check_array(parts[index], op, f"parts[{index}]", dtype, shape, device)
    return images, height, width, channels
