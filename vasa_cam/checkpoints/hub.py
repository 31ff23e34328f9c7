"""Repositories of the hub: OWNER/NAME, with a folder in it and a revision if wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vasa_cam.checkpoints.recognise import ENDINGS
from vasa_cam.errors import InputError, MissingDependencyError

_ADDRESS: Final = re.compile(
    r"(?P<repository>[\w-][\w.-]*/[\w-][\w.-]*)(?P<folder>(/[\w-][\w.-]*)*)(@(?P<revision>[\w.-]+))?"
)


@dataclass(frozen=True)
class Fetched:
    """A repository on this disk. folder: with the files; name: the repository's; commit."""

    folder: Path
    name: str
    commit: str


def is_address(text: str) -> bool:
    """Whether a text may be OWNER/NAME[/FOLDER][@REVISION]."""
    return _ADDRESS.fullmatch(text) is not None


def fetch(address: str) -> Fetched:
    """Get the checkpoints of a repository, and descriptions beside them, into the hub's cache.

    Nothing else is fetched: no code, no ONNX file. Raises InputError when it is not there or the
    network fails, MissingDependencyError without huggingface_hub.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(f"{address} is neither a folder nor OWNER/NAME on the hub.")
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingDependencyError(
            "a model of the hub needs huggingface_hub: pip install 'vasa-cam[volume]'."
        ) from error
    inside = match["folder"].strip("/")
    root = f"{inside}/" if inside else ""
    # In this matching a star stands for slashes, too.
    patterns = [f"{root}*{ending}" for ending in sorted(ENDINGS)] + [f"{root}*config.json"]
    try:
        place = huggingface_hub.snapshot_download(
            match["repository"], revision=match["revision"], allow_patterns=patterns
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{address} could not be fetched ({reason}): check the name and the network, or "
            "download the files yourself and give their folder."
        ) from error
    return Fetched(Path(place) / inside, match["repository"], Path(place).name)
