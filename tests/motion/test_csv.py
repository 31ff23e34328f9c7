"""Live Link Face CSV: round trips to the same bits, real recordings' habits, and every bad file."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vasa_cam.errors import InputError
from vasa_cam.motion.csv import read_motion_csv, write_motion_csv
from vasa_cam.motion.space import ARKIT_NAMES, INDEX, MOTION_SIZE, Motion

# The header of a recording by the app itself, in its order; typed here, not taken from the code.
REAL_HEADER_LINE = (
    "Timecode,BlendshapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,"
    "EyeLookUpLeft,EyeSquintLeft,EyeWideLeft,EyeBlinkRight,EyeLookDownRight,EyeLookInRight,"
    "EyeLookOutRight,EyeLookUpRight,EyeSquintRight,EyeWideRight,JawForward,JawRight,JawLeft,"
    "JawOpen,MouthClose,MouthFunnel,MouthPucker,MouthRight,MouthLeft,MouthSmileLeft,"
    "MouthSmileRight,MouthFrownLeft,MouthFrownRight,MouthDimpleLeft,MouthDimpleRight,"
    "MouthStretchLeft,MouthStretchRight,MouthRollLower,MouthRollUpper,MouthShrugLower,"
    "MouthShrugUpper,MouthPressLeft,MouthPressRight,MouthLowerDownLeft,MouthLowerDownRight,"
    "MouthUpperUpLeft,MouthUpperUpRight,BrowDownLeft,BrowDownRight,BrowInnerUp,BrowOuterUpLeft,"
    "BrowOuterUpRight,CheekPuff,CheekSquintLeft,CheekSquintRight,NoseSneerLeft,NoseSneerRight,"
    "TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,"
    "RightEyePitch,RightEyeRoll"
)
REAL_HEADER = REAL_HEADER_LINE.split(",")

unit = st.floats(0.0, 1.0, width=32)
anything = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def motions(draw: st.DrawFn, rows: st.SearchStrategy[int]) -> np.ndarray:
    count = draw(rows)
    weights = draw(hnp.arrays(np.float32, (count, 52), elements=unit))
    head = draw(hnp.arrays(np.float32, (count, 3), elements=st.floats(-3.125, 3.125, width=32)))
    shift = draw(hnp.arrays(np.float32, (count, 3), elements=st.floats(-10.0, 10.0, width=32)))
    return np.concatenate([weights, head, shift], axis=1)


@anything
@given(frames=motions(st.integers(1, 12)), rate=st.sampled_from([24.0, 25.0, 30_000 / 1001, 60.0]))
def test_any_motion_reads_back_to_the_same_bits(
    tmp_path: Path, frames: np.ndarray, rate: float
) -> None:
    path = tmp_path / "track.csv"
    write_motion_csv(path, Motion(frames, rate))
    again = read_motion_csv(path, rate_hz=rate)
    assert again.rate_hz == rate
    assert np.array_equal(again.frames, frames)


@anything
@given(
    rate=st.one_of(
        st.integers(2, 120).map(float), st.integers(4, 120).map(lambda n: n * 1000 / 1001)
    ),
    seconds=st.floats(2.2, 12.0),
)
def test_the_rate_is_read_from_the_timecodes(tmp_path: Path, rate: float, seconds: float) -> None:
    path = tmp_path / "track.csv"
    count = math.ceil(rate * seconds)
    frames = np.zeros((count, MOTION_SIZE), np.float32)
    frames[:, INDEX["jawOpen"]] = np.arange(count) / count
    write_motion_csv(path, Motion(frames, rate))
    again = read_motion_csv(path)
    assert again.rate_hz == pytest.approx(rate, rel=1e-4)
    assert np.array_equal(again.frames, frames)


def table(path: Path, rows: list[dict[str, object]], header: list[str] = REAL_HEADER) -> Path:
    """A CSV with zeros where a row names no value."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, header, restval="0")
        writer.writeheader()
        for row in rows:
            writer.writerow({"BlendshapeCount": "61", **row})
    return path


def stamps(count: int, per_second: int = 60, first: int = 30) -> list[str]:
    """Timecodes as the app writes them: a time of day, frames with a fraction."""
    at = [divmod(first + k, per_second) for k in range(count)]
    return [f"14:03:{50 + second:02d}:{frame:02d}.207" for second, frame in at]


def test_the_header_we_write_begins_with_the_real_one(tmp_path: Path) -> None:
    write_motion_csv(tmp_path / "t.csv", Motion(np.zeros((1, MOTION_SIZE), np.float32)))
    header = (tmp_path / "t.csv").read_text().splitlines()[0].split(",")
    assert header == [*REAL_HEADER, "HeadX", "HeadY", "HeadZ"]


def test_a_recording_of_the_app(tmp_path: Path) -> None:
    rows = [
        {"Timecode": stamp, "JawOpen": k / 200, "HeadYaw": 0.1, "HeadPitch": -0.2, "HeadRoll": 0.3}
        for k, stamp in enumerate(stamps(120))
    ]
    motion = read_motion_csv(table(tmp_path / "take.csv", rows))
    assert motion.rate_hz == 60.0
    assert motion.frames[:, INDEX["jawOpen"]] == pytest.approx(np.arange(120) / 200, abs=1e-6)
    # Yaw = -ry, Pitch = -rx, Roll = -rz; no translation in such files.
    assert motion.frames[0, 52:] == pytest.approx([0.2, -0.1, -0.3, 0, 0, 0], abs=1e-6)


def test_degrees(tmp_path: Path) -> None:
    rows = [{"Timecode": s, "HeadYaw": 18.0, "HeadPitch": -9} for s in stamps(70)]
    path = table(tmp_path / "take.csv", rows)
    motion = read_motion_csv(path, degrees=True)
    assert motion.frames[3, 52:55] == pytest.approx(np.radians([9, -18, 0]), abs=1e-6)
    with pytest.raises(InputError, match="--degrees"):
        read_motion_csv(path)


def test_any_order_case_and_extra_columns(tmp_path: Path) -> None:
    header = [name.lower() for name in reversed(REAL_HEADER)] + ["note"]
    rows = [{"timecode": s, "jawopen": 0.25, "tongueout": 1, "note": "x"} for s in stamps(70)]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, header, restval="0", lineterminator="\r\n\r\n")
        writer.writeheader()
        writer.writerows({"blendshapecount": 61, **row} for row in rows)
    motion = read_motion_csv(tmp_path / "t.csv")
    want = np.zeros(52)
    want[[ARKIT_NAMES.index("jawOpen"), ARKIT_NAMES.index("tongueOut")]] = 0.25, 1.0
    assert np.allclose(motion.frames[:, :52], want)


def test_lost_rows_and_lost_faces_are_interpolated(tmp_path: Path) -> None:
    rows = [{"Timecode": s, "JawOpen": k / 200} for k, s in enumerate(stamps(150))]
    del rows[70:80]
    header_and_rows = table(tmp_path / "t.csv", rows).read_text().splitlines()
    blank = header_and_rows[11].split(",")[0] + ",0" + "," * 61
    header_and_rows[11] = blank
    (tmp_path / "t.csv").write_text("\n".join(header_and_rows))
    motion = read_motion_csv(tmp_path / "t.csv")
    assert motion.rate_hz == 60.0
    assert motion.frames[:, INDEX["jawOpen"]] == pytest.approx(np.arange(150) / 200, abs=1e-5)


def test_small_overshoot_is_clipped(tmp_path: Path) -> None:
    rows = [{"Timecode": s, "JawOpen": 1.03, "CheekPuff": -0.02} for s in stamps(70)]
    motion = read_motion_csv(table(tmp_path / "t.csv", rows))
    assert motion.frames[0, INDEX["jawOpen"]] == 1.0
    assert motion.frames[0, INDEX["cheekPuff"]] == 0.0


@pytest.mark.parametrize("form", ["{:.6f}", "00:00:{:09.6f}"])
def test_times_in_seconds_are_understood(tmp_path: Path, form: str) -> None:
    rows = [{"Timecode": form.format(k / 40)} for k in range(60)]
    assert read_motion_csv(table(tmp_path / "t.csv", rows)).rate_hz == 40.0


def test_eye_angles_follow_the_coefficients(tmp_path: Path) -> None:
    frames = np.zeros((1, MOTION_SIZE), np.float32)
    frames[0, [INDEX["eyeLookOutLeft"], INDEX["eyeLookInRight"]]] = 1.0  # both to the image right
    frames[0, [INDEX["eyeLookDownLeft"], INDEX["eyeLookDownRight"]]] = 0.5
    write_motion_csv(tmp_path / "t.csv", Motion(frames))
    row = next(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    for side in ("Left", "Right"):
        assert float(row[f"{side}EyeYaw"]) == pytest.approx(math.radians(35), abs=1e-6)
        assert float(row[f"{side}EyePitch"]) == pytest.approx(math.radians(-17.5), abs=1e-6)


def refuse(path: Path, *words: str, **options: object) -> None:
    """Reading must raise one sentence that names the file and holds the words."""
    with pytest.raises(InputError) as caught:
        read_motion_csv(path, **options)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    header = [name for name in REAL_HEADER if name not in ("JawOpen", "TongueOut")]
    rows = [{"Timecode": s} for s in stamps(70)]
    refuse(table(tmp_path / "t.csv", rows, header), "lacks 2", "JawOpen", "TongueOut")
    (tmp_path / "other.csv").write_text("time,x,y\n0,1,2\n")
    refuse(tmp_path / "other.csv", "lacks 52", "EyeBlinkLeft", "and others")


@pytest.mark.parametrize("text", ["abc", "", "nan", "inf", "-inf", "1,5", "0x1p3"])
def test_bad_numbers_name_line_and_column(tmp_path: Path, text: str) -> None:
    rows = [{"Timecode": s} for s in stamps(70)]
    rows[4]["MouthFunnel"] = text
    refuse(table(tmp_path / "t.csv", rows), "line 6", "MouthFunnel", "not a number")


def test_percent_is_not_taken_for_a_fraction(tmp_path: Path) -> None:
    rows = [{"Timecode": s, "JawOpen": 40} for s in stamps(70)]
    refuse(table(tmp_path / "t.csv", rows), "line 2", "JawOpen", "expected 0 to 1")


def test_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    refuse(path, "does not exist")
    path.write_bytes(b"")
    refuse(path, "lacks 52")
    path.write_bytes(np.random.default_rng(0).bytes(3000))
    refuse(path)
    table(path, [])
    refuse(path, "no row")
    table(path, [{"Timecode": s} for s in stamps(10, first=0)])
    refuse(path, "do not tell its rate", "--motion-fps")
    assert read_motion_csv(path, rate_hz=60).duration_s == pytest.approx(1 / 6)
    swapped = stamps(70)
    swapped[20], swapped[21] = swapped[21], swapped[20]
    table(path, [{"Timecode": s} for s in swapped])
    refuse(path, "do not rise at row 22")
    table(path, [{"Timecode": "noon"}])
    refuse(path, "line 2", "Timecode", "'noon'")
    path.write_text(",".join(REAL_HEADER) + "\n00:00:00:00,61,0,0\n")
    refuse(path, "line 2", "4 cells")
    path.write_text(",".join([*REAL_HEADER, "JawOpen"]) + "\n")
    refuse(path, "JawOpen twice")
    table(path, [{"Timecode": "00:00:00.000"}, {"Timecode": "20:00:00.000"}, {"Timecode": "21:00"}])
    refuse(path, "line 4")
    refuse(path, "out of range", rate_hz=0.0)


def test_a_missing_folder_or_full_disk_leaves_nothing(tmp_path: Path) -> None:
    motion = Motion(np.zeros((3, MOTION_SIZE), np.float32))
    with pytest.raises(InputError, match="nowhere does not exist; create it"):
        write_motion_csv(tmp_path / "nowhere" / "track.csv", motion)
    assert not list(tmp_path.iterdir())


@anything
@given(data=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused_never_worse(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "fuzz.csv"
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_motion_csv(path)


@anything
@given(
    seed=st.integers(0, 2**32 - 1),
    hits=st.integers(1, 20),
    text=st.text(st.characters(codec="utf-8"), max_size=6),
)
def test_a_damaged_recording_is_read_or_refused_never_worse(
    tmp_path: Path, seed: int, hits: int, text: str
) -> None:
    path = table(tmp_path / "fuzz.csv", [{"Timecode": s} for s in stamps(65)])
    content = path.read_text()
    for place in np.random.default_rng(seed).integers(0, len(content), hits):
        content = content[:place] + text + content[place + 1 :]
    path.write_text(content, encoding="utf-8")
    try:
        motion = read_motion_csv(path)
    except InputError as error:
        assert len(str(error)) < 1000
        return
    weights = motion.frames[:, :52]
    assert np.isfinite(motion.frames).all() and weights.min() >= 0 and weights.max() <= 1
