"""Whether the delayed voice would come out of loudspeakers and go into the microphone again."""

from __future__ import annotations

from typing import Final

from vasa_cam.audio import pulse
from vasa_cam.audio.pulse import PulseDevice, PulseError

# Parts of names, of ports and of form factors, as sound servers and drivers write them.
_HEADPHONES: Final = ("headphone", "headset", "hands-free", "earphone", "earbuds", "airpods")
_VIRTUAL: Final = (
    "null", "virtual", "cable", "blackhole", "loopback", "soundflower", "voicemeeter", "vasa_cam",
)  # fmt: skip
_VIRTUAL_DRIVERS: Final = ("module-null-sink", "module-remap-sink", "module-pipe-sink")


def feedback_problem(source: str, output: str | None) -> str | None:
    """One sentence when the voice would go round for ever, else None.

    source: as for `audio_source`; a monitor hears what an output plays. output: as for
    `VoicePlayback`.
    """
    kind, _, name = source.partition(":")
    if kind not in ("monitor", "mic"):
        return None
    try:
        sinks = pulse.devices("output")
        default = pulse.default_device("output")
    except PulseError:
        return None
    played = [sink for sink in sinks if (output or default) in (sink.name, sink.description)]
    if kind == "monitor":
        name = name or default
        heard = [sink for sink in sinks if name in (sink.name, sink.description, sink.monitor_name)]
    else:
        heard = [sink for sink in sinks if name and name == sink.monitor_name]
    if not played or not heard or played[0].name != heard[0].name:
        return None
    return (
        f"{source} hears what {played[0].description} plays, and the voice would be played to it: "
        "it would go round for ever; choose another output."
    )


def echo_warning(output: str | None) -> str | None:
    """One sentence for the user when `output` looks like loudspeakers, else None.

    output: as for `VoicePlayback`. A guess from names and from what the sound server says is
    plugged in; None also when nothing is known.
    """
    try:
        sinks = pulse.devices("output")
        name = output or pulse.default_device("output")
    except PulseError:
        sinks, name = (), output or ""
    found = [sink for sink in sinks if name and name in (sink.name, sink.description)]
    silent = _does_not_sound(found[0]) if found else _matches(name, _HEADPHONES + _VIRTUAL)
    if silent or not name:
        return None
    label = found[0].description if found else name
    return (
        f"{label} looks like loudspeakers: they would play your own voice back to you, delayed, "
        "and into the microphone; use headphones, a virtual cable or --virtual-mic."
    )


def _does_not_sound(sink: PulseDevice) -> bool:
    """Whether a sink is a virtual one, or headphones are plugged in."""
    properties = sink.properties
    if sink.driver.startswith(_VIRTUAL_DRIVERS) or properties.get("device.class") == "abstract":
        return True
    worn = (sink.port, properties.get("device.form_factor", ""), sink.name, sink.description)
    virtual = (sink.name, sink.description, properties.get("media.class", ""))
    return any(_matches(text, _HEADPHONES) for text in worn) or any(
        _matches(text, _VIRTUAL) for text in virtual
    )


def _matches(text: str, parts: tuple[str, ...]) -> bool:
    folded = text.casefold()
    return any(part in folded for part in parts)
