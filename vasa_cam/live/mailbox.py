"""A hand-off between two threads that never grows: depth 1, the newest item wins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """One place for one item. `put` never waits; what it replaces comes back and is counted.

    drops: items that were replaced before anybody took them.
    """

    def __init__(self) -> None:
        self.drops = 0
        self._item: Item | None = None
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> Item | None:
        """Leave an item; returns the one that it replaces, or `item` itself when closed."""
        with self._changed:
            if self._closed:
                return item
            replaced, self._item = self._item, item
            self.drops += replaced is not None
            self._changed.notify()
        return replaced

    def take(self, timeout_s: float, wanted: Callable[[Item], bool] | None = None) -> Item | None:
        """The item, waiting up to `timeout_s` seconds; None when none came or it was closed.

        wanted: an item for which this is false stays where it is.
        """

        def is_there() -> bool:
            return self._item is not None and (wanted is None or wanted(self._item))

        with self._changed:
            if timeout_s > 0.0:
                self._changed.wait_for(lambda: is_there() or self._closed, timeout_s)
            if not is_there():
                return None
            item, self._item = self._item, None
        return item

    def close(self) -> Item | None:
        """Wake whoever waits, accept nothing more; returns what nobody took."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            item, self._item = self._item, None
        return item

    @property
    def closed(self) -> bool:
        """Nothing more is accepted."""
        return self._closed

    @property
    def depth(self) -> int:
        """Items waiting: 0 or 1."""
        return int(self._item is not None)
