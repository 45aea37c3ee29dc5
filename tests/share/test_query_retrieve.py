"""C-FIND, C-GET and C-MOVE, asked by DCMTK of a real port."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless
from pynetdicom import AE

from tests.dicom.small_ct import SmallCt, make_slice
from tests.path.service import await_true
from tests.ports import free_port
from tests.store.test_catalogue import Archive
from tests.stores import open_store
from wetread.app import make_services
from wetread.config import Config, DicomSettings
from wetread.receive.admission import Peer
from wetread.receive.cstore import Receiver, ReceiverOptions, start_receiver
from wetread.share import query_retrieve
from wetread.store.audit_rows import AuditRows

pytestmark = pytest.mark.skipif(
    shutil.which("findscu") is None, reason="findscu is not installed (apt install dcmtk)."
)
STUDY = "1.1"
#: Study Root Query/Retrieve.
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))


@pytest.fixture
def move_port() -> int:
    return free_port()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    store = open_store(tmp_path / "data")
    one = Archive(store)
    for _ in range(3):
        one.add(
            STUDY, "1.1.1", PatientName="Müller^Jürgen", PatientID="P1", StudyDate="20260103", Modality="CT"
        )
    one.add("1.2", "1.2.1", PatientName="Doe^Jane", PatientID="P2", StudyDate="20200101", Modality="MR")
    yield one
    store.close()


@pytest.fixture
def port(archive: Archive, tmp_path: Path, move_port: int) -> Iterator[int]:
    peers = (
        Peer(aet="VIEWER", may_query=True),
        Peer(aet="SCANNER"),
        Peer(aet="STATION", retrieve_to=f"127.0.0.1:{move_port}"),
    )
    config = Config(data=tmp_path, dicom=DicomSettings(peers=peers))
    options = ReceiverOptions(port=0, peers=peers)
    receiver: Receiver = start_receiver(options, archive.store, services=make_services(config, archive.store))
    yield receiver.port
    receiver.stop()


def run(program: str, port: int, *words: str, calling: str = "VIEWER") -> str:
    command = [program, "-S", "-aet", calling, "-aec", "WETREAD", *words, "127.0.0.1", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def keys(*values: str) -> list[str]:
    return [word for value in values for word in ("-k", value)]


def find(port: int, *values: str, calling: str = "VIEWER") -> str:
    return run("findscu", port, "-v", *keys(*values), calling=calling)


def found(text: str, keyword: str) -> list[str]:
    return [value.strip(" \0") for value in re.findall(rf"\[([^\]]*)\][^\n]*\b{keyword}\b", text)]


def test_studies_by_name_and_date(port: int) -> None:
    told = find(
        port, "QueryRetrieveLevel=STUDY", "PatientName=MUL*", "StudyDate=20260101-", "StudyInstanceUID",
        "ModalitiesInStudy", "NumberOfStudyRelatedInstances", "InstitutionName",
    )  # fmt: skip
    assert found(told, "StudyInstanceUID") == [STUDY]
    assert found(told, "NumberOfStudyRelatedInstances")[-1] == "3"
    assert "Müller" in told


@pytest.mark.parametrize(
    ("level", "values", "keyword", "expected"),
    [
        ("STUDY", ["StudyInstanceUID"], "StudyInstanceUID", [STUDY, "1.2"]),
        ("SERIES", ["StudyInstanceUID=1.1", "SeriesInstanceUID"], "SeriesInstanceUID", ["1.1.1"]),
        ("IMAGE", ["SeriesInstanceUID=1.2.1", "SOPInstanceUID"], "SOPInstanceUID", ["1.9.4"]),
        ("STUDY", ["StudyInstanceUID", "ModalitiesInStudy=MR"], "StudyInstanceUID", ["1.2"]),
    ],
)
def test_each_level(port: int, level: str, values: list[str], keyword: str, expected: list[str]) -> None:
    told = find(port, f"QueryRetrieveLevel={level}", *values)
    answers = [part for part in told.split("Find Response")[1:] if "Pending" in part]
    assert [found(part, keyword)[0] for part in answers] == expected


def ask(
    port: int, ds: Dataset, model: str = FIND, *, calling: str = "VIEWER", to: str = "STATION"
) -> list[int]:
    ae = AE(calling)
    ae.add_requested_context(model)
    association = ae.associate("127.0.0.1", port, ae_title="WETREAD")
    assert association.is_established
    if model == MOVE:
        answers = association.send_c_move(ds, to, model)
    else:
        answers = association.send_c_get(ds, model) if model == GET else association.send_c_find(ds, model)
    statuses = [int(status.Status) for status, _ in answers]
    association.release()
    return statuses


def identifier(level: str, **values: str) -> Dataset:
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize(
    ("ds", "statuses"),
    [
        (identifier("STUDY", StudyInstanceUID=""), [0xFF00, 0xFF00, 0]),
        (identifier("STUDY", StudyInstanceUID="", InstitutionName="X"), [0xFF01, 0xFF01, 0]),
        (identifier("STUDY", PatientID="nobody"), [0]),
        (identifier("PATIENT"), [0xA900]),
        (identifier("STUDY", StudyInstanceUID="1.2\\1.3"), [0xFF00, 0]),
        (identifier("STUDY", PatientID="' OR 1=1 --"), [0]),
        (identifier("STUDY", PatientName="*" * 1000), [0xFF00, 0xFF00, 0]),
        (identifier("STUDY", PatientID="*" * 1000 + "?"), [0xFF00, 0xFF00, 0]),
    ],
    ids=range(8),
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_asked_gets_its_status(port: int, ds: Dataset, statuses: list[int]) -> None:
    assert ask(port, ds) == statuses


def test_more_than_is_answered_at_once(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_retrieve, "_PAGE", 1)
    monkeypatch.setattr(query_retrieve, "MOST_MATCHES", 1)
    assert ask(port, identifier("STUDY", StudyInstanceUID="")) == [0xFF00, 0xA700]


def test_who_may_only_send_hears_so(port: int, archive: Archive) -> None:
    assert ask(port, identifier("STUDY", StudyInstanceUID=""), calling="SCANNER") == [0xC002]
    last = AuditRows(archive.store.engine).list_last(5)
    assert any("may not ask" in entry.message for entry in last)


def test_objects_come_by_c_get(port: int, tmp_path: Path, archive: Archive) -> None:
    out = tmp_path / "out"
    out.mkdir()
    told = run(
        "getscu", port, "-v", "-od", str(out), *keys("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}")
    )
    got = {pydicom.dcmread(path).SOPInstanceUID for path in out.iterdir()}
    assert got == {"1.9.1", "1.9.2", "1.9.3"}, told
    [entry] = AuditRows(archive.store.engine).list_last(1, study=STUDY)
    assert "C-GET, 3 objects" in entry.message


def test_what_is_compressed_is_decoded_for_who_does_not_take_it(
    port: int, tmp_path: Path, archive: Archive
) -> None:
    ds = make_slice(SmallCt(shape=(1, 8, 10), study_uid="1.5", series_uid="1.5.1"), 0)
    plain = ds.pixel_array.copy()
    ds.compress(JPEGLSLossless, generate_instance_uid=False)
    archive.add_data_set(ds)
    out = tmp_path / "out"
    out.mkdir()
    run("getscu", port, "-od", str(out), *keys("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.5"))
    [path] = out.iterdir()
    got = pydicom.dcmread(path)
    assert got.file_meta.TransferSyntaxUID != JPEGLSLossless
    assert (got.pixel_array == plain).all()


@contextlib.contextmanager
def running_station(port: int, out: Path, *options: str) -> Iterator[None]:
    out.mkdir()
    station = subprocess.Popen(["storescp", "-aet", "STATION", *options, "-od", str(out), str(port)])
    try:
        await_true(lambda: _answers(port), 20, "storescp")
        yield
    finally:
        station.kill()
        station.wait()


STUDY_KEYS = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}")


def test_objects_go_by_c_move_to_a_system_that_is_configured(
    port: int, tmp_path: Path, move_port: int, archive: Archive
) -> None:
    with running_station(move_port, tmp_path / "out"):
        told = run("movescu", port, "-v", "-aem", "STATION", *keys(*STUDY_KEYS))
        assert len(list((tmp_path / "out").iterdir())) == 3, told


@pytest.mark.parametrize("option", ["--abort-after", "--abort-during"])
def test_who_breaks_off_while_it_gets_objects_is_a_failure(
    port: int, tmp_path: Path, move_port: int, option: str
) -> None:
    with running_station(move_port, tmp_path / "out", option):
        began_s = time.monotonic()
        told = run("movescu", port, "-d", "-aem", "STATION", *keys(*STUDY_KEYS))
    assert re.search(r"Completed Suboperations\s+: 0", told), told
    assert re.search(r"Failed Suboperations\s+: 3", told), told
    # Nothing more is sent to who has hung up: that would wait for an answer until its time is out.
    assert "0xa702" in told, told
    assert time.monotonic() - began_s < 20
    # Who asked hears it, and the port serves on.
    assert "Pending" in find(port, *STUDY_KEYS)


def test_a_cancel_in_the_middle_of_a_move_ends_it(port: int, tmp_path: Path, move_port: int) -> None:
    with running_station(move_port, tmp_path / "out", "--sleep-after", "2"):
        told = run("movescu", port, "-d", "--cancel", "1", "-aem", "STATION", *keys(*STUDY_KEYS))
        assert len(list((tmp_path / "out").iterdir())) < 3, told
    assert "0xfe00" in told.lower(), told


def _answers(port: int) -> bool:
    return (
        subprocess.run(["echoscu", "127.0.0.1", str(port)], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.parametrize("destination", ["NOBODY", "WETREAD", "127.0.0.1", "VIEWER"])
def test_nothing_moves_to_where_nobody_has_configured(port: int, destination: str) -> None:
    assert ask(port, identifier("STUDY", StudyInstanceUID=STUDY), MOVE, to=destination) == [0xA801]


def test_a_destination_that_is_down_is_a_failure(port: int) -> None:
    [*_, last] = ask(port, identifier("STUDY", StudyInstanceUID=STUDY), MOVE)
    assert last == 0xA801


@pytest.mark.parametrize(
    "values", [{}, {"PatientID": "*"}, {"StudyInstanceUID": ""}, {"StudyInstanceUID": "*"}]
)
@pytest.mark.filterwarnings("ignore")
def test_nothing_is_retrieved_without_its_unique_key(port: int, values: dict[str, str]) -> None:
    assert ask(port, identifier("STUDY", **values), GET) == [0xA900]


def test_a_file_that_is_gone_fails_alone(port: int, tmp_path: Path, archive: Archive) -> None:
    held = archive.store.catalogue.find_held("1.9.2")
    assert held is not None
    archive.store.catalogue.path_of(held).unlink()
    out = tmp_path / "out"
    out.mkdir()
    run("getscu", port, "-od", str(out), *keys("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}"))
    assert {pydicom.dcmread(path).SOPInstanceUID for path in out.iterdir()} == {"1.9.1", "1.9.3"}
