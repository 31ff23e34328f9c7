"""The teeth a photo shows: found in an open mouth, and laid onto the upper arch.

A smiling photo holds the best teeth this person can get. They are projected onto the curved arch,
so that they turn with the head and slide behind the lips like the synthetic ones around them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from vasa_cam.avatar.mediapipe_tasks import load_cv2
from vasa_cam.avatar.mesh import HeadFrame
from vasa_cam.avatar.paint import LUMA, Bytes, Floats, Reals, blur, sample
from vasa_cam.avatar.teeth import Arch, ArchPlan
from vasa_cam.numeric import smoothstep

_SURE: Final = 0.7
_LONGEST_CHANGE_CM: Final = 0.22
_ROW: Final = 41
"""Columns of an arch plan, about three teeth, over which an edge is averaged."""


@dataclass(frozen=True)
class OwnTeeth:
    """Visible upper teeth. origin: (x, y) of the patch in the canvas. share: float32 [h, w], 1 on
    enamel. rgb: float32 [h, w, 3]. opening: float32 [h, w], 1 between the lips.
    """

    origin: tuple[int, int]
    share: Floats
    rgb: Floats
    opening: Floats


@dataclass(frozen=True)
class ToCanvas:
    """From arch coordinates (cm, arch origin) to canvas pixels."""

    frame: HeadFrame
    origin_cm: Floats
    scale: float

    def __call__(self, points: Reals) -> Floats:
        return self.frame.to_px(np.asarray(points * self.scale + self.origin_cm, np.float32))


_LEAST_HEIGHT: Final = 0.085
"""Height over width of an opening below which teeth are a sliver, stained by the lips around it."""


def find_own_teeth(canvas: Bytes, opening_px: Floats) -> OwnTeeth | None:
    """The photo's upper teeth inside open lips, or None when none are visible.

    canvas: uint8 [H, W, 3]. opening_px: float32 [n, 2], the closed outline of the opening.
    """
    cv2 = load_cv2()
    low = np.maximum(np.floor(opening_px.min(0) - 4).astype(int), 0)
    high = np.minimum(np.ceil(opening_px.max(0) + 5).astype(int), canvas.shape[1::-1])
    patch = canvas[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    if min(patch.shape[:2]) < 6:
        return None
    scale = 4
    mask = np.zeros((patch.shape[0] * scale, patch.shape[1] * scale), np.uint8)
    outline = np.round((opening_px - low + 0.5) * scale - 0.5).astype(np.int32)
    cv2.fillPoly(mask, [outline], 255)
    inside = cv2.resize(mask, patch.shape[1::-1], interpolation=cv2.INTER_AREA) / np.float32(255)
    core = inside > 0.95
    tallest = float((inside > 0.5).sum(axis=0).max())
    if core.sum() < 30 or tallest < _LEAST_HEIGHT * float(np.ptp(opening_px[:, 0])):
        return None
    luma = patch @ LUMA
    saturation = np.ptp(patch, axis=2) / (patch.max(2) + 1.0)
    bright = float(np.percentile(luma[core], 85))
    share = smoothstep(0.45 * bright, 0.68 * bright, luma) * smoothstep(0.52, 0.34, saturation)
    share = _first_run(share * smoothstep(0.4, 0.95, inside))
    if float((share > _SURE).sum()) < max(20.0, 0.06 * float(core.sum())):
        return None
    return OwnTeeth((int(low[0]), int(low[1])), share, patch, inside.astype(np.float32))


def _first_run(share: Floats) -> Floats:
    """Keep, in every column, the teeth above the first dark gap: the lower row lies below it."""
    started = np.maximum.accumulate(share, axis=0)
    still = np.minimum.accumulate(np.where(started > 0.5, share, 1.0), axis=0)
    return np.asarray(share * smoothstep(0.15, 0.45, still), np.float32)


def lowest_edge(teeth: OwnTeeth) -> Floats:
    """Canvas (x, y) of the longest front teeth's edge, float32 [2]."""
    sure = teeth.share > _SURE
    columns = np.flatnonzero(sure.sum(0) >= 2)
    middle = columns[len(columns) // 4 : max(len(columns) // 4 + 1, 3 * len(columns) // 4)]
    ends = [np.flatnonzero(sure[:, column])[-1] for column in middle]
    at = np.array([float(middle.mean()), float(np.percentile(ends, 70))])
    return np.asarray(at + teeth.origin, np.float32)


def follow_photo(plan: ArchPlan, teeth: OwnTeeth, to_canvas: ToCanvas) -> ArchPlan:
    """The plan with its edges moved to where the photo's teeth end."""
    drop = np.linspace(-0.5, 0.35, 86)
    s, y = np.broadcast_arrays(plan.s[None], drop[:, None] + plan.edge[None])
    share = _look(teeth.share, teeth, to_canvas(plan.place(s, y)))
    visible = share.max(0) > _SURE
    last = len(drop) - 1 - np.argmax(share[::-1] > 0.5, axis=0)
    move = np.where(visible, np.clip(drop[last], -_LONGEST_CHANGE_CM, _LONGEST_CHANGE_CM), 0.0)
    # An edge that ends at the lower lip goes on behind it.
    below = to_canvas(plan.place(plan.s, plan.edge + move + 0.07))
    move = np.where(_look(teeth.opening, teeth, below) > 0.6, move, np.maximum(move + 0.06, 0.0))
    move = _steady(move, visible)
    edge = plan.edge + blur(move[None], 6.0)[0]
    return replace(plan, edge=np.maximum(edge, plan.neck + 0.2).astype(np.float32))


def _steady(move: Reals, visible: Reals) -> Floats:
    """The row's course without single teeth: an edge that touches a lower tooth is unclear."""
    if not visible.any():
        return np.asarray(move, np.float32)
    usual = float(np.median(move[visible]))
    filled = np.pad(np.where(visible, move, usual), _ROW // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(filled, _ROW)
    return np.asarray(np.clip(np.median(windows, -1), usual - 0.1, usual + 0.1), np.float32)


def paste_own_teeth(arch: Arch, teeth: OwnTeeth, to_canvas: ToCanvas) -> Arch:
    """The arch with the photo's teeth in its texture; what the lips hid is spread from them."""
    at = to_canvas(arch.surface)
    share = _look(teeth.share, teeth, at)
    colour = _look(teeth.rgb, teeth, at)
    # The synthetic shading stays; the photo's tone reaches a little beyond what it shows.
    ratio = np.clip(colour / np.maximum(arch.texture, 1.0), 0.4, 2.2).astype(np.float32)
    weight = np.asarray(share**2, np.float32)
    reach = arch.texture.shape[0] / 9.0
    near = blur(ratio * weight[..., None], reach)
    total = blur(weight, reach)[..., None]
    spread = 1.0 + (near / np.maximum(total, 1e-4) - 1.0) * np.clip(total * 4.0, 0.0, 1.0)
    texture = arch.texture * spread
    texture = texture + (colour - texture) * smoothstep(0.55, 0.95, share)[..., None]
    return replace(arch, texture=np.asarray(texture, np.float32))


def _look(picture: Floats, teeth: OwnTeeth, at: Floats) -> Floats:
    """Lookup of a patch at canvas points [..., 2 or 3]; 0 outside the patch."""
    local = at[..., :2] - np.array(teeth.origin, np.float32)
    height, width = picture.shape[:2]
    ok = (local[..., 0] >= 0) & (local[..., 0] <= width - 1)
    ok &= (local[..., 1] >= 0) & (local[..., 1] <= height - 1)
    found = sample(picture, local)
    return np.asarray(found * (ok[..., None] if found.ndim > ok.ndim else ok), np.float32)
