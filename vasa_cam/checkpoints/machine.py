"""A pickle reader that can make nothing but data.

Pickle is a program for a small stack machine. This one knows the instructions that build
numbers, texts, lists, tuples and dicts, and a name that a program mentions is looked up in a table
that the caller gives: no module is ever imported, no attribute looked up, and what is called is
ours. The standard library only decodes the instructions (`pickletools.genops`, which runs
nothing).

Work and memory stay in proportion to the file: instructions and bytes are counted, and dicts take
plain keys only, because hashing tuples of shared tuples may take for ever.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from vasa_cam.checkpoints.stored import RefusedError

MOST_BYTES: Final = 64 << 20
"""Of a pickle, without the storages that it speaks of."""
MOST_INSTRUCTIONS: Final = 2_000_000

_KEY_TYPES: Final = (str, int, float, bool, type(None), bytes)
_END: Final = object()


@dataclass(frozen=True)
class Maker:
    """What may be named and called: `make` gets the arguments as the file has them."""

    make: Callable[..., Any]


class Inert:
    """An object that a file may fill after it was made."""

    def build(self, state: object) -> None:
        """Take a state. Raises RefusedError for one that is not expected."""
        raise NotImplementedError


class Machine:
    """Runs one pickle.

    names: "module.name" -> Maker, or another value that a file may hold. persistent: gives what a
    persistent id stands for; None refuses them.
    """

    def __init__(
        self, names: Mapping[str, object], persistent: Callable[[Any], object] | None = None
    ) -> None:
        self._names = names
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._made = 0

    def run(self, file: BinaryIO) -> Any:
        """The value of the pickle that begins here; `file` is left behind its end.

        Raises RefusedError for what is not data and for damage.
        """
        self._stack, self._marked, self._memo = [], [], {}
        try:
            for count, (opcode, argument, _) in enumerate(
                pickletools.genops(_Counted(file))  # type: ignore[arg-type]
            ):
                if count >= MOST_INSTRUCTIONS:
                    raise RefusedError(f"a pickle has more than {MOST_INSTRUCTIONS} instructions.")
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._step(opcode.name, argument)
        except RefusedError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, OverflowError, EOFError) as error:
            raise RefusedError(
                f"a pickle is damaged ({type(error).__name__}): download the file again."
            ) from error
        raise RefusedError("a pickle ends in the middle: download the file again.")

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            self._stack.append(argument)
        elif (instruction := _INSTRUCTIONS.get(name)) is not None:
            instruction(self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise RefusedError(f"a pickle uses the instruction {name}: only plain data is read.")

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marked.pop()
        return items

    def _mark(self, _: object) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _pop(self, _: object) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _pop_mark(self, _: object) -> None:
        self._since_mark()

    def _list(self, _: object) -> None:
        items = self._since_mark()
        self._stack.append(items)

    def _tuple_since_mark(self, _: object) -> None:
        items = self._since_mark()
        self._stack.append(tuple(items))

    def _tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _put(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else int(place)] = self._stack[-1]

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise RefusedError("a pickle appends to something that is no list.")
        target.extend(items)

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise RefusedError("a pickle sets items of something that is no dict.")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_checked_key(key)] = value

    def _name(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str:
            raise RefusedError("a pickle names something by what is no text.")
        full = f"{module}.{name}"
        if full not in self._names:
            raise RefusedError(
                f"the file wants to make a {shown(full)}, which is not plain data: nothing of it "
                "was run; get the weights as safetensors or as a plain state dict."
            )
        self._stack.append(self._names[full])

    def _stack_name(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._name(module, name)

    def _call(self, _: object) -> None:
        arguments, maker = self._stack.pop(), self._stack.pop()
        if not isinstance(maker, Maker) or type(arguments) is not tuple:
            raise RefusedError("a pickle calls something that is not to be called.")
        # What is made may be a copy: of one text or list, asked for again and again, it adds up.
        self._made += sum(map(_weight, arguments))
        if self._made > MOST_BYTES:
            raise RefusedError(f"a pickle makes more than {MOST_BYTES >> 20} MiB of its data.")
        self._stack.append(maker.make(*arguments))

    def _build(self, _: object) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, Inert):
            target.build(state)
        elif type(target) is not dict or type(state) is not dict:
            # A state dict carries versions of its modules as an attribute; they are of no use here.
            raise RefusedError("a pickle sets the state of something that has none.")

    def _persist(self, _: object) -> None:
        if self._persistent is None:
            raise RefusedError("a pickle refers to storages, and this kind of file has none.")
        self._stack.append(self._persistent(self._stack.pop()))


def shown(text: str) -> str:
    """A text from a file, fit to be printed."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in text[:100])
    return clean if len(clean) <= 80 else f"{clean[:77]}..."


def _weight(value: object) -> int:
    """About how many bytes a copy of a value takes."""
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    return 64 * len(value) if isinstance(value, list | tuple | dict) else 0


def _checked_key(key: object) -> object:
    if type(key) not in _KEY_TYPES:
        raise RefusedError(f"a dict has a {type(key).__name__} as a key: expected a text.")
    return key


def _dict_of(machine: Machine, _: object) -> None:
    items = machine._since_mark()
    machine._stack.append({})
    machine._set(items)


def _global(machine: Machine, argument: str) -> None:
    machine._name(*argument.split(" ", 1))


class _Counted:
    """The reading side of a file for one pickle, with a limit."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, MOST_BYTES

    def _taken(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise RefusedError(f"a pickle is larger than {MOST_BYTES >> 20} MiB.")
        return data

    def read(self, count: int) -> bytes:
        """As a file does."""
        return self._taken(self._file.read(min(count, self._left + 1)))

    def readline(self) -> bytes:
        """As a file does."""
        return self._taken(self._file.readline(self._left + 1))


_CONSTANTS: Final[dict[str, Callable[[], object]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
}
_LITERALS: Final = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_INSTRUCTIONS: Final[dict[str, Callable[[Machine, Any], None]]] = {
    "MARK": Machine._mark,
    "POP": Machine._pop,
    "POP_MARK": Machine._pop_mark,
    "DUP": lambda machine, _: machine._stack.append(machine._stack[-1]),
    "LIST": Machine._list,
    "APPEND": lambda machine, _: machine._append([machine._stack.pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._since_mark()),
    "TUPLE": Machine._tuple_since_mark,
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "DICT": _dict_of,
    "SETITEM": lambda machine, _: machine._set([machine._stack.pop() for _ in "kv"][::-1]),
    "SETITEMS": lambda machine, _: machine._set(machine._since_mark()),
    "GET": lambda machine, place: machine._stack.append(machine._memo[int(place)]),
    "BINGET": lambda machine, place: machine._stack.append(machine._memo[int(place)]),
    "LONG_BINGET": lambda machine, place: machine._stack.append(machine._memo[int(place)]),
    "PUT": Machine._put,
    "BINPUT": Machine._put,
    "LONG_BINPUT": Machine._put,
    "MEMOIZE": Machine._put,
    "GLOBAL": _global,
    "STACK_GLOBAL": Machine._stack_name,
    "REDUCE": Machine._call,
    "NEWOBJ": Machine._call,
    "BUILD": Machine._build,
    "BINPERSID": Machine._persist,
}
