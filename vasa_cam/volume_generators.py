"""Models of the registry that turn a voice into motion for the volume renderer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy.typing as npt

from vasa_cam.checkpoints.registry import Model, find_model
from vasa_cam.errors import InputError

if TYPE_CHECKING:
    from vasa_cam.motion.latent_stream import LatentStream

FAMILIES: Final = ("joyvasa", "ditto")
HUBERT: Final = "hubert"

Heads = Callable[[], Mapping[str, npt.ArrayLike]]
"""Gives the motion extractor's raw values of the photo, each by its name."""


@dataclass(frozen=True)
class GeneratorSetting:
    """What a generator needs beside its model.

    seed: of its noise. device: torch's name of one. encoder: Ditto's speech encoder, ONNX. heads:
    of the photo, which Ditto is told.
    """

    seed: int
    device: str
    encoder: Path | None
    heads: Heads


def check_generator(model: Model, encoder: Path | None) -> None:
    """Raise InputError unless a model, with its encoder, makes motion from a voice."""
    if model.family not in FAMILIES:
        raise InputError(
            f"the model {model.name} ({model.family}) makes no motion from a voice: choose a "
            f"--generator of the kind {' or '.join(FAMILIES)}."
        )
    if model.family == "ditto" and (encoder is None or not encoder.is_file()):
        raise InputError(
            "Ditto hears with an encoder that is not in its checkpoint: give the file "
            "hubert_streaming_fix_kv.onnx of its download with --encoder."
        )
    if model.family == "joyvasa" and not model.facts["generator"].get("audio_encoder"):
        find_model(HUBERT, HUBERT)


def drives(model: Model) -> dict[str, Any]:
    """How the motion of a generator is meant to move a face: settings of DrivingConfig."""
    if model.family == "ditto":
        from vasa_cam.motion.ditto.stream import DittoStream

        return dict(DittoStream.drives)
    from vasa_cam.motion.joyvasa.stream import JoyVasaStream

    return dict(JoyVasaStream.drives)


def open_generator(model: Model, setting: GeneratorSetting) -> LatentStream:
    """A generator, ready to hear. Raises InputError when its files do not fit each other."""
    check_generator(model, setting.encoder)
    return (_ditto if model.family == "ditto" else _joyvasa)(model, setting)


def _joyvasa(model: Model, setting: GeneratorSetting) -> LatentStream:
    from vasa_cam.motion.joyvasa.generator import JoyVasa
    from vasa_cam.motion.joyvasa.stream import JoyVasaConfig, JoyVasaStream
    from vasa_cam.motion.joyvasa.template import Template

    facts = model.facts["generator"]
    own = bool(facts.get("audio_encoder"))
    generator = JoyVasa(
        model.tensors("generator"),
        Template.from_arrays(model.tensors("template")),
        facts.get("options"),
        None if own else find_model(HUBERT, HUBERT).tensors("encoder"),
    )
    return JoyVasaStream(generator.to(setting.device), JoyVasaConfig(setting.seed))


def _ditto(model: Model, setting: GeneratorSetting) -> LatentStream:
    from vasa_cam.motion.ditto.condition import DittoSource
    from vasa_cam.motion.ditto.generator import Ditto
    from vasa_cam.motion.ditto.hearing import open_hearing
    from vasa_cam.motion.ditto.stream import DittoConfig, DittoStream

    generator = Ditto(model.tensors("generator"), device=setting.device)
    hearing = open_hearing(setting.encoder) if setting.encoder is not None else None
    source = DittoSource.from_heads(setting.heads())
    return DittoStream(generator, source, hearing, DittoConfig(setting.seed))
