"""vasa_cam: one portrait photo and a live voice become a talking head."""

from __future__ import annotations

__version__ = "0.1.0"
