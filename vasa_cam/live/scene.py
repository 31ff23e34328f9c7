"""What is drawn: an avatar before its background, with the photo itself as the last resort."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from vasa_cam import ops
from vasa_cam.avatar.file import Avatar
from vasa_cam.live.messages import Bytes
from vasa_cam.live.stages import Scene
from vasa_cam.render.framing import Framing, feather_cut_edges, make_background
from vasa_cam.render.layered import LayeredRenderer, RenderConfig

Floats = npt.NDArray[np.float32]

_TRANSPARENT: Final = "transparent"


@dataclass(frozen=True)
class SceneConfig:
    """Size in pixels, background as for `make_background`; alpha: rgba can be drawn, too.

    Pictures without alpha cannot be transparent: they get the photo's own background then.
    """

    width_px: int = 512
    height_px: int = 512
    background: str = "photo"
    alpha: bool = False

    @property
    def opaque_background(self) -> str:
        """What is behind the person in rgb."""
        return "photo" if self.background == _TRANSPARENT else self.background


SceneMaker = Callable[[Avatar, SceneConfig], Scene]


class LayeredScene:
    """Drawn by the layered renderer. Raises InputError when the background is not usable."""

    def __init__(self, avatar: Avatar, config: SceneConfig) -> None:
        size = (config.width_px, config.height_px)
        self._renderer = LayeredRenderer(RenderConfig(*size, config.opaque_background))
        self._state = self._renderer.prepare(avatar)
        behind = np.zeros((config.height_px, config.width_px, 4), np.uint8)
        self._alone = replace(self._state, background=behind) if config.alpha else None

    def draw(self, motion: Floats, rgb: Bytes, rgba: Bytes | None) -> None:
        """See `Scene.draw`; rgba only where the configuration has alpha."""
        if self._alone is None or rgba is None:
            self._renderer.render(self._state, motion, out=rgb)
            return
        self._renderer.render(self._alone, motion, out=rgba)
        ops.compose_over(self._state.background, rgba, out=rgb)


class PhotoScene:
    """The photo as it is, whatever the motion: needs none of the core's operations."""

    def __init__(self, avatar: Avatar, config: SceneConfig) -> None:
        size = (config.width_px, config.height_px)
        framing = Framing.fit(avatar.meta.view_px, *size)
        person = Image.fromarray(feather_cut_edges(avatar.texture_rgba, framing))
        # Pillow maps output pixels to input pixels and counts from the pixel's corner.
        back = 1.0 / framing.scale
        x, y = ((0.5 - offset) * back - 0.5 * back for offset in framing.offset_px)
        data = (back, 0.0, x - 0.5 * back + 0.5, 0.0, back, y - 0.5 * back + 0.5)
        layer = person.transform(
            size, Image.Transform.AFFINE, data, resample=Image.Resampling.BICUBIC
        )
        behind = make_background(config.opaque_background, avatar.plate_rgb, framing)
        photo = Image.fromarray(behind).convert("RGBA")
        photo.alpha_composite(layer)
        self._rgb = np.asarray(photo.convert("RGB"))
        self._rgba = np.asarray(layer)

    def draw(self, motion: Floats, rgb: Bytes, rgba: Bytes | None) -> None:
        """See `Scene.draw`."""
        np.copyto(rgb, self._rgb)
        if rgba is not None:
            np.copyto(rgba, self._rgba)


DEFAULT_MAKERS: Final[tuple[SceneMaker, ...]] = (LayeredScene, PhotoScene)
"""How scenes are made, best first; the next is taken when one keeps failing."""


def fade(over: Bytes, under: Bytes, part: float) -> None:
    """Mix two pictures of the same shape, uint8 [H, W, 3 or 4], into `under`.

    part: how much of `over`, 0..1. Colours of straight alpha count as much as they are seen.
    """
    if under.shape[2] == 3:
        change = np.subtract(over, under, dtype=np.int16)
        change *= np.int16(round(part * 127))
        change //= np.int16(127)
        np.add(under, change, out=under, casting="unsafe")
        return
    weights = [under[..., 3:] * np.float32(1.0 - part), over[..., 3:] * np.float32(part)]
    alpha = weights[0] + weights[1]
    colour = under[..., :3] * weights[0] + over[..., :3] * weights[1]
    under[..., :3] = np.rint(colour / np.maximum(alpha, 1e-3))
    under[..., 3:] = np.rint(alpha)
