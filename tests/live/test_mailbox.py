"""The hand-off: newest wins, drops are counted, a closed one wakes whoever waits."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.live.mailbox import Mailbox


@given(st.lists(st.sampled_from(["put", "take"]), max_size=60))
def test_nothing_is_lost_uncounted(actions: list[str]) -> None:
    box: Mailbox[int] = Mailbox()
    put, taken, replaced = 0, [], []
    for action in actions:
        if action == "put":
            old = box.put(put)
            put += 1
            if old is not None:
                replaced.append(old)
        elif (item := box.take(0.0)) is not None:
            taken.append(item)
    assert box.drops == len(replaced)
    assert len(taken) + len(replaced) + box.depth == put
    assert taken == sorted(taken)
    if box.depth:
        assert box.take(0.0) == put - 1


def test_a_waiting_thread_gets_the_item_and_the_end() -> None:
    box: Mailbox[str] = Mailbox()
    got: list[str | None] = []
    reader = threading.Thread(target=lambda: got.extend([box.take(30.0), box.take(30.0)]))
    reader.start()
    box.put("news")
    while not got and box.depth:
        pass
    assert box.close() is None
    reader.join(30.0)
    assert got == ["news", None]
    late = "late"
    assert box.put(late) is late and box.take(0.0) is None and box.closed


def test_an_unwanted_item_stays() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(7)
    assert box.take(0.01, lambda item: item < 5) is None
    assert box.depth == 1
    assert box.take(0.0, lambda item: item > 5) == 7
