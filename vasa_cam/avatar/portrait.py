"""A photo read for enrolment: the face found, the crop taken, the person cut out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.crop import Framing, frame_head, resample
from vasa_cam.avatar.detect import Face, check_face_size, choose_face, detect_faces
from vasa_cam.avatar.extend import extend_alpha, extend_background, extend_person
from vasa_cam.avatar.glasses import split_glasses
from vasa_cam.avatar.image import Photo, load_image
from vasa_cam.avatar.landmark_file import read_landmarks
from vasa_cam.avatar.matte import face_mask, find_matte
from vasa_cam.avatar.mediapipe_tasks import load_cv2
from vasa_cam.avatar.plate import fill_plate, split_colours
from vasa_cam.avatar.spread import spread_colours
from vasa_cam.errors import InputError

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]

_FACE_SHOWN: Final = 0.8  # mean alpha over the face from which a picture's own alpha is believed
_PLAIN_PLATE: Final = 200  # grey behind pictures that come without a background


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
    height, width = photo.rgb.shape[:2]
    face, notes = _find_face(photo.rgb, options)
    framing = frame_head((width, height), face.box)
    landmarks = framing.to_canvas(face.landmarks_px)
    rgb = resample(photo.rgb, framing)
    corner = np.array([*framing.inside[:2], 0], np.float32)
    near = landmarks - corner
    face_width = face.box[2] * framing.scale
    own = _own_alpha(photo, framing, near)
    if own is not None:
        notes.append("The photo's own transparency was taken as the outline of the person.")
        layers = _cut_out_layers(rgb, own, framing)
    else:
        alpha, matte_notes = find_matte(rgb, near, options.models_dir)
        notes += matte_notes
        layers = _photo_layers(rgb, alpha, framing, face_width)
    glasses, bare = split_glasses(layers.person, landmarks)
    return Portrait(
        canvas_rgb=layers.canvas,
        alpha=layers.alpha,
        hair=_hair(layers.alpha, landmarks),
        foreground_rgb=bare,
        plate_rgb=layers.plate,
        glasses_rgba=glasses,
        view=framing.view,
        landmarks_px=landmarks,
        notes=tuple(notes),
        source_size=(width, height),
    )


def _find_face(rgb: U8, options: PortraitOptions) -> tuple[Face, list[str]]:
    if options.landmarks is None:
        return choose_face(detect_faces(rgb, options.models_dir), options.face)
    if options.face is not None:
        raise InputError("Give --face or --landmarks, not both: the points say which face it is.")
    face = Face(read_landmarks(options.landmarks, (rgb.shape[1], rgb.shape[0])))
    check_face_size(face)
    return face, [f"The landmarks are those of {options.landmarks.name}."]


def _own_alpha(photo: Photo, framing: Framing, landmarks: F32) -> F32 | None:
    """The photo's own alpha as float32 [h, w], when it has one that shows the face."""
    if photo.alpha is None:
        return None
    alpha: F32 = resample(photo.alpha, framing).astype(np.float32) / np.float32(255)
    face = face_mask(landmarks, alpha.shape)
    return alpha if face.any() and alpha[face > 0].mean() > _FACE_SHOWN else None


@dataclass(frozen=True)
class _Layers:
    canvas: U8
    alpha: F32
    person: U8
    plate: U8


def _photo_layers(rgb: U8, alpha: F32, framing: Framing, face_width: float) -> _Layers:
    """Canvas-sized layers from the part of the canvas that the photo covers."""
    x0, y0, x1, y1 = framing.inside
    borders = _borders(framing)
    inside = np.zeros((framing.canvas[1], framing.canvas[0]), np.bool_)
    inside[y0:y1, x0:x1] = True
    base = _bytes(extend_background(rgb.astype(np.float32), borders))
    base[y0:y1, x0:x1] = rgb
    # Where the mirror image shows the person, the plate has to be filled as behind the person.
    seen = np.maximum(extend_alpha(alpha, borders), extend_background(alpha, borders))
    plate = fill_plate(base, seen, inside, face_width)
    person, opaque, plate_inside = split_colours(rgb, alpha, plate[y0:y1, x0:x1])
    plate[y0:y1, x0:x1] = plate_inside
    layers = _compose(person, opaque, plate, framing)
    layers.canvas[y0:y1, x0:x1] = rgb
    return layers


def _cut_out_layers(rgb: U8, alpha: F32, framing: Framing) -> _Layers:
    """The same for a picture with its own alpha, over a plain plate."""
    plate = np.full((framing.canvas[1], framing.canvas[0], 3), _PLAIN_PLATE, np.uint8)
    spread = spread_colours(rgb.astype(np.float32), np.clip(alpha * 1.02 - 0.02, 0, 1))
    person = np.where(alpha[..., None] > 0.02, rgb, _bytes(spread))
    return _compose(person, alpha, plate, framing)


def _compose(person: U8, alpha: F32, plate: U8, framing: Framing) -> _Layers:
    """Continue person and alpha to the canvas's size and lay them over the plate."""
    x0, y0, x1, y1 = framing.inside
    borders = _borders(framing)
    full_alpha = extend_alpha(alpha, borders)
    full_person = _bytes(extend_person(person.astype(np.float32), borders))
    full_person[y0:y1, x0:x1] = person
    a = full_alpha[..., None]
    return _Layers(_bytes(full_person * a + plate * (1 - a)), full_alpha, full_person, plate)


def _bytes(image: F32) -> U8:
    rounded: U8 = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    return rounded


def _borders(framing: Framing) -> tuple[int, int, int, int]:
    """Canvas rows and columns beyond the photo: top, bottom, left, right."""
    x0, y0, x1, y1 = framing.inside
    width, height = framing.canvas
    return y0, height - y1, x0, width - x1


def _hair(alpha: F32, landmarks: F32) -> F32:
    cv2 = load_cv2()
    face = face_mask(landmarks, alpha.shape)
    chin = landmarks[152, 1]
    size = np.ptp(landmarks[:468, 1])
    rows = np.arange(alpha.shape[0], dtype=np.float32)[:, None]
    above = np.clip((chin - rows) / (0.25 * size) + 0.5, 0, 1)
    soft = cv2.GaussianBlur(1 - face.astype(np.float32), (0, 0), 0.02 * size)
    return np.asarray(alpha * soft * above, np.float32)
