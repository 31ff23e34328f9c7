"""Which networks make motion: the shipped ones or those of a folder, alone or with a public one."""

from __future__ import annotations

from pathlib import Path

from vasa_cam.motion import encoder, generator
from vasa_cam.motion.public_encoder import check_fits, with_public


def load_models(
    weights: Path | None = None, public: str | None = None
) -> tuple[encoder.Encoder, generator.Generator]:
    """Encoder and generator of a folder with encoder.safetensors and generator.safetensors.

    weights: the folder, None for the shipped files. public: as for load_public_encoder. Raises
    InputError when a file cannot be read, or the networks were not trained together.
    """
    if weights is None:
        own, drawing = encoder.packaged_encoder(), generator.packaged_generator()
    else:
        own = encoder.load_encoder(weights / encoder.WEIGHTS_FILE)
        drawing = generator.load_generator(weights / generator.WEIGHTS_FILE)
    hearing = with_public(own, public)
    check_fits(hearing, drawing)
    return hearing, drawing
