"""Whether the device of an open stream is still the one that was asked for.

When a microphone is unplugged, a sound server goes on with another one and tells nobody. Who asked
for that microphone by name did not agree to be heard through another.
"""

from __future__ import annotations

from vasa_cam.audio import pulse
from vasa_cam.audio.portaudio import Device
from vasa_cam.audio.pulse import Direction, PulseError, PulseWatch


class Presence:
    """Watches one device of the sound server; of any other device, `check` says yes.

    Costs a sleeping process; a look at the server only after devices came or went.
    """

    def __init__(self, device: Device, direction: Direction) -> None:
        self._device = device
        self._direction = direction
        self._watch = PulseWatch() if device.server_name else None
        self._seen = -1

    def check(self) -> bool:
        """False when the device is gone, or was replugged and so is another to the server."""
        if self._watch is None:
            return True
        count = self._watch.count
        if count == self._seen:
            return True
        try:
            known = pulse.devices(self._direction)
        except PulseError:
            # A server that does not answer also sends no sound, which is noticed elsewhere.
            return True
        self._seen = count
        wanted = (self._device.server_index, self._device.server_name)
        return any((one.index, one.name) == wanted for one in known)

    def close(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.close()
