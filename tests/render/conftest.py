"""Avatars for the render tests: the shipped one, and closed-mouth portraits enrolled here."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from vasa_cam.avatar.file import Avatar, load_avatar

CLOSED_PORTRAITS = ("generated/female-black-1.jpg", "generated/female-asian-1.jpg")


@pytest.fixture(scope="session")
def astronaut() -> Avatar:
    """The avatar that the package ships; its photo shows a smile with teeth."""
    with resources.as_file(resources.files("vasa_cam") / "assets" / "astronaut.vasa") as path:
        return load_avatar(path)


@pytest.fixture(scope="session")
def closed_avatars(shared: Path) -> list[Avatar]:
    """Two portraits with closed mouths, enrolled once."""
    from vasa_cam.avatar.enrolment import enrol
    from vasa_cam.avatar.portrait import PortraitOptions

    options = PortraitOptions(models_dir=shared / "models")
    avatars = [enrol(shared / "data/portraits" / name, options) for name in CLOSED_PORTRAITS]
    assert all(avatar.meta.closed_mouth for avatar in avatars)
    return avatars
