"""A window's launches as one: captured into a CUDA graph, replayed with a single call."""

from __future__ import annotations

from vasa_cam import _core
from vasa_cam.ops import _check
from vasa_cam.ops._check import Array
from vasa_cam.ops.sampler import SamplerModel, SamplerWindow, check_window, sample, window_arrays

_OP = "SamplerGraph"


class SamplerGraph:
    """Draws one window again and again, each time from what its arrays hold then.

    model, window, out: as of `vasa_cam.ops.sample`; the graph keeps them, and a workspace on the
    same device, which is all that a replay touches: nothing is allocated. Write new numbers into
    the window's own arrays. On the CPU, which has no graphs, a replay is a call of `sample`.
    Raises TypeError or ValueError as `sample` does, RuntimeError where CUDA cannot capture.
    """

    def __init__(
        self, model: SamplerModel, window: SamplerWindow, out: Array | None = None
    ) -> None:
        shape = check_window(model, window)
        if shape[0] < 1:
            raise ValueError(f"{_OP}: needs at least one frame, got none")
        self.model = model
        self.window = window
        self.out = _check.check_output(out, _OP, "out", "float32", shape, window.noise)
        self._native: _core.SamplerGraph | None = None
        if model.device[0] == "cuda":
            passes, condition, _ = window.condition.shape
            size = _core.sampler_workspace_bytes(model.native, passes, condition, shape[0])
            self._workspace = _check.empty_like_device((size,), "uint8", window.noise)
            self._native = _core.SamplerGraph(
                model.native, window_arrays(window), self.out, self._workspace
            )

    def replay(self) -> Array:
        """The clean frames float32 [W, C], in `out`, on the caller's current stream.

        Two replays of one graph must not run at once, on different streams say.
        """
        if self._native is None:
            return sample(self.model, self.window, self.out)
        self._native.replay(_check.current_stream(self.out))
        return self.out
