"""A photo read for enrolment: the face found, the crop taken, the person cut out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.crop import Framing, frame_head, resample
from vasa_cam.avatar.detect import Face, choose_face, detect_faces
from vasa_cam.avatar.extend import extend_alpha, extend_background, extend_person
from vasa_cam.avatar.image import load_image
from vasa_cam.avatar.matte import find_matte
from vasa_cam.avatar.mediapipe_tasks import load_cv2
from vasa_cam.avatar.plate import fill_plate, split_colours

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PortraitOptions:
    """What the user may choose.

    face: which face, from 1, the largest first; None takes the largest.
    landmarks: JSON file of 468 or 478 points instead of detection.
    models_dir: folder searched first for MediaPipe's model files.
    """

    face: int | None = None
    landmarks: Path | None = None
    models_dir: Path | None = None


@dataclass(frozen=True, eq=False)
class Portrait:
    """What the rest of enrolment works from; all layers have the canvas's size [Hc, Wc].

    canvas_rgb: uint8, the crop, continued where the photo ends. alpha: float32, the person.
    hair: float32, hair and headgear (person without face, neck and body). foreground_rgb: uint8,
    the person's colours without background. plate_rgb: uint8, the background without the person.
    glasses_rgba: uint8, glasses split off foreground_rgb, or [0, 0, 4]. view: x, y, width, height.
    landmarks_px: float32 [478, 3] in canvas px. notes: sentences for the user.
    source_size: width, height of the photo, upright.
    """

    canvas_rgb: U8
    alpha: F32
    hair: F32
    foreground_rgb: U8
    plate_rgb: U8
    glasses_rgba: U8
    view: tuple[int, int, int, int]
    landmarks_px: F32
    notes: tuple[str, ...]
    source_size: tuple[int, int]


def read_portrait(path: Path, options: PortraitOptions | None = None) -> Portrait:
    """Find the face in a photo and prepare every picture layer that an avatar needs.

    Raises InputError (one sentence) when the photo, its face or the options are not usable, and
    MissingDependencyError when MediaPipe or a system library of it is missing.
    """
    options = options or PortraitOptions()
    photo = load_image(path)
    face, notes = _find_face(photo.rgb, options)
    height, width = photo.rgb.shape[:2]
    framing = frame_head((width, height), face.box)
    landmarks = framing.to_canvas(face.landmarks_px)
    rgb = resample(photo.rgb, framing)
    corner = np.array([*framing.inside[:2], 0], np.float32)
    alpha, matte_notes = find_matte(rgb, landmarks - corner, options.models_dir)
    layers = _layers(rgb, alpha, framing, face.box[2] * framing.scale)
    return Portrait(
        canvas_rgb=layers.canvas,
        alpha=layers.alpha,
        hair=_hair(layers.alpha, landmarks),
        foreground_rgb=layers.person,
        plate_rgb=layers.plate,
        glasses_rgba=np.zeros((0, 0, 4), np.uint8),
        view=framing.view,
        landmarks_px=landmarks,
        notes=(*notes, *matte_notes),
        source_size=(width, height),
    )


@dataclass(frozen=True)
class _Layers:
    canvas: U8
    alpha: F32
    person: U8
    plate: U8


def _layers(rgb: U8, alpha: F32, framing: Framing, face_width: float) -> _Layers:
    """Canvas-sized layers from the part of the canvas that the photo covers."""
    x0, y0, x1, y1 = framing.inside
    borders = _borders(framing)
    inside = np.zeros((framing.canvas[1], framing.canvas[0]), np.bool_)
    inside[y0:y1, x0:x1] = True
    mirrored = extend_background(rgb.astype(np.float32), borders)
    # Where the mirror image shows the person, the plate has to be filled as behind the person.
    mirrored_alpha = extend_background(alpha, borders)
    full_alpha = extend_alpha(alpha, borders)
    base = np.clip(mirrored + 0.5, 0, 255).astype(np.uint8)
    base[y0:y1, x0:x1] = rgb
    plate = fill_plate(base, np.maximum(full_alpha, mirrored_alpha), inside, face_width)
    person, opaque, plate_inside = split_colours(rgb, alpha, plate[y0:y1, x0:x1])
    plate[y0:y1, x0:x1], full_alpha[y0:y1, x0:x1] = plate_inside, opaque
    full_person = np.clip(extend_person(person.astype(np.float32), borders) + 0.5, 0, 255)
    a = full_alpha[..., None]
    canvas = np.round(full_person * a + plate * (1 - a)).astype(np.uint8)
    canvas[y0:y1, x0:x1] = rgb
    full = full_person.astype(np.uint8)
    full[y0:y1, x0:x1] = person
    return _Layers(canvas, full_alpha, full, plate)


def _find_face(rgb: U8, options: PortraitOptions) -> tuple[Face, list[str]]:
    return choose_face(detect_faces(rgb, options.models_dir), options.face)


def _borders(framing: Framing) -> tuple[int, int, int, int]:
    """Canvas rows and columns beyond the photo: top, bottom, left, right."""
    x0, y0, x1, y1 = framing.inside
    width, height = framing.canvas
    return y0, height - y1, x0, width - x1


def _hair(alpha: F32, landmarks: F32) -> F32:
    cv2 = load_cv2()
    hull = cv2.convexHull(np.round(landmarks[:468, :2]).astype(np.int32))
    face = cv2.fillPoly(np.zeros(alpha.shape, np.uint8), [hull], 1)
    chin = landmarks[152, 1]
    size = np.ptp(landmarks[:468, 1])
    rows = np.arange(alpha.shape[0], dtype=np.float32)[:, None]
    above = np.clip((chin - rows) / (0.25 * size) + 0.5, 0, 1)
    soft = cv2.GaussianBlur(1 - face.astype(np.float32), (0, 0), 0.02 * size)
    return np.asarray(alpha * soft * above, np.float32)
