"""The voice, delayed so that it is heard when the picture of the same moment is seen.

No device and no thread here: `push` puts captured blocks in, `render` is what an output's callback
calls. Between them lies a ring that holds the whole delay. Whenever something is pushed, it is
known when it will be heard, so an error is seen before it is made: the resampler in front of the
ring is run a little faster or slower, by a controller, so that everything is heard exactly the
delay after it was captured, whatever the clocks of the two devices do.
"""

from __future__ import annotations

from math import inf
from typing import Final, Protocol

import numpy as np

from vasa_cam.audio.blocks import NS_A_SECOND, AudioBlock, Floats
from vasa_cam.audio.delayed_output import DelayedOutput
from vasa_cam.audio.sample_clock import SampleClock
from vasa_cam.audio.variable_rate import MAX_SPEED_CHANGE, VariableRate
from vasa_cam.errors import InputError

MAX_DELAY_S: Final = 2.0
"""The longest delay, in seconds."""

MAX_GLIDE: Final = 0.045
"""How fast a change of the delay is followed, in seconds a second: pitch moves by as much."""

JUMP_S: Final = 0.05
"""A change of the delay by more than this at once is jumped, with a fade, not glided."""

RESYNC_S: Final = 0.02
"""An error above this is no drift: samples were lost. It is jumped over, with a fade."""

# Callbacks of the output that must agree before its time steps.
_PATIENCE: Final = 4
# A note of the output so much later than the last ones foretold: the device stood still.
_STALL_NS: Final = 100_000_000
# When everything comes too late for so long, the delay is shorter than the way of the sound.
_TOO_SHORT_AFTER_S: Final = 1.0
_HEADROOM_S: Final = 0.02
_MAX_ELAPSED_S: Final = 0.5
# A glide sets in and ends within a fifth of a second, so that pitch does not jump either.
_GLIDE_SLEW: Final = 10.0 * MAX_GLIDE
_GLIDE_EASE_S: Final = 0.1
_GLIDE_END_S: Final = 1e-6


class Controller(Protocol):
    """Turns the measured error into a speed; see vasa_cam.live.av_sync."""

    def speed(self, error_s: float, elapsed_s: float) -> float:
        """How fast to play, 1 = as captured. error_s > 0: heard later than wanted."""
        ...


class DelayLine:
    """push(block) on one thread, output.render(...) on another; neither waits for the other.

    rate_hz: of the output. delay_s: how long after its capture a sample is to be heard. controller:
    see there. error_s: how much later than that the sample pushed last will be heard. resyncs: how
    often time was jumped. dropped_s: seconds of voice that came too late, or while the output took
    nothing.
    """

    def __init__(self, rate_hz: int, delay_s: float, controller: Controller) -> None:
        self.rate_hz = rate_hz
        self.output = DelayedOutput(rate_hz, 2.0 * MAX_DELAY_S)
        self.error_s = 0.0
        self.speed = 1.0
        self.resyncs = 0
        self.dropped_s = 0.0
        self._controller = controller
        self._clock = SampleClock(rate_hz, _PATIENCE)
        self._target_s = delay_s
        self._delay_s = delay_s
        self._glide_rate = 0.0
        self._shortest_s = 0.0
        self._spare_s = inf
        self._spare_for_s = 0.0
        self._late_s = 0.0
        self._muted = False
        self._gain = 1.0
        self._input: VariableRate | None = None
        self._fade = self.output.fade_samples
        self._held = np.zeros(0, np.float32)
        self._faded_in = 0
        self._last_capture_ns: int | None = None

    @property
    def delay_s(self) -> float:
        """The delay that is kept now; a new one is glided to."""
        return self._delay_s

    def set_delay(self, delay_s: float) -> None:
        """Another delay, without a click: small changes glide (MAX_GLIDE), large ones jump."""
        if not 0.0 <= delay_s <= MAX_DELAY_S:
            raise InputError(f"the voice's delay must be 0 to {MAX_DELAY_S:g} s, got {delay_s:g}.")
        self._target_s = delay_s

    def set_muted(self, muted: bool) -> None:
        """Silence at once what is heard. What is pushed while muted is never heard."""
        self._muted = muted
        self.output.muted = muted

    def push(self, block: AudioBlock) -> None:
        """Take the next captured block."""
        self._take_notes()
        if not self._clock.ready:
            return
        if self.output.free < self.rate_hz // 2:
            self.dropped_s += len(block.samples) / block.rate_hz
            return
        source = self._input
        if source is None or source.rate_hz != block.rate_hz:
            self._break()
            self._input = source = VariableRate(block.rate_hz, self.rate_hz)
        elapsed_s = self._elapsed_s(block)
        glide = self._glide(elapsed_s)
        self.error_s = self._error_s(source.next_capture_ns(block))
        # Once something had to be left out, it is done properly: to within half a block.
        length_s = len(block.samples) / block.rate_hz
        tolerance_s = 0.5 * length_s if self._late_s else RESYNC_S
        if self.error_s > tolerance_s and not self._catch_up(length_s):
            return
        if self.error_s < -RESYNC_S:
            self._wait()
        self._late_s = 0.0
        self._relax(elapsed_s)
        speed = self._controller.speed(self.error_s, elapsed_s) - glide
        self.speed = float(np.clip(speed, 1.0 - MAX_SPEED_CHANGE, 1.0 + MAX_SPEED_CHANGE))
        self._emit(source.push(self._with_gain(block.samples), self.speed))

    def _take_notes(self) -> None:
        for count, time_ns in self.output.stamps.take():
            if self._clock.ready and time_ns - self._clock.time_ns(count) > _STALL_NS:
                self._clock = SampleClock(self.rate_hz, _PATIENCE)
            self._clock.add(count, time_ns)

    def _elapsed_s(self, block: AudioBlock) -> float:
        before_ns, self._last_capture_ns = self._last_capture_ns, block.capture_ns
        if before_ns is None:
            return 0.0
        return float(np.clip((block.capture_ns - before_ns) / NS_A_SECOND, 0.0, _MAX_ELAPSED_S))

    def _glide(self, elapsed_s: float) -> float:
        """Move the delay towards its target; returns by how much a second it grows."""
        if elapsed_s <= 0.0:
            return 0.0
        away_s = max(self._target_s, self._shortest_s) - self._delay_s
        if abs(away_s) > JUMP_S:
            # The error that this makes is one to be jumped over at once.
            self._delay_s += away_s
            self._glide_rate = 0.0
            return 0.0
        wanted = float(np.clip(away_s / max(_GLIDE_EASE_S, elapsed_s), -MAX_GLIDE, MAX_GLIDE))
        step = _GLIDE_SLEW * elapsed_s
        self._glide_rate += float(np.clip(wanted - self._glide_rate, -step, step))
        if abs(away_s) < _GLIDE_END_S:
            self._glide_rate = away_s / elapsed_s
        self._delay_s += self._glide_rate * elapsed_s
        return self._glide_rate

    def _error_s(self, capture_ns: float) -> float:
        """How much too late the next sample, captured at `capture_ns`, would be heard."""
        heard_ns = self._clock.time_ns(self.output.frame_of_next() + len(self._held))
        return (heard_ns - capture_ns) / NS_A_SECOND - self._delay_s

    def _wait(self) -> None:
        """It would be heard too early: silence first."""
        self.resyncs += 1
        self._break()
        self.output.write(np.zeros(round(-self.error_s * self.rate_hz), np.float32))
        self.error_s = 0.0

    def _catch_up(self, length_s: float) -> bool:
        """It would be heard too late: leave out what waits to be heard, or else this block.

        Returns whether the block can be used.
        """
        self.resyncs += self._late_s == 0.0
        frames = round(self.error_s * self.rate_hz)
        self.error_s -= self.output.request_skip(frames) / self.rate_hz
        if self.error_s <= 0.5 * length_s:
            return True
        self._break()
        self._input = None
        self.dropped_s += length_s
        self._late_s += length_s
        if self._late_s > _TOO_SHORT_AFTER_S:
            self._shortest_s = self._delay_s + self.error_s + _HEADROOM_S
            self._delay_s = self._shortest_s
            self._late_s = self._spare_for_s = 0.0
        return False

    def _relax(self, elapsed_s: float) -> None:
        """Back to a delay that was too short in a time of need, as far as it is not any more."""
        if self._shortest_s <= self._target_s:
            return
        spare_s = self.output.waiting / self.rate_hz - 2.0 * _HEADROOM_S
        self._spare_s = min(self._spare_s, spare_s)
        self._spare_for_s += elapsed_s
        if self._spare_for_s > _TOO_SHORT_AFTER_S:
            self._shortest_s -= max(0.0, self._spare_s)
            self._spare_s, self._spare_for_s = inf, 0.0

    def _with_gain(self, samples: Floats) -> Floats:
        """Silent while muted, with a ramp of a block between."""
        before, self._gain = self._gain, 0.0 if self._muted else 1.0
        if before == self._gain == 1.0:
            return np.ascontiguousarray(samples, np.float32)
        ramp = np.linspace(before, self._gain, len(samples), dtype=np.float32)
        return np.asarray(samples * ramp, np.float32)

    def _emit(self, samples: Floats) -> None:
        """Write all but the last milliseconds, which a break would have to fade out."""
        if self._faded_in < self._fade and len(samples):
            part = self.output.rise[self._faded_in : self._faded_in + len(samples)]
            samples[: len(part)] *= part
            self._faded_in += len(part)
        joined = np.concatenate([self._held, samples])
        ready = max(0, len(joined) - self._fade)
        self.output.write(joined[:ready])
        self._held = joined[ready:]

    def _break(self) -> None:
        """What comes next doesn't continue what came before: fade out, and in again."""
        held, self._held = self._held, np.zeros(0, np.float32)
        self.output.write(held * self.output.fall[self._fade - len(held) :])
        self._faded_in = 0
