"""Each way to ask and to fetch, against Orthanc and DCMTK's archive."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless

from tests.dicom.small_ct import CT_IMAGE_STORAGE
from tests.fetch.peers import PeerPacs, dcmqrscp_pacs, make_study, orthanc_pacs
from tests.orthanc import PLUGIN, requires_orthanc
from tests.ports import free_port
from tests.stores import open_store
from wetread.dicom.digest import digest_data_set
from wetread.domain.query import Level
from wetread.domain.study import Instance, header_text
from wetread.errors import PeerError, PeerUnreachable
from wetread.fetch.ask import fetch_objects, open_finder
from wetread.fetch.found import IMAGE_KEYS, SERIES_KEYS, STUDY_KEYS
from wetread.fetch.pacs import Pacs, Retrieve, Search
from wetread.fetch.retrieval import Retrieval, Stopper, Wanted
from wetread.fetch.suboperations import Transfer
from wetread.fetch.taking import From, Tally
from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.receive.fetched import FetchedIntake, make_fetched_intake
from wetread.store import Store
from wetread.store.audit_rows import AuditRows

pytestmark = [
    requires_orthanc,
    pytest.mark.skipif(
        shutil.which("dcmqrscp") is None, reason="dcmqrscp is not installed (apt install dcmtk)."
    ),
]
PLAIN, PACKED, OTHER = "1.2.826.1", "1.2.826.2", "1.2.826.3"
OWN_PORT = free_port()


def packed() -> list[Dataset]:
    several = make_study(PACKED, images=2, StudyDate="20261102", PatientID="P2")
    for ds in several:
        ds.compress(JPEGLSLossless, generate_instance_uid=False)
    return several


@pytest.fixture(scope="module")
def objects() -> dict[str, list[Dataset]]:
    return {
        PLAIN: make_study(PLAIN, BodyPartExamined="CHEST"),
        PACKED: packed(),
        OTHER: make_study(OTHER, images=1, StudyDate="20200101", PatientID="P3", Modality="MR"),
    }


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory, objects) -> Iterator[dict[str, PeerPacs]]:
    folder = tmp_path_factory.mktemp("peers")
    with orthanc_pacs(folder / "orthanc", OWN_PORT) as orthanc, dcmqrscp_pacs(folder / "qr", OWN_PORT) as qr:
        for several in objects.values():
            orthanc.store(several)
        for study in (PLAIN, OTHER):
            qr.store(objects[study])
        yield {"orthanc": orthanc, "dcmqrscp": qr}


@dataclass
class Desk:
    """A store with a port, and what fetches into it."""

    store: Store
    intake: FetchedIntake
    expected_patient: str = ""

    def fetch(self, pacs: Pacs, wanted: Wanted) -> tuple[Retrieval, Tally]:
        def check(instance: Instance) -> tuple[str, str] | None:
            if instance.study_instance_uid != wanted.study_instance_uid:
                return "unreadable-instance", "Of another study."
            patient = header_text(instance.header, "PatientID")
            if self.expected_patient and patient != self.expected_patient:
                return "other-patient", "Of another patient."
            return None

        taking = self.intake.begin(From(source=pacs.source, aet=pacs.aet, address=pacs.address, check=check))
        transfer = Transfer(
            pacs=pacs,
            wanted=wanted,
            stopper=Stopper(),
            count=lambda: len(self.held(wanted.study_instance_uid)),
        )
        try:
            return fetch_objects(transfer, taking, "WETREAD"), taking.tally
        finally:
            taking.close(is_broken=False)

    def held(self, study: str) -> tuple[Instance, ...]:
        found = self.store.studies.load(study)
        return tuple(one for series in found.series for one in series.instances) if found else ()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = open_store(tmp_path / "data")
    receiver = start_receiver(ReceiverOptions(port=OWN_PORT), store)
    intake = make_fetched_intake(store, "WETREAD", 1 << 30)
    yield Desk(store, intake)
    receiver.stop()
    intake.close()
    store.close()


WAYS = [
    ("orthanc", Search.CFIND, Retrieve.CGET),
    ("orthanc", Search.CFIND, Retrieve.CMOVE),
    ("orthanc", Search.QIDO, Retrieve.WADO),
    ("dcmqrscp", Search.CFIND, Retrieve.CGET),
    ("dcmqrscp", Search.CFIND, Retrieve.CMOVE),
]
ids = [f"{name}-{retrieve.value}" for name, _, retrieve in WAYS]


@pytest.fixture(params=WAYS, ids=ids)
def pacs(request: pytest.FixtureRequest, peers: dict[str, PeerPacs]) -> Pacs:
    name, search, retrieve = request.param
    if search is Search.QIDO and not PLUGIN.exists():
        pytest.skip("Orthanc's DICOMweb plug-in is not installed (apt install orthanc-dicomweb).")
    peer = peers[name]
    return Pacs(
        name="pacs",
        to=peer.to,
        dicomweb_url=peer.dicomweb_url,
        search=search,
        retrieve=retrieve,
        timeout_s=30,
    )


def test_every_level_is_asked(pacs: Pacs) -> None:
    with open_finder(pacs) as finder:
        days = {"StudyDate": "20261101-20261102"}
        studies = finder.find(Level.STUDY, days, STUDY_KEYS)
        series = finder.find(Level.SERIES, {"StudyInstanceUID": PLAIN}, SERIES_KEYS)
        within = {"StudyInstanceUID": PLAIN, "SeriesInstanceUID": f"{PLAIN}.1"}
        images = finder.find(Level.IMAGE, within, IMAGE_KEYS)
        nothing = finder.find(Level.STUDY, {"PatientID": "nobody"}, STUDY_KEYS)
    expected = {PLAIN: "SECRET-7"} if pacs.aet == "QRSCP" else {PLAIN: "SECRET-7", PACKED: "P2"}
    assert {one.study_instance_uid: one.text("PatientID") for one in studies.found} == expected
    [only] = series.found
    assert only.text("Modality") == "CT"
    assert sorted(one.text("SOPInstanceUID") for one in images.found) == [f"{PLAIN}.1.{n}" for n in (1, 2, 3)]
    assert nothing.found == ()


def test_a_study_comes_as_it_is_stored(pacs: Pacs, desk: Desk, objects) -> None:
    # DCMTK's archive sends everything in one transfer syntax.
    for study in (PLAIN,) if pacs.aet == "QRSCP" else (PLAIN, PACKED):
        wanted = Wanted(study_instance_uid=study, sop_class_uids=frozenset({CT_IMAGE_STORAGE}))
        retrieval, tally = desk.fetch(pacs, wanted)
        assert (retrieval.failed, tally.refused) == (0, [])
        held = {one.sop_instance_uid: one for one in desk.held(study)}
        assert set(held) == {ds.SOPInstanceUID for ds in objects[study]}
        for ds in objects[study]:
            one = held[ds.SOPInstanceUID]
            assert one.transfer_syntax_uid == ds.file_meta.TransferSyntaxUID
            with one.open() as file:
                came = dcmread(io.BytesIO(file.read()))
            assert came.PixelData == ds.PixelData
    events = {entry.event for entry in AuditRows(desk.store.engine).list_last(10, study=PLAIN)}
    assert {"110102", "110104"} <= events


def test_what_is_missing_is_fetched_alone(pacs: Pacs, desk: Desk) -> None:
    missing = {f"{PLAIN}.1": [f"{PLAIN}.1.2", f"{PLAIN}.1.3"]}
    desk.fetch(pacs, Wanted(study_instance_uid=PLAIN, missing=missing))
    assert sorted(one.sop_instance_uid for one in desk.held(PLAIN)) == missing[f"{PLAIN}.1"]


def test_what_the_pacs_does_not_have_is_said(pacs: Pacs, desk: Desk) -> None:
    try:
        retrieval, tally = desk.fetch(pacs, Wanted(study_instance_uid="1.2.826.404"))
    except PeerError:
        return
    assert (tally.stored, retrieval.completed) == (0, 0)


def test_another_patients_images_are_refused(peers: dict[str, PeerPacs], desk: Desk) -> None:
    desk.expected_patient = "SOMEBODY-ELSE"
    pacs = Pacs(name="pacs", to=peers["orthanc"].to)
    _, tally = desk.fetch(pacs, Wanted(study_instance_uid=PLAIN))
    assert tally.stored == 0
    assert {code for _, code, _ in tally.refused} == {"other-patient"}
    assert desk.held(PLAIN) == ()


def test_what_is_of_no_known_class_comes_all_the_same(peers: dict[str, PeerPacs], desk: Desk) -> None:
    desk.fetch(Pacs(name="pacs", to=peers["orthanc"].to), Wanted(study_instance_uid=PACKED))
    assert len(desk.held(PACKED)) == 2


def test_nobody_there_is_an_error_of_the_peer(desk: Desk) -> None:
    for pacs in (
        Pacs(name="pacs", to=f"PACS@127.0.0.1:{free_port()}"),
        Pacs(name="pacs", dicomweb_url=f"http://127.0.0.1:{free_port()}/dicom-web"),
    ):
        with pytest.raises(PeerUnreachable), open_finder(pacs) as finder:
            finder.find(Level.STUDY, {}, STUDY_KEYS)
        with pytest.raises(PeerUnreachable):
            desk.fetch(pacs, Wanted(study_instance_uid=PLAIN))


def test_more_than_is_granted_is_cut(peers: dict[str, PeerPacs]) -> None:
    for pacs in (
        Pacs(name="pacs", to=peers["orthanc"].to, maximum_matches=2),
        Pacs(name="pacs", dicomweb_url=peers["orthanc"].dicomweb_url, maximum_matches=2),
    ):
        with open_finder(pacs) as finder:
            answer = finder.find(Level.STUDY, {}, STUDY_KEYS)
        assert (len(answer.found), answer.is_cut) == (2, True)


@pytest.mark.parametrize("retrieve", [Retrieve.CGET, Retrieve.CMOVE])
def test_every_byte_is_kept(
    peers: dict[str, PeerPacs], desk: Desk, tmp_path: Path, objects, retrieve: Retrieve
) -> None:
    """By the digest of the encoded data set: dcmqrscp hands out what it got, unchanged."""
    pacs = Pacs(name="pacs", to=peers["dcmqrscp"].to, retrieve=retrieve)
    desk.fetch(pacs, Wanted(study_instance_uid=PLAIN))
    for number, ds in enumerate(objects[PLAIN]):
        path = tmp_path / f"{number}.dcm"
        ds.save_as(path, enforce_file_format=True)
        digest, _ = digest_data_set(path)
        assert desk.store.intake.find_digest(ds.SOPInstanceUID) == digest
