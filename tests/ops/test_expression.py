"""`expression` against its reference, against geometry worked out by hand, and its refusals."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_meshes import grid_tensors, rotation_about, still_pose, turned_pose
from tolerances import tolerance

from vasa_cam import ops
from vasa_cam.ops import ExpressionMesh, ExpressionTensors, Light, Pose, reference_expression


def assert_matches_reference(mesh: ExpressionMesh, weights: np.ndarray, pose: Pose) -> None:
    vertices, attributes = ops.expression(mesh, weights, pose)
    expected_vertices, expected_attributes = reference_expression.expression(mesh, weights, pose)
    for found, expected, name in (
        (vertices, expected_vertices, "vertices"),
        (attributes[:, 0], expected_attributes[:, 0], "shade"),
        (attributes[:, 1], expected_attributes[:, 1], "fold"),
    ):
        allowed = tolerance(f"expression.{name}").absolute
        np.testing.assert_allclose(found, expected, rtol=0, atol=allowed, err_msg=name)


def single_vertex(**changes: np.ndarray) -> ExpressionTensors:
    """One triangle facing the camera, its first vertex moved by the one coarse vertex."""
    fields = {
        "shapes": np.array([[[0.0, 0.0, 0.0, 0.0]]], np.float32),
        "operator_indptr": np.array([0, 1, 1, 1], np.int32),
        "operator_indices": np.array([0], np.int32),
        "operator_values": np.array([1.0], np.float32),
        "contact_pairs": np.zeros((0, 2), np.int32),
        "contact_entries": np.zeros((0, 2), np.int32),
        "contact_weights": np.zeros(0, np.float32),
        "contact_down": np.array([0.0, 1.0, 0.0], np.float32),
        "rest_coarse": np.zeros((1, 3), np.float32),
        "rest": np.array([[10, 20, 0], [50, 20, 0], [10, 60, 0]], np.float32),
        "rigid": np.ones(3, np.float32),
        "shade_weight": np.ones(3, np.float32),
        "normal_triangles": np.array([[0, 1, 2]], np.int32),
    }
    return ExpressionTensors(**{**fields, **changes})


def test_matches_the_reference(simd: str, rng: np.random.Generator) -> None:
    mesh = ExpressionMesh(grid_tensors(rng, 61, 53))
    weights = rng.uniform(0, 1, mesh.shape_count).astype(np.float32)
    assert_matches_reference(mesh, weights, turned_pose())


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 9),
    columns=st.integers(1, 40),
    coarse=st.sampled_from([0, 1, 2, 7, 33]),
    shapes=st.sampled_from([0, 1, 5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_matches_the_reference_at_odd_sizes(
    rows: int, columns: int, coarse: int, shapes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tensors = grid_tensors(rng, rows, columns, coarse, shapes, row_entries=3, contacts=5)
    weights = rng.uniform(-1, 1, shapes).astype(np.float32)
    assert_matches_reference(ExpressionMesh(tensors), weights, turned_pose())


def test_rest_is_the_photo_itself(simd: str, rng: np.random.Generator) -> None:
    tensors = grid_tensors(rng, 40, 50)
    apart = dataclasses.replace(tensors, contact_weights=np.zeros_like(tensors.contact_weights))
    mesh = ExpressionMesh(apart)
    vertices, attributes = ops.expression(mesh, np.zeros(53, np.float32), still_pose())
    np.testing.assert_allclose(vertices, tensors.rest, rtol=0, atol=1e-4)
    np.testing.assert_allclose(attributes[:, 0], 1.0, rtol=0, atol=2e-7)
    assert not attributes[:, 1].any()


def test_perspective_by_hand() -> None:
    # A point 100 px right of the pivot, turned by 30 degrees about the vertical axis through it:
    # x = 100 cos 30, z = -100 sin 30, so it comes nearer and is magnified by f / (f + z).
    mesh = ExpressionMesh(
        single_vertex(rest=np.array([[300, 200, 50], [0, 0, 0], [0, 1, 0]], np.float32))
    )
    pose = Pose(
        rotation_about(1, math.radians(30)),
        (0, 0, 0),
        (200, 200, 50),
        400.0,
        (200, 200),
        2.0,
        (7, 9),
    )
    vertices, _ = ops.expression(mesh, np.zeros(1, np.float32), pose)
    magnified = 100 * math.cos(math.radians(30)) * 400 / (400 - 50)
    assert vertices[0] == pytest.approx([(200 + magnified) * 2 + 7, 200 * 2 + 9, 0.0], abs=1e-3)


def test_torso_stays_and_expression_moves_it() -> None:
    mesh = ExpressionMesh(
        single_vertex(
            shapes=np.array([[[4, -3, 2, 0.5]]], np.float32), rigid=np.zeros(3, np.float32)
        )
    )
    vertices, attributes = ops.expression(mesh, np.array([0.5], np.float32), turned_pose())
    # Only the expression, then scale 1.3 and offset (5, 7); depth 0 + 1.
    assert vertices[0] == pytest.approx([12 * 1.3 + 5, 18.5 * 1.3 + 7, 1.3], abs=1e-4)
    assert attributes[0, 1] == pytest.approx(0.25)


def test_turning_to_the_light_brightens_by_lambert() -> None:
    tensors = single_vertex()
    angle = 0.2
    light = Light(direction=(0.0, -math.sin(0.5), -math.cos(0.5)), ambient=0.4, relight=0.8)
    mesh = ExpressionMesh(tensors, light)
    # rx < 0 tips the normal (0, 0, -1) upwards, towards the light.
    pose = Pose(rotation_about(0, -angle), (0, 0, 0), (0, 0, 0), 900.0, (0, 0))
    _, attributes = ops.expression(mesh, np.zeros(1, np.float32), pose)
    ratio = (0.4 + 0.6 * math.cos(0.5 - angle)) / (0.4 + 0.6 * math.cos(0.5))
    assert ratio < 1.14
    expected = (1 + 0.8 * (ratio - 1)) ** (1 / 2.2)
    np.testing.assert_allclose(attributes[:, 0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_winding_does_not_matter(order: tuple[int, int, int]) -> None:
    mesh = ExpressionMesh(single_vertex(normal_triangles=np.array([order], np.int32)))
    pose = Pose(rotation_about(0, 0.3), (0, 0, 0), (0, 0, 0), 900.0, (0, 0))
    _, attributes = ops.expression(mesh, np.zeros(1, np.float32), pose)
    # rx > 0 nods the face down, away from the light above.
    assert (attributes[:, 0] < 0.97).all()


def test_relighting_is_bounded_and_needs_triangles() -> None:
    tensors = single_vertex(normal_triangles=np.zeros((0, 3), np.int32))
    dark = Pose(rotation_about(0, 1.5), (0, 0, 0), (0, 0, 0), 900.0, (0, 0))
    _, alone = ops.expression(ExpressionMesh(tensors), np.zeros(1, np.float32), dark)
    assert (alone[:, 0] == 1).all()
    _, lit = ops.expression(
        ExpressionMesh(single_vertex(), Light(relight=1.0)), np.zeros(1, np.float32), dark
    )
    np.testing.assert_allclose(lit[:, 0], 0.72 ** (1 / 2.2), rtol=0, atol=1e-6)


def test_fold_weight_is_clamped() -> None:
    mesh = ExpressionMesh(single_vertex(shapes=np.array([[[0, 0, 0, 1]]], np.float32)))
    for weight, expected in ((-1.0, 0.0), (0.7, 0.7), (9.0, 1.5)):
        _, attributes = ops.expression(mesh, np.array([weight], np.float32), still_pose())
        assert attributes[0, 1] == pytest.approx(expected)


def test_lips_that_would_cross_meet() -> None:
    # Upper lip at y 100, lower at y 104; the shape moves the upper one 10 px down: 6 px too far.
    tensors = single_vertex(
        shapes=np.array([[[0, 10, 0, 0], [0, 0, 0, 0]]], np.float32),
        rest_coarse=np.array([[0, 100, 0], [0, 104, 0]], np.float32),
        operator_indptr=np.array([0, 1, 2, 2], np.int32),
        operator_indices=np.array([0, 1], np.int32),
        operator_values=np.ones(2, np.float32),
        contact_pairs=np.array([[0, 1]], np.int32),
        contact_entries=np.array([[0, 0], [0, 1]], np.int32),
        contact_weights=np.array([-0.5, 0.5], np.float32),
        rest=np.array([[0, 100, 0], [0, 104, 0], [9, 9, 0]], np.float32),
    )
    vertices, _ = ops.expression(ExpressionMesh(tensors), np.ones(1, np.float32), still_pose())
    assert vertices[:2, 1] == pytest.approx([107.0, 107.0], abs=1e-4)
    apart, _ = ops.expression(ExpressionMesh(tensors), np.full(1, 0.3, np.float32), still_pose())
    assert apart[:2, 1] == pytest.approx([103.0, 104.0], abs=1e-4)


def test_threads_and_repeats_give_the_same_bytes(simd: str, rng: np.random.Generator) -> None:
    mesh = ExpressionMesh(grid_tensors(rng, 90, 110))
    weights = rng.uniform(0, 1, mesh.shape_count).astype(np.float32)
    frames = []
    for threads in (1, 2, 3, 1):
        ops.set_num_threads(threads)
        vertices, attributes = ops.expression(mesh, weights, turned_pose())
        frames.append((vertices.tobytes(), attributes.tobytes()))
    assert len(set(frames)) == 1


def test_out_is_written_and_returned_without_allocating(rng: np.random.Generator) -> None:
    mesh = ExpressionMesh(grid_tensors(rng, 50, 50))
    weights = rng.uniform(0, 1, mesh.shape_count).astype(np.float32)
    pose = turned_pose()
    expected = ops.expression(mesh, weights, pose)
    out = np.empty((2500, 3), np.float32), np.empty((2500, 2), np.float32)
    ops.expression(mesh, weights, pose, out)
    tracemalloc.start()
    found = ops.expression(mesh, weights, pose, out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found[0] is out[0] and found[1] is out[1]
    np.testing.assert_array_equal(out[0], expected[0])
    np.testing.assert_array_equal(out[1], expected[1])
    # Small Python objects only; one array of vertices would be 30,000 bytes.
    assert peak < 8000


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_weights_that_are_not_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="weights must be finite"):
        ops.expression(ExpressionMesh(single_vertex()), np.array([bad], np.float32), still_pose())


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.zeros(1), TypeError, "weights must be float32, got float64"),
        (np.zeros(2, np.float32), ValueError, r"weights must be \[1\], got \[2\]"),
        ([0.0], TypeError, "weights must be a NumPy array"),
    ],
)
def test_refuses_wrong_weights(weights: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ops.expression(ExpressionMesh(single_vertex()), weights, still_pose())


def test_refuses_outputs_that_cannot_take_the_result() -> None:
    mesh = ExpressionMesh(single_vertex())
    weights = np.zeros(1, np.float32)
    vertices, attributes = np.empty((3, 3), np.float32), np.empty((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"out attributes must be \[3, 2\]"):
        ops.expression(mesh, weights, still_pose(), (vertices, vertices))
    with pytest.raises(ValueError, match="out vertices must be C-contiguous"):
        ops.expression(mesh, weights, still_pose(), (np.empty((3, 6), "f4")[:, ::2], attributes))
    vertices.flags.writeable = False
    with pytest.raises(ValueError, match="out vertices is read-only"):
        ops.expression(mesh, weights, still_pose(), (vertices, attributes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"rigid": np.ones(2, np.float32)}, ValueError, r"rigid must be \[3\], got \[2\]"),
        ({"rest": np.zeros((3, 3))}, TypeError, "rest must be float32"),
        ({"rest": np.full((3, 3), np.nan, "f4")}, ValueError, "rest must be finite"),
        ({"operator_indices": np.array([1], "i4")}, ValueError, "operator_indices must be 0 to 0"),
        (
            {"operator_indptr": np.array([0, 2, 1, 1], "i4")},
            ValueError,
            "operator_indptr must rise",
        ),
        (
            {"normal_triangles": np.array([[0, 1, 3]], "i4")},
            ValueError,
            "must be 0 to 2, got 0 to 3",
        ),
        ({"normal_triangles": np.array([[0, -1, 2]], "i4")}, ValueError, "got -1 to 2"),
        ({"contact_pairs": np.array([[0, 1]], "i4")}, ValueError, "contact_pairs must be 0 to 0"),
        ({"shade_weight": np.full(3, 1.5, "f4")}, ValueError, "shade_weight must be 0 to 1"),
    ],
)
def test_refuses_tensors_that_do_not_fit(
    changes: dict[str, np.ndarray], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        single_vertex(**changes)


def test_refuses_a_pose_or_light_that_makes_no_sense() -> None:
    mesh, weights = ExpressionMesh(single_vertex()), np.zeros(1, np.float32)
    good = still_pose()
    for changes, message in (
        ({"rotation": np.eye(2)}, "rotation must be"),
        ({"focal_px": 0.0}, "focal_px and scale must be above 0"),
        ({"pivot_px": (0.0, math.nan, 0.0)}, "must be finite"),
        ({"principal_px": (0.0, 0.0, 0.0)}, "have 3 numbers, the others 2"),
    ):
        with pytest.raises(ValueError, match=message):
            ops.expression(mesh, weights, dataclasses.replace(good, **changes))
    with pytest.raises(ValueError, match="unit vector"):
        Light(direction=(0.0, 0.0, -2.0))
    with pytest.raises(ValueError, match="relight must be 0 to 1"):
        Light(relight=2.0)
    with pytest.raises(ValueError, match="ambient must be above 0"):
        Light(ambient=0.0)


def test_a_point_behind_the_camera_stays_finite() -> None:
    pose = Pose(np.eye(3), (0, 0, -5000.0), (0, 0, 0), 900.0, (0, 0))
    vertices, _ = ops.expression(ExpressionMesh(single_vertex()), np.zeros(1, np.float32), pose)
    # A tenth of the camera's distance is the nearest that perspective goes.
    assert vertices[0] == pytest.approx([100.0, 200.0, -5000.0], rel=1e-5)


@pytest.mark.cuda
def test_cuda_matches_the_reference(rng: np.random.Generator) -> None:
    import cupy

    tensors = grid_tensors(rng, 61, 53)
    mesh = ExpressionMesh(tensors, device=("cuda", 0))
    weights = rng.uniform(0, 1, 53).astype(np.float32)
    expected = reference_expression.expression(mesh, weights, turned_pose())
    vertices, attributes = ops.expression(mesh, cupy.asarray(weights), turned_pose())
    np.testing.assert_allclose(
        cupy.asnumpy(vertices), expected[0], atol=tolerance("expression.vertices").absolute
    )
    np.testing.assert_allclose(
        cupy.asnumpy(attributes), expected[1], atol=tolerance("expression.shade").absolute
    )
    again = ops.expression(mesh, weights, turned_pose(), (vertices.copy(), attributes.copy()))
    assert (again[0] == vertices).all() and (again[1] == attributes).all()


def test_a_gpu_mesh_without_a_gpu_says_so() -> None:
    if ops.build_info()["cuda_devices"]:
        pytest.skip("this machine has a GPU")
    with pytest.raises(RuntimeError, match="CUDA"):
        ExpressionMesh(single_vertex(), device=("cuda", 0))
