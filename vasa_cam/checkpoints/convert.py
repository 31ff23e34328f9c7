"""What is kept of a checkpoint: float32 safetensors, ready for the networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vasa_cam.checkpoints.fold import fold_spectral_norm
from vasa_cam.checkpoints.machine import shown
from vasa_cam.checkpoints.recognise import Part
from vasa_cam.checkpoints.stored import RefusedError, StoredTensor
from vasa_cam.errors import InputError

_HUBERT_CONFIG: Final = "config.json"
_FLOATS: Final = frozenset({"float16", "float32", "float64"})
_MOST_CONFIG: Final = 1 << 20


def converted(part: Part) -> dict[str, npt.NDArray[Any]]:
    """A part's tensors as they are kept: floats as float32, spectral norms folded.

    Raises RefusedError when one is damaged or not finite.
    """
    arrays = {
        key: tensor.array() if isinstance(tensor, StoredTensor) else np.ascontiguousarray(tensor)
        for key, tensor in part.tensors.items()
    }
    if any(key.endswith("weight_orig") for key in arrays):
        arrays = fold_spectral_norm(arrays)
    for key, array in arrays.items():
        if array.dtype.name in _FLOATS:
            with np.errstate(over="ignore"):
                arrays[key] = array.astype(np.float32, copy=False)
            if not np.isfinite(arrays[key]).all():
                raise RefusedError(
                    f"{part.path} is not used: {shown(key)} holds values that are not finite, "
                    "download it again."
                )
    return arrays


def write_part(place: Path, part: Part) -> Path:
    """Convert a part into a file in the folder `place`; its path.

    HuBERT gets the folder that transformers opens: its name for the weights, and config.json.
    """
    from safetensors.numpy import save_file

    family = part.family
    name = "model.safetensors" if family == "hubert" else f"{part.name}.safetensors"
    # "format" is what transformers asks of its files.
    save_file(converted(part), place / name, {"format": "pt", "vasa_cam": f"{family} {part.name}"})
    if family == "hubert":
        _copy_config(part.path.parent / _HUBERT_CONFIG, place / _HUBERT_CONFIG)
    return place / name


def _copy_config(source: Path, target: Path) -> None:
    """The sizes that transformers needs; a file that names classes or code is refused."""
    try:
        text = source.read_text(encoding="utf-8")
        config = json.loads(text) if len(text) <= _MOST_CONFIG else None
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict) or config.get("model_type") != "hubert":
        raise InputError(
            f"{source} is missing or no description of a HuBERT: put the model's config.json "
            "beside its weights."
        )
    if "auto_map" in config:
        raise InputError(f"{source} names code to be run (auto_map): take a plain HuBERT model.")
    target.write_text(json.dumps(config, indent=1), encoding="utf-8")
