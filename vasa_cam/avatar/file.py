"""The avatar and its file: one enrolled portrait, everything a renderer needs.

A `.vasa` file is safetensors (no pickle, nothing is executed on reading). Its metadata holds the
format's name and version, a JSON record (`AvatarMeta`) and a CRC-32 of record and tensors, so that
a damaged file is refused rather than drawn.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.schema import MAX_CANVAS_PX, MAX_MAGNITUDE, TENSORS, check_tensors
from vasa_cam.errors import InputError
from vasa_cam.files import replace_file

FORMAT: Final = "vasa_cam.avatar"
VERSION: Final = "1"

U8 = npt.NDArray[np.uint8]
I8 = npt.NDArray[np.int8]
I32 = npt.NDArray[np.int32]
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AvatarMeta:
    """The numbers and words of an avatar; lengths in canvas pixels (x right, y down, z away).

    Raises ValueError when a value has the wrong type, is not finite or is out of range.
    """

    name: str
    canvas_px: tuple[int, int]
    """Width and height of the stored crop."""
    view_px: tuple[float, float, float, float]
    """x, y, width, height of what is shown at 1:1 framing."""
    closed_mouth: bool
    """The photo shows a closed mouth."""
    face_px: tuple[float, float, float, float]
    """x, y, width, height of the face."""
    iod_px: float
    """Distance between the eye centres."""
    focal_px: float
    pivot_px: tuple[float, float, float]
    """Point that the head turns about."""
    source_size: tuple[int, int]
    """Width and height of the photo, upright."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_kind("name", self.name, str)
        _check_kind("closed_mouth", self.closed_mouth, bool)
        _check_kind("notes", self.notes, tuple)
        for note in self.notes:
            _check_kind("notes", note, str)
        for field, count in (("canvas_px", 2), ("source_size", 2)):
            _check_numbers(field, getattr(self, field), count, whole=True)
        for field, count in (("view_px", 4), ("face_px", 4), ("pivot_px", 3)):
            _check_numbers(field, getattr(self, field), count)
        _check_numbers("iod_px and focal_px", (self.iod_px, self.focal_px), 2)
        if min(self.iod_px, self.focal_px, *self.view_px[2:], *self.face_px[2:]) <= 0:
            raise ValueError("iod_px, focal_px and the sizes of view and face must be above 0")
        if min(*self.canvas_px, *self.source_size) < 1 or max(self.canvas_px) > MAX_CANVAS_PX:
            raise ValueError(f"canvas_px must be 1 .. {MAX_CANVAS_PX} and source_size at least 1")
        x, y, width, height = self.view_px
        slack = 1.0
        if x < -slack or y < -slack:
            raise ValueError("view_px must lie inside the canvas")
        if x + width > self.canvas_px[0] + slack or y + height > self.canvas_px[1] + slack:
            raise ValueError("view_px must lie inside the canvas")


def _check_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {kind.__name__}, got {value!r:.60}")


def _check_numbers(name: str, values: object, count: int, *, whole: bool = False) -> None:
    kinds = (int,) if whole else (int, float)
    good = isinstance(values, tuple) and len(values) == count
    if good and isinstance(values, tuple):
        good = all(
            isinstance(value, kinds)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and abs(value) <= MAX_MAGNITUDE
            for value in values
        )
    if not good:
        kind = "whole numbers" if whole else "finite numbers"
        raise ValueError(f"{name} must hold {count} {kind}, got {values!r:.60}")


@dataclass(frozen=True, eq=False)
class Avatar:
    """One enrolled portrait; shapes, dtypes as in `schema.TENSORS`, coordinates in canvas px.

    Raises ValueError (see `schema.check_tensors`) when a tensor or a link between them is wrong.
    """

    meta: AvatarMeta
    texture_rgba: U8
    """[Hc, Wc, 4] the person: colour free of background, matte as alpha."""
    plate_rgb: U8
    """[Hc, Wc, 3] the background without the person."""
    detail: I8
    """[Hc, Wc] fold map, -127 darkest crease .. +127 highlight."""
    glasses_rgba: U8
    """[Hc, Wc, 4] glasses, painted out of texture_rgba; [0, 0, 4] when there are none."""
    rest_px: F32
    """[N, 3] dense face vertices in face-model order, then the outer mesh."""
    triangles: I32
    """[T, 3]."""
    rigid_weight: F32
    """[N] 1 moves with the head, 0 stays with the torso."""
    shade_weight: F32
    """[N]."""
    shapes: F32
    """[53, 468, 4] dx, dy, dz in px and fold intensity; row 52 is always applied with weight 1."""
    operator_indptr: I32
    """[N+1] CSR operator [N, 468]: dense displacement = operator @ coarse displacement."""
    operator_indices: I32
    operator_values: F32
    contact_pairs: I32
    """[P, 2] upper and lower coarse inner-lip vertex."""
    contact_entries: I32
    """[E, 2] pair, vertex."""
    contact_weights: F32
    """[E] signed."""
    right_eye_sclera: U8
    right_eye_iris: U8
    right_eye_params: F32
    """[8] patch x, y; iris centre x, y; iris radius; eyeball radius; eye-plane depth; 0."""
    right_eye_lid: U8
    left_eye_sclera: U8
    left_eye_iris: U8
    left_eye_params: F32
    left_eye_lid: U8
    interior_vertices: F32
    """[K, 3] teeth, tongue and cavity at rest."""
    interior_uv: F32
    """[K, 2] atlas pixels."""
    interior_triangles: I32
    interior_jaw_weight: F32
    """[K] 0 moves with the skull, 1 with the jaw."""
    interior_tongue: F32
    """[K, 3] offset for tongueOut = 1."""
    interior_atlas: U8
    cavity_rgb: F32
    jaw_params: F32
    """[8] hinge x, y, z; opening angle (rad); shift for jawForward and jawLeft/Right; 0, 0."""

    def __post_init__(self) -> None:
        sizes = check_tensors(self.tensors())
        if (sizes["Wc"], sizes["Hc"]) != self.meta.canvas_px:
            got = (sizes["Wc"], sizes["Hc"])
            raise ValueError(f"canvas_px is {self.meta.canvas_px}, the textures are {got}")

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Every tensor by name, as stored."""
        return {name: getattr(self, name) for name in TENSORS}


def _checksum(record: str, tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """CRC-32 over the JSON record and, in the schema's order, each tensor's bytes."""
    crc = zlib.crc32(record.encode())
    for name in TENSORS:
        crc = zlib.crc32(tensors[name].data, crc)
    return f"{crc:08x}"


def save_avatar(path: Path, avatar: Avatar) -> None:
    """Write `avatar` to `path`, atomically: a failed write leaves no file and an older one intact.

    Raises InputError when the folder is missing or cannot be written, or the disk is full.
    """
    import safetensors.numpy

    tensors = {name: np.ascontiguousarray(array) for name, array in avatar.tensors().items()}
    record = json.dumps(asdict(avatar.meta), sort_keys=True)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "meta": record,
        "crc32": _checksum(record, tensors),
    }
    data = safetensors.numpy.save(tensors, metadata=metadata)
    with replace_file(Path(path)) as partial, partial.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def load_avatar(path: Path) -> Avatar:
    """Read and check an avatar file (safetensors, version 1).

    Raises InputError (one sentence): missing, damaged, of another version, or not an avatar.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(
            f"Expected an avatar file, got the folder {path}; name the .vasa file in it."
        )
    if not path.exists():
        raise InputError(f"There is no file {path}; make it with: vasa-cam enrol PHOTO -o {path}")
    try:
        return _read(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"Cannot read the avatar {path}: {reason}; check its permissions."
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path} is not a usable avatar file: {error}; enrol the photo again."
        ) from error


def _read(path: Path) -> Avatar:
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            names = set(file.keys())
            if metadata.get("format") != FORMAT:
                raise ValueError("it lacks the vasa_cam avatar header")
            if metadata.get("version") != VERSION:
                found = str(metadata.get("version"))[:20]
                raise ValueError(f"its version is {found!r}, this program reads {VERSION!r}")
            if names != TENSORS.keys():
                odd = sorted(names ^ TENSORS.keys())[0]
                raise ValueError(f"tensor {odd[:40]!r} is missing or unknown")
            tensors = {name: file.get_tensor(name) for name in TENSORS}
    except safetensors.SafetensorError as error:
        raise ValueError("it is damaged or not in safetensors format") from error
    except (TypeError, AttributeError, KeyError) as error:  # dtypes that NumPy does not know
        raise ValueError("it holds a tensor of an unknown type") from error
    for name, spec in TENSORS.items():
        if tensors[name].dtype != np.dtype(spec.dtype):
            raise ValueError(f"{name} must be {spec.dtype}, got {tensors[name].dtype}")
    record = metadata.get("meta", "")
    if metadata.get("crc32") != _checksum(record, tensors):
        raise ValueError("its checksum does not match, so it is damaged")
    return Avatar(meta=_parse_meta(record), **tensors)


def _parse_meta(record: str) -> AvatarMeta:
    try:
        values = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise ValueError("its record is not JSON") from error
    names = {field.name for field in fields(AvatarMeta)}
    if not isinstance(values, dict) or values.keys() != names:
        raise ValueError("its record has missing or unknown fields")
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return AvatarMeta(**arguments)
