"""Motion as CSV, in the layout of Live Link Face: record on a phone, edit in a table, replay here.

Columns are found by name, in any order and case. Coefficients are 0..1. Head angles are radians
unless `degrees` is set (apps disagree): HeadYaw = -ry, HeadPitch = -rx, HeadRoll = -rz of the
motion space's rotation vector. HeadX, HeadY, HeadZ (our own extra columns) are its translation in
inter-ocular distances; files without them, and without head angles, hold a head at rest. The eye
angles are written for other programs and not read: the eyeLook coefficients say the same.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vasa_cam.errors import InputError
from vasa_cam.files import replace_file
from vasa_cam.motion import timecode
from vasa_cam.motion.space import ARKIT_NAMES, COEFFICIENTS, INDEX, MOTION_SIZE, Motion

Floats = npt.NDArray[np.float32]

FULL_LOOK_RAD: Final = math.radians(35.0)
"""Turn of the eyeball that an eyeLook coefficient of 1 stands for."""

_TIMECODE: Final = "Timecode"
_COUNT: Final = "BlendshapeCount"
_COLUMNS: Final = tuple(name[0].upper() + name[1:] for name in ARKIT_NAMES)
# Column, place in a motion frame, sign.
_HEAD: Final = (("HeadYaw", 53, -1.0), ("HeadPitch", 52, -1.0), ("HeadRoll", 54, -1.0))
_SHIFT: Final = (("HeadX", 55), ("HeadY", 56), ("HeadZ", 57))
_EYES: Final = tuple(
    f"{side}Eye{axis}" for side in ("Left", "Right") for axis in ("Yaw", "Pitch", "Roll")
)
_ANGLES: Final = len(_HEAD) + len(_EYES)
# Solvers overshoot 0..1 a little and are clipped; more than this is another unit, such as percent.
_OVERSHOOT: Final = 0.5
# Beyond half a turn a head angle is not in radians; beyond ten inter-ocular distances, half a
# metre, a shift is not in ours.
_HEAD_LIMIT: Final = math.pi
_SHIFT_LIMIT: Final = 10.0
_MAX_RATE_HZ: Final = 1000.0


def write_motion_csv(path: Path, motion: Motion) -> None:
    """Write a motion as Live Link Face CSV, angles in radians; floats read back to the same bits.

    Raises InputError when the file cannot be written; nothing is left then.
    """
    header = [_TIMECODE, _COUNT, *_COLUMNS, *(name for name, *_ in _HEAD), *_EYES]
    header += [name for name, _ in _SHIFT]
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for index, frame in enumerate(motion.frames):
            # Adding zero turns -0.0 into 0.0.
            head = [np.float32(frame[place] * sign + 0.0) for _, place, sign in _HEAD]
            shift = [frame[place] for _, place in _SHIFT]
            numbers = [*frame[:COEFFICIENTS], *head, *_eye_angles(frame), *shift]
            # The shortest text that reads back as the same float32.
            texts = [np.format_float_positional(value, trim="-") for value in numbers]
            stamp = timecode.write(index, motion.rate_hz)
            writer.writerow([stamp, COEFFICIENTS + _ANGLES, *texts])


def read_motion_csv(path: Path, rate_hz: float | None = None, degrees: bool = False) -> Motion:
    """Read a Live Link Face CSV; see the module's text for columns and units.

    rate_hz: rows a second; None takes it from the timecodes. Rows that were lost, or that say that
    the face was (BlendshapeCount 0), are filled by linear interpolation in time. Raises InputError
    naming the file and the line and column at fault.
    """
    if rate_hz is not None and not 0 < rate_hz <= _MAX_RATE_HZ:
        raise InputError(
            f"a rate of {rate_hz:g} rows a second is out of range; expected up to {_MAX_RATE_HZ:g}."
        )
    rows = _rows(path)
    line, header = next(rows, (0, []))
    columns = _find_columns(path, header)
    targets = _targets(columns, degrees)
    picked = [columns[target.name.lower()] for target in targets]
    numbers, lines, codes, positions = [], [], [], []
    for position, (line, cells) in enumerate(rows):
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {line}: {len(cells)} cells where the header has {len(header)}."
            )
        if _face_was_lost(cells, columns):
            continue
        numbers.append([_number(cells[place]) for place in picked])
        lines.append(line)
        positions.append(position)
        if rate_hz is None:
            codes.append(_timecode(path, line, cells, columns))
    if not numbers:
        raise InputError(f"{path} holds no row with motion after its header.")
    values = _frames(path, np.array(numbers), lines, targets)
    if rate_hz is not None:
        return _on_grid(values, np.array(positions) / rate_hz, rate_hz)
    return _timed(path, values, codes)


def _timed(path: Path, values: Floats, codes: list[timecode.Timecode]) -> Motion:
    """Rows placed by their timecodes on an even grid."""
    times = timecode.to_seconds(codes)
    remedy = "say how many rows make a second (--motion-fps)"
    if times is None or len(times) < 2:
        raise InputError(f"the timecodes of {path} do not tell its rate; {remedy}.")
    backwards = np.flatnonzero(np.diff(times) <= 0)
    if len(backwards):
        raise InputError(
            f"the timecodes of {path} do not rise at row {backwards[0] + 2} of its data; {remedy}."
        )
    rate_hz = timecode.rate_of(times)
    if rate_hz is None or rate_hz > _MAX_RATE_HZ:
        raise InputError(f"the timecodes of {path} make no sensible rate; {remedy}.")
    return _on_grid(values, times, rate_hz)


def _on_grid(values: Floats, times_s: npt.NDArray[np.float64], rate_hz: float) -> Motion:
    """Rows at any times as an even motion that starts with the first one."""
    places = (times_s - times_s[0]) * rate_hz
    nearest = np.rint(places)
    even = np.array_equal(nearest, np.arange(len(values))) and np.abs(places - nearest).max() < 0.25
    if even:
        return Motion(values, rate_hz)
    count = int(nearest[-1]) + 1
    if count > 10 * len(values) + 100:
        raise InputError(
            f"the recording has gaps of {places[-1] / rate_hz:.0f} s around {len(values)} rows; "
            "cut it at the gaps."
        )
    filled = [np.interp(np.arange(count), places, column) for column in values.T]
    return Motion(np.stack(filled, axis=1).astype(np.float32), rate_hz)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of all lines that are not blank."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; expected a Live Link Face CSV file.")
    try:
        # utf-8-sig: tables saved by spreadsheet programs begin with a byte order mark.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file: {error}.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def _find_columns(path: Path, header: list[str]) -> dict[str, int]:
    """Lower-case column name -> position. Raises InputError for doubled and missing columns."""
    columns: dict[str, int] = {}
    for position, cell in enumerate(header):
        name = cell.strip().lower()
        if name in columns:
            raise InputError(f"{path} has the column {cell.strip()} twice.")
        if name:
            columns[name] = position
    missing = [name for name in _COLUMNS if name.lower() not in columns]
    if missing:
        shown = ", ".join(missing[:5]) + (" and others" if len(missing) > 5 else "")
        raise InputError(
            f"{path} lacks {len(missing)} of the {COEFFICIENTS} coefficient columns of Live Link "
            f"Face: {shown}."
        )
    return columns


def _face_was_lost(cells: list[str], columns: dict[str, int]) -> bool:
    """Live Link Face writes a count of 0 and no values while it sees no face."""
    count = columns.get(_COUNT.lower())
    return count is not None and cells[count].strip() == "0"


@dataclass(frozen=True)
class _Target:
    """Where a column goes: motion frame[place] = factor * number, which must be low..high."""

    name: str
    place: int
    factor: float
    low: float
    high: float
    hint: str


def _targets(columns: dict[str, int], degrees: bool) -> list[_Target]:
    """The columns to read: all coefficients, and of the head's those that are there."""
    limits = (-_OVERSHOOT, 1 + _OVERSHOOT, "expected 0 to 1")
    targets = [_Target(name, place, 1.0, *limits) for place, name in enumerate(_COLUMNS)]
    unit = math.pi / 180 if degrees else 1.0
    hint = "expected at most 180 degrees" if degrees else "if it is in degrees, say --degrees"
    turn = _HEAD_LIMIT / unit
    head = [_Target(name, place, sign * unit, -turn, turn, hint) for name, place, sign in _HEAD]
    hint = "expected inter-ocular distances"
    head += [_Target(name, at, 1.0, -_SHIFT_LIMIT, _SHIFT_LIMIT, hint) for name, at in _SHIFT]
    return targets + [target for target in head if target.name.lower() in columns]


def _number(text: str) -> float:
    """The number in a cell, NaN when there is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _frames(
    path: Path, numbers: npt.NDArray[np.float64], lines: list[int], targets: list[_Target]
) -> Floats:
    """Motion frames float32 [T, 58] of numbers [T, columns]; InputError names the first bad one."""
    low, high = (np.array([getattr(target, end) for target in targets]) for end in ("low", "high"))
    # Written so that NaN is bad too.
    bad = np.argwhere(~((numbers >= low) & (numbers <= high)))
    if len(bad):
        row, column = bad[0]
        target, value = targets[column], numbers[row, column]
        problem = f"{value:g} is too far; {target.hint}" if np.isfinite(value) else "not a number"
        raise InputError(f"{path}, line {lines[row]}, column {target.name}: {problem}.")
    frames = np.zeros((len(numbers), MOTION_SIZE), np.float32)
    factors = np.array([target.factor for target in targets])
    # Adding zero turns -0.0 into 0.0.
    frames[:, [target.place for target in targets]] = numbers * factors + 0.0
    frames[:, :COEFFICIENTS] = np.clip(frames[:, :COEFFICIENTS], 0.0, 1.0)
    return frames


def _timecode(
    path: Path, line: int, cells: list[str], columns: dict[str, int]
) -> timecode.Timecode:
    place = columns.get(_TIMECODE.lower())
    if place is None:
        raise InputError(
            f"{path} has no Timecode column; say how many rows make a second (--motion-fps)."
        )
    code = timecode.parse(cells[place])
    if code is None:
        raise InputError(
            f"{path}, line {line}, column {_TIMECODE}: {cells[place]!r} is not a timecode; "
            "expected HH:MM:SS:FF.fff."
        )
    return code


def _eye_angles(frame: Floats) -> list[np.float32]:
    """Yaw, pitch and roll of the left and right eye in radians, signs as the head's columns."""

    def look(name: str) -> float:
        return float(frame[INDEX[f"eyeLook{name}"]])

    # Yaw > 0 turns to the image right, the subject's left: out for the left eye, in for the right.
    turns = (
        (look("OutLeft") - look("InLeft"), look("UpLeft") - look("DownLeft")),
        (look("InRight") - look("OutRight"), look("UpRight") - look("DownRight")),
    )
    angles = [(yaw * FULL_LOOK_RAD, pitch * FULL_LOOK_RAD, 0.0) for yaw, pitch in turns]
    return [np.float32(angle + 0.0) for eye in angles for angle in eye]
