"""A microphone that other programs can choose and that hears the delayed voice.

Made in PulseAudio, or PipeWire in its place, of two modules: a null sink that the voice is played
to, and a source that is remapped from its monitor, because browsers hide monitors. Both carry who
made them, so that what a killed run left behind is found and removed by the next.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Final

from vasa_cam.audio import pulse
from vasa_cam.audio.pulse import PulseError, PulseModule
from vasa_cam.errors import InputError

SOURCE_NAME: Final = "vasa_cam_mic"
"""The microphone's name in the sound server."""

SOURCE_DESCRIPTION: Final = "vasa_cam microphone"
"""What programs show."""

SINK_NAME: Final = "vasa_cam_voice"
"""The sink that the voice is played to."""

_SINK_DESCRIPTION: Final = "vasa_cam voice"
_OWNER: Final = re.compile(r"vasa_cam\.owner='?(\d+):(\d+)")
_RATE_HZ: Final = 48_000


class VirtualMic:
    """Creates the microphone `vasa_cam_mic` and removes it; use as a context manager or by hand.

    sink_name: the output device to play the voice to.
    """

    sink_name = SINK_NAME

    def __init__(self) -> None:
        self._modules: list[int] = []

    def create(self) -> None:
        """Make it, after removing what a killed run left behind.

        Raises InputError when there is no sound server or pactl, when the server refuses, or when
        another process that is alive has made one.
        """
        remove_stale()
        try:
            defaults = {kind: pulse.default_device(kind) for kind in ("output", "input")}
            self._load(
                "module-null-sink",
                f"sink_name={SINK_NAME}",
                f"rate={_RATE_HZ} channels=1 channel_map=mono",
                _properties("sink", _SINK_DESCRIPTION),
            )
            self._load(
                "module-remap-source",
                f"master={SINK_NAME}.monitor source_name={SOURCE_NAME}",
                _properties("source", SOURCE_DESCRIPTION),
            )
            _restore_defaults(defaults)
        except PulseError as error:
            self.remove()
            raise InputError(f"the virtual microphone cannot be made: {error}.") from error

    def ensure(self) -> None:
        """Make it again if the sound server has lost it; raises InputError as `create` does."""
        try:
            loaded = {module.index for module in pulse.modules()}
        except PulseError as error:
            raise InputError(f"the virtual microphone is gone: {error}.") from error
        if not self._modules or not loaded.issuperset(self._modules):
            self.remove()
            self.create()

    def remove(self) -> None:
        """Unload it; what is gone already is no error. May be called twice."""
        modules, self._modules = self._modules, []
        for index in reversed(modules):
            _unload(index)

    def __enter__(self) -> VirtualMic:
        self.create()
        return self

    def __exit__(self, *_error: object) -> None:
        self.remove()

    def _load(self, *words: str) -> None:
        self._modules.append(int(pulse.pactl("load-module", *words)))


def remove_stale() -> int:
    """Remove virtual microphones whose process is gone; returns how many modules that were.

    Raises InputError when there is no sound server, or a process that lives has one.
    """
    try:
        found = [module for module in pulse.modules() if _is_ours(module)]
    except PulseError as error:
        raise InputError(
            f"a virtual microphone needs PulseAudio or PipeWire, and {error}; start the sound "
            "server, or choose an output device."
        ) from error
    for module in found:
        owner = _owner(module)
        if owner is not None and owner != _identity(os.getpid()) and owner == _identity(owner[0]):
            raise InputError(
                f"process {owner[0]} already has the virtual microphone; stop it first."
            )
    # The source goes before the sink whose monitor it remaps.
    for module in reversed(found):
        _unload(module.index)
    return len(found)


def _properties(kind: str, description: str) -> str:
    process, started = _identity(os.getpid())
    return (
        f"{kind}_properties=\"device.description='{description}' "
        f"vasa_cam.owner='{process}:{started}'\""
    )


def _identity(process: int) -> tuple[int, int]:
    """The process number and when it was started, because numbers are used again; 0: not alive."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return process, 0
    return process, int(fields[19])


def _is_ours(module: PulseModule) -> bool:
    names = (f"sink_name={SINK_NAME}", f"source_name={SOURCE_NAME}")
    return any(name in module.argument.split() for name in names)


def _owner(module: PulseModule) -> tuple[int, int] | None:
    found = _OWNER.search(module.argument)
    return None if found is None else (int(found[1]), int(found[2]))


def _restore_defaults(defaults: dict[str, str]) -> None:
    """Some servers make every new device the default; music would go into the call."""
    ours = {"output": SINK_NAME, "input": SOURCE_NAME}
    for direction, before in defaults.items():
        kind: pulse.Direction = "output" if direction == "output" else "input"
        if pulse.default_device(kind) != ours[direction] or before in ("", ours[direction]):
            continue
        if any(device.name == before for device in pulse.devices(kind)):
            noun = "sink" if direction == "output" else "source"
            pulse.pactl(f"set-default-{noun}", before)


def _unload(index: int) -> None:
    try:
        pulse.pactl("unload-module", str(index))
    except PulseError as error:
        logging.getLogger(__name__).debug("virtual microphone: %s", error)
