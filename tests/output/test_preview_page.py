"""The preview page and the browser source in headless Chromium, fed by the real daemon."""

from __future__ import annotations

import http.server
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from browser import Page, browser

from vasa_cam.avatar.file import load_avatar
from vasa_cam.live.config import LiveConfig
from vasa_cam.live.session import Session, live_session

SEQUENCE = "Number(document.documentElement.dataset.sequence)"


def settings() -> LiveConfig:
    """Silence, a small picture, the preview and nothing else."""
    whole = LiveConfig()
    return replace(
        whole,
        audio=replace(whole.audio, source="silence"),
        video=replace(whole.video, width_px=320, height_px=180, fps=25),
        outputs=replace(whole.outputs, webcam=False),
        control=replace(whole.control, enabled=False),
    )


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with resources.as_file(resources.files("vasa_cam") / "assets/astronaut.vasa") as path:
        avatar = load_avatar(path)
    with live_session(settings(), avatar) as session:
        thread = threading.Thread(target=session.daemon.run)
        thread.start()
        yield session
        session.daemon.stop()
        thread.join()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(tab: Page, caplog: pytest.LogCaptureFixture) -> Iterator[Page]:
    """The tab, emptied; no test may leave an error in its console or in the server's log."""
    tab.go("about:blank")
    tab.value("0")
    tab.problems.clear()
    tab.size(1280, 900)
    yield tab
    tab.value("0")
    errors = [one for one in caplog.get_records("call") if one.levelno >= logging.ERROR]
    assert not [*tab.problems, *(one.getMessage() + (one.exc_text or "") for one in errors)]


def open_page(page: Page, session: Session) -> None:
    assert session.preview is not None
    page.go(session.preview.url)
    page.wait(f"{SEQUENCE} > 0")


def plays(page: Page) -> None:
    """Pictures go on coming."""
    first = page.wait(SEQUENCE)
    page.wait(f"{SEQUENCE} > {first} + 10")


def reaches(page: Page, session: Session, **wanted: object) -> None:
    """The daemon's controls become these."""
    for _ in range(1200):
        told = session.daemon.status()["state"]["controls"]
        if wanted.items() <= told.items():
            return
        page.value("new Promise((done) => setTimeout(done, 50))")
    raise AssertionError(f"expected {wanted}, got {told}")


def test_the_page_plays_and_shows_its_figures(page: Page, session: Session) -> None:
    open_page(page, session)
    plays(page)
    assert session.preview is not None
    assert page.value("location.href") == f"http://127.0.0.1:{session.preview.port}/"
    assert page.wait("document.querySelector('#connection').textContent") == "live"
    for figure in ("fps", "latency", "end-to-end", "delay", "repeated", "cores"):
        page.wait(f"/^[0-9.]+$/.test(document.getElementById('{figure}').textContent)")
    levels = page.value(
        "(() => { const c = document.getElementById('picture');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return [c.width, c.height, Math.max(...d.filter((v, i) => i % 4 === 0)),"
        "Math.min(...d.filter((v, i) => i % 4 === 0))]; })()"
    )
    assert levels[:2] == [320, 180] and levels[2] > 150 and levels[3] < 50


def test_every_control_has_a_name(page: Page, session: Session) -> None:
    """What a screen reader would say."""
    open_page(page, session)
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "slider", "combobox", "radio", "ColorWell", "image", "radiogroup"}
    seen = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles
    ]
    assert {"button", "slider", "combobox", "radio"} <= {role for role, _ in seen}
    nameless = [role for role, name in seen if not name]
    assert len(seen) > 20 and not nameless


def test_buttons_and_sliders_reach_the_daemon(page: Page, session: Session) -> None:
    open_page(page, session)
    page.slide("#gaze-x", 20)
    page.slide("#lips", 1.5)
    page.slide("#emotion-amount", 0.4)
    page.click("input[value=happy] + span")
    page.click("#pause")
    page.click("#mute")
    page.wait("document.querySelector('#pause').getAttribute('aria-pressed') === 'true'")
    page.wait("document.querySelector('#on-air').textContent === 'paused · muted'")
    reaches(page, session, gaze_deg=[20.0, 0.0], lips=1.5, emotion={"happy": 0.4})
    # Another page finds everything where it stands.
    open_page(page, session)
    page.wait("document.querySelector('#gaze-x').value === '20'")
    page.wait("document.querySelector('#lips').value === '1.5'")
    page.wait("document.querySelector('input[value=happy]').checked")
    page.click("#pause")
    page.click("#mute")
    page.click("#centre")
    page.click("#natural")
    page.wait("document.querySelector('#on-air').hidden")
    reaches(page, session, gaze_deg=[0.0, 0.0], lips=1.0)


def test_the_pad_is_a_mirror_in_the_mirror(page: Page, session: Session) -> None:
    open_page(page, session)
    page.value("document.querySelector('#gaze-pad').scrollIntoView()")
    box = page.value(
        "(() => { const b = document.querySelector('#gaze-pad').getBoundingClientRect();"
        "return [b.x, b.y, b.width, b.height]; })()"
    )

    def press(part_x: float, part_y: float) -> None:
        x, y = box[0] + part_x * box[2], box[1] + part_y * box[3]
        for kind in ("mousePressed", "mouseReleased"):
            page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    press(0.75, 0.25)
    page.wait("document.querySelector('#gaze-x').value > 15")
    assert page.value("Number(document.querySelector('#gaze-y').value)") == pytest.approx(17, abs=2)
    page.value("document.querySelector('#mirror').click()")
    page.wait("document.querySelector('.screen').classList.contains('mirrored')")
    press(0.75, 0.25)
    page.wait("document.querySelector('#gaze-x').value < -15")
    page.value("document.querySelector('#mirror').click()")
    page.wait("!document.querySelector('.screen').classList.contains('mirrored')")
    page.click("#centre")


def test_panic_turns_the_picture_black(page: Page, session: Session) -> None:
    open_page(page, session)
    middle = (
        "(() => { const c = document.getElementById('picture');"
        "return [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data]; })()"
    )
    page.value("document.querySelector('#panic-mode').value = 'black'")
    page.click("#panic")
    page.wait(f"{middle}.slice(0, 3).every((level) => level < 8)")
    page.wait("document.querySelector('#on-air').textContent === 'panic: black'")
    page.click("#panic")
    page.wait(f"{middle}.slice(0, 3).some((level) => level > 40)")


def test_the_background_becomes_a_colour(page: Page, session: Session) -> None:
    open_page(page, session)
    corner = (
        "(() => { const c = document.getElementById('picture');"
        "return [...c.getContext('2d').getImageData(4, 4, 1, 1).data].slice(0, 3); })()"
    )
    page.value(
        "(() => { const c = document.querySelector('#colour'); c.value = '#20c040';"
        "c.dispatchEvent(new Event('input')); })()"
    )
    page.wait(f"{corner}.every((level, i) => Math.abs(level - [32, 192, 64][i]) < 12)")
    assert page.value("document.querySelector('#background').value") == "colour"
    page.value(
        "(() => { const s = document.querySelector('#background'); s.value = 'photo';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    page.wait(f"!{corner}.every((level, i) => Math.abs(level - [32, 192, 64][i]) < 40)")


def source(page: Page, session: Session) -> None:
    assert session.preview is not None
    page.size(320, 180)
    page.go(session.preview.obs_url)
    page.wait(f"{SEQUENCE} > 0")


def test_the_browser_source_is_transparent(page: Page, session: Session) -> None:
    """As OBS sees it: nothing around the person, all of the person, soft edges between."""
    source(page, session)
    plays(page)
    shown = page.screenshot(transparent=True)
    assert shown.shape == (180, 320, 4)
    assert not shown[:20, :20].any() and not shown[:20, -20:].any()
    assert (shown[80:100, 150:170, 3] == 255).all()
    assert 0.1 < np.mean(shown[..., 3] == 255) < 0.8
    assert np.mean((shown[..., 3] > 20) & (shown[..., 3] < 235)) > 0.001
    # Over a colour that is in no face.
    magenta = {"r": 255, "g": 0, "b": 255, "a": 1}
    page.call("Emulation.setDefaultBackgroundColorOverride", color=magenta)
    over = page.screenshot()
    assert (over[:20, :20] == [255, 0, 255, 255]).all()
    inside = over[80:100, 150:170, :3].astype(int)
    assert np.abs(inside - [255, 0, 255]).sum(axis=2).min() > 60
    page.call("Emulation.setDefaultBackgroundColorOverride")


def test_a_control_moves_the_avatar(page: Page, session: Session) -> None:
    """Farther away is smaller: seen in the browser source's own pixels."""
    source(page, session)

    def covered() -> float:
        return float(np.mean(page.screenshot(transparent=True)[..., 3] > 128))

    near = covered()
    page.size(1280, 900)
    open_page(page, session)
    page.slide("#distance", 1.8)
    reaches(page, session, distance=1.8)
    source(page, session)
    plays(page)
    far = covered()
    page.size(1280, 900)
    open_page(page, session)
    page.slide("#distance", 1)
    reaches(page, session, distance=1.0)
    assert far < 0.75 * near


def test_without_the_key_the_page_says_what_to_do(page: Page, session: Session) -> None:
    assert session.preview is not None
    page.go(f"http://localhost:{session.preview.port}/")
    page.wait("document.querySelector('#cover').textContent.includes('Open the link')")
    page.wait("document.querySelector('#connection').textContent === 'no connection'")
    page.go("about:blank")
    page.problems.clear()  # the browser itself reports each refused socket


def test_the_page_comes_back_after_a_pause_of_the_server(page: Page, session: Session) -> None:
    assert session.preview is not None
    open_page(page, session)
    session.preview.close()
    page.wait("document.querySelector('#cover').hidden === false")
    session.preview.open()
    page.wait("document.querySelector('#cover').hidden === true")
    plays(page)
    page.problems.clear()  # connections that were refused meanwhile


class OtherSite(http.server.BaseHTTPRequestHandler):
    """A page of somebody else on this machine."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>other</title>")

    def log_message(self, *_: object) -> None:
        pass


def test_another_page_in_the_same_browser_gets_nothing(page: Page, session: Session) -> None:
    """Not even one that somehow knows the token."""
    assert session.preview is not None
    port, token = session.preview.port, session.preview.token
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OtherSite) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page.go(f"http://127.0.0.1:{other.server_address[1]}/")
        base = f"127.0.0.1:{port}"
        tries = page.value(
            "(async () => {"
            "const socket = (path) => new Promise((done) => {"
            f"  const s = new WebSocket('ws://{base}' + path);"
            "  s.onopen = () => done('open'); s.onclose = () => done('refused'); });"
            "const load = (path) => new Promise((done) => {"
            f"  const i = new Image(); i.src = 'http://{base}' + path;"
            "  i.onload = () => done('shown'); i.onerror = () => done('refused'); });"
            "const ask = (path, options) => "
            f"  fetch('http://{base}' + path, options).then((r) => r.type + r.status,"
            "    () => 'refused');"
            "const frame = (path) => new Promise((done) => {"
            f"  const f = document.createElement('iframe'); f.src = 'http://{base}' + path;"
            "  f.onload = () => { try { done(f.contentDocument ? 'mine' : 'refused'); }"
            "    catch { done('refused'); } };"
            "  document.body.append(f); });"
            f"const key = '?token={token}';"
            "return [await socket('/frames' + key), await socket('/control' + key),"
            "  await load('/stream.mjpg' + key), await load('/page/icon.svg'),"
            "  await ask('/metrics' + key), await ask('/control' + key, {method: 'POST',"
            "  body: '{\"command\": \"pause\"}', headers: {'Content-Type': 'application/json'}}),"
            "  await frame('/' + key)]; })()"
        )
        other.shutdown()
    assert tries == ["refused"] * 7
    assert not session.daemon.status()["state"]["paused"]
    page.go("about:blank")
    page.problems.clear()


def test_what_it_looks_like(page: Page, session: Session, tmp_path: Path) -> None:
    """Nothing sticks out, at the width of a screen and of a telephone."""
    open_page(page, session)
    for width in (1440, 1000, 380):
        page.size(width, 900)
        page.wait(f"document.documentElement.clientWidth === {width}")
        assert page.value("document.documentElement.scrollWidth") <= width
        page.screenshot(tmp_path / f"{width}.png")
