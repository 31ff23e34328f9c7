"""Live settings: every default shown is read back, and every mistake is told in one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.errors import InputError
from vasa_cam.live.config import LiveConfig, VideoSettings
from vasa_cam.live.config_file import override, parse_config, read_config, to_toml

# Lone surrogates are no text that a file could hold; NUL and controls are fine.
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def _values(about: Mapping[str, Any], kind: str) -> st.SearchStrategy[Any]:
    """Anything a field of this type may hold within its limits."""
    low, high = about["limits"] or (0, 0)
    if about["choices"]:
        return st.sampled_from(about["choices"])
    if kind == "bool":
        return st.booleans()
    if kind == "int":
        return st.integers(int(low), int(high))
    if kind == "float":
        return st.floats(low, high, allow_subnormal=False)
    if kind == "tuple[int, ...]":
        return st.lists(st.integers(int(low), int(high)), max_size=4).map(tuple)
    if kind == "str | None":
        return st.none() | _TEXTS
    return _TEXTS


@st.composite
def _configs(draw: st.DrawFn) -> LiveConfig:
    sections = {}
    for one in fields(LiveConfig):
        section = getattr(LiveConfig(), one.name)
        chosen = {
            each.name: draw(_values(each.metadata, str(each.type))) for each in fields(section)
        }
        for side in ("width_px", "height_px"):
            if side in chosen:
                chosen[side] -= chosen[side] % 2
        sections[one.name] = replace(section, **chosen)
    return LiveConfig(**sections)


@given(_configs())
def test_what_is_shown_is_read_back_the_same(config: LiveConfig) -> None:
    assert parse_config(to_toml(config)) == config


@given(st.text(max_size=200))
def test_no_text_makes_it_fail_in_another_way(text: str) -> None:
    try:
        config = parse_config(text)
    except InputError as error:
        assert str(error)
    else:
        assert isinstance(config, LiveConfig)


def test_every_setting_has_a_unit_and_an_explanation() -> None:
    shown = to_toml(LiveConfig())
    for one in fields(LiveConfig):
        section = getattr(LiveConfig(), one.name)
        assert one.name == section.TABLE
        assert f"\n[{one.name}]\n" in f"\n{shown}"
        for each in fields(section):
            assert each.metadata["unit"] and each.metadata["note"], each.name
            assert each.metadata["unit"] in shown


def test_a_file_changes_what_it_names_only(tmp_path: Path) -> None:
    path = tmp_path / "live.toml"
    path.write_text(
        "[video]\nfps = 25\nbackground = '#102030'\n[motion]\nhead = 1\n"
        '[outputs]\nrecord = ""\n[performance]\ncpu_cores = [0, 1]\n',
        encoding="utf-8",
    )
    config = read_config(path)
    assert config.video == replace(VideoSettings(), fps=25, background="#102030")
    assert config.motion.head == 1.0 and isinstance(config.motion.head, float)
    assert config.outputs.record is None
    assert config.performance.cpu_cores == (0, 1)
    assert config.audio == LiveConfig().audio


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[vidoe]\nfps = 30", "no table [vidoe]; did you mean video?"),
        ("[video]\nfsp = 30", "[video] has no setting fsp; did you mean fps?"),
        ("[video]\nzzzzzz = 30", "there are width_px, height_px"),
        ("video = 3", "write [video]"),
        ("[video]\nfps = '30'", "video.fps must be a whole number (frames a second), got '30'"),
        ("[video]\nfps = 29.97", "must be a whole number"),
        ("[video]\nfps = true", "must be a whole number"),
        ("[video]\nmirror = 1", "must be true or false"),
        ("[video]\nfps = 0", "must be 1 to 60 (frames a second), got 0"),
        ("[video]\nwidth_px = 641", "must be even"),
        ("[motion]\nhead = nan", "motion.head must be 0 to 3"),
        ("[motion]\nhead = inf", "motion.head must be 0 to 3"),
        ("[motion]\nhead = 1" + "0" * 400, "motion.head must be 0 to 3"),
        ("[motion]\nemotion = 'bored'", "must be one of neutral, happy"),
        ("[safety]\npanic = 'hide'", "must be one of freeze"),
        ("[performance]\ncpu_cores = [0, 'a']", "a list of whole numbers"),
        ("[performance]\ncpu_cores = [-1]", "0 to 1023"),
        ("[audio]\nsource = ['mic']", "a text in quotes"),
        ("fps = ", "not valid TOML"),
        ("[video]\nfps = 25\nfps = 30", "not valid TOML"),
        ("a = " + "[" * 5000, "TOML"),
    ],
)
def test_mistakes_are_told_in_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "live.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_config(path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 400


def test_files_that_are_no_settings(tmp_path: Path) -> None:
    (tmp_path / "picture.toml").write_bytes(b"\xff\xd8\xff\xe0" * 100)
    (tmp_path / "large.toml").write_text("#" * (2 << 20))
    for name, says in (
        ("none.toml", "No such file"),
        ("picture.toml", "no text"),
        ("large.toml", "too large"),
        (".", "directory"),
    ):
        with pytest.raises(InputError, match=says):
            read_config(tmp_path / name)


def test_options_override_and_are_checked_alike() -> None:
    config = parse_config("[video]\nfps = 25")
    assert override(config, {"video.fps": None}) == config
    changed = override(config, {"video.fps": 60, "motion.seed": 3})
    assert (changed.video.fps, changed.motion.seed) == (60, 3)
    assert replace(changed, motion=config.motion, video=config.video) == config
    with pytest.raises(InputError, match=r"video\.fps must be 1 to 60"):
        override(config, {"video.fps": 61})
    with pytest.raises(InputError):
        replace(config.motion, head=math.nan)
