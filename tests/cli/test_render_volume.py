"""`vasa-cam render --renderer volume`, with networks whose weights are made by a rule."""

from __future__ import annotations

import json
import pickle
import wave
from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import random_state, save_as_torch_does
from command_line import run_cli
from volume_goldens import Goldens, find_goldens

from vasa_cam.checkpoints import architecture
from vasa_cam.checkpoints.registry import Model, find_model
from vasa_cam.errors import InputError
from vasa_cam.motion.csv import write_motion_csv
from vasa_cam.motion.space import LIVEPORTRAIT_SPACE, Motion, check_space, neutral
from vasa_cam.render_volume import (
    NetworkChoice,
    VolumeInputs,
    VolumeJob,
    latent_motion,
    open_renderer,
    plan_volume,
    render_volume,
)
from vasa_cam.volume_generators import check_generator, drives

Tool = Callable[..., bytes]
FRAMES = 3
_STITCHING = {"retarget_shoulder": "stitching", "retarget_mouth": "lip", "retarget_eye": "eye"}


@pytest.fixture(scope="module")
def avatar() -> Path:
    """The shipped portrait, whose landmarks need no tracker."""
    return Path(str(resources.files("vasa_cam") / "assets" / "astronaut.vasa"))


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So much speech as FRAMES frames last."""
    from vasa_cam.audio import read_speech

    speech = read_speech(Path(str(resources.files("vasa_cam") / "assets" / "demo_speech.flac")))
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        part = speech[8_000 : 8_000 + 640 * FRAMES]
        file.writeframes((part * 32767).astype("<i2").tobytes())
    return path


def publish(goldens: Goldens, folder: Path) -> None:
    """LivePortrait's five files, in torch's formats of then and now, one in half precision."""
    import torch

    def tensors(name: str) -> dict[str, torch.Tensor]:
        return {key: torch.from_numpy(value) for key, value in goldens.state(name).items()}

    torch.save(tensors("F"), folder / "1.pth", _use_new_zipfile_serialization=False)
    torch.save(tensors("M"), folder / "2.pth")
    half = {k: v.half() if v.is_floating_point() else v for k, v in tensors("W").items()}
    torch.save(half, folder / "3.pth")
    torch.save({"model": tensors("G"), "epoch": 3}, folder / "4.pth")
    networks = {
        name: {f"module.{key}": value for key, value in tensors(f"S_{short}").items()}
        for name, short in _STITCHING.items()
    }
    torch.save(networks, folder / "5.pth")


def publish_joyvasa(folder: Path) -> None:
    """JoyVASA's two files: narrow networks, its own audio encoder, three diffusion steps."""
    rng = np.random.default_rng(5)
    width = 64
    state = random_state(architecture.joyvasa(width, 73, 10, heard=width), rng)
    encoder = random_state(architecture.hubert(width, 1), rng)
    state |= {f"audio_encoder.{key}": array for key, array in encoder.items()}
    options = {"n_motions": 100, "n_diff_steps": 3, "fps": 25}
    save_as_torch_does(folder / "generator.pt", state, "model", options)
    template: dict[str, Any] = {"mean_exp": np.zeros(63), "std_exp": np.full(63, 0.01)}
    angles = dict.fromkeys(("pitch", "yaw", "roll"), (1, -5.0, 5.0))
    ranges = {"scale": (1, 1.0, 1.2), "t": (3, -0.1, 0.1), **angles}
    for name, (size, low, high) in ranges.items():
        template |= {f"min_{name}": np.full(size, low), f"max_{name}": np.full(size, high)}
    (folder / "template.pkl").write_bytes(pickle.dumps(template, 4))


@pytest.fixture(scope="module")
def home(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's data folder with both models; also that of this process."""
    folder = tmp_path_factory.mktemp("home")
    download = folder / "download"
    download.mkdir()
    publish(find_goldens(shared), download)
    publish_joyvasa(download)
    done = run_cli("models", "add", download, "--yes", cwd=folder, XDG_DATA_HOME=str(folder))
    assert done.returncode == 0, done.stderr
    assert "4.pth: liveportrait, decoder: all 182 tensors are there" in done.stderr
    assert "InsightFace" in done.stderr
    for file in download.iterdir():
        file.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder))
        yield folder


@pytest.mark.neural
def test_what_was_added_is_what_was_published(home: Path, shared: Path, tmp_path: Path) -> None:
    goldens = find_goldens(shared)
    good = run_cli("models", "verify", cwd=tmp_path, XDG_DATA_HOME=str(home))
    assert good.returncode == 0 and good.stdout.count(": good") == 7
    model = find_model("liveportrait")
    for part, name in (("appearance", "F"), ("motion", "M")):
        kept, expected = model.tensors(part), goldens.state(name)
        assert kept.keys() == expected.keys()
        assert all(np.array_equal(kept[key], expected[key]) for key in kept)
    kept, expected = model.tensors("decoder"), goldens.folded("G")
    assert kept.keys() == expected.keys()
    for key, array in kept.items():
        np.testing.assert_allclose(array, expected[key], rtol=1e-6, err_msg=key)
    warping = goldens.state("W")
    for key, array in model.tensors("warping").items():
        assert array.dtype == warping[key].dtype
        np.testing.assert_array_equal(array, warping[key].astype(np.float16).astype(array.dtype))
    small = model.tensors("stitching")
    for name in _STITCHING.values():
        for key, array in goldens.state(f"S_{name}").items():
            np.testing.assert_array_equal(small[f"{name}.{key}"], array)


@pytest.mark.neural
@pytest.mark.slow
def test_a_portrait_and_a_voice_become_a_video(
    home: Path, avatar: Path, voice: Path, tmp_path: Path, ffprobe: Tool, ffmpeg: Tool
) -> None:
    """From the command line, then again from Python: the same frames, the photo around them."""
    from vasa_cam.motion.ditto.condition import DittoSource
    from vasa_cam.render.volume.photo import read_photo
    from vasa_cam.render_volume import _heads

    out = tmp_path / "talk.mp4"
    done = run_cli(
        "render", avatar, voice, "-o", out, "--renderer", "volume", "--device", "cpu",
        cwd=tmp_path, XDG_DATA_HOME=str(home),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout and f"{FRAMES} frames of" in done.stdout
    assert {p.name for p in tmp_path.iterdir()} == {"talk.mp4"}
    photo = read_photo(avatar)
    height, width = photo.rgb.shape[:2]
    report = json.loads(ffprobe("-show_streams", "-count_packets", "-of", "json", out))
    streams = {stream["codec_type"]: stream for stream in report["streams"]}
    assert streams["audio"]["codec_name"] == "aac"
    video = streams["video"]
    assert (video["width"], video["height"], video["avg_frame_rate"]) == (width, height, "25/1")
    assert int(video["nb_read_packets"]) == FRAMES
    raw = ffmpeg("-i", out, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    shown = np.frombuffer(raw, np.uint8).reshape(FRAMES, height, width, 3).astype(float)

    job = VolumeJob(tmp_path / "two.mp4", VolumeInputs(avatar, voice))
    renderer = open_renderer(job, plan_volume(job))
    motion = latent_motion(job, renderer, photo)
    assert (len(motion), motion.fps) == (FRAMES, 25.0)
    heads = DittoSource.from_heads(_heads(renderer, photo))
    state = renderer.prepare(photo.rgb, photo.landmarks_px)
    np.testing.assert_array_equal(heads.keypoints, state.pose.kp)
    keypoints = renderer.drive(state, motion)
    assert keypoints.shape == (FRAMES, 21, 3) and np.isfinite(keypoints).all()
    frame, again = (next(renderer.frames(state, motion, pasted=True)) for _ in range(2))
    np.testing.assert_array_equal(frame, again)
    assert frame.shape == photo.rgb.shape and frame.dtype == np.uint8
    y, x = np.mgrid[:height, :width]
    at = state.crop.points(np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(height, width, 2)
    outside = ((at < -1) | (at > state.crop.side_px)).any(axis=-1)
    inside = ((at > 40) & (at < state.crop.side_px - 40)).all(axis=-1)
    np.testing.assert_array_equal(frame[outside], photo.rgb[outside])
    assert np.abs(frame[inside].astype(float) - photo.rgb[inside]).mean() > 5
    # Weights by a rule draw noise, which no codec keeps; what it has of the picture is the place.
    assert np.abs(shown[0][outside] - photo.rgb[outside]).mean() < 6
    blurred = [np.array([p[inside].mean(axis=0), p[inside].std(axis=0)]) for p in (shown[0], frame)]
    np.testing.assert_allclose(*blurred, atol=25)


@pytest.fixture
def clip(avatar: Path, tmp_path: Path, ffmpeg: Tool) -> Path:
    """FRAMES frames of the portrait, moving to the right, with sound, at 30 frames a second."""
    from PIL import Image

    from vasa_cam.render.volume.photo import read_photo

    photo = read_photo(avatar).rgb
    for index in range(FRAMES):
        Image.fromarray(np.roll(photo, 4 * index, axis=1)).save(tmp_path / f"{index}.png")
    path = tmp_path / "clip.mp4"
    ffmpeg("-framerate", 30, "-i", tmp_path / "%d.png", "-f", "lavfi", "-i",
           "sine=frequency=300:duration=0.1", "-crf", 12, "-pix_fmt", "yuv420p", "-shortest",
           path)  # fmt: skip
    return path


@pytest.mark.neural
@pytest.mark.slow
def test_a_driving_video_moves_the_portrait(
    home: Path, avatar: Path, clip: Path, shared: Path, tmp_path: Path, ffprobe: Tool
) -> None:
    from vasa_cam.render.volume.photo import read_photo

    out = tmp_path / "driven.mp4"
    inputs = VolumeInputs(avatar, driving=clip)
    networks = NetworkChoice(generator="not needed")
    job = VolumeJob(out, inputs, networks, whole=False, models_dir=shared / "models")
    renderer = open_renderer(job, plan_volume(job))
    passes: list[tuple[int, int]] = []
    photo = read_photo(avatar)
    motion = latent_motion(job, renderer, photo, lambda *done: passes.append(done))
    assert passes[-1] == (FRAMES, FRAMES) and len(passes) == 2 * FRAMES
    assert (len(motion), motion.fps) == (FRAMES, 30.0)
    assert np.isfinite(motion.rows()).all()
    # The square stays where it is and the face moves in it.
    assert np.abs(np.diff(motion.rows(), axis=0)).max(axis=1).min() > 0
    report = render_volume(job, renderer, photo, motion.cut(0, 1))
    assert report.frames == 1
    streams = json.loads(ffprobe("-show_streams", "-of", "json", out))["streams"]
    kinds = {stream["codec_type"]: stream for stream in streams}
    assert (kinds["video"]["width"], kinds["video"]["height"]) == (512, 512)
    assert kinds["video"]["avg_frame_rate"] == "30/1"
    assert kinds["audio"]["codec_name"] == "aac"


@pytest.mark.neural
def test_a_photo_is_made_fit_and_its_face_found(shared: Path, tmp_path: Path) -> None:
    from PIL import Image
    from skimage import data

    from vasa_cam.render.volume.photo import read_photo

    picture = Image.fromarray(data.astronaut())
    wide = Image.new("RGB", (2001, 1401), (90, 120, 150))
    wide.paste(picture.resize((1400, 1400)), (300, 0))
    wide.save(tmp_path / "wide.png")
    photo = read_photo(tmp_path / "wide.png", shared / "models")
    assert photo.rgb.shape == (896, 1280, 3)
    picture.save(tmp_path / "plain.png")
    plain = read_photo(tmp_path / "plain.png", shared / "models")
    expected = plain.landmarks_px[:, :2] * (1400 / 512) * (1280 / 2001) + (300 * 1280 / 2001, 0)
    assert np.abs(photo.landmarks_px[:, :2] - expected).max() < 4


NONE = NetworkChoice(model="none-of-this")


def job_for(avatar: Path, out: Path, **inputs: Any) -> VolumeJob:
    return VolumeJob(out, VolumeInputs(avatar, **inputs))


def test_jobs_that_cannot_work_are_told_before_anything_is_done(
    avatar: Path, voice: Path, tmp_path: Path
) -> None:
    track = tmp_path / "track.csv"
    write_motion_csv(track, Motion(neutral(10), 25.0))
    out = tmp_path / "out.mp4"
    for job, words in (
        (job_for(avatar, out, track=track), "draws motion of the space liveportrait-21"),
        (job_for(avatar, out), "nothing to say"),
        (job_for(avatar, voice, voice=voice), "is the input itself"),
        (job_for(avatar, tmp_path / "out.gif", voice=voice), "not a video format"),
        (job_for(avatar, tmp_path / "no" / "out.mp4", voice=voice), "does not exist"),
        (job_for(avatar, out, voice=tmp_path / "no.wav"), "no.wav"),
        (VolumeJob(out, VolumeInputs(avatar, voice), NONE), "there is no model none-of-this"),
    ):
        with pytest.raises(InputError, match=words):
            plan_volume(job)
    assert {p.name for p in tmp_path.iterdir()} == {"track.csv"}
    with pytest.raises(InputError, match="and this motion is arkit-58"):
        check_space(Motion(neutral(1)).space, "volume", LIVEPORTRAIT_SPACE)


@pytest.mark.neural
def test_only_a_generator_of_motion_pairs_with_the_renderer(
    home: Path, avatar: Path, voice: Path, tmp_path: Path
) -> None:
    job = VolumeJob(
        tmp_path / "out.mp4", VolumeInputs(avatar, voice), NetworkChoice(generator="liveportrait")
    )
    with pytest.raises(InputError, match=r"liveportrait.* makes no motion from a voice"):
        plan_volume(job)
    ditto = Model("ditto", "ditto", tmp_path, (), {}, "here")
    with pytest.raises(InputError, match=r"hubert_streaming_fix_kv.onnx .* --encoder"):
        check_generator(ditto, tmp_path / "missing.onnx")
    assert drives(ditto) == {"mode": "absolute"}
    assert drives(find_model("joyvasa"))["absolute_lips"] is True
    swapped = VolumeJob(job.out, job.inputs, NetworkChoice(model="joyvasa"))
    with pytest.raises(InputError, match="of the family joyvasa: expected one of liveportrait"):
        plan_volume(swapped)


def test_options_of_the_other_renderer_are_refused(
    avatar: Path, voice: Path, tmp_path: Path
) -> None:
    for options, words in (
        (["--renderer", "volume", "--gaze", "1,2"], "--gaze belongs to the layered renderer"),
        (["--driving", "x.mp4", "--crop"], "--crop, --driving belongs to the volume renderer"),
        (["--generator", "joyvasa"], "--generator belongs to the volume renderer"),
        (["--renderer", "other"], "there is no renderer 'other': expected layered or volume"),
        (["--renderer", "volume", "--model", "none-of-this"], "there is no model none-of-this"),
    ):
        done = run_cli("render", avatar, voice, *options, cwd=tmp_path)
        assert done.returncode == 2 and words in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_frame_rate_is_exact(avatar: Path, tmp_path: Path) -> None:
    job = VolumeJob(tmp_path / "a.mp4", VolumeInputs(avatar), fps=Fraction(30000, 1001))
    assert Fraction(float(job.fps or 0)).limit_denominator(1001) == job.fps
