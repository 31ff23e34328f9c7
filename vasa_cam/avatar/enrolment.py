"""Enrolment: a photo becomes an Avatar, once.

The order matters: the seam is found before anything measures the mouth, depth is settled before the
mesh is built, and everything after that is a function of the mesh.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.eye_fit import fit_eye_landmarks
from vasa_cam.avatar.eyes import EyePatch, build_eye
from vasa_cam.avatar.file import Avatar, AvatarMeta
from vasa_cam.avatar.folds import draw_detail
from vasa_cam.avatar.fringe import find_fringe
from vasa_cam.avatar.mesh import HeadFrame, PortraitMesh, build_mesh, fit_head_frame, settle_depth
from vasa_cam.avatar.mouth import MouthInterior, build_mouth
from vasa_cam.avatar.paint import LUMA
from vasa_cam.avatar.portrait import Portrait, PortraitOptions, read_portrait
from vasa_cam.avatar.seam import is_closed, join_depths, snap_seam
from vasa_cam.avatar.shapes import personal_shapes
from vasa_cam.face_model import FaceModel, load_face_model
from vasa_cam.landmarks import EYE_CORNERS, FACE_OVAL, LEFT_BROW, LEFT_IRIS, RIGHT_BROW, RIGHT_IRIS

Floats = npt.NDArray[np.float32]


def enrol(photo: Path, options: PortraitOptions | None = None) -> Avatar:
    """Enrols a portrait: finds the face, fits the mesh, separates person and background.

    photo: JPEG, PNG or WebP file. Raises InputError when the file or the face in it cannot be used,
    MissingDependencyError when the tracker's libraries are missing.
    """
    portrait = read_portrait(photo, options or PortraitOptions())
    return build_avatar(portrait, name=photo.stem)


def build_avatar(portrait: Portrait, name: str) -> Avatar:
    """The part of enrolment after detection and matting: geometry, eyes, mouth, wrinkles."""
    model = load_face_model()
    landmarks, _ = fit_eye_landmarks(portrait.canvas_rgb, portrait.landmarks_px)
    closed = is_closed(landmarks)
    if closed:
        luma = portrait.canvas_rgb.astype(np.float32) @ LUMA
        landmarks = snap_seam(luma, landmarks)
    frame = fit_head_frame(landmarks, model)
    points = settle_depth(landmarks, frame, model)
    if closed:
        points = join_depths(points)
    fringe = find_fringe(portrait.canvas_rgb, points, portrait.hair)
    mesh = build_mesh(points, frame, model, np.maximum(portrait.hair, fringe))
    eyes = _build_eyes(portrait, mesh, model, frame)
    mouth = build_mouth(
        portrait.canvas_rgb,
        mesh.rest_px[model.lip_upper],
        mesh.rest_px[model.lip_lower],
        points,
        frame,
        closed,
    )
    height, width = portrait.canvas_rgb.shape[:2]
    return _assemble(
        _meta(portrait, points, frame, closed, name),
        portrait,
        mesh,
        _shapes_px(model, points, frame, closed),
        draw_detail(points[:, :2], (width, height)),
        eyes,
        mouth,
    )


def _shapes_px(model: FaceModel, points: Floats, frame: HeadFrame, closed: bool) -> Floats:
    """Personal shapes turned into canvas pixels, with the wrinkle weights as fourth channel."""
    offsets, folds = personal_shapes(model, frame.to_cm(points), closed)
    turned = offsets @ frame.rotation.T * frame.px_per_cm
    return np.concatenate([turned, folds[..., None]], axis=2).astype(np.float32)


def _build_eyes(
    portrait: Portrait, mesh: PortraitMesh, model: FaceModel, frame: HeadFrame
) -> tuple[EyePatch, EyePatch]:
    """Patches of the subject's right and left eye."""
    patches = []
    for upper, lower, iris, brow in (
        (model.right_lid_upper, model.right_lid_lower, RIGHT_IRIS, RIGHT_BROW),
        (model.left_lid_upper, model.left_lid_lower, LEFT_IRIS, LEFT_BROW),
    ):
        lids = mesh.rest_px[np.concatenate([upper, lower])]
        patches.append(
            build_eye(
                portrait.canvas_rgb,
                mesh.rest_px[upper, :2],
                mesh.rest_px[lower, :2],
                portrait.landmarks_px[list(iris), :2],
                portrait.landmarks_px[list(brow), :2],
                frame.px_per_cm,
                float(lids[:, 2].mean()),
            )
        )
    return patches[0], patches[1]


def _meta(
    portrait: Portrait, points: Floats, frame: HeadFrame, closed: bool, name: str
) -> AvatarMeta:
    height, width = portrait.canvas_rgb.shape[:2]
    oval = points[list(FACE_OVAL), :2]
    low, high = oval.min(0), oval.max(0)
    right, left = (points[list(corners)].mean(0) for corners in EYE_CORNERS)
    return AvatarMeta(
        name=name,
        canvas_px=(width, height),
        view_px=portrait.view,
        closed_mouth=closed,
        face_px=(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])),
        iod_px=float(np.linalg.norm(left - right)),
        focal_px=frame.focal_px,
        pivot_px=(
            float(frame.origin_px[0]),
            float(frame.origin_px[1]),
            float(frame.origin_px[2]),
        ),
        source_size=portrait.source_size,
        notes=tuple(portrait.notes),
    )


def _assemble(
    meta: AvatarMeta,
    portrait: Portrait,
    mesh: PortraitMesh,
    shapes: Floats,
    detail: npt.NDArray[np.int8],
    eyes: tuple[EyePatch, EyePatch],
    mouth: MouthInterior,
) -> Avatar:
    model = load_face_model()
    right, left = eyes
    alpha = np.rint(np.clip(portrait.alpha, 0.0, 1.0) * 255.0).astype(np.uint8)
    return Avatar(
        meta=meta,
        texture_rgba=np.dstack([portrait.foreground_rgb, alpha]),
        plate_rgb=portrait.plate_rgb,
        detail=detail,
        glasses_rgba=portrait.glasses_rgba,
        rest_px=mesh.rest_px,
        triangles=mesh.triangles,
        rigid_weight=mesh.rigid_weight,
        shade_weight=mesh.shade_weight,
        shapes=shapes,
        operator_indptr=mesh.operator_indptr,
        operator_indices=mesh.operator_indices,
        operator_values=mesh.operator_values,
        contact_pairs=model.contact_pairs,
        contact_entries=model.contact_entries,
        contact_weights=model.contact_weights,
        right_eye_sclera=right.sclera,
        right_eye_iris=right.iris,
        right_eye_params=right.params,
        right_eye_lid=right.lid,
        left_eye_sclera=left.sclera,
        left_eye_iris=left.iris,
        left_eye_params=left.params,
        left_eye_lid=left.lid,
        interior_vertices=mouth.vertices,
        interior_uv=mouth.uv,
        interior_triangles=mouth.triangles,
        interior_jaw_weight=mouth.jaw_weight,
        interior_tongue=mouth.tongue,
        interior_atlas=mouth.atlas,
        cavity_rgb=mouth.cavity_rgb,
        jaw_params=mouth.jaw_params,
    )
