"""Fixtures of the training tests: speech synthesisers, and recordings with phone times."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vasa_cam.errors import MissingDependencyError
from vasa_cam.training.synthetic import Espeak, flite_say
from vasa_cam.training.talk_data import Utterance


def _missing(message: str) -> None:
    if os.environ.get("VASA_CAM_REQUIRE_SHARED", "") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def espeak() -> Espeak:
    """The espeak-ng library."""
    try:
        return Espeak()
    except MissingDependencyError as error:
        _missing(str(error))
        raise


@pytest.fixture(scope="session")
def flite() -> Callable[..., Utterance]:
    """`flite_say`."""
    if shutil.which("flite") is None:
        _missing("flite is not installed (Debian/Ubuntu: apt-get install flite)")
    return flite_say


@pytest.fixture(scope="session")
def speech(shared: Path) -> Path:
    """The folder of recordings with phone times."""
    return shared / "data" / "speech"


@pytest.fixture(scope="session")
def spoken(flite: Callable[..., Utterance]) -> Utterance:
    """A sentence with many kinds of sounds."""
    return flite("Maybe she should wash each big fish at the shallow shore, papa.", "rms")
