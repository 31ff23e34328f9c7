"""What all threads of the daemon have in common."""

from __future__ import annotations

import threading


class StageThread:
    """A thread that runs until `stop`. A subclass gives `_run`, which watches `_stopping`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._stopping = threading.Event()
        # A daemon thread: one that hangs in a driver must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False when that did not come in time."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        raise NotImplementedError
