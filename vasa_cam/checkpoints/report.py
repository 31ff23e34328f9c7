"""How a state dict differs from what a network expects, key by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from vasa_cam.checkpoints.architecture import FLOAT, Expected
from vasa_cam.checkpoints.machine import shown

_FLOATS: Final = frozenset({"float16", "bfloat16", "float32", "float64"})
_LISTED: Final = 8


class _Tensor(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class KeyReport:
    """The differences; `fits` when there is none that matters.

    name: of the network. expected: number of keys. missing, unexpected: keys. shapes, types: key ->
    (expected, got), in words.
    """

    name: str
    expected: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: Mapping[str, tuple[str, str]]
    types: Mapping[str, tuple[str, str]]

    @property
    def fits(self) -> bool:
        """Whether the network can be made of it."""
        return not (self.missing or self.unexpected or self.shapes or self.types)

    def sentence(self) -> str:
        """One sentence: how many keys of which kind, each with an example."""
        if self.fits:
            return f"{self.name}: all {self.expected} tensors are there"
        parts = [
            f"{len(keys)} {what} (such as {shown(next(iter(keys)))}{_difference(keys)})"
            for what, keys in self._kinds()
        ]
        return f"{self.name}: of {self.expected} tensors {', '.join(parts)}"

    def text(self, most: int = _LISTED) -> str:
        """Lines for a person: every kind of difference, at most `most` keys of each."""
        lines = [
            self.sentence() if self.fits else f"{self.name}, {self.expected} tensors expected:"
        ]
        for what, keys in self._kinds():
            lines.append(f"  {len(keys)} {what}:")
            for key in list(keys)[:most]:
                lines.append(f"    {shown(key)}{_difference({key: keys[key]})}")
            if len(keys) > most:
                lines.append(f"    and {len(keys) - most} more")
        return "\n".join(lines)

    def _kinds(self) -> list[tuple[str, Mapping[str, tuple[str, str] | None]]]:
        kinds: list[tuple[str, Mapping[str, tuple[str, str] | None]]] = [
            ("missing", dict.fromkeys(self.missing)),
            ("unexpected", dict.fromkeys(self.unexpected)),
            ("of another shape", dict(self.shapes)),
            ("of another type", dict(self.types)),
        ]
        return [(what, keys) for what, keys in kinds if keys]


def _difference(keys: Mapping[str, tuple[str, str] | None]) -> str:
    first = next(iter(keys.values()))
    return "" if first is None else f": expected {first[0]}, got {first[1]}"


def compare(
    name: str, expected: Iterable[tuple[str, Expected]], tensors: Mapping[str, _Tensor]
) -> KeyReport:
    """Compare tensors (StoredTensor or NumPy arrays) with what a network expects.

    Keys that are not needed may be missing; when they are there, they must fit.
    """
    wanted = dict(expected)
    shapes, types = {}, {}
    for key in wanted.keys() & tensors.keys():
        shape, kind = tuple(tensors[key].shape), _kind(tensors[key])
        if shape != wanted[key].shape:
            shapes[key] = (str(list(wanted[key].shape)), str(list(shape)))
        elif not (kind == wanted[key].kind or (wanted[key].kind == FLOAT and kind in _FLOATS)):
            types[key] = (wanted[key].kind, kind)
    return KeyReport(
        name,
        len(wanted),
        tuple(k for k, tensor in wanted.items() if tensor.needed and k not in tensors),
        tuple(key for key in tensors if key not in wanted),
        dict(sorted(shapes.items())),
        dict(sorted(types.items())),
    )


def _kind(tensor: Any) -> str:
    return str(tensor.kind) if isinstance(getattr(tensor, "kind", None), str) else str(tensor.dtype)
