"""Microphones, and the sound of the computer itself, through PortAudio."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

import numpy as np

from vasa_cam.audio import device_search, portaudio
from vasa_cam.audio.blocks import NS_A_SECOND, AudioBlock, Floats, SourceLostError
from vasa_cam.audio.paced import BLOCK_MS
from vasa_cam.audio.portaudio import Device, DeviceStream
from vasa_cam.audio.presence import Presence
from vasa_cam.audio.ring_buffer import RingBuffer
from vasa_cam.audio.sample_clock import SampleClock, StampRing
from vasa_cam.errors import InputError

FIRST_CALLBACK_S: Final = 5.0
"""How long an opened device may take until sound arrives; idle sound servers take two seconds."""

LOST_AFTER_S: Final = 1.0
"""Without a sample for so long, the device is gone."""

_RING_S: Final = 2.0
_SETTLE_S: Final = 0.1
_POLL_S: Final = 0.002
# After being away (suspended, starved), only the newest part of what piled up is still of use.
_KEPT_S: Final = 0.5


class MicrophoneSource:
    """A microphone by name, part of a name or PortAudio index; None is the default one.

    Mono or stereo, any rate: what comes out is mono at `rate_hz`, the rate it was opened at. The
    callback only copies into a ring. capture_ns is when a sample arrived in the callback, with the
    callback's jitter taken out (see SampleClock).

    drops: samples that nobody fetched in time. overflows: how often the device reported that it
    lost samples itself.
    """

    def __init__(self, device: str | None = None, *, block_ms: int = BLOCK_MS) -> None:
        self.name = f"microphone {device}" if device else "the default microphone"
        self.rate_hz = portaudio.PULSE_RATE_HZ
        self.ended = False
        self.drops = 0
        self.overflows = 0
        self._wanted = device
        self._block_ms = block_ms
        self._stream: DeviceStream | None = None
        self._presence: Presence | None = None
        self._stamps = StampRing()
        self._open(Device(0, "", 1, self.rate_hz))

    def start(self) -> None:
        """Open the device and wait for its first samples.

        Raises InputError when there is no such device, it cannot be opened, or it stays silent.
        """
        self.stop()
        device = self._find()
        self.name, self.rate_hz = device.name, device.rate_hz
        self._open(device)
        self._stream = DeviceStream(device, "input", self._block_samples, self._callback)
        try:
            self._presence = Presence(device, "input")
            self._wait_for_first()
        except BaseException:
            self.stop()
            raise

    def read(self, timeout_s: float) -> AudioBlock | None:
        """The next block, or None when it has not arrived within `timeout_s` seconds.

        Raises SourceLostError when the device is gone; call `start` again, later.
        """
        if self._stream is None:
            raise SourceLostError(f"{self.name} is not open")
        deadline_ns = time.monotonic_ns() + round(timeout_s * NS_A_SECOND)
        while self._ring.available < self._block_samples:
            self._check_presence()
            remaining_s = (deadline_ns - time.monotonic_ns()) / NS_A_SECOND
            if remaining_s <= 0.0:
                return None
            time.sleep(min(remaining_s, self._until_due_s()))
        for count, time_ns in self._stamps.take():
            self._clock.add(count, time_ns)
        self._leave_out_old()
        start = self._ring.consumed
        self._ring.read(self._frames)
        samples = self._frames.mean(axis=1, dtype=np.float32)
        return AudioBlock(samples, self.rate_hz, self._clock.time_ns(start))

    def stop(self) -> None:
        """Close the device; `start` opens it again."""
        stream, self._stream = self._stream, None
        presence, self._presence = self._presence, None
        if presence is not None:
            presence.close()
        if stream is not None:
            stream.close()

    def _find(self) -> Device:
        return device_search.find_device(self._wanted, "input")

    def _open(self, device: Device) -> None:
        """New memory for a device that is about to be opened."""
        self._block_samples = max(1, round(device.rate_hz * self._block_ms / 1000))
        self._ring = RingBuffer(round(device.rate_hz * _RING_S), device.channels)
        self._frames: Floats = np.zeros((self._block_samples, device.channels), np.float32)
        self._stamps = StampRing()
        self._clock = SampleClock(device.rate_hz)
        self._arrived_ns = 0

    def _callback(self, indata: Floats, frames: int, _time: Any, status: Any) -> None:
        """PortAudio's thread: no lock, no memory, only a copy and a note of the time."""
        if status and status.input_overflow:
            self.overflows += 1
        self._ring.write(indata)
        self._arrived_ns = time.monotonic_ns()
        self._stamps.note(self._ring.written, self._arrived_ns)

    def _wait_for_first(self) -> None:
        deadline_s = time.monotonic() + FIRST_CALLBACK_S
        while self._ring.written == 0:
            if time.monotonic() > deadline_s:
                raise InputError(
                    f"no sound arrives from {self.name}; check that it is plugged in and that no "
                    "other program holds it."
                )
            time.sleep(_POLL_S)
        # What piled up before the first callback belongs to an unknown time.
        time.sleep(_SETTLE_S)
        self._ring.skip(self._ring.available)
        self._stamps.take()

    def _until_due_s(self) -> float:
        """Sleep so long before looking again: until the block should be there, or a moment."""
        if not self._clock.ready:
            return _POLL_S
        due_ns = self._clock.time_ns(self._ring.consumed + self._block_samples)
        return max(_POLL_S, (due_ns - time.monotonic_ns()) / NS_A_SECOND)

    def _leave_out_old(self) -> None:
        kept = round(_KEPT_S * self.rate_hz)
        if self._ring.overflow or self._ring.available > kept + self._block_samples:
            lost = self._ring.skip(self._ring.available - self._block_samples)
            overflow, self._ring.overflow = self._ring.overflow, 0
            self.drops += lost + overflow
            if overflow:
                # Numbers and times no longer belong together.
                self._clock = SampleClock(self.rate_hz)
                self._clock.add(self._ring.written, self._arrived_ns)
            logging.getLogger(__name__).warning(
                "%s: %d ms of sound left out, it was not fetched in time",
                self.name,
                round(1000 * (lost + overflow) / self.rate_hz),
            )

    def _check_presence(self) -> None:
        stream, presence = self._stream, self._presence
        silent_s = (time.monotonic_ns() - self._arrived_ns) / NS_A_SECOND
        present = presence is None or presence.check()
        if stream is not None and stream.active and silent_s < LOST_AFTER_S and present:
            return
        self.stop()
        raise SourceLostError(f"{self.name} is gone: no sound arrives from it any more")


class MonitorSource(MicrophoneSource):
    """What this computer plays, as a voice: the monitor of a PulseAudio or PipeWire output.

    device: name of the output, None for the default one.
    """

    def __init__(self, device: str | None = None, *, block_ms: int = BLOCK_MS) -> None:
        super().__init__(device, block_ms=block_ms)
        self.name = f"monitor of {device}" if device else "monitor of the default output"

    def _find(self) -> Device:
        return device_search.find_monitor(self._wanted)
