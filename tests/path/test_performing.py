"""Workitems that Wetread performs itself: a real service, a quick model, asked as others ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pynetdicom.dsutils import split_dataset

from tests.orthanc import requires_orthanc, running_orthanc
from tests.path.service import Service, await_true
from tests.share.workitem_bodies import attributes
from tests.trust.quick import configure_quick, make_gate, study_uid, write_quick_model, write_quick_study
from tests.trust.sender import Sender
from wetread.deliver.cstore import read_item
from wetread.domain import workitem as w
from wetread.domain.progress import StudyState
from wetread.domain.workitem import code_item, element

WAIT_S = 120


@pytest.fixture
def service(make_service: Callable[..., Service], tmp_path: Path) -> Service:
    write_quick_model(tmp_path)
    # Known, but no rule names it: only a workitem has it read.
    lines = configure_quick(tmp_path).split("[[rules]]")[0]
    return make_service(lines + "rules = []\n[study]\nquiet_s = 0.5\n")


def send(service: Service, files: list[Path]) -> None:
    first = read_item(files[0])
    with Sender(service.dicom_port, first.sop_class_uid, first.transfer_syntax_uid) as sender:
        for path in files:
            _, offset = split_dataset(path)
            assert sender.store(read_item(path).sop_instance_uid, path.read_bytes()[offset:]) == 0


def ask(service: Service, method: str, path: str, body: Any = None) -> httpx.Response:
    url = f"http://127.0.0.1:{service.http_port}/dicom-web{path}"
    headers = {"Content-Type": "application/dicom+json"}
    return httpx.request(
        method, url, content=None if body is None else json.dumps(body), headers=headers, timeout=60
    )


def order(service: Service, uid: str, number: int = 1, **changes: Any) -> None:
    made = ask(service, "POST", f"/workitems?workitem={uid}", attributes(study_uid(number), **changes))
    assert made.status_code == 201, made.text


def look(service: Service, uid: str) -> dict[str, Any]:
    return dict(ask(service, "GET", f"/workitems/{uid}").json()[0])


def state(service: Service, uid: str) -> str:
    return str(look(service, uid)[w.STATE]["Value"][0])


def await_state(service: Service, uid: str, wanted: str) -> dict[str, Any]:
    await_true(lambda: state(service, uid) == wanted, WAIT_S, f"{uid} {wanted}")
    return look(service, uid)


def readings(service: Service, number: int = 1) -> list[tuple[str, int]]:
    with service.store() as store:
        return [(row.model_name, row.revision) for row in store.readings.list_for_study(study_uid(number))]


def reason(held: dict[str, Any]) -> str:
    return str(held[w.PROGRESS]["Value"][0][w.REASON]["Value"][0])


def test_it_is_read_because_a_workitem_asks(service: Service, tmp_path: Path) -> None:
    order(service, "1.1")
    order(service, "1.2", _00741200=element("CS", "LOW"), code="unheard-of")
    assert "unheard-of" in reason(await_state(service, "1.2", "CANCELED"))
    # Not held yet: it waits, and nobody has taken it.
    assert state(service, "1.1") == "SCHEDULED"
    send(service, write_quick_study(tmp_path, 1))
    held = await_state(service, "1.1", "COMPLETED")
    [performed] = held[w.PERFORMED]["Value"]
    outputs = performed[w.OUTPUTS]["Value"]
    assert performed[w.PERFORMED_STATION]["Value"][0]["00080100"]["Value"] == ["WETREAD"]
    assert held[w.PROGRESS]["Value"][0][w.PERCENT]["Value"] == [100]
    classes = {one["00081150"]["Value"][0] for item in outputs for one in item["00081199"]["Value"]}
    assert {"1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.104.1"} <= classes
    for item in outputs:
        url = item["0040E025"]["Value"][0]["00081190"]["Value"][0]
        objects = httpx.get(f"{url}/metadata", timeout=60).json()
        referenced = {one["00081155"]["Value"][0] for one in item["00081199"]["Value"]}
        assert {one["00080018"]["Value"][0] for one in objects} == referenced
        files = httpx.get(url, headers={"Accept": 'multipart/related; type="application/dicom"'}, timeout=60)
        assert files.content.count(b"DICM") == len(referenced)
    with service.store() as store:
        row = store.studies.find(study_uid(1))
    assert row is not None
    assert (row.state, row.urgency.value) == (StudyState.READ, "stat")
    # What stands already satisfies who asks again: nothing is read twice.
    order(service, "1.3")
    await_state(service, "1.3", "COMPLETED")
    assert readings(service) == [("quick", 1)]


def test_each_study_that_a_workitem_names_is_read(service: Service, tmp_path: Path) -> None:
    studies = [study_uid(number) for number in (1, 2)]
    order(service, "1.1", _00404021=element("SQ", *[{w.STUDY_UID: element("UI", one)} for one in studies]))
    send(service, write_quick_study(tmp_path, 1))
    service.await_state(studies[0], StudyState.NOT_READ)
    # One is here, the other is not: it waits.
    assert state(service, "1.1") == "SCHEDULED"
    send(service, write_quick_study(tmp_path, 2))
    held = await_state(service, "1.1", "COMPLETED")
    assert readings(service, 1) == readings(service, 2) == [("quick", 1)]
    outputs = held[w.PERFORMED]["Value"][0][w.OUTPUTS]["Value"]
    assert {item[w.STUDY_UID]["Value"][0] for item in outputs} == set(studies)


def test_one_that_was_not_read_is_opened_again(service: Service, tmp_path: Path) -> None:
    send(service, write_quick_study(tmp_path, 1))
    service.await_state(study_uid(1), StudyState.NOT_READ)
    order(service, "1.1")
    await_state(service, "1.1", "COMPLETED")
    assert readings(service) == [("quick", 1)]
    service.await_state(study_uid(1), StudyState.READ)


def test_a_series_that_is_not_there_is_waited_for_and_others_are_left_alone(
    service: Service, tmp_path: Path
) -> None:
    study = study_uid(1)
    send(service, write_quick_study(tmp_path, 1))
    item = {w.STUDY_UID: element("UI", study), w.SERIES_UID: element("UI", f"{study}.2")}
    order(service, "1.1", _00404021=element("SQ", item))
    order(service, "1.2", _00404005=element("DT", "29990101"))
    order(service, "1.3", _00404041=element("CS", "INCOMPLETE"))
    order(service, "1.4", _00404025=element("SQ", code_item("OTHER", "99X", "Another station")))
    order(service, "1.5", _00404018=element("SQ", code_item("quick", "99OTHER", "Theirs")))
    right = dict(item) | {w.SERIES_UID: element("UI", f"{study}.1")}
    order(service, "1.6", _00404021=element("SQ", right))
    await_state(service, "1.6", "COMPLETED")
    assert {state(service, f"1.{number}") for number in range(1, 6)} == {"SCHEDULED"}


def test_what_cannot_be_read_says_why(service: Service, tmp_path: Path) -> None:
    # The built-in model wants forty slices.
    order(service, "1.1", code="chest-ct")
    send(service, write_quick_study(tmp_path, 1))
    held = await_state(service, "1.1", "CANCELED")
    assert "series cannot be read" in reason(held)
    assert held[w.PROGRESS]["Value"][0][w.REASON_CODE]["Value"][0]["00080100"]["Value"] == ["110513"]


def test_a_kill_in_the_middle_goes_on(service: Service, tmp_path: Path) -> None:
    gate = make_gate(tmp_path)
    order(service, "1.1")
    send(service, write_quick_study(tmp_path, 1))
    await_true(lambda: "read" in str(look(service, "1.1")[w.PROGRESS].get("Value")), WAIT_S, "the reading")
    assert state(service, "1.1") == "IN PROGRESS"
    service.kill()
    gate.unlink()
    service.start()
    await_state(service, "1.1", "COMPLETED")
    assert readings(service) == [("quick", 1)]


def test_a_request_to_cancel_is_followed(service: Service, tmp_path: Path) -> None:
    make_gate(tmp_path)
    order(service, "1.1")
    send(service, write_quick_study(tmp_path, 1))
    await_state(service, "1.1", "IN PROGRESS")
    assert ask(service, "POST", "/workitems/1.1/cancelrequest").status_code == 202
    assert "asked to be canceled" in reason(await_state(service, "1.1", "CANCELED"))
    service.kill()


@requires_orthanc
def test_what_is_not_here_is_fetched(make_service: Callable[..., Service], tmp_path: Path) -> None:
    write_quick_model(tmp_path)
    with running_orthanc(tmp_path / "orthanc", {"DicomAlwaysAllowGet": True}) as orthanc:
        for path in write_quick_study(tmp_path, 1):
            httpx.post(f"{orthanc.url}/instances", content=path.read_bytes(), timeout=60).raise_for_status()
        pacs = f'[[pacs]]\nname = "archive"\nto = "ORTHANC@127.0.0.1:{orthanc.dicom_port}"\n'
        lines = configure_quick(tmp_path).split("[[rules]]")[0]
        service = make_service(f"{lines}rules = []\n{pacs}[study]\nquiet_s = 0.5\n")
        place = element("SQ", {"00080054": element("AE", "ORTHANC")})
        item = {w.STUDY_UID: element("UI", study_uid(1)), "0040E021": place}
        order(service, "1.1", _00404021=element("SQ", item))
        await_state(service, "1.1", "COMPLETED")
    assert readings(service) == [("quick", 1)]
