"""What every test may rely on: reference data, seeded randomness, no traces in the process.

The tests run against the installed package: `pytest` is started in this folder, which does not hold
`vasa_cam`, and `--import-mode=importlib` adds nothing to the import path.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from pulse import PrivatePulse, running_pulse

# The same examples in every run, and no limit on wall time: a busy machine fails no test.
hypothesis.settings.register_profile("repository", deadline=None, derandomize=True)
hypothesis.settings.load_profile("repository")

REPOSITORY = Path(__file__).resolve().parents[1]


def _required(switch: str) -> bool:
    return os.environ.get(switch, "") == "1"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with test portraits, recordings and models beside the repository.

    Skips without it, or fails where VASA_CAM_REQUIRE_SHARED=1 says that it must be there.
    """
    folder = REPOSITORY.parent / "shared"
    if not (folder / "models").is_dir():
        message = f"the reference data is missing: expected it in {folder}"
        if _required("VASA_CAM_REQUIRE_SHARED"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


def _judge(name: str) -> Callable[..., bytes]:
    """Run a command-line tool that judges our media files; its standard output comes back."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed (Debian/Ubuntu: apt-get install ffmpeg)"
        if _required("VASA_CAM_REQUIRE_SHARED"):
            pytest.fail(message)
        pytest.skip(message)

    def run(*arguments: object) -> bytes:
        command = [path, "-v", "error", *map(str, arguments)]
        return subprocess.run(
            command, check=True, capture_output=True, stdin=subprocess.DEVNULL
        ).stdout

    return run


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., bytes]:
    """Runs ffmpeg, the encoder and decoder that is independent of PyAV's own libraries."""
    return _judge("ffmpeg")


@pytest.fixture(scope="session")
def ffprobe() -> Callable[..., bytes]:
    """Runs ffprobe, which says what a file really holds."""
    return _judge("ffprobe")


@pytest.fixture
def pulse(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivatePulse]:
    """A private PulseAudio, for this process and PortAudio in it; skips where it is missing."""
    with running_pulse(monkeypatch) as server:
        yield server


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator whose seed is the test's own name: the same numbers in every order of tests."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(autouse=True)
def _global_random_state_is_left_alone() -> Iterator[None]:
    """Fails a test whose code draws from NumPy's global generator instead of its own."""
    before = np.random.get_state(legacy=False)["state"]
    key, position = before["key"].copy(), before["pos"]
    yield
    after = np.random.get_state(legacy=False)["state"]
    assert position == after["pos"] and np.array_equal(key, after["key"]), (
        "the test drew from numpy.random's global state; pass a numpy Generator or a seed"
    )


@pytest.fixture(autouse=True)
def _thread_count_is_restored() -> Iterator[None]:
    """Undoes `ops.set_num_threads` of a test; does not load the core for tests without it."""
    ops = sys.modules.get("vasa_cam.ops")
    before = ops.get_num_threads() if ops is not None else None
    yield
    if ops is not None:
        ops.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the user's model files out of the tests, and the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.delenv("VASA_CAM_MODELS", raising=False)
        yield


def _has_cuda_device() -> bool:
    if importlib.util.find_spec("cupy") is None:
        return False
    import cupy

    return bool(cupy.cuda.is_available())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests marked `cuda` and `neural` where they cannot run, unless they must run here."""
    conditions = {
        "cuda": (_has_cuda_device, "VASA_CAM_REQUIRE_CUDA", "no CUDA device, or no cupy"),
        "neural": (
            lambda: importlib.util.find_spec("torch") is not None,
            "VASA_CAM_REQUIRE_TORCH",
            "torch is not installed; `make test-neural` installs it",
        ),
    }
    for marker, (available, switch, reason) in conditions.items():
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and not _required(switch) and not available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))
