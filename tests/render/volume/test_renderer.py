"""The renderer as a whole, with a tiny model: state, driving, batches, dtypes, paste-back."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from volume_models import TINY, random_networks, random_parts

torch = pytest.importorskip("torch")

from vasa_cam.avatar.file import load_avatar  # noqa: E402
from vasa_cam.errors import InputError  # noqa: E402
from vasa_cam.motion.latent import LatentMotion  # noqa: E402
from vasa_cam.motion.space import MOTION_SIZE, Motion  # noqa: E402
from vasa_cam.render.volume import keypoints  # noqa: E402
from vasa_cam.render.volume.avatar_source import avatar_photo  # noqa: E402
from vasa_cam.render.volume.crop import CropConfig, eyes_and_mouth  # noqa: E402
from vasa_cam.render.volume.driving import DrivingConfig  # noqa: E402
from vasa_cam.render.volume.networks import VolumeNetworks  # noqa: E402
from vasa_cam.render.volume.renderer import VolumeRenderConfig, VolumeRenderer  # noqa: E402

pytestmark = pytest.mark.neural

CROP = CropConfig(side_px=128)
LANDMARKS = np.array([[90, 70], [130, 70], [110, 90], [95, 115], [125, 115]], np.float32)


def renderer(**options: Any) -> VolumeRenderer:
    return VolumeRenderer(random_networks(), VolumeRenderConfig(crop=CROP, **options))


@pytest.fixture
def photo(rng: np.random.Generator) -> np.ndarray:
    """Smooth colours, so that rounding does not decide."""
    y, x = np.mgrid[:180, :240]
    return np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8)


def moves(count: int = 5) -> LatentMotion:
    rng = np.random.default_rng(3)
    rows = np.zeros((count, 70), np.float32)
    rows[:, :63] = 0.05 * rng.standard_normal((count, 63))
    rows[:, 63] = rng.uniform(0.9, 1.1, count)
    rows[:, 64:67] = 0.05 * rng.standard_normal((count, 3))
    rows[:, 67:] = 10 * rng.standard_normal((count, 3))
    return LatentMotion.from_rows(rows, 25.0)


def test_both_forms_draw_the_same(photo: np.ndarray) -> None:
    drawn = []
    for plain in (True, False):
        one = renderer(plain=plain)
        frames = one.render(one.prepare(photo, LANDMARKS), moves())
        assert frames.shape == (5, 128, 128, 3) and frames.dtype == np.uint8
        drawn.append(frames.astype(int))
    difference = np.abs(drawn[0] - drawn[1])
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
    assert drawn[0].std() > 10
    assert np.abs(drawn[0][0] - drawn[0][1]).max() > 10


def test_frames_repeat_byte_for_byte(photo: np.ndarray) -> None:
    first, second = renderer(), renderer()
    state = first.prepare(photo, LANDMARKS)
    frames = first.render(state, moves())
    np.testing.assert_array_equal(first.render(state, moves()), frames)
    np.testing.assert_array_equal(second.render(second.prepare(photo, LANDMARKS), moves()), frames)


def test_batches_draw_what_single_frames_do(photo: np.ndarray) -> None:
    one, many = renderer(), renderer(batch=3)
    single = one.render(one.prepare(photo, LANDMARKS), moves()).astype(int)
    batched = many.render(many.prepare(photo, LANDMARKS), moves()).astype(int)
    # A library may sum in another order for another batch.
    assert np.abs(single - batched).max() <= 1
    listed = np.stack(list(many.frames(many.prepare(photo, LANDMARKS), moves())))
    np.testing.assert_array_equal(listed, batched)


def test_two_photos_share_a_renderer(photo: np.ndarray) -> None:
    one = renderer()
    states = [one.prepare(picture, LANDMARKS) for picture in (photo, photo[:, ::-1].copy())]
    alone = [one.render(state, moves(2)) for state in states]
    again = [one.render(state, moves(2)) for state in states]
    np.testing.assert_array_equal(alone, again)
    assert np.abs(alone[0].astype(int) - alone[1]).max() > 10


def test_sixteen_bits_stay_near_float32(photo: np.ndarray) -> None:
    """Three bits more are an eighth of the error; the values spread by 83 levels."""
    drawn = {}
    for dtype in ("float32", "float16", "bfloat16"):
        one = renderer(dtype=dtype)
        drawn[dtype] = one.render(one.prepare(photo, LANDMARKS), moves(2)).astype(float)
    errors = [np.abs(drawn[dtype] - drawn["float32"]).mean() for dtype in ("float16", "bfloat16")]
    assert errors[1] < 3.0 and errors[0] < errors[1] / 4


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_plain_form_runs_in_every_dtype(photo: np.ndarray, dtype: str) -> None:
    one = renderer(dtype=dtype, plain=True, batch=2)
    frames = one.render(one.prepare(photo, LANDMARKS), moves(2))
    assert frames.shape == (2, 128, 128, 3)


def test_without_movement_and_stitching_the_keypoints_are_the_photos(photo: np.ndarray) -> None:
    one = renderer(driving=DrivingConfig(stitching=False))
    state = one.prepare(photo, LANDMARKS)
    np.testing.assert_allclose(one.drive(state, moves(1))[0], state.keypoints, atol=1e-6)
    assert one.drive(state, moves()).shape == (5, 21, 3)


def test_stitching_and_multiplier_are_applied(photo: np.ndarray) -> None:
    bare, stitching, half = (
        renderer(driving=DrivingConfig(stitching=on, multiplier=by))
        for on, by in ((False, 1.0), (True, 1.0), (True, 0.5))
    )
    state = bare.prepare(photo, LANDMARKS)
    moved = bare.drive(state, moves())
    wanted = bare.retargeting.stitch(state.keypoints, moved)
    np.testing.assert_allclose(stitching.drive(state, moves()), wanted, atol=1e-6)
    middle = (wanted + state.keypoints) / 2
    np.testing.assert_allclose(half.drive(state, moves()), middle, atol=1e-6)


def test_a_reference_is_where_relative_driving_starts(photo: np.ndarray) -> None:
    """A long motion may be drawn in pieces."""
    one = renderer()
    state, motion = one.prepare(photo, LANDMARKS), moves()
    whole = one.drive(state, motion)
    np.testing.assert_allclose(one.drive(state, motion.cut(2, 5), motion), whole[2:], atol=1e-6)


def test_an_open_mouth_is_closed_before_it_is_driven(photo: np.ndarray) -> None:
    points = mesh_of_a_face(opening=0.5)
    one = renderer()
    state, shut = one.prepare(photo, points), one.prepare(photo, mesh_of_a_face(opening=0.0))
    assert state.closing is not None and shut.closing is None
    left_open = renderer(driving=DrivingConfig(close_lips=False))
    difference = one.drive(state, moves()) - left_open.drive(state, moves())
    np.testing.assert_allclose(difference, np.tile(state.closing, (5, 1, 1)), atol=1e-6)
    lips = renderer(driving=DrivingConfig(absolute_lips=True))
    untouched = renderer(driving=DrivingConfig(absolute_lips=True, close_lips=False))
    np.testing.assert_array_equal(lips.drive(state, moves()), untouched.drive(state, moves()))


def mesh_of_a_face(opening: float) -> np.ndarray:
    """478 points whose mouth is 40 px wide and `opening` times as high."""
    points = np.random.default_rng(1).uniform([60, 50], [160, 150], (478, 2))
    points[468], points[473] = (90, 70), (130, 70)
    points[78], points[308] = (90, 115), (130, 115)
    points[13], points[14] = (110, 115 - 20 * opening), (110, 115 + 20 * opening)
    return points.astype(np.float32)


def test_frames_are_pasted_where_they_were_cut(photo: np.ndarray) -> None:
    one = renderer()
    state = one.prepare(photo, LANDMARKS)
    frames = list(one.frames(state, moves(2), pasted=True))
    assert [frame.shape for frame in frames] == [photo.shape] * 2
    changed = (frames[0] != photo).any(axis=-1)
    inside = state.crop.points(np.argwhere(changed)[:, ::-1])
    assert changed.any() and inside.min() >= 0 and inside.max() <= 128
    assert not changed[0].any()


def test_an_avatar_is_the_photo_it_was_made_from() -> None:
    """The packaged one: eyes and mouth lie where its own geometry has them."""
    avatar = load_avatar(Path(str(resources.files("vasa_cam") / "assets" / "astronaut.vasa")))
    picture, points = avatar_photo(avatar)
    width, height = avatar.meta.canvas_px
    assert picture.shape == (height, width, 3) and picture.dtype == np.uint8
    assert points.shape == (478, 2) and np.isfinite(points).all()
    right, left = points[468], points[473]
    assert left[0] - right[0] == pytest.approx(avatar.meta.iod_px, rel=0.1)
    opaque = avatar.texture_rgba[..., 3] == 255
    np.testing.assert_array_equal(picture[opaque], avatar.texture_rgba[opaque][:, :3])
    state = renderer().prepare_avatar(avatar)
    eyes, mouth = eyes_and_mouth(state.crop.points(points))
    assert abs(eyes[0] - mouth[0]) < 0.5 and 20 < mouth[1] - eyes[1] < 50


def test_pictures_show_motion(photo: np.ndarray) -> None:
    one = renderer()
    pictures = np.random.default_rng(2).random((3, 3, 64, 64), np.float32)
    seen = one.see(pictures, fps=30.0)
    assert isinstance(seen, LatentMotion) and len(seen) == 3 and seen.fps == 30.0
    state = one.prepare(photo, LANDMARKS)
    assert one.drive(state, seen).shape == (3, 21, 3)
    pose = state.pose
    R = keypoints.rotation(seen.pitch, seen.yaw, seen.roll)
    assert pose.R.shape == R.shape[1:] and pose.kp.shape == (21, 3)


def test_motion_for_the_layered_renderer_is_refused(photo: np.ndarray) -> None:
    one = renderer()
    state = one.prepare(photo, LANDMARKS)
    with pytest.raises(InputError, match="volume renderer draws motion of the space"):
        one.render(state, Motion(np.zeros((2, MOTION_SIZE), np.float32)))
    with pytest.raises(InputError, match="no frames"):
        one.render(state, moves().cut(0, 0))


def test_unusable_photos_and_devices_are_refused(photo: np.ndarray) -> None:
    one = renderer()
    with pytest.raises(InputError, match="uint8"):
        one.prepare(photo.astype(np.float32), LANDMARKS)
    with pytest.raises(InputError, match="landmarks"):
        one.prepare(photo, LANDMARKS[:3])
    for device in ("tpu", "mps", "cuda:99"):
        with pytest.raises(InputError, match=r"cpu, cuda or cuda:N|no CUDA device 99"):
            renderer(device=device)


def test_a_wrong_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="dtype"):
        VolumeRenderConfig(dtype="int8")
    with pytest.raises(ValueError, match="batch"):
        VolumeRenderConfig(batch=0)


def test_weights_that_do_not_fit_are_refused() -> None:
    parts = random_parts()
    del parts["decoder"]["fc.weight"]
    with pytest.raises(InputError, match=r"part decoder do not fit .*fc\.weight"):
        VolumeNetworks.load(parts.__getitem__, TINY)
    parts = random_parts()
    parts["motion"]["detector.norm.weight"] = np.zeros(7, np.float32)
    with pytest.raises(InputError, match="part motion do not fit"):
        VolumeNetworks.load(parts.__getitem__, TINY)


def test_counts_of_batches_may_be_missing() -> None:
    parts = random_parts()
    for part in parts.values():
        for key in [key for key in part if key.endswith("num_batches_tracked")]:
            del part[key]
    networks = VolumeNetworks.load(parts.__getitem__, TINY)
    assert not any(value.is_meta for value in networks.warping.state_dict().values())
