"""The virtual machine, for the tests of this folder."""

from __future__ import annotations

import os

import pytest
from virtual_machine import ImpossibleError, VirtualMachine


@pytest.fixture(scope="session")
def machine() -> VirtualMachine:
    """Built at first use, kept in build/vm. Skips, or fails under VASA_CAM_REQUIRE_SHARED=1,
    where it cannot be built.
    """
    try:
        return VirtualMachine.built()
    except ImpossibleError as error:
        if os.environ.get("VASA_CAM_REQUIRE_SHARED") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))
