"""What several commands do with their first argument: a photo is enrolled, an avatar is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vasa_cam.avatar.file import Avatar

AVATAR_SUFFIX = ".vasa"


def open_portrait(path: Path, models: Path | None) -> Avatar:
    """Loads a `.vasa` avatar or enrols a photo. Raises InputError when neither is possible.

    Imports the tracker only for a photo, because an enrolled avatar must start at once.
    """
    from vasa_cam.avatar.file import load_avatar

    if path.suffix.lower() == AVATAR_SUFFIX:
        return load_avatar(path)
    from vasa_cam.avatar.enrolment import enrol
    from vasa_cam.avatar.portrait import PortraitOptions

    return enrol(path, PortraitOptions(models_dir=models))
