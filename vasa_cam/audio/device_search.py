"""Finds microphones and outputs by what people call them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from vasa_cam.audio import portaudio, pulse
from vasa_cam.audio.portaudio import PULSE_RATE_HZ, Device, Row
from vasa_cam.audio.pulse import Direction, PulseDevice, PulseError
from vasa_cam.errors import InputError

Item = TypeVar("Item")

# What PortAudio calls the sound server. PipeWire answers to it, too; its own ALSA plug-in,
# "pipewire", can be opened but not be told which device is meant.
_SERVER_NAME: Final = "pulse"
_NOUNS: Final[dict[Direction, str]] = {"input": "microphone", "output": "sound output"}
_LISTED: Final = 8


def find_device(wanted: str | None, direction: Direction) -> Device:
    """The device that `wanted` names: a PortAudio index, a name or a part of one, None for the
    default.

    Names of the sound server come first. Raises InputError when there is none or more than one.
    """
    wanted = (wanted or "").strip()
    found = _find(wanted, direction)
    if found is None and portaudio.rescan():
        found = _find(wanted, direction)
    if found is not None:
        return found
    noun = _NOUNS[direction]
    names = _known_names(direction)
    if not names:
        raise InputError(f"no {noun} was found; plug one in, or start the sound server.")
    wish = f"no {noun} is called {wanted!r}" if wanted else f"there is no default {noun}"
    raise InputError(f"{wish}; expected one of: {', '.join(names)}.")


def find_monitor(wanted: str | None) -> Device:
    """The source that hears what a sink plays; None: the default sink. Raises InputError."""
    try:
        sinks = pulse.devices("output")
        sources = {source.name: source for source in pulse.devices("input")}
        name = wanted or pulse.default_device("output")
    except PulseError as error:
        raise InputError(
            f"the sound of this computer cannot be heard: {error}; it needs PulseAudio or "
            "PipeWire. Elsewhere, choose a loopback device as the microphone."
        ) from error
    found = next((sink for sink in sinks if name and sink.monitor_name == name), None)
    if found is None and name:
        found = _match(name, sinks, lambda one: (one.name, one.description), "sound output")
    if found is None or found.monitor_name not in sources:
        known = ", ".join(sink.name for sink in sinks[:_LISTED]) or "none"
        raise InputError(f"no sound output is called {name!r}; expected one of: {known}.")
    return _through_server(sources[found.monitor_name], "input")


def _server_row(direction: Direction) -> Row | None:
    """PortAudio's way to the sound server, if there is one and a server answers."""
    found = [row for row in portaudio.rows(direction) if row.name == _SERVER_NAME]
    return found[0] if found and pulse.server_answers() else None


def _through_server(device: PulseDevice, direction: Direction) -> Device:
    row = _server_row(direction)
    if row is None:
        raise InputError(
            f"{device.description} is known to the sound server, but PortAudio cannot reach it; "
            "install ALSA's plug-in (Debian, Ubuntu: libasound2-plugins)."
        )
    # A sound server mixes down to mono properly, and doubles mono for outputs.
    return Device(row.index, device.description, 1, PULSE_RATE_HZ, device.name, device.index)


def _find(wanted: str, direction: Direction) -> Device | None:
    noun = _NOUNS[direction]
    rows = portaudio.rows(direction)
    if wanted.isdigit():
        return next((_direct(row) for row in rows if row.index == int(wanted)), None)
    server = _server_row(direction)
    if not wanted:
        return _default(rows, direction, server)
    if server is not None:
        known = pulse.devices(direction)
        # Monitors are offered only under their full name: what is played is not a microphone.
        exact = [one for one in known if one.name == wanted]
        known = tuple(exact) or tuple(one for one in known if not one.monitor)
        found = _match(wanted, known, lambda one: (one.name, one.description), noun)
        if found is not None:
            return _through_server(found, direction)
    row = _match(wanted, rows, lambda one: (one.name, f"{one.name}, {one.host}"), noun)
    return None if row is None else _direct(row)


def _default(rows: tuple[Row, ...], direction: Direction, server: Row | None) -> Device | None:
    if server is not None:
        return Device(server.index, f"the default {direction}", 1, PULSE_RATE_HZ)
    index = portaudio.default_index(direction)
    return next((_direct(row) for row in rows if row.index == index), None)


def _direct(row: Row) -> Device:
    rate_hz = PULSE_RATE_HZ if row.name == _SERVER_NAME else row.rate_hz
    return Device(row.index, row.name, min(row.channels, 2), rate_hz)


def _match(
    wanted: str, items: Iterable[Item], names: Callable[[Item], tuple[str, ...]], noun: str
) -> Item | None:
    """The one item with that name, or else the one with a name that contains it; None if none."""
    items = list(items)
    exact = [item for item in items if wanted in names(item)]
    folded = wanted.casefold()
    parts = [item for item in items if any(folded in name.casefold() for name in names(item))]
    found = exact or parts
    if len(found) > 1:
        listed = ", ".join(names(item)[0] for item in found[:_LISTED])
        raise InputError(
            f"{wanted!r} fits more than one {noun}: {listed}; give the whole name or its number."
        )
    return found[0] if found else None


def _known_names(direction: Direction) -> list[str]:
    names = [row.name for row in portaudio.rows(direction)]
    if _server_row(direction) is not None:
        names = [one.name for one in pulse.devices(direction) if not one.monitor] + names
    return list(dict.fromkeys(names))[:_LISTED]
