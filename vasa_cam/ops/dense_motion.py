"""Op `dense_motion`: what lies before and after the network that says which keypoint moves a place.

A volume has the identity grid g, whose index i of n stands at 2 i / (n - 1) - 1. Candidate k moves
it by source_k - driving_k, candidate 0 not at all; lookups are those of `warp_volume` with padding
zeros and align_corners False. The maths is in `reference_dense_motion.py`, in the plain form with a
flow field for every candidate; here none is stored.
"""

from __future__ import annotations

from typing import Final

from vasa_cam import _core
from vasa_cam.ops import _check
from vasa_cam.ops._check import Array
from vasa_cam.ops.warp_volume import check_volume

MAX_KEYPOINTS: Final = 31
COMPRESSED_CHANNELS: Final = 4


def dense_motion_input(
    compressed: Array,  # [N, D, H, W, 4] or [1, D, H, W, 4]
    keypoints_source: Array,  # float32 [N, K, 3] or [1, K, 3]
    keypoints_driving: Array,  # float32 [N, K, 3]
    *,
    out: Array | None = None,  # [N, D, H, W, 5 (K + 1)]
    stream: int | None = None,
) -> Array:
    """The network's input: for each candidate its heat and the volume as it would move it.

    compressed: float32, float16 or bfloat16, at least 2 voxels along each axis.
    keypoints: (x, y, z) in -1..1; K from 1 to 31. One sample of `compressed` or of the source's
        keypoints serves all N.
    out: of the dtype of `compressed`; channels 5 k to 5 k + 4 are exp(-50 |g - driving_k|^2) -
        exp(-50 |g - source_k|^2), which is 0 for candidate 0, and the four looked-up channels.
    stream: a CUDA stream's handle; None takes the caller's current one.
    All arrays are on one device and C-contiguous. Raises TypeError or ValueError with the remedy.
    """
    op = "dense_motion_input"
    device = _check.device_of(compressed, op, "compressed")
    samples, keypoints = _check_keypoints(keypoints_source, keypoints_driving, op, device)
    shape = _check_sizes(compressed, op, "compressed", samples)
    if shape[-1] != COMPRESSED_CHANNELS:
        raise ValueError(f"{op}: compressed must have 4 channels, got {shape[-1]}")
    wanted = (samples, *shape[1:4], (1 + COMPRESSED_CHANNELS) * (keypoints + 1))
    out = _check.check_output(out, op, "out", _check.dtype_name(compressed), wanted, compressed)
    handle = _check.current_stream(compressed) if stream is None else stream
    _core.dense_motion_input(compressed, keypoints_source, keypoints_driving, out, handle)
    return out


def dense_motion_warp(
    mask_logits: Array,  # [N, D, H, W, K + 1]
    keypoints_source: Array,  # float32 [N, K, 3] or [1, K, 3]
    keypoints_driving: Array,  # float32 [N, K, 3]
    volume: Array,  # [N, D, H, W, C] or [1, D, H, W, C]
    *,
    deformation: Array | None = None,  # float32 [N, D, H, W, 3]
    out: Array | None = None,  # [N, D, H, W, C]
    stream: int | None = None,
) -> Array:
    """The network's output applied: the volume where the candidates, weighted, say to look.

    mask_logits: of the volume's dtype; their softmax weighs the candidates.
    volume: float32, float16 or bfloat16, at least 2 voxels along each axis.
    keypoints: as for `dense_motion_input`.
    deformation: if given, it is filled with where the volume was looked up, as (x, y, z).
    out: of the volume's dtype. Returned, or a new array.
    stream: a CUDA stream's handle; None takes the caller's current one.
    All arrays are on one device and C-contiguous; neither output overlaps an input. Raises
    TypeError or ValueError with the remedy.
    """
    op = "dense_motion_warp"
    device = _check.device_of(volume, op, "volume")
    samples, keypoints = _check_keypoints(keypoints_source, keypoints_driving, op, device)
    shape = _check_sizes(volume, op, "volume", samples)
    dtype = _check.dtype_name(volume)
    space = (samples, *shape[1:4])
    _check.check_array(mask_logits, op, "mask_logits", dtype, (*space, keypoints + 1), device)
    if deformation is not None:
        _check.check_array(deformation, op, "deformation", "float32", (*space, 3), device)
        _check.check_writable(deformation, op, "deformation")
    out = _check.check_output(out, op, "out", dtype, (*space, shape[-1]), volume)
    handle = _check.current_stream(volume) if stream is None else stream
    _core.dense_motion_warp(
        mask_logits, keypoints_source, keypoints_driving, volume, deformation, out, handle
    )
    return out


def _check_keypoints(
    source: Array, driving: Array, op: str, device: tuple[str, int]
) -> tuple[int, int]:
    """N and K."""
    samples, count, _ = _check.check_array(
        driving, op, "keypoints_driving", "float32", (None, None, 3), device
    )
    shape = (tuple(sorted({1, samples})), count, 3)
    _check.check_array(source, op, "keypoints_source", "float32", shape, device)
    if not 1 <= count <= MAX_KEYPOINTS:
        raise ValueError(f"{op}: needs 1 to {MAX_KEYPOINTS} keypoints, got {count}")
    return samples, count


def _check_sizes(volume: Array, op: str, name: str, samples: int) -> tuple[int, ...]:
    shape = check_volume(volume, op, name, samples)
    if min(shape[1:4]) < 2:
        raise ValueError(
            f"{op}: {name} must have at least 2 voxels along each axis, got {list(shape[1:4])}"
        )
    return shape
