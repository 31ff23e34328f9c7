"""Fixtures of the op tests: each instruction set that this machine has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vasa_cam import _core, ops


@pytest.fixture(params=["baseline", "avx2", "avx512"])
def simd(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once for each instruction set; restores the one in use."""
    level: str = request.param
    info = ops.build_info()
    if level not in info["simd_available"]:
        pytest.skip(f"this processor or build has no {level}")
    _core.set_simd_level(level)
    yield level
    _core.set_simd_level(info["simd"])
