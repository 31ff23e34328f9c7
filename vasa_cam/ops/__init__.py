"""The native operations: one function each, checked here, computed in `vasa_cam._core`.

Arrays are C-contiguous: NumPy or torch on the CPU, torch or CuPy on a CUDA device (everything in
one call on the same one). `out=` is written and returned; with it an op allocates nothing. Every op
has a plain twin in `reference_<op>.py` with the same arguments.
"""

from __future__ import annotations

from typing import TypedDict

from vasa_cam import _core
from vasa_cam.ops.compose import (
    APERTURE_SIZE,
    EyeParams,
    MouthParams,
    aperture,
    compose_eye,
    compose_mouth,
    compose_over,
)
from vasa_cam.ops.dense_motion import dense_motion_input, dense_motion_warp
from vasa_cam.ops.expression import ExpressionMesh, ExpressionTensors, Light, Pose, expression
from vasa_cam.ops.guided_update import UpdateCoefficients, guided_update
from vasa_cam.ops.phase import phase_expand, phase_weights
from vasa_cam.ops.pixel import default_matrix, pixel
from vasa_cam.ops.probe import multiply_add, triad
from vasa_cam.ops.sampler import (
    JOYVASA_FORM,
    OWN_FORM,
    SamplerForm,
    SamplerModel,
    SamplerWindow,
    sample,
    sample_window,
)
from vasa_cam.ops.sampler_graph import SamplerGraph
from vasa_cam.ops.spade import (
    decoder_tail,
    instance_statistics,
    spade_modulate,
    statistics_workspace,
)
from vasa_cam.ops.warp_mesh import WarpMesh, WarpOptions, warp_mesh
from vasa_cam.ops.warp_volume import warp_volume

__all__ = [
    "APERTURE_SIZE",
    "JOYVASA_FORM",
    "OWN_FORM",
    "BuildInfo",
    "ExpressionMesh",
    "ExpressionTensors",
    "EyeParams",
    "Light",
    "MouthParams",
    "Pose",
    "SamplerForm",
    "SamplerGraph",
    "SamplerModel",
    "SamplerWindow",
    "UpdateCoefficients",
    "WarpMesh",
    "WarpOptions",
    "aperture",
    "build_info",
    "compose_eye",
    "compose_mouth",
    "compose_over",
    "decoder_tail",
    "default_matrix",
    "dense_motion_input",
    "dense_motion_warp",
    "expression",
    "get_num_threads",
    "guided_update",
    "instance_statistics",
    "multiply_add",
    "phase_expand",
    "phase_weights",
    "pixel",
    "sample",
    "sample_window",
    "set_num_threads",
    "spade_modulate",
    "statistics_workspace",
    "triad",
    "warp_mesh",
    "warp_volume",
]


class BuildInfo(TypedDict):
    """What the native module is and what it found on this machine."""

    simd: str
    simd_available: list[str]
    compiler: str
    cuda_compiled: bool
    cuda_version: str
    cuda_devices: int


def build_info() -> BuildInfo:
    """Instruction set in use and those available, compiler, CUDA version and devices."""
    return _core.build_info()


def get_num_threads() -> int:
    """Number of CPU threads that share one call, the caller's included; 2 by default."""
    return _core.num_threads()


def set_num_threads(count: int) -> None:
    """Use this many CPU threads (1 to 64) for each call from now on; ValueError otherwise."""
    _core.set_num_threads(count)
