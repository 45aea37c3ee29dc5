"""A final report of another system takes its study off the list; nothing else does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.stores import open_store
from tests.web.conftest import Ward
from wetread.hl7 import parse_ack
from wetread.receive.mllp import MllpOptions, start_mllp_listener
from wetread.receive.notes import Notes
from wetread.receive.results import ResultIntake, read_final
from wetread.receive.trail import ReceiveTrail
from wetread.store import Store
from wetread.store.audit_rows import AuditRows

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
UID = "1.2.840.1.1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = open_store(tmp_path / "data")
    yield one
    one.close()


@pytest.fixture
def intake(store: Store) -> ResultIntake:
    ward = Ward(store)
    for uid, accession in ((UID, "A-1"), (f"{UID}.2", "A-1"), ("1.2.840.1.3", "A-3")):
        ward.send(uid, AccessionNumber=accession, PatientID="P^1", PatientName="Doe^Jane")
    return ResultIntake(store, Notes(store.history), ReceiveTrail(store.audit.record, "WETREAD"), lambda: NOW)


def oru(
    *,
    status: str = "F",
    patient: str = "X9^^^OTHER~P\\S\\1^^^HOSP^MR",
    accession: str = "A-1",
    obr18: str = "",
    extra: str = "",
    kind: str = "ORU^R01^ORU_R01",
) -> str:
    return "\r".join(
        one
        for one in (
            f"MSH|^~\\&|RIS|HOSP|WETREAD|HOSP|20261123080000||{kind}|77|P|2.5.1",
            f"PID|1||{patient}||Doe^Jane",
            f"OBR|1||{accession}^RIS|71250^CT^L{'|' * 14}{obr18}{'|' * 7}{status}",
            extra,
            "OBX|2|TX|18782-3^Report^LN||Pneumothorax on the right.||||||F",
        )
        if one
    )


def off_the_list(store: Store) -> set[str]:
    return {row.study_instance_uid for row in store.studies.list_reported()}


def test_a_final_report_takes_the_studies_of_its_order_off_the_list(
    store: Store, intake: ResultIntake
) -> None:
    assert intake.take(oru()) == "AA"
    assert off_the_list(store) == {UID, f"{UID}.2"}
    row = store.studies.find(UID)
    assert row is not None
    assert row.reported_at == NOW.timestamp()
    events = store.history.list_for_study(UID)
    assert events[-1].message == "Reported by another system."
    entries = AuditRows(store.engine).list_last(5, study=UID)
    assert any("Reported by another system." in str(one.message) for one in entries)
    # Nothing of the text is kept.
    assert not any("Pneumothorax" in one.message for one in events)


@pytest.mark.parametrize("status", ["C", "F"])
def test_a_uid_counts_more_than_the_number_of_the_order(
    store: Store, intake: ResultIntake, status: str
) -> None:
    told = oru(status=status, extra=f"OBX|1|ST|110180^Study Instance UID^DCM||{UID}.2")
    assert intake.take(told) == "AA"
    assert off_the_list(store) == {f"{UID}.2"}
    assert intake.take(oru(accession="none", extra=f"ZDS|{UID}^^Application^DICOM")) == "AA"
    assert off_the_list(store) == {UID, f"{UID}.2"}


def test_the_accession_number_stands_in_obr_18_with_ihe(store: Store, intake: ResultIntake) -> None:
    assert intake.take(oru(accession="filler-7", obr18="A-3")) == "AA"
    assert off_the_list(store) == {"1.2.840.1.3"}


@pytest.mark.parametrize(
    "told",
    [
        oru(status="P"),
        oru(status=""),
        oru() + f"\rOBR|2||A-1{'|' * 22}P",
        oru(accession="A-2"),
        oru(accession=""),
        oru(patient=""),
        oru() + "\rPID|2||P\\S\\1",
        oru(accession="A" * 65),
        oru(accession="A-1%"),
    ],
)
def test_what_is_no_report_of_what_is_here_changes_nothing(
    store: Store, intake: ResultIntake, told: str
) -> None:
    assert intake.take(told) == "AA"
    assert off_the_list(store) == set()


def test_a_report_of_another_patient_is_refused_and_seen(store: Store, intake: ResultIntake) -> None:
    assert intake.take(oru(patient="P2^^^HOSP")) == "AR"
    # The number alone is not the whole of it.
    assert intake.take(oru(patient="P^1")) == "AR"
    assert off_the_list(store) == set()
    (problem,) = [one for one in store.history.list_for_study(UID) if one.level == "problem"]
    assert problem.code == "other-patient"
    assert "P2" not in problem.message


@pytest.mark.parametrize(
    "told",
    [
        "",
        "hello",
        oru(kind="ADT^A01"),
        oru().replace("^~\\&", "^~\\%", 1),
        "MSH|^~\\&",
        oru().replace("OBR|", "OBZ|"),
    ],
)
def test_what_is_no_result_is_refused(store: Store, intake: ResultIntake, told: str) -> None:
    assert intake.take(told) == "AR"
    assert "unreadable-message" in {one.code for one in store.history.list_newest(5)}


def test_an_order_that_another_institution_counts_alike_is_not_meant(
    store: Store, intake: ResultIntake
) -> None:
    Ward(store, count=9).send("1.2.840.9", AccessionNumber="A-3", PatientID="Z", PatientName="Roe^Ann")
    assert intake.take(oru(accession="A-3")) == "AA"
    assert off_the_list(store) == {"1.2.840.1.3"}
    # A UID that is named is meant.
    both = "".join(f"ZDS|{uid}\r" for uid in (UID, "1.2.840.9")).rstrip("\r")
    assert intake.take(oru(extra=both)) == "AR"
    assert off_the_list(store) == {"1.2.840.1.3"}


def test_a_report_twice_is_told_once(store: Store, intake: ResultIntake) -> None:
    assert [intake.take(oru()), intake.take(oru(status="C"))] == ["AA", "AA"]
    told = [one for one in store.history.list_for_study(UID) if one.message == "Reported by another system."]
    assert len(told) == 1


def test_thousands_of_names_are_not_searched_for() -> None:
    segments = [["MSH", "^~\\&"], ["PID", "1", "", "P1"], ["OBR", "1", "", "A"] + [""] * 21 + ["F"]]
    segments += [["ZDS", f"1.2.{number}"] for number in range(5000)]
    result = read_final(segments)
    assert result is not None
    assert len(result.study_uids) == 32


def test_a_ris_sends_it_over_a_connection(store: Store, intake: ResultIntake) -> None:
    listener = start_mllp_listener(MllpOptions(port=0), intake.take, lambda _: None)
    try:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as connection:
            connection.sendall(b"\x0b" + oru().encode() + b"\x1c\r")
            answer = connection.recv(4096).decode()
    finally:
        listener.stop()
    assert parse_ack(answer).is_accepted
    assert off_the_list(store) == {UID, f"{UID}.2"}
