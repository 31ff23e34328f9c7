"""Op `warp_volume`: a volume of feature vectors looked up at given places, trilinearly.

PyTorch's `grid_sample` of a 5-D input, for channels that come last and data of 16 or 32 bits. The
maths is in `reference_warp_volume.py`.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from vasa_cam import _core
from vasa_cam.ops import _check
from vasa_cam.ops._check import Array

Padding = Literal["zeros", "border"]

MAX_VOXELS: Final = 2**31 - 1
"""Of one sample; places to look up may be more."""
MAX_CHANNELS: Final = 2**20


def warp_volume(
    volume: Array,  # [N, D, H, W, C] or [1, D, H, W, C]
    grid: Array,  # float32 [N, Do, Ho, Wo, 3]
    *,
    padding: Padding = "zeros",
    align_corners: bool = False,
    out: Array | None = None,  # [N, Do, Ho, Wo, C]
    stream: int | None = None,
) -> Array:
    """The volume at every place of the grid, as `torch.nn.functional.grid_sample` has it.

    volume: float32, float16 or bfloat16; one sample serves all N. It has at least one voxel.
    grid: places as (x, y, z); -1 and 1 are the outer faces of the outermost voxels, or with
        align_corners their centres.
    padding: what lies outside: zeros, or the nearest voxel. A coordinate that is NaN is outside
        with zeros, and the last voxel with border, as in PyTorch on a CPU.
    out: of the volume's dtype; must not overlap the inputs. Returned, or a new array.
    stream: a CUDA stream's handle; None takes the caller's current one.
    Coordinates and sums are float32 whatever the volume's dtype. All arrays are on one device and
    C-contiguous: a torch tensor in the memory format channels_last_3d is `x.permute(0, 2, 3, 4, 1)`
    here, without a copy. Raises TypeError or ValueError with the remedy.
    """
    op = "warp_volume"
    device = _check.device_of(volume, op, "volume")
    samples, *places, _ = _check.check_array(
        grid, op, "grid", "float32", (None, None, None, None, 3), device
    )
    channels = check_volume(volume, op, "volume", samples)[-1]
    if padding not in get_args(Padding):
        raise ValueError(f"{op}: padding must be zeros or border, got {padding!r}")
    shape = (samples, *places, channels)
    out = _check.check_output(out, op, "out", _check.dtype_name(volume), shape, volume)
    handle = _check.current_stream(volume) if stream is None else stream
    _core.warp_volume(volume, grid, padding, bool(align_corners), out, handle)
    return out


def check_volume(volume: Array, op: str, name: str, samples: int) -> tuple[int, ...]:
    """Raise unless `volume` is one that can be looked up for this many samples; return its shape.

    TypeError for the kind of object or dtype, ValueError for shape and layout.
    """
    shape = (tuple(sorted({1, samples})), None, None, None, None)
    found = _check.check_array(volume, op, name, _check.FLOATS, shape)
    voxels = found[1] * found[2] * found[3]
    if not 0 < voxels <= MAX_VOXELS:
        raise ValueError(f"{op}: {name} must have 1 to 2^31 - 1 voxels a sample, got {voxels}")
    if found[-1] > MAX_CHANNELS:
        raise ValueError(f"{op}: {name} must have at most 2^20 channels, got {found[-1]}")
    return found
