"""The stack of images in a real browser: keys, wheel, windows, outlines, and a click on a finding."""

from __future__ import annotations

import base64
import dataclasses
import io
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import uvicorn
from PIL import Image

from tests.path.service import await_true
from tests.ports import free_port
from tests.store.test_catalogue import NOW
from tests.stores import open_store
from tests.web.browser import CHROMIUM, Browser
from tests.web.scene import Scene, stage_scene
from wetread.store import Store
from wetread.store.history import Event
from wetread.web import create_web

pytestmark = [
    pytest.mark.sqlite,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt install chromium."),
]
SHOWN = "document.getElementById('stage').dataset.shown"
WHERE = "document.getElementById('where').textContent"
YELLOW = (255, 196, 61)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Scene, Store]]:
    folder = tmp_path_factory.mktemp("viewer")
    store = open_store(folder / "data")
    # One pixel of the screen for each of the image, and more: 512 of them.
    scene = stage_scene(store, folder / "ct", shape=(24, 512, 512), spacing_mm=(10.0, 0.6, 0.6), kinds=())
    app = create_web(store, ())
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    await_true(lambda: server.started, 20, "the server")
    yield f"http://127.0.0.1:{port}/studies/{scene.key}", scene, store
    app.state.pulse.stop()
    server.should_exit = True
    thread.join()
    store.close()


@pytest.fixture
def browser(staged: tuple[str, Scene, Store]) -> Iterator[Browser]:
    one = Browser()
    one.open(staged[0])
    one.wait(SHOWN, 20)
    yield one
    assert one.complaints == []
    one.close()


def look(browser: Browser) -> np.ndarray:
    """Return what stands on the stage, as the screen shows it; shape (rows, columns, 3)."""
    box = browser.ask("document.getElementById('stage').getBoundingClientRect().toJSON()")
    clip = {name: box[name] for name in ("x", "y", "width", "height")} | {"scale": 1}
    data = browser.send("Page.captureScreenshot", clip=clip)["data"]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


def marked(screen: np.ndarray) -> np.ndarray:
    return np.argwhere(abs(screen - YELLOW).sum(axis=2) < 90)


def go(browser: Browser, index: int) -> str:
    """Click a finding; returns which slice is wanted."""
    card = f"document.querySelectorAll('[data-go]')[{index}]"
    browser.ask(f"{card}.click()")
    wanted = browser.ask(f"`${{{card}.dataset.stack}}/${{{card}.dataset.slice}}/`")
    browser.wait(f"{SHOWN}.startsWith('{wanted}')")
    return wanted


def test_a_click_on_a_finding_shows_its_slice_with_the_outline_on_it(browser: Browser) -> None:
    go(browser, 1)
    screen = look(browser)
    points = marked(screen)
    # Soft tissue within the lung, in the lung's window: the outline holds what is bright.
    assert len(points) > 40
    (top, left), (bottom, right) = points.min(axis=0), points.max(axis=0)
    middle = screen[(top + bottom) // 2, (left + right) // 2]
    assert middle.min() > 150
    assert screen[(top + bottom) // 2, left - 12].max() < 120
    assert screen[(top + bottom) // 2, right + 12].max() < 120
    # The right nodule is on the left of the screen.
    assert right < screen.shape[1] / 2
    browser.press("o")
    assert len(marked(look(browser))) == 0
    browser.press("o")
    assert len(marked(look(browser))) == len(points)


def test_after_a_click_the_slice_is_there_within_300_ms(browser: Browser) -> None:
    """What a reader may click on is fetched before."""
    browser.wait("document.getElementById('stage').dataset.ahead === '0'", 30)
    times = browser.ask(
        """(async () => {
        const stage = document.getElementById('stage'), times = [];
        for (const index of [0, 1, 2, 0, 2, 1]) {
            const card = document.querySelectorAll('[data-go]')[index], begun = performance.now();
            card.click();
            while (!stage.dataset.shown.startsWith(`${card.dataset.stack}/${card.dataset.slice}/`))
                await new Promise((resolve) => setTimeout(resolve, 1));
            times.push(performance.now() - begun);
        }
        return times;
        })()"""
    )
    assert max(times) < 300, times


def test_keys_wheel_and_windows(browser: Browser, staged: tuple[str, Scene, Store]) -> None:
    browser.ask("document.getElementById('stage').focus()")
    browser.press("Home")
    browser.wait(f"{WHERE}.startsWith('Slice 1 of 24')")
    for key, number in (("ArrowDown", 2), ("PageDown", 12), ("End", 24), ("ArrowUp", 23)):
        browser.press(key)
        browser.wait(f"{WHERE}.startsWith('Slice {number} of 24')")
    box = browser.ask("document.getElementById('stage').getBoundingClientRect().toJSON()")
    at = {"x": box["x"] + 80, "y": box["y"] + 90}
    browser.send("Input.dispatchMouseEvent", type="mouseWheel", deltaX=0, deltaY=-120, **at)
    browser.wait(f"{WHERE}.startsWith('Slice 22 of 24')")
    means = {}
    go(browser, 1)
    for key, name in (("1", "lung"), ("2", "soft"), ("3", "bone")):
        browser.press(key)
        browser.wait(f"{SHOWN}.endsWith('/{name}')")
        means[name] = look(browser)[300:400, 300:400].mean()
    assert len({round(mean) for mean in means.values()}) == 3
    assert browser.ask("scrollY") == 0, "what scrolls the slices scrolls no page"
    assert browser.ask("document.activeElement.id") == "stage"


def test_words_are_typed_and_move_nothing(browser: Browser) -> None:
    before = browser.ask(SHOWN)
    browser.ask("document.getElementById('section-impression').focus()")
    for key in ("2", "o", "z", "3"):
        browser.press(key)
    assert "2oz3" in browser.ask("document.getElementById('section-impression').value")
    assert browser.ask(SHOWN) == before
    assert browser.ask("document.getElementById('outlines').checked")


def test_what_is_enlarged_keeps_its_place_and_the_bar_its_length(browser: Browser) -> None:
    go(browser, 1)
    bar = "document.getElementById('scale').getBoundingClientRect().width"
    words = "document.getElementById('scale').textContent"
    plain = browser.ask(bar), browser.ask(words)
    # 24 slices of 307 mm by 307 mm: what the bar says is what the screen shows.
    millimetres = {"10 cm": 100, "5 cm": 50}[plain[1]]
    side = browser.ask(
        "((plane) => Math.min(plane.clientWidth, plane.clientHeight))(document.getElementById('plane'))"
    )
    assert plain[0] == pytest.approx(millimetres * side / (512 * 0.6), abs=2.5)
    browser.press("z")
    larger = browser.ask(bar), browser.ask(words)
    scale = {"10 cm": 100, "5 cm": 50, "2 cm": 20, "1 cm": 10}
    assert larger[0] / scale[larger[1]] == pytest.approx(2.5 * plain[0] / millimetres, rel=0.03)


def test_a_new_reading_redraws_what_is_shown_where_it_is_shown(
    browser: Browser, staged: tuple[str, Scene, Store]
) -> None:
    """The reader keeps slice and window; the outline of what is no finding any more goes."""
    _, scene, store = staged
    go(browser, 1)
    browser.press("2")
    browser.wait(f"{SHOWN}.endsWith('/soft')")
    before = browser.ask(SHOWN)
    assert len(marked(look(browser))) > 40
    store.readings.save(dataclasses.replace(scene.reading, revision=2, findings=()))
    store.history.add(
        Event(study_instance_uid=scene.study_instance_uid, at=NOW, stage="infer", message="Again.")
    )
    browser.wait("document.querySelectorAll('[data-go]').length === 0", 20)
    await_true(lambda: len(marked(look(browser))) == 0, 10, "the outline to go")
    assert browser.ask(SHOWN) == before
