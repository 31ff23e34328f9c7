"""What a user may get wrong: one sentence on stderr, exit code 2, nothing left behind.

Every case runs the whole command in a process of its own.
"""

from __future__ import annotations

import resource
import struct
import wave
import zlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from command_line import run_cli
from PIL import Image

AVATAR = Path(str(resources.files("vasa_cam") / "assets" / "astronaut.vasa"))
SPEECH = Path(str(resources.files("vasa_cam") / "assets" / "demo_speech.flac"))
_FULL_DISK_BYTES = 4096


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The user's folder; a failed command must leave it as it was."""
    here = tmp_path / "here"
    here.mkdir()
    return here


def _portrait(face_px: int) -> Image.Image:
    """Grace Hopper, scaled so that her face is about `face_px` wide (it has 155 of 512 px)."""
    from matplotlib.cbook import get_sample_data

    with get_sample_data("grace_hopper.jpg", asfileobj=True) as file, Image.open(file) as photo:
        scale = face_px / 155
        return photo.resize((round(photo.width * scale), round(photo.height * scale)))


def _zip_bomb(path: Path) -> None:
    """A PNG of 100000 x 100000 black pixels in a few hundred bytes of header and data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000), 9)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def _float_wav(path: Path, samples: np.ndarray) -> None:
    """A WAV of 32-bit floats (format 3), which the `wave` module does not write."""
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, 16_000, 64_000, 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data"
    body += struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def _assert_refused(folder: Path, *arguments: str | Path, says: str, **options: object) -> None:
    """The command fails as bad input, names the cause, and `folder` stays as it was."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = run_cli(*arguments, cwd=folder, **options)  # type: ignore[arg-type]
    lines = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1 and lines[0].startswith("vasa-cam: "), done.stderr
    assert says.lower() in lines[0].lower(), lines[0]
    assert "Traceback" not in done.stderr + done.stdout
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before, "the failed command left files behind"


def test_a_photo_without_a_face(folder: Path, shared: Path) -> None:
    Image.radial_gradient("L").resize((640, 640)).convert("RGB").save(folder / "wall.png")
    _assert_refused(
        folder, "enrol", "wall.png", "-o", "me.vasa", "--models", shared / "models", says="no face"
    )


def test_a_face_under_100_pixels(folder: Path, shared: Path) -> None:
    _portrait(face_px=60).save(folder / "small.png")
    _assert_refused(
        folder, "enrol", "small.png", "-o", "me.vasa", "--models", shared / "models", says="100"
    )


def test_a_text_file_named_jpg(folder: Path) -> None:
    (folder / "me.jpg").write_text("This is no photograph.\n" * 50)
    _assert_refused(folder, "enrol", "me.jpg", "-o", "me.vasa", says="me.jpg")


def test_a_zip_bomb_of_a_png(folder: Path) -> None:
    _zip_bomb(folder / "bomb.png")

    def small_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    _assert_refused(
        folder, "enrol", "bomb.png", "-o", "me.vasa", says="megapixel", before=small_memory
    )


@pytest.mark.parametrize("name", ["me.jpg", "me.png", "me.vasa"])
def test_an_empty_portrait_file(folder: Path, name: str) -> None:
    (folder / name).touch()
    _assert_refused(folder, "render", name, SPEECH, "-o", "out.mp4", says=name)


@pytest.mark.parametrize("name", ["me.jpg", "me.vasa"])
def test_a_portrait_that_is_not_there(folder: Path, name: str) -> None:
    _assert_refused(folder, "render", name, SPEECH, "-o", "out.mp4", says=name)


def test_a_damaged_avatar(folder: Path) -> None:
    whole = AVATAR.read_bytes()
    (folder / "cut.vasa").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    (folder / "flipped.vasa").write_bytes(flipped)
    for name in ("cut.vasa", "flipped.vasa"):
        _assert_refused(folder, "render", name, SPEECH, "-o", "out.mp4", says=name)
        _assert_refused(folder, "info", name, says=name)


def test_a_sound_file_without_samples(folder: Path) -> None:
    with wave.open(str(folder / "empty.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
    _assert_refused(folder, "render", AVATAR, "empty.wav", "-o", "out.mp4", says="empty.wav")


def test_a_sound_file_of_nan(folder: Path) -> None:
    _float_wav(folder / "nan.wav", np.full(16_000, np.nan))
    _assert_refused(folder, "render", AVATAR, "nan.wav", "-o", "out.mp4", says="nan.wav")


@pytest.mark.parametrize("content", [b"", b"no sound " * 1000], ids=["0 bytes", "unknown codec"])
def test_a_sound_file_that_nothing_can_decode(folder: Path, content: bytes) -> None:
    (folder / "talk.mp3").write_bytes(content)
    _assert_refused(folder, "render", AVATAR, "talk.mp3", "-o", "out.mp4", says="talk.mp3")


def test_an_unknown_kind_of_video(folder: Path) -> None:
    _assert_refused(folder, "render", AVATAR, SPEECH, "-o", "out.xyz", says=".xyz")


@pytest.mark.parametrize(
    ("command", "out"),
    [("render", "nowhere/out.mp4"), ("poses", "nowhere/sheet.png")],
)
def test_an_output_folder_that_is_not_there(folder: Path, command: str, out: str) -> None:
    voice = [SPEECH] if command == "render" else []
    _assert_refused(folder, command, AVATAR, *voice, "-o", out, says="nowhere")


def test_enrolment_into_a_folder_that_is_not_there(folder: Path, shared: Path) -> None:
    _portrait(face_px=155).save(folder / "me.png")
    _assert_refused(
        folder,
        *("enrol", "me.png", "-o", "nowhere/me.vasa", "--models", shared / "models"),
        says="nowhere",
    )


@pytest.mark.parametrize(
    ("command", "out", "says"),
    [
        ("render", "out.mp4", "out.mp4"),
        ("poses", "sheet.png", "sheet.png"),
        ("demo", ".", "demo.mp4"),
    ],
)
def test_a_full_disk(folder: Path, command: str, out: str, says: str) -> None:
    """A limit on the size of files stands for the full disk: writing fails half-way."""

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_FULL_DISK_BYTES, _FULL_DISK_BYTES))

    inputs = {"render": [AVATAR, SPEECH], "poses": [AVATAR], "demo": []}[command]
    _assert_refused(folder, command, *inputs, "-o", out, says=says, before=little_room)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("Timecode,BlendshapeCount,EyeBlinkLeft\n00:00:00:00.000,61,0.5\n", "column"),
        ("", "track.csv"),
    ],
    ids=["columns missing", "0 bytes"],
)
def test_a_motion_file_without_the_motion(folder: Path, content: str, says: str) -> None:
    (folder / "track.csv").write_text(content)
    _assert_refused(
        folder, "render", AVATAR, SPEECH, "--motion", "track.csv", "-o", "out.mp4", says=says
    )


def test_a_video_that_is_no_video(folder: Path) -> None:
    (folder / "clip.mp4").write_bytes(b"no video " * 1000)
    _assert_refused(folder, "track", "clip.mp4", "-o", "track.csv", says="clip.mp4")


def test_landmarks_that_are_no_landmarks(folder: Path) -> None:
    _portrait(face_px=155).save(folder / "me.png")
    (folder / "points.json").write_text('{"points": [1, 2, 3]}')
    _assert_refused(
        folder,
        *("enrol", "me.png", "-o", "me.vasa", "--landmarks", "points.json"),
        says="points.json",
    )
