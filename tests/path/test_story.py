"""A morning in a real browser: a study arrives, is corrected and signed, and the PACS has the report."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pydicom
import pytest

from tests.identity.conftest import PASSWORD
from tests.orthanc import Orthanc, requires_orthanc
from tests.path.service import Service, await_true
from tests.path.test_path import pacs, requires_storescu, scan, uid_of
from tests.web.browser import CHROMIUM, Browser
from wetread.domain.report import Section
from wetread.domain.study import study_key
from wetread.identity import Role, make_identity
from wetread.work import now

pytestmark = [
    requires_orthanc,
    requires_storescu,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]


@pytest.fixture
def browser() -> Iterator[Browser]:
    one = Browser()
    yield one
    one.close()


def add_people(service: Service) -> None:
    with service.store() as store:
        people = make_identity(store, now).people
        for name, role in (("ana", Role.RADIOLOGIST), ("dora", Role.DATA_SCIENTIST)):
            people.add(name, role, PASSWORD, now(), by="test", display_name=name.capitalize())


def sign_in(browser: Browser, url: str, name: str) -> None:
    browser.open(f"{url}/login")
    browser.ask(
        f"document.getElementById('name').value = {json.dumps(name)};"
        f"document.getElementById('password').value = {json.dumps(PASSWORD)};"
        "document.querySelector('form button.primary').click()"
    )
    browser.wait("location.pathname === '/' && document.readyState === 'complete'")


def reports_at(orthanc: Orthanc, study: str) -> list[pydicom.Dataset]:
    """The verified reports that the PACS holds."""
    found = []
    for one in orthanc.get("/instances"):
        ds = pydicom.dcmread(io.BytesIO(orthanc.get_bytes(f"/instances/{one}/file")))
        if ds.StudyInstanceUID == study and ds.get("VerificationFlag") == "VERIFIED":
            found.append(ds)
    return found


def look_on(browser: Browser, url: str, study: str) -> None:
    """Who may see studies without names finds no way to what the role forbids."""
    browser.ask("document.querySelector('.who-am-i form').submit()")
    browser.wait("location.pathname === '/login'")
    sign_in(browser, url, "dora")
    key = study_key(study)
    browser.open(f"{url}/studies/{key}")
    page = browser.ask("document.body.textContent")
    assert "measured by hand" not in page, "a report may name anybody"
    assert not browser.ask("document.querySelector('#report-form, #sign, [id^=edit-], #claim')")
    for path, method in (
        (f"/studies/{key}/sign", "POST"),
        (f"/studies/{key}/edits", "POST"),
        ("/admin", "GET"),
    ):
        status = browser.ask(f"fetch({json.dumps(path)}, {{method: '{method}'}}).then((told) => told.status)")
        assert status == 403, path


def test_read_correct_sign_and_the_pacs_holds_the_final_report(
    make_service, orthanc: Orthanc, visits, browser: Browser
) -> None:
    service: Service = make_service(pacs(orthanc))
    add_people(service)
    url, study = f"http://127.0.0.1:{service.http_port}", uid_of(visits[0])
    sign_in(browser, url, "ana")
    scan(visits[0], service)
    # The list is open; the study appears on it, and its result, without a touch.
    row = f"document.querySelector('a[href=\"/studies/{study_key(study)}\"]')"
    browser.wait(row, 60)
    service.await_delivered(study)
    browser.ask(f"{row}.click()")
    is_live = "document.getElementById('live').dataset.live === 'live'"
    browser.wait(f"document.querySelector('[id^=edit-] summary') && {is_live}", 20)

    # One nodule is measured otherwise than the model did; its sentence follows.
    browser.ask("document.querySelector('[id^=edit-] summary').click()")
    browser.ask(
        "(() => { const form = document.querySelector('[id^=edit-] form');"
        " form.long.value = '13.3'; form.short.value = '8.1';"
        " form.querySelector('button').click() })()"
    )
    browser.wait(f"document.querySelector('.v-edited') && {is_live}", 20)
    browser.wait("document.getElementById('section-findings').value.includes('13.3')")

    browser.ask(
        "document.getElementById('section-impression').value = 'One nodule, measured by hand.';"
        f"document.getElementById('password').value = {json.dumps(PASSWORD)};"
        "document.getElementById('sign').click()"
    )
    browser.wait("document.querySelector('article.signed')", 20)
    assert "signed by Ana" in browser.ask("document.querySelector('article.signed').textContent")

    (final,) = await_true(lambda: reports_at(orthanc, study), 60, "the report at the PACS")
    told = final.to_json()
    assert "13.3" in told
    assert "One nodule, measured by hand." in told
    assert final.PatientID == pydicom.dcmread(visits[0][0], stop_before_pixels=True).PatientID
    with service.store() as store:
        assert store.studies.list_waiting() == []
        (signed,) = store.reports.list_for_study(study)[-1:]
        assert "13.3" in signed.sections[Section.FINDINGS]
    assert browser.complaints == []

    look_on(browser, url, study)
