"""The two MediaPipe model files that enrolment and tracking need, found or fetched once.

Searched in this order: the folder given by the caller (`--models DIR`), `$VASA_CAM_MODELS`, the
user's cache. Otherwise fetched from MediaPipe's own address with pooch. Whatever the place, a file
is used only when its SHA-256 is the pinned one.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vasa_cam.errors import InputError

MODELS_VARIABLE: Final = "VASA_CAM_MODELS"
_BASE: Final = "https://storage.googleapis.com/mediapipe-models"
_TIMEOUT_S: Final = 20


@dataclass(frozen=True)
class ModelFile:
    """One pinned file: its name, address, SHA-256 and size in bytes."""

    name: str
    url: str
    sha256: str
    size: int


FACE_LANDMARKER: Final = ModelFile(
    "face_landmarker.task",
    f"{_BASE}/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
    "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    3_758_596,
)
"""Face detector, 478 landmarks, blendshapes (Apache-2.0)."""

SELFIE_SEGMENTER: Final = ModelFile(
    "selfie_segmenter.tflite",
    f"{_BASE}/image_segmenter/selfie_segmenter/float16/1/selfie_segmenter.tflite",
    "191ac9529ae506ee0beefa6b2c945a172dab9d07d1e802a290a4e4038226658b",
    249_537,
)
"""Person matte, 256 x 256 (Apache-2.0)."""


def cache_folder() -> Path:
    """Where fetched model files are kept (platformdirs' user cache)."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("vasa-cam")) / "models"


def find_model(model: ModelFile, models_dir: Path | None = None) -> Path:
    """The path of a verified copy of `model`, fetched with a progress bar if there is none.

    Raises InputError (one sentence with the file, the folder for it and its SHA-256) when a copy
    has the wrong hash, `models_dir` is no folder, or the download fails.
    """
    if models_dir is not None and not models_dir.is_dir():
        raise InputError(
            f"There is no folder {models_dir} (--models); make it and put {model.name} "
            f"(sha256 {model.sha256}) there, or leave the option out."
        )
    folders = [models_dir] if models_dir is not None else []
    if os.environ.get(MODELS_VARIABLE):
        folders.append(Path(os.environ[MODELS_VARIABLE]))
    for folder in (*folders, cache_folder()):
        candidate = folder / model.name
        if candidate.is_file():
            return _verified(candidate, model)
    return _fetch(model)


def _verified(path: Path, model: ModelFile) -> Path:
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}; check its permissions.") from error
    if digest != model.sha256:
        raise InputError(
            f"{path} is not the expected file: its sha256 is {digest}, expected {model.sha256}; "
            f"delete it, or replace it by {model.url}"
        )
    return path


def _fetch(model: ModelFile) -> Path:
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)
    folder = cache_folder()
    progress = _DownloadBar(model)
    try:
        fetched = pooch.retrieve(
            model.url,
            known_hash=f"sha256:{model.sha256}",
            fname=model.name,
            path=folder,
            downloader=pooch.HTTPDownloader(progressbar=progress, timeout=_TIMEOUT_S),
        )
    except (requests.RequestException, OSError, ValueError) as error:
        wrong_hash = isinstance(error, ValueError) and "hash" in str(error)
        reason = "its sha256 is wrong" if wrong_hash else f"{type(error).__name__}"
        raise InputError(
            f"Cannot fetch {model.name} from {model.url} ({reason}); get it by other means "
            f"(sha256 {model.sha256}) and put it into {folder} or a folder named by --models."
        ) from error
    finally:
        progress.close()
    return Path(fetched)


class _DownloadBar:
    """A rich progress bar with the four members that pooch asks of one."""

    def __init__(self, model: ModelFile) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: Any = self._progress.add_task(f"fetching {model.name}", total=model.size)
        self._progress.start()

    @property
    def total(self) -> float | None:
        return self._progress.tasks[0].total

    @total.setter
    def total(self, size: float) -> None:
        self._progress.update(self._task, total=size)

    def update(self, amount: float) -> None:
        self._progress.update(self._task, advance=amount)

    def reset(self) -> None:
        """Pooch calls this at the end, before a last update that completes the bar."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop()
