"""OHIF's data source at our DICOMweb, in a real browser: what it shows is ours, in order and in place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn

from tests.dicom.small_ct import SmallCt, make_slice
from tests.path.service import await_true
from tests.ports import free_port
from tests.store.test_catalogue import Archive
from tests.stores import open_store
from tests.web.browser import CHROMIUM, Browser
from tests.web.ohif import NPM, WithViewer, have_ohif
from wetread.web import create_web

STUDY, SERIES = "2.25.501", "2.25.501.1"
SHAPE = (6, 64, 80)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    store = open_store(tmp_path / "data")
    one = Archive(store)
    values = np.random.default_rng(3).integers(-1000, 1000, SHAPE, dtype=np.int16)
    ct = SmallCt(shape=SHAPE, study_uid=STUDY, series_uid=SERIES, stored=values)
    for number in range(SHAPE[0]):
        ds = make_slice(ct, number)
        ds.PatientName, ds.PatientID, ds.InstanceNumber = "Doe^Jane", "P1", number + 1
        one.add_data_set(ds)
    yield one
    store.close()


@pytest.fixture
def address(archive: Archive) -> Iterator[str]:
    app = WithViewer(create_web(archive.store, ()), have_ohif())
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", server_header=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    await_true(lambda: server.started, 20, "the server")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


VIEWPORT = """
    const id = services.viewportGridService.getActiveViewportId();
    const port = services.cornerstoneViewportService.getCornerstoneViewport(id);
"""


@pytest.mark.sqlite
@pytest.mark.skipif(
    CHROMIUM is None or NPM is None, reason="Chromium or npm is not installed: apt install chromium npm."
)
def test_the_viewer_shows_our_images(address: str, archive: Archive) -> None:
    browser = Browser()
    try:
        browser.open(f"{address}/viewer?StudyInstanceUIDs={STUDY}")
        count = "services.cornerstoneViewportService.getCornerstoneViewport(services.viewportGridService"
        count += ".getActiveViewportId()).getImageIds().length"
        browser.wait(f"window.services && {count} === {SHAPE[0]}", 120)
        ask = f"""(async () => {{ {VIEWPORT}
            const found = [];
            for (const image of port.getImageIds()) {{
                const one = await cornerstone.imageLoader.loadAndCacheImage(image);
                const plane = cornerstone.metaData.get('imagePlaneModule', image);
                found.push([one.rows, one.columns, plane.imagePositionPatient[2],
                            Array.from(one.getPixelData().slice(0, 200))]);
            }}
            return found;
        }})()"""
        shown = browser.ask(ask)
        assert browser.complaints == []
    finally:
        browser.close()
    held = archive.store.studies.load(STUDY)
    assert held is not None
    [series] = held.series
    ours = {}
    for instance in series.instances:
        with archive.store.catalogue.open(
            archive.store.catalogue.find_held(instance.sop_instance_uid)
        ) as file:
            pixels = file.read()[-2 * SHAPE[1] * SHAPE[2] :]
        ours[instance.header["ImagePositionPatient"][2]] = np.frombuffer(pixels, "<i2")
    assert len(shown) == SHAPE[0]
    assert [one[2] for one in shown] in (sorted(ours), sorted(ours, reverse=True))
    for rows, columns, z, values in shown:
        assert (rows, columns) == SHAPE[1:]
        # It shows Hounsfield units.
        assert values == (ours[z][:200] - 1024).tolist()
