"""Errors a person can act on.

Every message is one sentence that says what was expected, what came, and what to do. The CLI prints
it without a traceback and exits with code 2.
"""

from __future__ import annotations


class VasaCamError(Exception):
    """Base of all errors that vasa_cam raises on purpose."""


class InputError(VasaCamError):
    """The user's file, option or device is not usable; the message says why and what to do."""


class MissingDependencyError(VasaCamError):
    """A system library or optional package is missing; the message names the package to install."""
