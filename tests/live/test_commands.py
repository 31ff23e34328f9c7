"""The commands of a running daemon: what is accepted, and what is said to everything else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_cam.errors import InputError
from vasa_cam.live.commands import VERBS, check_command, slot

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_good_commands_come_back_complete() -> None:
    for message, checked in (
        ({"command": "pause"}, {"command": "pause"}),
        ({"command": "panic"}, {"command": "panic"}),
        ({"command": "panic", "mode": "black"}, {"command": "panic", "mode": "black"}),
        ({"command": "gaze", "x": 10, "y": -5}, {"command": "gaze", "x": 10.0, "y": -5.0}),
        (
            {"command": "emotion", "name": "happy"},
            {"command": "emotion", "name": "happy", "amount": 1.0},
        ),
        ({"command": "mirror", "on": False}, {"command": "mirror", "on": False}),
    ):
        assert check_command(message) == checked


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ([], "JSON object"),
        ({}, "no command None"),
        ({"command": "gase", "x": 1, "y": 1}, "did you mean gaze?"),
        ({"command": ["gaze"]}, "no command"),
        ({"command": "gaze", "x": 1}, "gaze needs y"),
        ({"command": "gaze", "x": "1", "y": 1}, "x must be a number"),
        ({"command": "gaze", "x": True, "y": 1}, "x must be a number"),
        ({"command": "gaze", "x": 90, "y": 1}, "x must be -35 to 35, got 90"),
        ({"command": "gaze", "x": float("nan"), "y": 1}, "x must be -35 to 35"),
        ({"command": "gaze", "x": 10**400, "y": 1}, "x must be -35 to 35"),
        ({"command": "gaze", "x": 1, "y": 1, "z": 1}, "gaze has no 'z'"),
        ({"command": "panic", "mode": "run"}, "one of freeze, photo, black, real-camera"),
        ({"command": "emotion", "name": "bored"}, "one of neutral"),
        ({"command": "mirror", "on": "yes"}, "true or false"),
        ({"command": "avatar", "path": ""}, "path must be a text"),
        ({"command": "avatar", "path": "a\0b"}, "path must be a text"),
        ({"command": "avatar", "path": "a" * 10_000}, "path must be a text"),
        ({"command": "pause", "now": True}, "it takes nothing"),
    ],
)
def test_others_are_refused_in_one_sentence(message: object, says: str) -> None:
    with pytest.raises(InputError) as caught:
        check_command(message)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300


@given(_JSON | st.fixed_dictionaries({"command": st.sampled_from(sorted(VERBS))}, optional={
    "x": _JSON, "y": _JSON, "value": _JSON, "name": _JSON, "mode": _JSON, "path": _JSON,
    "on": _JSON, "part": _JSON, "spec": _JSON, "amount": _JSON,
}))  # fmt: skip
def test_no_message_makes_it_fail_in_another_way(message: object) -> None:
    try:
        checked = check_command(message)
    except InputError:
        return
    assert check_command(checked) == checked
    json.dumps(checked, allow_nan=False)
    slot(checked)


def test_a_web_page_reaches_no_file() -> None:
    for message in (
        {"command": "avatar", "path": "/etc/passwd"},
        {"command": "background", "spec": "/etc/passwd"},
        {"command": "background", "spec": "#12345"},
    ):
        check_command(message)
        with pytest.raises(InputError):
            check_command(message, from_web=True)
    for spec in ("photo", "blur", "transparent", "#1e88e5"):
        check_command({"command": "background", "spec": spec}, from_web=True)


def test_which_commands_replace_each_other() -> None:
    same = [("pause", "resume"), ("mute", "unmute"), ("panic", "calm")]
    for one, other in same:
        assert slot({"command": one}) == slot({"command": other}) is not None
    lips, head = ({"command": "expressiveness", "part": part} for part in ("lips", "head"))
    assert slot(lips) != slot(head)
    for name in ("status", "avatar", "stop"):
        assert slot({"command": name}) is None
