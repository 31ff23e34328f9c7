"""Op `spade`: what lies around the convolutions of a SPADE decoder, channels last.

Data is float32, float16 or bfloat16, one type in one call; statistics and biases are float32. A
torch tensor of memory format channels_last comes as `x.permute(0, 2, 3, 1)`, which copies nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

from vasa_cam import _core
from vasa_cam.ops import _check
from vasa_cam.ops._check import Array
from vasa_cam.ops.pixel import ColourMatrix, default_matrix

TailFormat = Literal["rgb", "i420"]

LEAKY_SLOPE: Final = 0.2
"""Of the decoder's LeakyReLU."""

CELL_NUMBERS: Final = 12
"""Numbers of a cell of 2x2 pixels before the pixel shuffle: colour * 4 + row * 2 + column."""


def statistics_workspace(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Shape of the float32 workspace of `instance_statistics` for x of `shape` [N, H, W, C]."""
    images, height, width, channels = shape
    return images, _core.statistics_parts(height * width), 2, channels


def instance_statistics(
    x: Array,  # [N, H, W, C]
    *,
    workspace: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Mean and 1 / sqrt(biased variance + 1e-5) of every channel of every image, float32 [N, 2, C].

    Repeating pixels changes neither, so of a nearest-upsampled map take the small one. Sums are of
    distances to one of the values themselves, joined pairwise: a large mean costs the variance no
    digits. The result is the same for any number of threads. `workspace` float32 of shape
    `statistics_workspace(x.shape)` saves an allocation. NaN gives NaN in its channel. Raises
    TypeError or ValueError with the remedy, for an image without pixels too.
    """
    op = "instance_statistics"
    shape = _check.check_array(x, op, "x", _check.FLOATS, (None,) * 4)
    images, height, width, channels = shape
    if height * width == 0 and images * channels:
        raise ValueError(f"{op}: x must have at least one pixel, got {height} x {width}")
    scratch = statistics_workspace(shape)
    workspace = _check.check_output(workspace, op, "workspace", "float32", scratch, x)
    out = _check.check_output(out, op, "out", "float32", (images, 2, channels), x)
    _core.instance_statistics(x, workspace, out, _check.current_stream(x))
    return out


def spade_modulate(
    x: Array,  # [N, h, w, C]
    statistics: Array,  # [N, 2, C]
    gamma_beta: Array,  # [N, H, W, 2 C]
    *,
    bias: Array | None = None,  # [2 C]
    slope: float = LEAKY_SLOPE,
    out: Array | None = None,
) -> Array:
    """leaky((x - mean) * rstd * (1 + gamma) + beta), [N, H, W, C].

    H, W are h, w or twice that: then x is nearest-upsampled on the way. `statistics` as
    `instance_statistics` gives them. gamma is the first half of the channels of `gamma_beta`; a
    float32 `bias` is added to both halves, so that the convolution that made them need not.
    0 < slope <= 1 multiplies negative results; 1 is no activation. `out` may share no memory with
    the inputs. Raises TypeError or ValueError with the remedy.
    """
    op = "spade_modulate"
    images, height, width, channels = _check.check_array(x, op, "x", _check.FLOATS, (None,) * 4)
    dtype, device = _check.dtype_name(x), _check.device_of(x, op, "x")
    maps = _check.check_array(
        gamma_beta,
        op,
        "gamma_beta",
        dtype,
        (images, (height, 2 * height), (width, 2 * width), 2 * channels),
        device,
    )
    if maps[1:3] not in ((height, width), (2 * height, 2 * width)):
        raise ValueError(
            f"{op}: gamma_beta must be {height} x {width} like x or twice as large along both "
            f"axes, got {maps[1]} x {maps[2]}"
        )
    _check.check_array(statistics, op, "statistics", "float32", (images, 2, channels), device)
    if bias is not None:
        _check.check_array(bias, op, "bias", "float32", (2 * channels,), device)
    if not 0 < slope <= 1:
        raise ValueError(f"{op}: slope must be above 0 and at most 1, got {slope}")
    out = _check.check_output(out, op, "out", dtype, (*maps[:3], channels), x)
    _core.spade_modulate(x, statistics, gamma_beta, bias, slope, out, _check.current_stream(x))
    return out


def decoder_tail(
    x: Array,  # [N, H, W, 12 or more]
    pixel_format: TailFormat = "rgb",
    *,
    matrix: ColourMatrix | None = None,
    out: Array | None = None,
) -> Array:
    """The decoder's pictures, uint8: pixel shuffle, sigmoid, times 255, truncated.

    Channel colour * 4 + row * 2 + column of x is a pixel of a cell; more than twelve, as from a
    convolution padded for tensor cores, are ignored. "rgb" gives [N, 2 H, 2 W, 3];
    "i420" [N, 3 H, 2 W], byte for byte what `pixel` makes of it, `matrix` None likewise meaning
    `default_matrix(2 H)`. NaN gives 0. Raises TypeError or ValueError with the remedy.
    """
    op = "decoder_tail"
    images, height, width, found = _check.check_array(x, op, "x", _check.FLOATS, (None,) * 4)
    if found < CELL_NUMBERS:
        raise ValueError(f"{op}: x must have at least {CELL_NUMBERS} channels, got {found}")
    if pixel_format not in get_args(TailFormat):
        raise ValueError(f"{op}: format must be rgb or i420, got {pixel_format!r}")
    if matrix is None:
        matrix = default_matrix(2 * height)
    elif matrix not in get_args(ColourMatrix):
        raise ValueError(f"{op}: matrix must be bt601 or bt709, got {matrix!r}")
    rgb = pixel_format == "rgb"
    wanted = (images, 2 * height, 2 * width, 3) if rgb else (images, 3 * height, 2 * width)
    out = _check.check_output(out, op, "out", "uint8", wanted, x)
    _core.decoder_tail(x, out, pixel_format, matrix, _check.current_stream(x))
    return out
