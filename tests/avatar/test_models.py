"""Model files: where they are looked for, and that nothing unverified is ever used."""

from __future__ import annotations

import gc
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vasa_cam.avatar import models
from vasa_cam.avatar.models import FACE_LANDMARKER, SELFIE_SEGMENTER, ModelFile, find_model
from vasa_cam.errors import InputError

CONTENT = b"pretend weights" * 1000
MODEL = ModelFile("small.task", "", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(models, "cache_folder", lambda: folder)
    monkeypatch.delenv(models.MODELS_VARIABLE, raising=False)
    return folder


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Address of a web server on this machine that serves `tmp_path / "web"`."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(folder), **kwargs)  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_shared_copies_have_the_pinned_hashes(shared: Path) -> None:
    for model in (FACE_LANDMARKER, SELFIE_SEGMENTER):
        path = find_model(model, shared / "models")
        assert path.parent == shared / "models"
        assert path.stat().st_size == model.size


def test_order_of_the_places(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named = tmp_path / "given", tmp_path / "named"
    for folder in (given, named):
        folder.mkdir()
        (folder / MODEL.name).write_bytes(CONTENT)
    (cache / MODEL.name).write_bytes(CONTENT)
    assert find_model(MODEL) == cache / MODEL.name
    monkeypatch.setenv(models.MODELS_VARIABLE, str(named))
    assert find_model(MODEL) == named / MODEL.name
    assert find_model(MODEL, given) == given / MODEL.name
    (given / MODEL.name).unlink()
    assert find_model(MODEL, given) == named / MODEL.name


def test_a_wrong_hash_is_never_used(tmp_path: Path, cache: Path) -> None:
    (tmp_path / MODEL.name).write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(InputError, match=MODEL.sha256):
        find_model(MODEL, tmp_path)
    (cache / MODEL.name).write_bytes(b"")
    with pytest.raises(InputError, match=MODEL.sha256):
        find_model(MODEL)


def test_missing_folder_is_told(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        find_model(MODEL, tmp_path / "none")


def test_fetched_once_and_verified(
    tmp_path: Path, cache: Path, served: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "web" / MODEL.name).write_bytes(CONTENT)
    model = replace(MODEL, url=f"{served}/{MODEL.name}")
    assert find_model(model).read_bytes() == CONTENT
    assert capfd.readouterr() == ("", "")  # a bar is for terminals
    (tmp_path / "web" / MODEL.name).unlink()
    assert find_model(model) == cache / MODEL.name


def test_a_wrong_download_leaves_nothing(tmp_path: Path, cache: Path, served: str) -> None:
    (tmp_path / "web" / MODEL.name).write_bytes(b"a login page")
    with pytest.raises(InputError, match="sha256 is wrong") as caught:
        find_model(replace(MODEL, url=f"{served}/{MODEL.name}"))
    assert MODEL.sha256 in str(caught.value)
    assert list(cache.iterdir()) == []


# urllib3 leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("missing", ["/none.task", None])
def test_no_network_is_one_sentence(cache: Path, served: str, missing: str | None) -> None:
    url = served + missing if missing else "http://127.0.0.1:9/small.task"
    with pytest.raises(InputError) as caught:
        find_model(replace(MODEL, url=url))
    message = str(caught.value)
    del caught
    gc.collect()  # here, so that no later test is blamed for the socket
    assert "\n" not in message
    for word in (MODEL.name, MODEL.sha256, str(cache), "--models"):
        assert word in message
