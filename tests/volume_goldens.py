"""The volume renderer's reference: weights made by the documented rule, and golden vectors.

Both lie in the folder `shared` beside the repository; the rule is imported from there.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

GATE = 2e-5
"""Relative L2 error in float32; the golden's own distance from float64 is 5e-7 to 6e-6."""


class Goldens:
    """specs/liveportrait in the shared folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def rule(self) -> ModuleType:
        """The shared module that makes weights and inputs from names."""
        path = self.folder / "golden" / "rule.py"
        spec = importlib.util.spec_from_file_location("liveportrait_golden_rule", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def keys(self, name: str) -> dict[str, tuple[tuple[int, ...], str]]:
        """Key: (shape, dtype) of a public state dict; name: F, M, W, G, S_lip, ..."""
        path = self.folder / "keys" / f"state_dict_{name}.json"
        table = json.loads(path.read_text(encoding="utf-8"))
        return {key: (tuple(value["shape"]), value["dtype"]) for key, value in table.items()}

    def state(self, name: str) -> dict[str, np.ndarray]:
        """The public state dict with weights by the rule."""
        table = {key: shape for key, (shape, _) in self.keys(name).items()}
        state: dict[str, np.ndarray] = self.rule.make_state(name, table)
        return state

    def folded(self, name: str) -> dict[str, np.ndarray]:
        """The state dict with its spectral norms divided out, as `SpadeDecoder` takes it."""
        state = self.state(name)
        for key in [key for key in state if key.endswith(".weight_orig")]:
            module = key.removesuffix("weight_orig")
            weight = state.pop(key)
            u, v = state.pop(f"{module}weight_u"), state.pop(f"{module}weight_v")
            sigma = u @ (weight.reshape(len(weight), -1).astype(np.float64) @ v)
            state[f"{module}weight"] = (weight / sigma).astype(np.float32)
        return state

    def golden(self, name: str) -> Any:
        """A file of golden vectors."""
        return np.load(self.folder / "golden" / f"{name}.npz")

    def trace(self, name: str) -> dict[str, Any]:
        """Figures of every layer's output."""
        path = self.folder / "golden" / f"trace_{name}.json"
        traces: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return traces

    def input(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An input by the rule, float32."""
        values: np.ndarray = self.rule.z32(f"input/{name}", shape)
        return values


def find_goldens(shared: Path) -> Goldens:
    """The reference, or a skip where the shared folder is older than it."""
    folder = shared / "specs" / "liveportrait"
    if not folder.is_dir():
        pytest.skip(f"the volume renderer's golden vectors are missing: expected {folder}")
    return Goldens(folder)


def with_rule_weights(goldens: Goldens, name: str, network: Any) -> Any:
    """A torch network in evaluation mode with the rule's weights."""
    import torch

    state = {key: torch.from_numpy(value) for key, value in goldens.folded(name).items()}
    network.load_state_dict(state)
    return network.eval()


def traced(network: Any, run: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """The result and, for every submodule, its last output's mean, deviation, minimum, maximum."""
    import torch

    seen: dict[str, Any] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                x = output.double()
                spread = x.std().item() if x.numel() > 1 else float("nan")
                seen[name] = [x.mean().item(), spread, x.min().item(), x.max().item()]

        return hook

    handles = [m.register_forward_hook(note(name)) for name, m in network.named_modules() if name]
    with torch.inference_mode():
        result = run()
    for handle in handles:
        handle.remove()
    return result, seen


def check_trace(goldens: Goldens, name: str, seen: dict[str, Any], least: int) -> None:
    """Every layer that the reference names too has its figures; the first that has not is named."""
    reference = goldens.trace(name)
    shared = [layer for layer in reference if layer in seen]
    assert len(shared) >= least
    for layer in shared:
        wanted = np.array(reference[layer]["stats_mean_std_min_max_absmean"][:4])
        limit = 1e-4 * np.nanmax(np.abs(wanted))
        np.testing.assert_allclose(seen[layer], wanted, atol=limit, rtol=0, err_msg=layer)


def relative_l2(found: Any, wanted: np.ndarray) -> float:
    """|found - wanted| / |wanted|."""
    difference = np.asarray(found, np.float64) - np.asarray(wanted, np.float64)
    return float(np.linalg.norm(difference) / np.linalg.norm(np.asarray(wanted, np.float64)))
