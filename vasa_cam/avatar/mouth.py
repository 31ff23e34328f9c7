"""The inside of a portrait's mouth: teeth, gums, tongue, cheeks and throat as a textured mesh.

Everything is modelled in centimetres in the head frame (x image right, y down, z away), placed
behind the lips and sent to canvas pixels. The upper teeth belong to the skull, the lower teeth and
the tongue to the jaw. Colours come from the photo: enamel from the whites of the eyes or from the
photo's own teeth, gums and tongue from the lips.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from vasa_cam.avatar.mesh import HeadFrame
from vasa_cam.avatar.mouth_colours import MouthColours, measure_colours
from vasa_cam.avatar.mouth_parts import Part, cavity_part, tongue_part
from vasa_cam.avatar.own_teeth import (
    OwnTeeth,
    ToCanvas,
    find_own_teeth,
    follow_photo,
    lowest_edge,
    paste_own_teeth,
)
from vasa_cam.avatar.paint import (
    LUMA,
    Bytes,
    Floats,
    Ints,
    blur,
    fade_to_grey,
    sample,
    to_bytes,
    vector,
)
from vasa_cam.avatar.teeth import (
    LOWER_ARCH,
    UPPER_ARCH,
    Arch,
    ToothColours,
    build_arch,
    plan_arch,
)
from vasa_cam.face_model import load_face_model
from vasa_cam.motion.space import INDEX

_LOWER_LIP_TO_CHIN: Final = (14, 17, 18, 200)
_TEXELS_PER_PX: Final = 1.25
_MAX_TEXELS_PER_CM: Final = 70.0
_LEAST_BLUR: Final = 0.3
_DETAILED: Final = (33, 133, 159, 145, 263, 362, 386, 374, 61, 291, 0, 13, 14, 17)
"""Landmarks around which every face has edges: eyes and lips."""
_PAD: Final = 3
_LIP_DEPTH_CM: Final = 1.0
_EDGE_BELOW_SEAM_CM: Final = 0.17
_LOWER_EDGE_BELOW_SEAM_CM: Final = 0.34
_LOWER_SET_BACK_CM: Final = 0.28


@dataclass(frozen=True)
class MouthInterior:
    """The avatar's `interior_*`, `cavity_rgb` and `jaw_params`; shapes as in the avatar file.

    vertices: float32 [K, 3] canvas px at rest. uv: float32 [K, 2] atlas px. triangles: int32
    [T, 3]. jaw_weight: float32 [K]. tongue: float32 [K, 3], px moved at tongueOut = 1. atlas: uint8
    [Ha, Wa, 4], straight alpha. cavity_rgb: float32 [3], sRGB 0..255. jaw_params: float32 [8],
    hinge x, y, z (px), radians at jawOpen = 1, px at jawForward = 1, px at jawLeft/Right = 1, 0, 0.
    """

    vertices: Floats
    uv: Floats
    triangles: Ints
    jaw_weight: Floats
    tongue: Floats
    atlas: Bytes
    cavity_rgb: Floats
    jaw_params: Floats


def build_mouth(
    canvas_rgb: Bytes,
    lip_upper_px: Floats,
    lip_lower_px: Floats,
    points_px: Floats,
    frame: HeadFrame,
    closed_mouth: bool,
    seed: int = 0,
) -> MouthInterior:
    """Build the interior of one mouth.

    canvas_rgb: uint8 [H, W, 3]. lip_upper_px, lip_lower_px: float [n, 3], dense chains of the mouth
    line from the image-left to the image-right corner. points_px: float [>=468, 3], settled
    landmarks. frame: the head's pose. closed_mouth: whether the photo's lips touch. seed: of the
    teeth. Raises ValueError when an array has another shape.
    """
    if canvas_rgb.ndim != 3 or canvas_rgb.shape[2] != 3 or canvas_rgb.dtype != np.uint8:
        raise ValueError(f"build_mouth: canvas_rgb must be uint8 [H, W, 3], got {canvas_rgb.shape}")
    if lip_upper_px.shape != lip_lower_px.shape or lip_upper_px.shape[1:] != (3,):
        raise ValueError("build_mouth: both lip chains must be [n, 3] of the same length")
    # Every portrait has its own teeth: the picture is part of the seed.
    rng = np.random.default_rng([seed, int(canvas_rgb[::8, ::8].sum(dtype=np.int64))])
    fine = _resolution(canvas_rgb, points_px, frame.px_per_cm)
    opening = np.concatenate([lip_upper_px[:, :2], lip_lower_px[::-1, :2]])
    own = None if closed_mouth else find_own_teeth(canvas_rgb, opening)
    colours = measure_colours(canvas_rgb, points_px, own)
    place = _placement(lip_upper_px, lip_lower_px, points_px, frame, own)
    parts = [
        cavity_part(colours, fine.texels_per_cm),
        place.lower(fine.soften(tongue_part(colours, fine.texels_per_cm, rng))),
        place.lower(fine.soften(_lower_teeth(colours, fine, rng))),
        _upper_teeth(colours, fine, rng, own, place),
    ]
    return _assemble(parts, colours, place)


@dataclass(frozen=True)
class _Resolution:
    """How fine the textures are: texels per cm, and the photo's own blur in texels."""

    texels_per_cm: float
    blur_texels: float

    def soften(self, part: Part) -> Part:
        """The part's texture as blurred as the photo is."""
        if self.blur_texels < _LEAST_BLUR:
            return part
        return replace(part, texture=blur(part.texture, self.blur_texels))


def _resolution(canvas: Bytes, points: Floats, px_per_cm: float) -> _Resolution:
    """From the head's scale and from how much finest detail eyes and lips show.

    In sharp portraits the band around 1 px is 0.83 to 1.03 times as strong as that around 2 px; in
    enlarged ones about 0.6.
    """
    luma = canvas.astype(np.float32) @ LUMA
    once = blur(luma, 1.0)
    bands = np.stack([np.abs(luma - once), np.abs(once - blur(luma, 2.0))], -1)
    reach = np.arange(-0.6, 0.61, 0.1) * px_per_cm
    step = np.stack(np.meshgrid(reach, reach), -1).reshape(-1, 2)
    seen = sample(bands, points[list(_DETAILED), None, :2] + step).reshape(-1, 2).mean(0)
    ratio = float(seen[0] / max(float(seen[1]), 1e-3))
    blur_px = float(np.clip((0.85 - ratio) * 4.5, 0.0, 2.0))
    texels = float(np.clip(px_per_cm * _TEXELS_PER_PX, 8.0, _MAX_TEXELS_PER_CM))
    return _Resolution(texels, blur_px * texels / px_per_cm)


@dataclass(frozen=True)
class _Placement:
    """Where the mouth is in the head.

    origin: cm, midline, mouth line, front of the incisors. scale: of all lengths. jaw_shift: how
    far the jaw's parts are lowered, cm of the unscaled mouth.
    """

    origin: Floats
    scale: float
    frame: HeadFrame
    jaw_shift: float

    def to_px(self, points: Floats) -> Floats:
        return self.frame.to_px(points * self.scale + self.origin)

    def lower(self, part: Part) -> Part:
        """A part of the jaw, lowered with it."""
        return replace(part, vertices=part.vertices + vector(0.0, self.jaw_shift, 0.0))


def _placement(
    upper: Floats, lower: Floats, points: Floats, frame: HeadFrame, own: OwnTeeth | None
) -> _Placement:
    mine, usual = frame.to_cm(points[:468]), load_face_model().vertices
    width = float(np.linalg.norm(mine[61] - mine[291]) / np.linalg.norm(usual[61] - usual[291]))
    # A smile widens the mouth but not the teeth.
    scale = float(
        np.clip(width if own is None else min(width, 1.0 + 0.4 * (width - 1.0)), 0.85, 1.3)
    )
    middle = len(upper) // 2
    lips = frame.to_cm(np.stack([upper[middle], lower[middle]]))
    seam = 0.3 * lips[0] + 0.7 * lips[1]
    front = min(float(mine[0, 2]), float(mine[17, 2]))
    depth = 0.5 * (front + float(seam[2])) + _LIP_DEPTH_CM * scale
    height = float(seam[1])
    if own is not None:
        edge = np.array([[*lowest_edge(own), frame.to_px(vector(seam[0], seam[1], depth))[2]]])
        height = float(frame.to_cm(edge.astype(np.float32))[0, 1]) - _EDGE_BELOW_SEAM_CM * scale
    # Own teeth tell the skull's height, the lips when closed again the jaw's.
    shut = 0.5 * (float(lips[0, 1]) + float(lips[1, 1]))
    jaw_shift = 0.0 if own is None else float(np.clip((shut - height) / scale, -0.2, 0.1))
    return _Placement(vector(seam[0], height, depth), scale, frame, jaw_shift)


def _upper_teeth(
    colours: MouthColours,
    fine: _Resolution,
    rng: np.random.Generator,
    own: OwnTeeth | None,
    place: _Placement,
) -> Part:
    below = _EDGE_BELOW_SEAM_CM
    plan = plan_arch(UPPER_ARCH, rng)
    tones = ToothColours(colours.enamel, colours.gum, colours.dark)
    origin = place.origin + vector(0.0, below * place.scale, 0.0)
    to_canvas = ToCanvas(place.frame, origin, place.scale)
    if own is not None:
        plan = follow_photo(plan, own, to_canvas)
    arch = build_arch(plan, tones, fine.texels_per_cm * place.scale, rng)
    if fine.blur_texels >= _LEAST_BLUR:
        arch = replace(arch, texture=blur(arch.texture, fine.blur_texels))
    if own is not None:
        arch = paste_own_teeth(arch, own, to_canvas)
    return _arch_part(arch, 0.0, vector(0.0, below, 0.0))


def _lower_teeth(colours: MouthColours, fine: _Resolution, rng: np.random.Generator) -> Part:
    tones = ToothColours(colours.enamel * vector(0.92, 0.88, 0.87), colours.gum * 0.9, colours.dark)
    arch = build_arch(plan_arch(LOWER_ARCH, rng), tones, fine.texels_per_cm, rng)
    return _arch_part(arch, 1.0, vector(0.0, _LOWER_EDGE_BELOW_SEAM_CM, _LOWER_SET_BACK_CM))


def _arch_part(arch: Arch, jaw: float, shift: Floats) -> Part:
    count = len(arch.vertices)
    return Part(
        vertices=arch.vertices + shift,
        uv=arch.uv,
        triangles=arch.triangles,
        texture=arch.texture,
        jaw_weight=np.full(count, jaw, np.float32),
        tongue=np.zeros((count, 3), np.float32),
    )


def _assemble(parts: list[Part], colours: MouthColours, place: _Placement) -> MouthInterior:
    """Stack the parts' textures into one atlas and shift their indices and texture coordinates."""
    frame = place.frame
    width = max(part.texture.shape[1] for part in parts) + 2 * _PAD
    tiles, uv, triangles = [], [], []
    top, first = 0, 0
    for part in parts:
        tile = np.pad(part.texture, ((_PAD, _PAD), (_PAD, _PAD), (0, 0)), mode="edge")
        tile = np.pad(tile, ((0, 0), (0, width - tile.shape[1]), (0, 0)), mode="edge")
        uv.append(part.uv + vector(_PAD, top + _PAD))
        triangles.append(part.triangles + first)
        tiles.append(tile)
        top += tile.shape[0]
        first += len(part.vertices)
    picture = fade_to_grey(np.concatenate(tiles), colours.colourfulness)
    inside = np.concatenate([part.vertices for part in parts])
    out = np.concatenate([part.tongue for part in parts]) * place.scale
    return MouthInterior(
        vertices=place.to_px(inside),
        uv=np.concatenate(uv).astype(np.float32),
        triangles=np.concatenate(triangles).astype(np.int32),
        jaw_weight=np.concatenate([part.jaw_weight for part in parts]),
        tongue=np.asarray(out @ frame.rotation.T * frame.px_per_cm, np.float32),
        atlas=np.dstack([to_bytes(picture), np.full(picture.shape[:2], 255, np.uint8)]),
        cavity_rgb=colours.dark,
        jaw_params=_jaw_params(frame),
    )


def _jaw_params(frame: HeadFrame) -> Floats:
    """Hinge and reach of the jaw, so that the lower teeth move as the face model's lower lip does.

    The model's jaw drops and glides as much as it turns, as real jaws do; the best rigid turn in
    the sagittal plane (Procrustes) has its axis behind and above the ears.
    """
    model = load_face_model()

    def moved(name: str) -> Floats:
        return np.asarray(model.offsets[INDEX[name]][list(_LOWER_LIP_TO_CHIN)], np.float32)

    before = model.vertices[list(_LOWER_LIP_TO_CHIN), 1:].astype(np.float64)
    after = before + moved("jawOpen")[:, 1:]
    spread = (before - before.mean(0)).T @ (after - after.mean(0))
    angle = np.arctan2(spread[0, 1] - spread[1, 0], spread[0, 0] + spread[1, 1])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    hinge = np.linalg.solve(np.eye(2) - turn, after.mean(0) - turn @ before.mean(0))
    forward = float(np.abs(moved("jawForward")[:, 2]).mean()) * frame.px_per_cm
    aside = float(np.abs(moved("jawLeft")[:, 0]).mean()) * frame.px_per_cm
    hinge_px = frame.to_px(vector(0.0, *hinge))
    return vector(*hinge_px, abs(float(angle)), forward, aside, 0.0, 0.0)
