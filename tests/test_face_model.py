"""The face model asset and the builder's geometry."""

from __future__ import annotations

import numpy as np
import pytest

from vasa_cam.face_model import FaceModel, load_face_model
from vasa_cam.landmarks import FACE_OVAL, MOUTH_CORNERS
from vasa_cam.motion.space import ARKIT_NAMES, INDEX

VISIBLE_CM = 0.15
"""A shape moves some vertex at least this much across the picture: 1.5 px on a 512 px portrait."""
ASSET_BYTES = 1_500_000


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


def _mirror(model: FaceModel) -> np.ndarray:
    flipped = model.vertices * np.array([-1, 1, 1], np.float32)
    distance = np.linalg.norm(flipped[:, None] - model.vertices[None], axis=2)
    assert distance.min(1).max() < 1e-3, "the canonical mesh is mirror-symmetric"
    return distance.argmin(1)


def test_asset_has_the_documented_shapes(model: FaceModel) -> None:
    dense = model.dense_count
    assert model.vertices.shape == (468, 3) and model.vertices.dtype == np.float32
    assert model.offsets.shape == (52, 468, 3) and model.folds.shape == (52, 468)
    assert model.sub_indices.max() < 468 and model.dense_triangles.max() < dense
    assert model.fill_triangles.max() < dense and model.oval.max() < dense
    assert np.isfinite(model.offsets).all()
    assert model.folds.min() >= 0 and model.folds.max() <= 1


def test_asset_is_small_and_read_only(model: FaceModel) -> None:
    from importlib import resources

    path = resources.files("vasa_cam") / "assets" / "face_model.safetensors"
    assert len(path.read_bytes()) < ASSET_BYTES
    with pytest.raises(ValueError, match="read-only"):
        model.vertices[0] = 0


def test_subdivision_rows_are_convex_sums(model: FaceModel) -> None:
    sums = model.subdivide(np.ones((468, 1), np.float32))
    # Values are stored as float32: a row of up to 19 of them sums to one within 1e-6.
    assert np.abs(sums - 1).max() < 1e-6
    assert model.sub_values.min() >= 0


def test_subdivide_equals_a_plain_matrix_product(
    model: FaceModel, rng: np.random.Generator
) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.csr_matrix(
        (model.sub_values, model.sub_indices, model.sub_indptr), (model.dense_count, 468)
    )
    values = rng.normal(size=(468, 3)).astype(np.float32)
    np.testing.assert_allclose(model.subdivide(values), matrix @ values, atol=1e-5)


def test_loop_step_keeps_a_plane_and_its_published_weights() -> None:
    topology = pytest.importorskip("vasa_cam.training.face_topology")
    side = 5
    grid = np.array([(x, y) for y in range(side) for x in range(side)], np.float64)
    triangles = []
    for y in range(side - 1):
        for x in range(side - 1):
            a = y * side + x
            triangles += [[a, a + 1, a + side], [a + side, a + 1, a + side + 1]]
    step = topology.loop_subdivision(np.array(triangles, np.int32), side * side)
    dense = step.matrix.toarray()
    centre = side * side // 2
    # Loop 1987: a regular vertex keeps 5/8 of itself and takes 1/16 of each neighbour.
    assert dense[centre, centre] == pytest.approx(0.625)
    assert np.sort(dense[centre][dense[centre] > 0])[:6] == pytest.approx([0.0625] * 6)
    inner = [i for i, (x, y) in enumerate(grid) if 0 < x < side - 1 and 0 < y < side - 1]
    np.testing.assert_allclose((dense @ grid)[inner], grid[inner], atol=1e-12)
    assert len(step.triangles) == 4 * len(triangles)


def test_openings_are_cut_and_chains_bound_them(model: FaceModel) -> None:
    edges = np.sort(model.dense_triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    border = {tuple(edge) for edge in unique[count == 1].tolist()}
    chains = (
        (model.lip_upper, model.lip_lower),
        (model.right_lid_upper, model.right_lid_lower),
        (model.left_lid_upper, model.left_lid_lower),
    )
    steps = [
        tuple(sorted(edge))
        for chain in (*(c for pair in chains for c in pair), np.append(model.oval, model.oval[0]))
        for edge in zip(chain[:-1].tolist(), chain[1:].tolist(), strict=True)
    ]
    assert set(steps) == border and len(steps) == len(border)
    dense = model.subdivide(model.vertices)
    for upper, lower in chains:
        assert len(upper) == len(lower) and upper[0] == lower[0] and upper[-1] == lower[-1]
        assert dense[upper[0], 0] < dense[upper[-1], 0], "chains run from image-left to right"
        assert (dense[lower[1:-1], 1] >= dense[upper[1:-1], 1]).all()
    assert len(model.oval) == 4 * len(FACE_OVAL)


def test_triangles_face_the_camera_alike(model: FaceModel) -> None:
    a, b, c = (model.vertices[model.triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    assert (normal[:, 2] < 0).mean() > 0.95 or (normal[:, 2] > 0).mean() > 0.95


def test_left_and_right_shapes_are_mirror_images(model: FaceModel) -> None:
    mirror = _mirror(model)
    flip = np.array([-1, 1, 1], np.float32)
    for name, index in INDEX.items():
        twin = name.replace("Left", "Right") if name.endswith("Left") else name
        if name.endswith("Right"):
            continue
        mirrored = model.offsets[index][mirror] * flip
        # Stored as float16: half a unit in the last place of 4 cm is 1e-3.
        np.testing.assert_allclose(mirrored, model.offsets[INDEX[twin]], atol=3e-3, err_msg=name)


@pytest.mark.parametrize("name", ARKIT_NAMES)
def test_every_shape_is_visible_and_local(model: FaceModel, name: str) -> None:
    offset = model.offsets[INDEX[name]]
    across = np.linalg.norm(offset[:, :2], axis=1)
    assert across.max() > VISIBLE_CM
    if name.startswith(("eye", "brow")):
        assert across[model.vertices[:, 1] > 3].max() < 0.05, "the mouth stays"
    if name.startswith(("mouth", "jaw", "tongue")):
        assert across[model.vertices[:, 1] < -3.3].max() < 0.12, "the brows stay"
    if name.endswith("Left") and not name.startswith(("jaw", "mouthLeft")):
        weight = across**2
        assert (weight * model.vertices[:, 0]).sum() > 0, "the subject's left is image right"


def _at(model: FaceModel, name: str, vertex: int) -> np.ndarray:
    return model.offsets[INDEX[name], vertex]


def test_shapes_mean_what_arkit_means(model: FaceModel) -> None:
    upper, lower, chin = 13, 14, 152
    _right, left = MOUTH_CORNERS
    assert _at(model, "jawOpen", chin)[1] > 1.5 and _at(model, "jawOpen", lower)[1] > 2
    assert abs(_at(model, "jawOpen", 1)[1]) < 0.2, "the nose stays"
    assert _at(model, "jawForward", chin)[2] < -0.5, "towards the camera"
    assert _at(model, "jawLeft", chin)[0] > 0.4 > -0.4 > _at(model, "jawRight", chin)[0]
    assert _at(model, "mouthLeft", lower)[0] > 0.5
    assert (
        _at(model, "mouthSmileLeft", left)[1] < -0.4 and _at(model, "mouthSmileLeft", left)[0] > 0.3
    )
    assert _at(model, "mouthFrownLeft", left)[1] > 0.2
    assert _at(model, "mouthStretchLeft", left)[0] > 0.4
    assert _at(model, "mouthPucker", left)[0] < -0.4 and _at(model, "mouthPucker", lower)[2] < -0.4
    gap = {n: _at(model, n, lower)[1] - _at(model, n, upper)[1] for n in ARKIT_NAMES}
    assert gap["mouthFunnel"] > 0.6 and abs(gap["mouthPucker"]) < 0.15
    assert _at(model, "mouthFunnel", lower)[2] < -0.4
    assert _at(model, "mouthUpperUpLeft", 312)[1] < -0.25
    assert _at(model, "mouthLowerDownLeft", 317)[1] > 0.2
    for name, outer, line in (("mouthRollUpper", 0, 13), ("mouthRollLower", 17, 14)):
        thickness = model.vertices[outer] - model.vertices[line]
        change = _at(model, name, outer)[1] - _at(model, name, line)[1]
        assert change / thickness[1] < -0.35, "the vermilion gets narrower"
    assert _at(model, "browInnerUp", 107)[1] < -0.3 and _at(model, "browInnerUp", 336)[1] < -0.3
    assert _at(model, "browDownLeft", 336)[1] > 0.15
    assert _at(model, "browOuterUpLeft", 293)[1] < -0.4
    assert _at(model, "eyeWideLeft", 386)[1] < -0.15
    assert _at(model, "eyeSquintLeft", 374)[1] < -0.1
    assert _at(model, "cheekPuff", 425)[2] < -0.3 and _at(model, "cheekPuff", 425)[0] > 0.1
    assert _at(model, "noseSneerLeft", 279)[1] < -0.2


def test_jaw_open_with_mouth_close_keeps_the_lips_together(model: FaceModel) -> None:
    both = model.subdivide(model.offsets[INDEX["jawOpen"]] + model.offsets[INDEX["mouthClose"]])
    # float16 storage of offsets up to 4 cm: 2e-3 cm each.
    np.testing.assert_allclose(both[model.lip_upper], both[model.lip_lower], atol=4e-3)
    assert (
        model.offsets[INDEX["jawOpen"]][152, 1] + model.offsets[INDEX["mouthClose"]][152, 1] > 1.5
    )


def test_folds_sit_where_the_expression_folds(model: FaceModel) -> None:
    left_nasolabial, right_nasolabial, forehead, outer_eye = 426, 206, 9, 359
    assert model.folds[INDEX["mouthSmileLeft"], left_nasolabial] > 0.5
    assert model.folds[INDEX["mouthSmileLeft"], right_nasolabial] == 0
    assert model.folds[INDEX["browInnerUp"], 151] > 0.5
    assert model.folds[INDEX["eyeSquintLeft"], outer_eye] > 0.3
    assert model.folds[INDEX["browDownLeft"], forehead] > 0.1
