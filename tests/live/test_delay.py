"""The delay: found quickly, raised fast, lowered slowly, never chased by a break or an outlier."""

from __future__ import annotations

from live_support import MS, SECOND

from vasa_cam.live.delay import FRAME_NS, DelayConfig, DelayControl

CONFIG = DelayConfig()


def fed(control: DelayControl, now_ns: int, seconds: float, lag_ms: float) -> int:
    """Motion frames of this lag for so long, the delay asked for at 50 Hz; the time afterwards."""
    for tick in range(round(seconds * 50)):
        if tick % 2 == 0:
            control.arrived(round(lag_ms * MS))
        control.update(now_ns)
        now_ns += SECOND // 50
    return now_ns


def needed_ms(lag_ms: float, lead_ms: float = 0.0) -> float:
    return lag_ms + FRAME_NS / MS + lead_ms + CONFIG.margin_ms


def test_it_is_settled_after_two_seconds() -> None:
    control = DelayControl(CONFIG)
    assert control.delay_ns == CONFIG.start_ms * MS and control.needed_ns is None
    control.drawing_takes(8 * MS)
    fed(control, SECOND, 2.0, lag_ms=72)
    assert abs(control.delay_ns / MS - needed_ms(72, 8)) < 0.1
    assert control.jumps == 1


def test_up_is_fast_and_down_is_slow_and_both_are_gentle() -> None:
    control = DelayControl(CONFIG)
    now = fed(control, SECOND, 3.0, lag_ms=70)
    before = control.delay_ns
    now = fed(control, now, 0.5, lag_ms=110)
    risen = (control.delay_ns - before) / MS
    assert 0.2 * CONFIG.rise_ms_per_s < risen <= 0.5 * CONFIG.rise_ms_per_s + 1
    now = fed(control, now, 4.0, lag_ms=110)
    now = fed(control, now, 4.0, lag_ms=110)
    high = control.delay_ns
    assert abs(high / MS - needed_ms(110)) < 0.1
    # What was measured must be forgotten first: six seconds.
    now = fed(control, now, 6.0, lag_ms=70)
    before = control.delay_ns
    fed(control, now, 2.0, lag_ms=70)
    assert 0 < (before - control.delay_ns) / MS <= 2.0 * CONFIG.fall_ms_per_s + 1
    assert control.jumps == 1


def test_after_a_time_of_need_it_is_back_within_a_second() -> None:
    control = DelayControl(CONFIG)
    now = fed(control, SECOND, 3.0, lag_ms=70)
    now = fed(control, now, 10.0, lag_ms=200)
    assert abs(control.delay_ns / MS - needed_ms(200)) < 0.1
    jumps = control.jumps
    now = fed(control, now, 1.05, lag_ms=70)
    assert abs(control.delay_ns / MS - needed_ms(70)) < 0.1
    assert control.jumps == jumps + 1
    # Another such time soon after is left gently: jumps are heard.
    now = fed(control, now, 4.0, lag_ms=200)
    fed(control, now, 2.0, lag_ms=70)
    assert control.jumps == jumps + 1


def test_rare_outliers_and_breaks_change_nothing() -> None:
    control = DelayControl(CONFIG)
    now = fed(control, SECOND, 8.0, lag_ms=70)
    before = control.delay_ns
    for lag_ms in (400, 60_000, -5, 300):
        control.arrived(lag_ms * MS)
        now = fed(control, now, 1.0, lag_ms=70)
    assert abs(control.delay_ns - before) < 1 * MS


def test_it_keeps_its_limits_and_survives_a_jump_of_the_clock() -> None:
    control = DelayControl(CONFIG)
    now = fed(control, SECOND, 3.0, lag_ms=595)
    assert control.delay_ns == CONFIG.max_ms * MS
    now = fed(control, now + 60 * SECOND, 1.0, lag_ms=595)
    control.update(now - 90 * SECOND)
    assert control.delay_ns == CONFIG.max_ms * MS


def test_a_little_too_much_is_left_alone() -> None:
    control = DelayControl(CONFIG)
    now = fed(control, SECOND, 8.0, lag_ms=70)
    before = control.delay_ns
    fed(control, now, 20.0, lag_ms=70 - 0.9 * CONFIG.slack_ms)
    assert control.delay_ns == before
