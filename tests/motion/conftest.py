"""Golden vectors of the public motion generators."""

from __future__ import annotations

from pathlib import Path

import pytest
from volume_goldens import Goldens, find_goldens


@pytest.fixture(scope="session")
def goldens(shared: Path) -> Goldens:
    """Weights, inputs and outputs to compare with."""
    return find_goldens(shared)
