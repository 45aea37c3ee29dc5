"""OHIF 3.13.2 beside our findings, in a real browser: what it shows is ours, and it goes where it is sent.

Everything that ``static/ohif.js`` calls by OHIF's own names is called here: another version fails here first.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
import pytest
import uvicorn
from PIL import Image

from tests.path.service import await_true
from tests.ports import free_port
from tests.store.test_catalogue import NOW
from tests.stores import open_store
from tests.web.browser import CHROMIUM, Browser
from tests.web.ohif import NPM, have_package
from tests.web.scene import Scene, stage_scene
from wetread.compose import compose, read_source
from wetread.domain.document import DocumentKind
from wetread.receive.stow import StowOptions, start_stow
from wetread.store import Store
from wetread.store.history import Event
from wetread.web import create_web
from wetread.web.ohif.prepare import install

pytestmark = [
    pytest.mark.sqlite,
    pytest.mark.skipif(
        CHROMIUM is None or NPM is None, reason="Chromium or npm is not installed: apt install chromium npm."
    ),
]
FRAME = "document.querySelector('#ohif iframe').contentWindow"
AT = "document.getElementById('ohif').dataset.at"
PORT = f"""(() => {{ const s = {FRAME}.services, id = s.viewportGridService.getActiveViewportId();
    return s.cornerstoneViewportService.getCornerstoneViewport(id) }})()"""


@dataclass
class Beside:
    """A page with the viewer open in it."""

    browser: Browser
    url: str
    scene: Scene
    store: Store

    def go(self, index: int) -> None:
        card = f"document.querySelectorAll('[data-go]')[{index}]"
        self.browser.ask(f"{card}.click()")
        self.browser.wait(f"{AT} === {card}.dataset.go", 60)

    def look(self) -> np.ndarray:
        """Return the image as the screen shows it, without OHIF's words; shape (rows, columns, 3)."""
        box = self.browser.ask(f"{PORT}.element.getBoundingClientRect().toJSON()")
        frame = self.browser.ask("document.querySelector('#ohif iframe').getBoundingClientRect().toJSON()")
        clip = {"x": frame["x"] + box["x"], "y": frame["y"] + box["y"] + 60, "width": box["width"] - 30}
        clip |= {"height": box["height"] - 140, "scale": 1}
        data = self.browser.send("Page.captureScreenshot", clip=clip)["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    folder = tmp_path_factory.mktemp("ohif")
    store = open_store(folder / "data")
    kinds = (DocumentKind.SEG, DocumentKind.SR)
    scene = stage_scene(store, folder / "ct", kinds=kinds)
    install(have_package(), folder / "data" / "viewer")
    app = create_web(store, (), stow=start_stow(StowOptions(), store))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", server_header=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    await_true(lambda: server.started, 20, "the server")
    browser = Browser()
    url = f"http://127.0.0.1:{port}"
    browser.open(f"{url}/studies/{scene.key}")
    browser.ask("document.getElementById('ohif-switch').click()")
    browser.wait(AT, 120)
    yield Beside(browser, url, scene, store)
    browser.close()
    app.state.pulse.stop()
    server.should_exit = True
    thread.join()
    store.close()


def test_a_click_on_a_finding_brings_the_viewer_to_its_slice(beside: Beside) -> None:
    """The image is the one that the Reading names, its pixels are on the screen, its outline on it."""
    for index in (1, 2, 0, 1):
        beside.go(index)
        shown: str = beside.browser.ask(f"{PORT}.getCurrentImageId()")
        finding = beside.scene.reading.findings[index]
        uid = beside.scene.reading.grid.sop_instance_uids[finding.key_plane]
        assert f"/instances/{uid}/" in shown
        uid_here = beside.browser.ask(f"document.querySelectorAll('[data-go]')[{index}].dataset.image")
        assert uid_here == uid
    screen = beside.look()
    assert screen.std() > 20, "it is not blank"
    coloured = np.ptp(screen, axis=2) > 60
    assert coloured.sum() > 60, "no outline is drawn"
    # Lungs are there to be switched on: two outlines of them would be a thousand points and more.
    assert coloured.sum() < 0.03 * coloured.size
    _, columns = np.nonzero(coloured)
    right = columns < screen.shape[1] / 2
    assert right.all(), "air and nodule of this slice are on the patient's right: left on the screen"


def test_the_segmentation_is_ours_voxel_by_voxel(beside: Beside) -> None:
    """Labels that OHIF holds for a slice are the Reading's masks there."""
    beside.go(1)
    ask = f"""(async () => {{
        const w = {FRAME}, port = {PORT}, s = w.services;
        const set = s.displaySetService.getActiveDisplaySets().find((one) => one.Modality === 'SEG');
        const one = s.segmentationService.getSegmentation(set.displaySetInstanceUID);
        const ids = one.representationData.Labelmap.imageIds, found = {{}};
        for (const id of ids) {{
            const image = w.cornerstone.cache.getImage(id);
            const counts = {{}};
            for (const value of image.voxelManager.getScalarData())
                if (value) counts[value] = (counts[value] || 0) + 1;
            found[image.referencedImageId.match(/instances\\/([0-9.]+)/)[1]] = counts;
        }}
        return found;
    }})()"""
    found: dict[str, dict[str, int]] = beside.browser.ask(ask)
    reading = beside.scene.reading
    for number in (3, 4):
        mask = reading.get_segment(number).mask.to_array()
        for plane, uid in enumerate(reading.grid.sop_instance_uids):
            assert found.get(uid, {}).get(str(number), 0) == int(mask[plane].sum()), (number, plane)


def test_pixels_order_and_place_are_ours(beside: Beside) -> None:
    ask = f"""(async () => {{ const w = {FRAME}, found = [];
        for (const image of {PORT}.getImageIds().slice(0, 6)) {{
            const one = await w.cornerstone.imageLoader.loadAndCacheImage(image);
            const plane = w.cornerstone.metaData.get('imagePlaneModule', image);
            found.push([one.rows, one.columns, plane.imagePositionPatient[2],
                        Array.from(one.getPixelData().slice(4000, 4200))]);
        }}
        return found;
    }})()"""
    shown: list[Any] = beside.browser.ask(ask)
    grid, voxels = beside.scene.volume.grid, beside.scene.volume.voxels
    heights = [one[2] for one in shown]
    assert heights == sorted(heights, reverse=True)
    for rows, columns, z, values in shown:
        assert (rows, columns) == grid.shape[1:]
        plane = round(float(grid.to_index((0, 0, z))[0]))
        assert values == voxels[plane].ravel()[4000:4200].clip(-1024).tolist()


def test_the_window_is_that_of_the_findings(beside: Beside) -> None:
    low, high = beside.browser.ask(f"(({{lower, upper}}) => [lower, upper])({PORT}.getProperties().voiRange)")
    assert (low, high) == pytest.approx((-1350, 150), abs=2)


def test_nothing_was_asked_of_another_host_and_nothing_complained(beside: Beside) -> None:
    names: list[str] = beside.browser.ask(
        f"{FRAME}.performance.getEntriesByType('resource').map((one) => one.name)"
    )
    assert len(names) > 20
    assert [one for one in names if not one.startswith((beside.url, "blob:", "data:"))] == []
    assert beside.browser.complaints == []


def test_the_report_is_listed_beside_the_images(beside: Beside) -> None:
    kinds = beside.browser.ask(
        f"{FRAME}.services.displaySetService.getActiveDisplaySets().map((one) => one.Modality).sort().join()"
    )
    assert kinds == "CT,SEG,SR"


def test_who_works_in_the_frame_counts_as_being_there(beside: Beside) -> None:
    beside.browser.ask("addEventListener('pointerdown', () => (window.isThere = true))")
    assert not beside.browser.ask("window.isThere")
    beside.browser.ask(f"{PORT}.element.dispatchEvent(new WheelEvent('wheel', {{ bubbles: true }}))")
    assert beside.browser.ask("window.isThere")


def test_the_way_back_to_slices_and_here_again_works(beside: Beside) -> None:
    beside.browser.ask("document.getElementById('plain-switch').click()")
    assert beside.browser.ask("document.getElementById('ohif').hidden")
    beside.browser.ask("document.querySelectorAll('[data-go]')[2].click()")
    beside.browser.wait("document.getElementById('stage').dataset.shown")
    beside.browser.ask("document.getElementById('ohif-switch').click()")
    beside.browser.wait(f"{AT}.endsWith('-2')", 60)
    kept = pydicom.uid.UID(beside.browser.ask("document.querySelectorAll('[data-go]')[2].dataset.image"))
    assert kept in beside.browser.ask(f"{PORT}.getCurrentImageId()")


def test_a_segmentation_that_is_stored_comes_in_as_ordinary_bits(beside: Beside) -> None:
    """What a reader stores from the viewer is an object of the study, which every PACS would take."""
    beside.go(1)
    ask = f"""(async () => {{
        const w = {FRAME}, c = w.commandsManager;
        const set = w.services.displaySetService.getActiveDisplaySets().find((one) => one.Modality === 'SEG');
        const options = {{ dataSource: 'dicomweb', SeriesDescription: 'Edited', SeriesNumber: 9100 }};
        const segmentationId = set.displaySetInstanceUID;
        const made = await c.runCommand('generateSegmentation', {{ segmentationId, options }});
        const where = {{ dataSource: 'dicomweb', defaultFileName: 'x.dcm' }};
        const store = c.runCommand('createStoreFunction', where);
        await store(made.dataset, {{}});
        return made.dataset.SOPInstanceUID;
    }})()"""
    uid = beside.browser.ask(ask)
    held = beside.store.catalogue.find_held(uid)
    assert held is not None
    assert held.study_instance_uid == beside.scene.study_instance_uid
    with beside.store.catalogue.open(held) as file:
        ds = pydicom.dcmread(file)
    assert (ds.SOPClassUID, ds.SegmentationType) == ("1.2.840.10008.5.1.4.1.1.66.4", "BINARY")
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    reading, frames = beside.scene.reading, ds.pixel_array
    planes = np.zeros(reading.grid.shape, dtype=bool)
    for pixels, groups in zip(frames, ds.PerFrameFunctionalGroupsSequence, strict=True):
        if groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 3:
            source = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            planes[reading.grid.sop_instance_uids.index(source)] = pixels > 0
    assert np.array_equal(planes, reading.get_segment(3).mask.to_array())
    assert beside.browser.complaints == []


def test_outlines_of_before_are_named_so_and_nothing_is_reloaded_unasked(beside: Beside) -> None:
    beside.go(1)
    frame = "document.querySelector('#ohif iframe')"
    beside.browser.ask(f"window.before = {frame}")
    scene, store = beside.scene, beside.store
    reading = dataclasses.replace(scene.reading, revision=2, findings=scene.reading.findings[1:])
    row = store.readings.save(reading)
    source = read_source(scene.series, scene.volume)
    store.readings.save_documents(row.id, compose(reading, source, (DocumentKind.SEG,)))
    note = Event(study_instance_uid=scene.study_instance_uid, at=NOW, stage="infer", message="Again.")
    store.history.add(note)
    beside.browser.wait("document.getElementById('ohif-again')", 20)
    assert beside.browser.ask(f"{frame} === window.before")
    beside.browser.ask("document.getElementById('ohif-again').click()")
    beside.browser.wait(f"{AT} === document.querySelector('[data-go]').dataset.go", 120)
    assert not beside.browser.ask(f"{frame} === window.before")
    assert beside.browser.ask("document.getElementById('ohif-again')") is None
    assert beside.browser.ask("document.querySelectorAll('[data-go]').length") == 2
    assert np.ptp(beside.look(), axis=2).max() > 60, "the new outlines are drawn"
