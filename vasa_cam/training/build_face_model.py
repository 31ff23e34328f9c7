"""Builds vasa_cam/assets/face_model.safetensors.

python -m vasa_cam.training.build_face_model --canonical canonical_face_model.obj
    --ict ict_facekit_light.npz --indices vertex_indices.json
    -o vasa_cam/assets/face_model.safetensors

Inputs: MediaPipe's canonical face model (Apache-2.0) and ICT-FaceKit's light model (MIT), repacked
as npz with neutral, faces, expression_names and expressions. The result is deterministic.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from vasa_cam.avatar.handles import HandleField
from vasa_cam.landmarks import LOWER_LIP_RINGS, UPPER_LIP_RINGS
from vasa_cam.training.authored_shapes import arkit_offsets
from vasa_cam.training.face_topology import build_topology
from vasa_cam.training.fold_weights import fold_weights
from vasa_cam.training.ict_transfer import ict_face, to_our_axes, transfer

Array = npt.NDArray[np.float64]

CLOSE_FOLLOW = (0.3, 0.55, 0.85, 1.0)
CLOSE_REACH_CM = 4.0


def read_obj(path: Path) -> tuple[Array, npt.NDArray[np.int32]]:
    """Vertices [V, 3] in our axes and triangles i32 [T, 3] of a Wavefront file."""
    rows = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    vertices = [[float(v) for v in row[1:4]] for row in rows if row[0] == "v"]
    triangles = [[int(v.split("/")[0]) - 1 for v in row[1:4]] for row in rows if row[0] == "f"]
    return to_our_axes(np.asarray(vertices)), np.asarray(triangles, np.int32)


def closed_mouth(vertices: Array, field: HandleField) -> Array:
    """The canonical vertices with their slightly open mouth closed, lip by lip."""
    handles = {}
    for k in range(len(UPPER_LIP_RINGS[0])):
        above, below = vertices[UPPER_LIP_RINGS[3][k]], vertices[LOWER_LIP_RINGS[3][k]]
        for follow, up, low in zip(CLOSE_FOLLOW, UPPER_LIP_RINGS, LOWER_LIP_RINGS, strict=True):
            handles[up[k]] = follow * (below - above) / 2
            handles[low[k]] = follow * (above - below) / 2
    distance = np.linalg.norm(vertices - vertices[UPPER_LIP_RINGS[3][5]], axis=1)
    handles = {int(i): np.zeros(3) for i in np.flatnonzero(distance > CLOSE_REACH_CM)} | handles
    return np.asarray(vertices + field.solve(handles))


def build(canonical: Path, ict: Path, indices: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Every tensor of the asset by name."""
    vertices, all_triangles = read_obj(canonical)
    topology = build_topology(all_triangles)
    triangles = np.asarray(topology["triangles"], np.int32)
    with np.load(ict, allow_pickle=False) as data:
        expressions = dict(
            zip((str(n) for n in data["expression_names"]), data["expressions"], strict=True)
        )
        landmarks = json.loads(indices.read_text("utf-8"))["idx_to_landmark_verts"]
        face = ict_face(data["neutral"], data["faces"], expressions, landmarks)
    transferred = transfer(face, closed_mouth(vertices, HandleField(vertices, triangles)))
    offsets = arkit_offsets(vertices, triangles, transferred)
    return {
        **topology,
        "vertices": vertices.astype(np.float32),
        "offsets": offsets.astype(np.float16),
        "folds": fold_weights(vertices).astype(np.float16),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line entry; see the module's first lines."""
    parser = argparse.ArgumentParser(description="Build the face model asset.")
    parser.add_argument("--canonical", type=Path, required=True)
    parser.add_argument("--ict", type=Path, required=True)
    parser.add_argument("--indices", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    tensors = build(options.canonical, options.ict, options.indices)
    ordered = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    blob = save(ordered, metadata={"format": "vasa_cam.face_model", "version": "1"})
    part = options.output.with_name(options.output.name + ".part")
    part.write_bytes(blob)
    os.replace(part, options.output)
    print(f"{options.output}: {len(blob) / 1e6:.2f} MB, {len(ordered)} tensors")


if __name__ == "__main__":
    main()
