"""Live settings as TOML: read with one clear sentence for every mistake, written with their units.

Optional settings, which TOML cannot leave unset, are the empty string there.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any, Final

from vasa_cam.errors import InputError
from vasa_cam.live.config import LiveConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MAX_BYTES: Final = 1 << 20
_KINDS: Final[Mapping[str, tuple[type, str]]] = {
    "bool": (bool, "true or false"),
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "str": (str, "a text in quotes"),
    "str | None": (str, "a text in quotes"),
    "tuple[int, ...]": (list, "a list of whole numbers"),
}


def read_config(path: Path) -> LiveConfig:
    """The settings in a TOML file; what it leaves out keeps its default.

    Raises InputError when the file cannot be read, is no TOML, or holds an unknown key, a wrong
    type or a value outside its limits.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} is too large for settings; name a TOML file.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"cannot read the settings {path}: {reason}; name a TOML file.") from error
    try:
        return parse_config(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def parse_config(text: str) -> LiveConfig:
    """As `read_config`, from the text itself."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"not valid TOML: {error}.") from error
    sections = {one.name: one for one in fields(LiveConfig)}
    values: dict[str, Any] = {}
    for table, content in data.items():
        if table not in sections:
            raise InputError(f"there is no table [{table}]{_nearest(table, sections)}")
        if not isinstance(content, dict):
            raise InputError(f"{table} must be a table: write [{table}] on a line of its own.")
        section = getattr(LiveConfig(), table)
        known = {one.name: one for one in fields(section)}
        for key in content:
            if key not in known:
                raise InputError(f"[{table}] has no setting {key}{_nearest(key, known)}")
        values[table] = replace(
            section,
            **{key: _checked(f"{table}.{key}", known[key], content[key]) for key in content},
        )
    return LiveConfig(**values)


def override(config: LiveConfig, changes: Mapping[str, Any]) -> LiveConfig:
    """The settings with "table.name" -> value applied; None leaves a setting as it is.

    Raises InputError for a value outside its limits.
    """
    tables: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        if value is not None:
            table, _, key = name.partition(".")
            tables.setdefault(table, {})[key] = value
    sections = {table: replace(getattr(config, table), **new) for table, new in tables.items()}
    return replace(config, **sections)


def to_toml(config: LiveConfig) -> str:
    """All settings with their units as comments; `parse_config` gives the same settings again."""
    lines: list[str] = []
    for one in fields(LiveConfig):
        section = getattr(config, one.name)
        lines += ["", f"# {(section.__doc__ or '').strip()}", f"[{one.name}]"]
        lines += [_line(each, getattr(section, each.name)) for each in fields(section)]
    return "\n".join(lines[1:]) + "\n"


def _line(one: Field[Any], value: Any) -> str:
    limits = one.metadata["limits"]
    span = f", {limits[0]} to {limits[1]}" if limits else ""
    return (
        f"{one.name} = {_literal(value)}  # [{one.metadata['unit']}{span}] {one.metadata['note']}"
    )


def _literal(value: Any) -> str:
    """A TOML value. JSON's literals are TOML's but for DEL, which TOML wants escaped."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if value is None:
        return '""'
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _checked(name: str, one: Field[Any], value: object) -> Any:
    """The value as the setting's type. Raises InputError when it is of another one."""
    kind, words = _KINDS[str(one.type)]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        # Beyond every limit, and too large for a float: let the limits refuse it.
        return float(max(-(10**300), min(10**300, value)))
    right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if right and isinstance(value, list):
        right = all(isinstance(item, int) and not isinstance(item, bool) for item in value)
        value = tuple(value)
    if not right:
        unit = one.metadata["unit"]
        raise InputError(f"{name} must be {words} ({unit}), got {_shown(value)}.")
    if str(one.type) == "str | None" and value == "":
        return None
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _nearest(name: str, names: Iterable[str]) -> str:
    """What was probably meant, or all there is."""
    names = list(names)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}."
