"""The real service: what happened stands in the trail, and no patient's name does."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.orthanc import Orthanc, requires_orthanc
from tests.path.conftest import make_service, orthanc, visits  # noqa: F401 - fixtures
from tests.path.service import Service, await_true
from wetread.deliver.destination import parse_destination
from wetread.deliver.files import send_files
from wetread.dicom.audit_message import summarize
from wetread.domain.study import study_key
from wetread.registry import read_models
from wetread.store.audit_rows import AuditRows, Entry


def entries_of(service: Service) -> list[Entry]:
    with service.store() as store:
        return AuditRows(store.engine).list_after(0, 10_000)


def told(entries: list[Entry]) -> list[tuple[str, str, str]]:
    found = [(one, summarize(one.message)) for one in entries]
    return [(summary.event, summary.subtype, summary.actor) for _, summary in found]


@requires_orthanc
def test_the_trail_tells_a_study_s_day(
    make_service: Callable[..., Service],  # noqa: F811
    orthanc: Orthanc,  # noqa: F811
    visits: list[list[Path]],  # noqa: F811
) -> None:
    service = make_service(
        "study = {quiet_s = 0.5}\n[[destinations]]\n"
        f'name = "pacs"\nto = "ORTHANC@127.0.0.1:{orthanc.dicom_port}"'
    )
    target = parse_destination(f"WETREAD@127.0.0.1:{service.dicom_port}", calling_aet="CT1")
    summary = send_files(visits[0][0].parent, target)
    assert summary.sent == len(visits[0])
    study = _only_study(service)
    service.await_delivered(study)
    key = study_key(study)
    for path in ("/", f"/studies/{key}", f"/fragments/studies/{key}", f"/fragments/studies/{key}"):
        _open(service, path)
    service.stop()
    entries = entries_of(service)
    happened = told(entries)
    for expected in [
        ("110100", "110120", "wetread"),
        ("110113", "110126", "CT1"),
        ("110102", "", "CT1"),
        ("110104", "", "CT1"),
        ("110103", "", f"chest-ct {read_models()['chest-ct'].identity.version}"),
        ("110102", "", "wetread"),
        ("110104", "", "wetread"),
        ("110112", "", "anybody"),
        ("110103", "", "anybody"),
        ("110100", "110121", "wetread"),
    ]:
        assert expected in happened, (expected, happened)
    opened = [one for one in happened if one == ("110103", "", "anybody")]
    assert len(opened) == 1, "what a page asks for by itself belongs to the access that opened it"
    came = next(one for one in entries if one.event == "110104" and one.actor == "CT1")
    assert f'NumberOfInstances="{len(visits[0])}"' in came.message
    _has_no_name(service, entries)
    command = [str(Path(sys.executable).parent / "wetread"), "audit", "verify", "--data", str(service.data)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert outcome.returncode == 0, outcome.stdout


def test_what_cannot_be_recorded_does_not_happen(make_service: Callable[..., Service]) -> None:  # noqa: F811
    service = make_service()
    assert _open(service, "/") == 200
    with service.store() as store, store.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    assert _open(service, "/") == 503
    assert _open(service, "/api/v1/studies") == 503
    # Looked for while it is recorded, and not told.
    assert _open(service, "/dicom-web/studies") == 503
    with service.store() as store, store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER full")
    assert _open(service, "/") == 200


def _open(service: Service, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.http_port}{path}", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _only_study(service: Service) -> str:
    def found() -> str | None:
        with service.store() as store:
            rows = store.studies.list_newest()
            return rows[0].study_instance_uid if rows else None

    return str(await_true(found, 60, "the study"))


def _has_no_name(service: Service, entries: list[Entry]) -> None:
    with service.store() as store:
        row = store.studies.list_newest()[0]
    # The phantom's Patient ID, which the Standard wants in a message, shares a word with its name.
    words = {word for word in row.patient_name.split("^") if word and word not in row.patient_id}
    assert words
    for entry in entries:
        assert row.patient_name not in entry.message
        assert not any(word in entry.message for word in words)
