"""`vasa-cam enrol` and `vasa-cam info` as a user runs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import run_cli
from PIL import Image

from vasa_cam.avatar.file import load_avatar


@pytest.fixture(scope="module")
def group_photo(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people: a larger one on the right, a smaller one on the left."""
    folder = shared / "data/portraits/generated"
    picture = Image.new("RGB", (1000, 560), (170, 175, 180))
    picture.paste(Image.open(folder / "female-asian-1.jpg").resize((340, 340)), (60, 120))
    picture.paste(Image.open(folder / "male-black-0.jpg"), (460, 30))
    path = tmp_path_factory.mktemp("photos") / "group.png"
    picture.save(path)
    return path


def test_enrol_then_info(shared: Path, group_photo: Path, tmp_path: Path) -> None:
    models = ("--models", shared / "models")
    done = run_cli("enrol", group_photo, "-o", "me.vasa", *models, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 faces were found; the largest was taken" in " ".join(done.stdout.split())
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["me.vasa"]
    avatar = load_avatar(tmp_path / "me.vasa")
    assert avatar.meta.name == "group"
    assert avatar.meta.source_size == (1000, 560)
    shown = run_cli("info", "me.vasa", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    for words in ("1000 x 560 px", "group", "2 faces were found", "vertices", "glasses"):
        assert words in shown.stdout

    other = run_cli("enrol", group_photo, "--face", "2", *models, cwd=tmp_path)
    assert other.returncode == 0, other.stderr
    second = load_avatar(tmp_path / "group.vasa")
    assert second.meta.face_px != avatar.meta.face_px
    assert not np.array_equal(second.texture_rgba, avatar.texture_rgba)


def test_bad_input_leaves_nothing_behind(shared: Path, group_photo: Path, tmp_path: Path) -> None:
    models = ("--models", shared / "models")
    (tmp_path / "text.jpg").write_text("no picture")
    for arguments, words in (
        (("enrol", "none.jpg", *models), "no file none.jpg"),
        (("enrol", "text.jpg", *models), "not a JPEG"),
        (("enrol", group_photo, "--face", "7", *models), "no face 7: 2 faces"),
        (("enrol", group_photo, "-o", "missing/me.vasa", *models), "folder missing does not exist"),
        (("enrol", group_photo, "--models", "nowhere"), "nowhere"),
        (("info", "none.vasa"), "no file none.vasa"),
        (("info", "text.jpg"), "not a usable avatar"),
    ):
        failed = run_cli(*arguments, cwd=tmp_path)
        assert failed.returncode == 2, failed.stderr
        assert words in failed.stderr
        assert len(failed.stderr.splitlines()) == 1
        assert "Traceback" not in failed.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["text.jpg"]
