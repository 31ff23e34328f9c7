"""Keeps a picture coming: swaps scenes by a cross-fade, falls back when drawing keeps failing.

New scenes are made in a thread of their own, so that frames go on meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.avatar.file import Avatar
from vasa_cam.errors import InputError
from vasa_cam.live.clock import NS_A_MS, NS_A_SECOND
from vasa_cam.live.mailbox import Mailbox
from vasa_cam.live.messages import Bytes
from vasa_cam.live.metrics import Metrics
from vasa_cam.live.process import lower_thread_priority
from vasa_cam.live.scene import DEFAULT_MAKERS, SceneConfig, SceneMaker, fade
from vasa_cam.live.stages import Scene
from vasa_cam.numeric import smoothstep

Floats = npt.NDArray[np.float32]

FADE_NS: Final = 400 * NS_A_MS
_IN_A_ROW: Final = 3  # failures in a row, ...
_OFTEN: Final = 6  # ... or so many within ...
_WITHIN_NS: Final = 5 * NS_A_SECOND  # ... this time, and the next maker's scene is taken

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What was asked for last; open_avatar runs in the maker's thread and may take seconds."""

    open_avatar: Callable[[], Avatar]
    config: SceneConfig


@dataclass(frozen=True, eq=False)
class _Wish:
    """A scene to make, and by which maker."""

    wanted: _Wanted
    level: int


@dataclass(frozen=True, eq=False)
class _Made:
    """A scene that is ready, and from what it was made."""

    scene: Scene
    avatar: Avatar
    config: SceneConfig
    level: int

    def wanted(self) -> _Wanted:
        """Of this scene."""
        avatar = self.avatar
        return _Wanted(lambda: avatar, self.config)


class SceneKeeper:
    """Owns the scenes. `draw` belongs to one thread; `show` may be called by any.

    makers: how scenes are made, best first. level: index of the maker in use. problem: what went
    wrong last, for people. busy: a new scene is being made.
    """

    def __init__(
        self,
        avatar: Avatar,
        config: SceneConfig,
        metrics: Metrics,
        makers: Sequence[SceneMaker] = DEFAULT_MAKERS,
    ) -> None:
        self.problem = ""
        self.busy = False
        self._metrics = metrics
        self._makers = tuple(makers)
        self._wishes: Mailbox[_Wish] = Mailbox()
        self._ready: Mailbox[_Made] = Mailbox()
        self._current = self._make(avatar, config, 0)
        self._next: _Made | None = None
        self._fade_start_ns = 0
        self._scratch: dict[tuple[int, ...], Bytes] = {}
        self._failures: deque[int] = deque(maxlen=_OFTEN)
        self._in_a_row = 0
        self._wanted = self._current.wanted()
        self._lock = threading.Lock()
        self._maker = threading.Thread(target=self._make_scenes, name="scenes", daemon=True)

    @property
    def level(self) -> int:
        """0 while all is well."""
        return self._current.level

    @property
    def avatar_name(self) -> str:
        """Name of the avatar that is shown, or faded to."""
        return (self._next or self._current).avatar.meta.name

    @property
    def background(self) -> str:
        """The background that was asked for last."""
        return self._wanted.config.background

    def start(self) -> None:
        """Begin to take wishes."""
        self._maker.start()

    def stop(self) -> None:
        """Take no more; a scene that is being made is forgotten."""
        self._wishes.close()
        self._ready.close()

    def show(
        self, open_avatar: Callable[[], Avatar] | None = None, background: str | None = None
    ) -> None:
        """Cross-fade to another avatar, background or both, as soon as that is ready.

        What is wrong with them is told by `problem`; the picture then stays as it is.
        """
        with self._lock:
            config = self._wanted.config
            if background is not None:
                config = replace(config, background=background)
            self._wanted = _Wanted(open_avatar or self._wanted.open_avatar, config)
            self._wish(0)

    def draw(self, motion: Floats, rgb: Bytes, rgba: Bytes | None, now_ns: int) -> bool:
        """Draw one motion frame as `Scene.draw` does; False when there is no picture this time."""
        self._take_ready(now_ns)
        try:
            self._current.scene.draw(motion, rgb, rgba)
            if self._next is not None:
                self._draw_fade(self._next, motion, rgb, rgba, now_ns)
        except Exception as error:
            self._failed(error, now_ns)
            return False
        self._in_a_row = 0
        return True

    def _draw_fade(
        self, coming: _Made, motion: Floats, rgb: Bytes, rgba: Bytes | None, now_ns: int
    ) -> None:
        over_rgb = self._scratch_like(rgb)
        over_rgba = None if rgba is None else self._scratch_like(rgba)
        coming.scene.draw(motion, over_rgb, over_rgba)
        part = float(smoothstep(0.0, 1.0, (now_ns - self._fade_start_ns) / FADE_NS))
        fade(over_rgb, rgb, part)
        if rgba is not None and over_rgba is not None:
            fade(over_rgba, rgba, part)
        if part >= 1.0:
            self._current, self._next = coming, None
            self._scratch.clear()

    def _scratch_like(self, picture: Bytes) -> Bytes:
        """Memory of the same shape that a fade reuses."""
        if picture.shape not in self._scratch:
            self._scratch[picture.shape] = np.empty_like(picture)
        return self._scratch[picture.shape]

    def _take_ready(self, now_ns: int) -> None:
        made = self._ready.take(0.0)
        if made is None:
            return
        if self._next is not None:
            self._current = self._next
        if made.level > 0:  # what is there cannot be drawn, so there is nothing to fade from
            self._current, self._next = made, None
        else:
            self._next, self._fade_start_ns = made, now_ns
        self._failures.clear()
        self._in_a_row = 0

    def _failed(self, error: Exception, now_ns: int) -> None:
        self._metrics.count("render_failures")
        self.problem = f"drawing failed ({type(error).__name__}: {error})"
        self._failures.append(now_ns)
        self._in_a_row += 1
        often = len(self._failures) == _OFTEN and now_ns - self._failures[0] < _WITHIN_NS
        if self._next is not None:
            _log.warning("%s; the new scene is left out", self.problem, exc_info=error)
            self._next = None
        elif (self._in_a_row >= _IN_A_ROW or often) and not self.busy:
            with self._lock:
                level = min(self._current.level + 1, len(self._makers) - 1)
                _log.error("%s; drawing goes on by way %d", self.problem, level)
                self._wish(level)
        elif self._in_a_row == 1:
            _log.warning("%s; the next frame is tried", self.problem, exc_info=error)

    def _wish(self, level: int) -> None:
        self.busy = True
        self._wishes.put(_Wish(self._wanted, level))

    def _make_scenes(self) -> None:
        lower_thread_priority()
        shown = self._current
        while (wish := self._next_wish()) is not None:
            try:
                avatar = wish.wanted.open_avatar()
                shown = self._make(avatar, wish.wanted.config, wish.level)
                self._ready.put(shown)
            except Exception as error:
                known = isinstance(error, InputError)
                reason = str(error) if known else f"{type(error).__name__}: {error}"
                self.problem = f"the picture stays as it is: {reason}"
                _log.error("%s", self.problem, exc_info=None if known else error)
            with self._lock:
                if self._wanted is wish.wanted:  # the next wish starts from what there is now
                    self._wanted = shown.wanted()
                self.busy = self._wishes.depth > 0

    def _next_wish(self) -> _Wish | None:
        while True:
            wish = self._wishes.take(1.0)
            if wish is not None or self._wishes.closed:
                return wish

    def _make(self, avatar: Avatar, config: SceneConfig, level: int) -> _Made:
        """A scene by this way, or by the first of those after it that works."""
        while True:
            try:
                return _Made(self._makers[level](avatar, config), avatar, config, level)
            except InputError:
                raise
            except Exception as error:
                self._metrics.count("render_failures")
                if level + 1 == len(self._makers):
                    raise
                self.problem = f"drawing by way {level} failed ({type(error).__name__}: {error})"
                _log.error("%s", self.problem, exc_info=error)
                level += 1
