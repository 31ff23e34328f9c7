"""Which of four shapes the drawn lips have: closed, rounded, spread or open.

Read from the mesh that the renderer draws for the built-in portrait, not from coefficients. Lips
closer than CLOSED_IOD are closed; the others get the nearest of three centres in opening, width and
protrusion, distances measured by the spread within the classes. Centres and spread are the real
speaker's on training clips of the GRID corpus, at the middle of their phones, and fixed here:

    python -m vasa_cam.training.lip_shapes --talk DIR
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam import ops
from vasa_cam.avatar.file import load_avatar
from vasa_cam.face_model import load_face_model
from vasa_cam.landmarks import MOUTH_CORNERS
from vasa_cam.motion.space import COEFFICIENTS
from vasa_cam.render.layered import LayeredRenderer, RenderConfig
from vasa_cam.training.phones import Phone
from vasa_cam.training.signals import RATE_HZ

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHAPES: Final = ("closed", "rounded", "spread", "open")
PHONES: Final[dict[str, int]] = {
    **dict.fromkeys(("M", "B", "P"), 0),
    **dict.fromkeys(("UW", "OW", "AO", "W", "ER"), 1),
    **dict.fromkeys(("IY", "EY", "S", "Z"), 2),
    **dict.fromkeys(("AA", "AE", "AH", "AW"), 3),
}
"""ARPAbet phone -> place in SHAPES; the other phones leave the lips free."""

CLOSED_IOD: Final = 0.025
CENTRES: Final = np.array(
    [[0.0707, -0.0805, 0.0137], [0.1579, -0.0132, -0.028], [0.1335, -0.0354, -0.0202]]
)
"""Opening, width change and protrusion of rounded, spread and open lips."""
SPREAD: Final = np.array(
    [
        [0.002523, 0.000298, -0.000682],
        [0.000298, 0.000712, -0.000295],
        [-0.000682, -0.000295, 0.0003],
    ]
)
"""Covariance within these classes."""

_PROTRUDING: Final = (0, 13, 14, 17)  # middle of both lips, outer and inner edge


class LipReader:
    """Opening, width and protrusion of the drawn lips, in inter-ocular distances."""

    def __init__(self) -> None:
        place = resources.files("vasa_cam") / "assets" / "astronaut.vasa"
        with resources.as_file(place) as path:
            avatar = load_avatar(path)
        self._mesh = LayeredRenderer(RenderConfig(64, 64)).prepare(avatar).skin
        meta, model = avatar.meta, load_face_model()
        x, y, w, h = meta.view_px
        self._pose = ops.Pose(
            np.eye(3), (0.0, 0.0, 0.0), meta.pivot_px, meta.focal_px, (x + w / 2, y + h / 2)
        )
        self._iod_px = meta.iod_px
        self._chains = model.lip_upper, model.lip_lower
        count = self._mesh.vertex_count
        self._out = np.empty((count, 3), np.float32), np.empty((count, 2), np.float32)
        self._rest = self._measure(np.zeros(COEFFICIENTS, np.float32))

    def read(self, coefficients: Floats) -> Doubles:
        """Coefficients float32 [n, 52] -> float64 [n, 3]: opening, width change, protrusion.

        Opening is the largest distance of the inner lips. Width and protrusion (towards the
        viewer) are relative to the lips at rest. All in inter-ocular distances.
        """
        measured = np.array([self._measure(row) for row in coefficients]).reshape(-1, 3)
        return np.asarray(measured - [0.0, *self._rest[1:]])

    def _measure(self, coefficients: Floats) -> Doubles:
        weights = np.ones(self._mesh.shape_count, np.float32)  # the last row corrects the rest
        weights[:COEFFICIENTS] = coefficients
        vertices, _ = ops.expression(self._mesh, weights, self._pose, out=self._out)
        upper, lower = (vertices[chain] for chain in self._chains)
        opening = max(0.0, float((lower[:, 1] - upper[:, 1]).max()))
        right, left = (vertices[corner, :2] for corner in MOUTH_CORNERS)
        width = float(np.linalg.norm(left - right))
        protrusion = -float(vertices[list(_PROTRUDING), 2].mean())
        return np.array([opening, width, protrusion]) / self._iod_px


@cache
def lip_reader() -> LipReader:
    """The reader, made once."""
    return LipReader()


def at_phones(frames: Floats, phones: Sequence[Phone]) -> tuple[Floats, Ints, list[str]]:
    """Coefficients at the middle of every phone with a shape, which shape it has, and its name.

    frames: float32 [T, >=52] at 25 Hz. Returns float32 [n, 52], int [n], n names.
    """
    rows, wanted, names = [], [], []
    for start, end, symbol in phones:
        at = 0.5 * (start + end) * RATE_HZ
        if symbol in PHONES and at <= len(frames) - 1:
            low = min(int(at), len(frames) - 2)
            part = np.float32(at - low)
            rows.append(
                frames[low, :COEFFICIENTS] * (1 - part) + frames[low + 1, :COEFFICIENTS] * part
            )
            wanted.append(PHONES[symbol])
            names.append(symbol)
    table = np.array(rows, np.float32).reshape(-1, COEFFICIENTS)
    return table, np.array(wanted, np.int64), names


def classify(read: Doubles) -> Ints:
    """What `LipReader.read` gave -> place in SHAPES, int [n]."""
    inverse = np.linalg.inv(SPREAD)
    away = read[:, None] - CENTRES
    nearest = 1 + np.argmin(np.einsum("nki,ij,nkj->nk", away, inverse, away), axis=1)
    return np.where(read[:, 0] < CLOSED_IOD, 0, nearest)


def f1_scores(wanted: Ints, got: Ints) -> Doubles:
    """F1 of each shape, float64 [4]; NaN for shapes that neither side has."""
    scores = np.full(len(SHAPES), np.nan)
    for shape in range(len(SHAPES)):
        hits = np.sum((wanted == shape) & (got == shape))
        either = np.sum(wanted == shape) + np.sum(got == shape)
        if either:
            scores[shape] = 2.0 * hits / either
    return scores


def fit_centres(read: Doubles, wanted: Ints) -> tuple[Doubles, Doubles]:
    """Centres [3, 3] and pooled covariance [3, 3] of the shapes that are not closed."""
    apart = read[:, 0] >= CLOSED_IOD
    groups = [read[apart & (wanted == shape)] for shape in (1, 2, 3)]
    spread = sum(np.cov(g.T, bias=True) * len(g) for g in groups) / sum(map(len, groups))
    return np.array([g.mean(axis=0) for g in groups]), np.asarray(spread)


def main() -> None:
    """Print the centres and the spread of real lips on training clips."""
    from vasa_cam.training.evaluation_data import real_motion, resting_face, score_names
    from vasa_cam.training.talk_data import load_talk

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--talk", type=Path, required=True)
    folder = parser.parse_args().talk
    talks = [talk for talk in load_talk(folder, "train.jsonl") if talk.phones]
    rest, names = resting_face(talks), score_names(folder)
    parts = [at_phones(real_motion(t, rest, names).frames, t.phones or []) for t in talks]
    read = lip_reader().read(np.concatenate([part[0] for part in parts]))
    centres, spread = fit_centres(read, np.concatenate([part[1] for part in parts]))
    print(np.round(centres, 4).tolist(), np.round(spread, 6).tolist(), sep="\n")


if __name__ == "__main__":
    main()
