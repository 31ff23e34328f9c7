from collections.abc import Sequence

from vasa_cam.ops import BuildInfo
from vasa_cam.ops._check import Array
from vasa_cam.ops.compose import EyeParams, MouthParams

class ExpressionMesh:
    def __init__(
        self, arrays: Sequence[Array], light: Sequence[float], device: str, device_id: int
    ) -> None: ...

class SamplerModel:
    def __init__(
        self,
        tensors: Sequence[Array],
        form: Sequence[bool],
        heads: int,
        device: tuple[str, int],
        precision: str,
    ) -> None: ...

class SamplerGraph:
    def __init__(
        self, model: SamplerModel, arrays: Sequence[Array | None], out: Array, workspace: Array
    ) -> None: ...
    def replay(self, stream: int) -> None: ...

class WarpMesh:
    def __init__(
        self,
        uv: Array,
        triangles: Array,
        texture: Array,
        detail: Array,
        device: str,
        device_id: int,
    ) -> None: ...

def build_info() -> BuildInfo: ...
def num_threads() -> int: ...
def set_num_threads(count: int) -> None: ...
def set_simd_level(name: str) -> None: ...
def expression(
    mesh: ExpressionMesh,
    weights: Array,
    pose: Sequence[float],
    vertices: Array,
    attributes: Array,
    stream: int,
) -> None: ...
def guided_update(
    arrays: Sequence[Array | None], coefficients: Sequence[float], stream: int
) -> None: ...
def triad(a: Array, b: Array, factor: float, out: Array, stream: int) -> None: ...
def multiply_add(values: Array, factor: float, addend: float, rounds: int, stream: int) -> None: ...
def pixel(source: Array, target: Array, format: str, matrix: str, stream: int) -> None: ...
def sample_window(
    model: SamplerModel, arrays: Sequence[Array | None], out: Array, stream: int
) -> None: ...
def sampler_workspace_bytes(
    model: SamplerModel, passes: int, condition: int, frames: int
) -> int: ...
def warp_mesh(
    mesh: WarpMesh,
    vertices: Array,
    attributes: Array,
    gains: Sequence[float],
    origin: Sequence[int],
    out: Array,
    stream: int,
) -> None: ...
def warp_volume(
    volume: Array, grid: Array, padding: str, align_corners: bool, out: Array, stream: int
) -> None: ...
def dense_motion_input(
    compressed: Array,
    keypoints_source: Array,
    keypoints_driving: Array,
    out: Array,
    stream: int,
) -> None: ...
def dense_motion_warp(
    mask_logits: Array,
    keypoints_source: Array,
    keypoints_driving: Array,
    volume: Array,
    deformation: Array | None,
    out: Array,
    stream: int,
) -> None: ...
def compose_over(
    background: Array, layer: Array, origin: Sequence[int], out: Array, stream: int
) -> None: ...
def aperture(vertices: Array, upper: Array, lower: Array, out: Array, stream: int) -> None: ...
def compose_eye(
    frame: Array, aperture: Array, params: EyeParams, layers: Sequence[Array], stream: int
) -> None: ...
def compose_mouth(
    frame: Array,
    aperture: Array,
    params: MouthParams,
    interior: Array,
    origin: Sequence[int],
    stream: int,
) -> None: ...
def statistics_parts(pixels: int) -> int: ...
def instance_statistics(x: Array, workspace: Array, out: Array, stream: int) -> None: ...
def spade_modulate(
    x: Array,
    statistics: Array,
    gamma_beta: Array,
    bias: Array | None,
    slope: float,
    out: Array,
    stream: int,
) -> None: ...
def phase_expand(
    parts: Sequence[Array], bias: Array, factor: int, relu: bool, out: Array, stream: int
) -> None: ...
def decoder_tail(x: Array, out: Array, format: str, matrix: str, stream: int) -> None: ...
