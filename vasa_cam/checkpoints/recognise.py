"""What the files of a folder are, by what they hold; their names say nothing here.

A file may hold one part of a model (a network), several, or none. Numbers that differ between
released files, such as the width of JoyVASA's tokens, are read from the tensors.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from vasa_cam.checkpoints import architecture
from vasa_cam.checkpoints.architecture import LIVEPORTRAIT, Expected, Keys
from vasa_cam.checkpoints.reading import Content, read_checkpoint
from vasa_cam.checkpoints.report import KeyReport, compare
from vasa_cam.checkpoints.stored import RefusedError, StoredTensor

ENDINGS: Final = frozenset({".pth", ".pt", ".bin", ".ckpt", ".pkl", ".safetensors"})

_MOST_FILES: Final = 500
_DEEPEST: Final = 6
_STITCHING: Final = {
    "retarget_shoulder": "stitching",
    "retarget_mouth": "lip",
    "retarget_eye": "eye",
}
_FLAT_STITCHING: Final = re.compile(
    r"(retarget_shoulder|retarget_mouth|retarget_eye)(?:[._]module)?\.(mlp\..+)"
)
_TEMPLATE_SIZES: Final = {
    **{f"{what}_exp": 63 for what in ("mean", "std")},
    **{f"{what}_scale": 1 for what in ("min", "max")},
    **{f"{what}_t": 3 for what in ("min", "max")},
    **{f"{what}_{angle}": 1 for what in ("min", "max") for angle in ("pitch", "yaw", "roll")},
}
_HUBERT: Final = "feature_extractor.conv_layers.0.conv.weight"
_AUDIO: Final = "audio_encoder."


@dataclass(frozen=True, eq=False)
class Part:
    """One network, or table of numbers, of a model.

    family: of models, a key of `registry.FAMILIES`. name: of the part. path: the file. tensors:
    StoredTensor or arrays by the keys that the network has here. report: how they fit. facts: what
    was read from the file beside them, as JSON has it.
    """

    family: str
    name: str
    path: Path
    tensors: Mapping[str, Any]
    report: KeyReport
    facts: Mapping[str, Any] = field(default_factory=dict)


def candidates(folder: Path) -> list[Path]:
    """Files of a folder that may be checkpoints, by their endings, sorted.

    Raises RefusedError when there are too many to be a model's folder.
    """
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(folders) if depth < _DEEPEST else []
        checkpoints = (Path(place) / name for name in files if Path(name).suffix.lower() in ENDINGS)
        found += [path for path in checkpoints if path.is_file()]  # no pipe, no broken link
        if len(found) > _MOST_FILES:
            raise RefusedError(
                f"{folder} holds more than {_MOST_FILES} checkpoints: name the folder of one model."
            )
    return sorted(found)


def recognise(path: Path) -> list[Part]:
    """The parts that a file holds; none when it is something else.

    Raises InputError (RefusedError for what is no data) when the file is not readable.
    """
    content = _open(path)
    if (template := _template(path, content.value)) is not None:
        return [template]
    parts = []
    stitching: dict[str, Any] = {}
    for place, tensors in _groups(content.value, ()):
        if flat := _flat_stitching(tensors):
            stitching |= flat
        elif (network := _stitching_network(place, tensors)) is not None:
            stitching |= {f"{network}.{key}": tensor for key, tensor in tensors.items()}
        elif (part := _network(path, tensors, content)) is not None:
            parts.append(part)
    if stitching:
        networks = {"stitching", *(key.partition(".")[0] for key in stitching)}
        known = [name for name in architecture.STITCHING_NETWORKS if name in networks]
        report = compare("stitching", architecture.stitching(known), stitching)
        parts.append(Part("liveportrait", "stitching", path, stitching, report))
    return parts


def _open(path: Path) -> Content:
    try:
        return read_checkpoint(path)
    except RefusedError as first:
        for vocabulary in ("options", "arrays"):
            try:
                return read_checkpoint(path, vocabulary)
            except RefusedError:
                continue
        raise first


def _groups(
    value: Any, place: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, StoredTensor]]]:
    """Every dict that holds tensors by name, without the "module." of parallel training."""
    if not isinstance(value, dict) or len(place) > 3:
        return
    tensors = {
        key: tensor
        for key, tensor in value.items()
        if isinstance(key, str) and isinstance(tensor, StoredTensor)
    }
    if tensors:
        if all(key.startswith("module.") for key in tensors):
            tensors = {key.removeprefix("module."): tensor for key, tensor in tensors.items()}
        yield place, tensors
    for key, item in value.items():
        yield from _groups(item, (*place, str(key)))


def _flat_stitching(tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """S as files without nested dicts hold it: the network's name in front of every key."""
    parts = {key: _FLAT_STITCHING.fullmatch(key) for key in tensors}
    return {
        f"{_STITCHING[match[1]]}.{match[2]}": tensors[key]
        for key, match in parts.items()
        if match is not None
    }


def _stitching_network(place: tuple[str, ...], tensors: Mapping[str, StoredTensor]) -> str | None:
    """Which of the three networks of S, by the name it is kept under or by its input's width."""
    if "mlp.0.weight" not in tensors:
        return None
    if place and place[-1] in _STITCHING:
        return _STITCHING[place[-1]]
    shape = tensors["mlp.0.weight"].shape
    for name, widths in architecture.STITCHING_NETWORKS.items():
        if shape == (widths[1], widths[0]):
            return name
    return None


def _network(path: Path, tensors: Mapping[str, StoredTensor], content: Content) -> Part | None:
    if "denoising_net.feature_proj.weight" in tensors:
        return _joyvasa(path, tensors, content)
    if any(key.startswith("seqTransDecoder.") for key in tensors):
        return _ditto(path, tensors)
    stripped = {key.removeprefix("hubert."): tensor for key, tensor in tensors.items()}
    if _HUBERT in stripped:
        return _hubert(path, stripped)
    for name, describe in LIVEPORTRAIT.items():
        expected = dict(describe())
        if name == "decoder" and not any(key.endswith("weight_orig") for key in tensors):
            expected = dict(architecture.decoder(folded=True))
        if len(expected.keys() & tensors.keys()) > len(expected) / 2:
            report = compare(name, expected.items(), tensors)
            return Part("liveportrait", name, path, tensors, report)
    return None


def _joyvasa(path: Path, tensors: Mapping[str, StoredTensor], content: Content) -> Part:
    # Buffers that follow from formulas; one of them differs between versions of the program.
    used = {
        key: tensor
        for key, tensor in _today(tensors, _AUDIO).items()
        if key != "denoising_net.TE.pe" and not key.startswith("diffusion_sched.")
    }
    sizes = joyvasa_sizes(used)
    heard = any(key.startswith(_AUDIO) for key in used)
    options = content.value.get("args") if isinstance(content.value, dict) else None
    facts = {**sizes, "audio_encoder": heard, "options": _json(options)}
    report = compare("joyvasa generator", joyvasa_keys(used), used)
    return Part("joyvasa", "generator", path, used, report, facts)


def joyvasa_sizes(tensors: Mapping[str, Any]) -> dict[str, int]:
    """Sizes of JoyVASA's generator from the tensors, as `architecture.joyvasa` takes them."""
    projection = _shape(tensors, "denoising_net.feature_proj.weight", 2)
    previous = _shape(tensors, "start_motion_feat", 3)[1]
    mask = tensors.get("denoising_net.alignment_mask")
    window = 100 if mask is None else _shape(tensors, "denoising_net.alignment_mask", 2)[0]
    return {
        "width": projection[0],
        "motion_width": projection[1],
        "previous": previous,
        "window": window if mask is None else window - previous,
        "heard": _shape(tensors, "audio_feature_map.weight", 2)[1],
    }


def joyvasa_keys(tensors: Mapping[str, Any]) -> Iterator[tuple[str, Expected]]:
    """What JoyVASA's generator of the sizes of these tensors holds; its audio encoder if there."""
    yield from (
        (key, expected)
        for key, expected in architecture.joyvasa(**joyvasa_sizes(tensors))
        if key != "denoising_net.TE.pe"
    )
    heard = {
        key.removeprefix(_AUDIO): tensor
        for key, tensor in tensors.items()
        if key.startswith(_AUDIO)
    }
    for key, expected in hubert_keys(heard) if heard else ():
        yield f"{_AUDIO}{key}", expected


def _ditto(path: Path, tensors: Mapping[str, StoredTensor]) -> Part:
    report = compare("ditto generator", ditto_keys(tensors), tensors)
    condition = _shape(tensors, "cond_projection.weight", 2)[1]
    return Part("ditto", "generator", path, tensors, report, {"condition": condition})


def ditto_keys(tensors: Mapping[str, Any]) -> Keys:
    """What Ditto's generator with the conditions of these tensors holds."""
    return architecture.ditto(_shape(tensors, "cond_projection.weight", 2)[1])


def _hubert(path: Path, tensors: Mapping[str, StoredTensor]) -> Part:
    heads = ("lm_head.", "project_hid", "project_q", "quantizer", "final_proj", "label_embs")
    used = {key: tensor for key, tensor in _today(tensors, "").items() if not key.startswith(heads)}
    return Part("hubert", "encoder", path, used, compare("hubert", hubert_keys(used), used))


def hubert_keys(tensors: Mapping[str, Any]) -> Keys:
    """What HuBERT base, of the width and depth of these tensors, holds."""
    width = _shape(tensors, "feature_projection.projection.weight", 2)[0]
    layers = [key.split(".")[2] for key in tensors if key.startswith("encoder.layers.")]
    depth = 1 + max((int(layer) for layer in layers if layer.isdecimal()), default=11)
    return architecture.hubert(width, min(depth, 48))


def _today(tensors: Mapping[str, StoredTensor], root: str) -> dict[str, StoredTensor]:
    """Weight norm's old names replaced by the ones that torch writes today."""
    positions = f"{root}encoder.pos_conv_embed.conv."
    names = {
        f"{positions}weight_g": f"{positions}parametrizations.weight.original0",
        f"{positions}weight_v": f"{positions}parametrizations.weight.original1",
    }
    return {names.get(key, key): tensor for key, tensor in tensors.items()}


def _template(path: Path, value: Any) -> Part | None:
    """JoyVASA's means and spreads, if it is them."""
    if not isinstance(value, dict) or not {"mean_exp", "std_exp"} <= value.keys():
        return None
    arrays = {
        key: array.reshape(-1)
        for key, array in value.items()
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size
    }
    arrays |= {
        key: np.array([number], np.float64)
        for key, number in value.items()
        if type(number) in (int, float)
    }
    sizes = {key: array.size for key, array in arrays.items()}
    expected = {key: Expected((_TEMPLATE_SIZES.get(key, size),)) for key, size in sizes.items()} | {
        key: Expected((size,)) for key, size in _TEMPLATE_SIZES.items()
    }
    report = compare("joyvasa template", expected.items(), arrays)
    return Part("joyvasa", "template", path, arrays, report)


def template_keys(tensors: Mapping[str, Any]) -> Iterator[tuple[str, Expected]]:
    """What JoyVASA's template must hold, and whatever else it has."""
    for key in {**_TEMPLATE_SIZES, **tensors}:
        size = _TEMPLATE_SIZES.get(key)
        yield key, Expected(tuple(tensors[key].shape) if size is None else (size,))


def _shape(tensors: Mapping[str, Any], key: str, dimensions: int) -> tuple[int, ...]:
    if key not in tensors or len(tensors[key].shape) != dimensions:
        raise RefusedError(
            f"{key} is missing or has not {dimensions} dimensions: get the published file."
        )
    shape: tuple[int, ...] = tuple(tensors[key].shape)
    return shape


def _json(value: Any, depth: int = 0) -> Any:
    """Options as JSON has them: what is no plain value is left out."""
    if isinstance(value, dict) and depth < 3:
        return {str(key): _json(item, depth + 1) for key, item in list(value.items())[:500]}
    if isinstance(value, list | tuple) and depth < 3:
        return [_json(item, depth + 1) for item in value[:500]]
    if isinstance(value, str):
        return value[:1000]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int) and abs(value) < 1 << 53 else None
