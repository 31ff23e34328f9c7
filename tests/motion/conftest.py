"""Golden vectors of the public motion generators, and one thread for torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from volume_goldens import Goldens, find_goldens


@pytest.fixture(scope="session")
def goldens(shared: Path) -> Goldens:
    """Weights, inputs and outputs to compare with."""
    return find_goldens(shared)


@pytest.fixture(autouse=True)
def _torch_takes_one_thread() -> Iterator[None]:
    """On a busy machine threads that wait for each other make small networks ten times slower."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
