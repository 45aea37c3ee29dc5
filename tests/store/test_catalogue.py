"""What the archive holds is found as the Standard says, and answered from the index."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import update

from tests.dicom.small_ct import SmallCt, make_slice
from tests.domain.test_reading import make_reading
from tests.stores import open_store
from wetread.dicom.digest import digest_data_set
from wetread.dicom.header import read_instance
from wetread.dicom.json_model import JsonModel
from wetread.domain.document import Document, DocumentKind
from wetread.domain.query import Level, Match, MatchKind, Query
from wetread.store import Store, schema
from wetread.store.catalogued import BRIEF, pack_metadata, unpack_brief, unpack_metadata
from wetread.store.intake import Arrived
from wetread.store.names import name_key

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@dataclass
class Archive:
    store: Store
    count: int = 0

    def add(self, study: str, series: str, **attributes: Any) -> str:
        """Take in one image; returns its UID."""
        source = attributes.pop("source", "CT1")
        ds = make_slice(SmallCt(shape=(1, 8, 10), study_uid=study, series_uid=series), 0)
        ds.SOPInstanceUID, ds.InstanceNumber = f"1.9.{self.count + 1}", 99 - self.count
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
        return self.add_data_set(ds, source)

    def add_data_set(self, ds: Dataset, source: str = "CT1") -> str:
        """Take in an object; returns its UID."""
        self.count += 1
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        path = self.store.intake.incoming / f"{self.count}.part"
        ds.save_as(path, enforce_file_format=True)
        model = JsonModel()
        instance = read_instance(path, model=model)
        content_digest, size = digest_data_set(path)
        arrived = Arrived(
            instance=instance,
            content_digest=content_digest,
            size=size,
            received_at=NOW,
            source=source,
            metadata=model.encode(),
        )
        self.store.intake.accept(arrived)
        return str(ds.SOPInstanceUID)

    def studies(self, *matches: Match, **options: Any) -> list[str]:
        query = Query(level=Level.STUDY, matches=matches, **options)
        return [found.study_instance_uid for found in self.store.catalogue.search(query)]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    store = open_store(tmp_path / "data")
    one = Archive(store)
    one.add(
        *("1.1", "1.1.1"),
        PatientName="Müller^Jürgen",
        PatientID="A*1",
        StudyDate="20260103",
        StudyTime="101530.5",
        AccessionNumber="ACC_1",
        ReferringPhysicianName="House^Gregory",
        StudyID="S1",
    )
    one.add("1.1", "1.1.1", PatientName="Müller^Jürgen", StudyDate="20260103")
    one.add("1.1", "1.1.2", Modality="MR", SeriesNumber=7, PatientName="Müller^Jürgen", StudyDate="20260103")
    one.add(
        "1.2",
        "1.2.1",
        PatientName="Yamada^Tarou=山田^太郎",
        StudyDate="20260102",
        PatientID="A2",
        source="CT2",
        SpecificCharacterSet="ISO_IR 192",
    )
    one.add("1.3", "1.3.1", PatientName="", StudyDate="", StudyTime="", PatientID="A%1")
    yield one
    store.close()


def any_of(keyword: str, *values: str) -> Match:
    return Match(keyword=keyword, kind=MatchKind.ANY_OF, values=values)


def like(keyword: str, value: str) -> Match:
    return Match(keyword=keyword, kind=MatchKind.WILDCARD, values=(value,))


def between(keyword: str, low: str, high: str) -> Match:
    return Match(keyword=keyword, kind=MatchKind.RANGE, values=(low, high))


def test_everything_newest_first(archive: Archive) -> None:
    assert archive.studies() == ["1.1", "1.2", "1.3"]
    assert archive.studies(limit=1, offset=1) == ["1.2"]


@pytest.mark.parametrize(
    ("match", "found"),
    [
        (any_of("PatientID", "A*1"), ["1.1"]),
        (like("PatientID", "A?1"), ["1.1", "1.3"]),
        (like("PatientID", "A%*"), ["1.3"]),
        (any_of("StudyInstanceUID", "1.1", "1.3", "9"), ["1.1", "1.3"]),
        (between("StudyDate", "20260103", ""), ["1.1"]),
        (between("StudyDate", "", "20260102"), ["1.2"]),
        (between("StudyDate", "20260101", "20260103"), ["1.1", "1.2"]),
        (between("StudyTime", "1000", "1015"), ["1.1"]),
        (any_of("StudyTime", "1015"), ["1.1"]),
        (any_of("StudyTime", "1016"), []),
        (like("AccessionNumber", "ACC_?"), ["1.1"]),
        (like("AccessionNumber", "ACCX?"), []),
        (any_of("ModalitiesInStudy", "MR"), ["1.1"]),
        (any_of("ModalitiesInStudy", "CT", "MR"), ["1.1", "1.2", "1.3"]),
        (any_of("ReferringPhysicianName", "house^gregory"), ["1.1"]),
        (any_of("StudyID", "S1"), ["1.1"]),
    ],
)
def test_a_study_is_found(archive: Archive, match: Match, found: list[str]) -> None:
    assert archive.studies(match) == found


@pytest.mark.parametrize(
    ("wanted", "is_fuzzy", "found"),
    [
        ("müller^jürgen", False, ["1.1"]),
        ("MULLER^JURGEN", False, ["1.1"]),
        ("MULLER", False, []),
        ("MUL*", False, ["1.1"]),
        ("*^jur*", False, ["1.1"]),
        ("*ller*", False, ["1.1"]),
        ("Yamada^Tarou", False, ["1.2"]),
        ("山田^*", False, ["1.2"]),
        ("jurg mull", True, ["1.1"]),
        ("urgen", True, []),
        ("tarou", True, ["1.2"]),
        ("%", False, []),
        ("_uller^jurgen", False, []),
    ],
)
def test_a_name_is_found_however_it_is_written(
    archive: Archive, wanted: str, is_fuzzy: bool, found: list[str]
) -> None:
    assert archive.studies(like("PatientName", wanted), is_fuzzy=is_fuzzy) == found


def test_nothing_of_another_sender(archive: Archive) -> None:
    assert archive.studies(sources=("CT2",)) == ["1.2"]
    assert archive.studies(sources=()) == []


def test_what_a_study_holds(archive: Archive) -> None:
    [found] = archive.store.catalogue.search(
        Query(level=Level.STUDY, matches=(any_of("StudyInstanceUID", "1.1"),))
    )
    assert found.counts is not None
    assert (found.counts.series, found.counts.instances, found.counts.modalities) == (2, 3, ("CT", "MR"))
    assert found.read_header()["00100010"]["Value"] == [{"Alphabetic": "Müller^Jürgen"}]


def test_series_and_instances(archive: Archive) -> None:
    catalogue = archive.store.catalogue
    found = catalogue.search(Query(level=Level.SERIES, matches=(any_of("Modality", "MR"),)))
    assert [(one.series_instance_uid, one.instance_count) for one in found] == [("1.1.2", 1)]
    matches = (any_of("StudyInstanceUID", "1.1"), any_of("Modality", "CT"))
    images = catalogue.search(Query(level=Level.IMAGE, matches=matches))
    # By number, not by arrival.
    assert [one.sop_instance_uid for one in images] == ["1.9.2", "1.9.1"]
    assert images[0].read_header()["00200013"]["Value"] == [98]
    numbered = (*matches, any_of("InstanceNumber", "99"))
    assert len(catalogue.search(Query(level=Level.IMAGE, matches=numbered))) == 1


def test_no_file_is_opened_for_a_header(archive: Archive) -> None:
    for path in archive.store.intake.instances.iter_paths():
        path.unlink()
    headers = [json.loads(metadata) for _, metadata in archive.store.catalogue.iter_metadata("1.1")]
    assert len(headers) == 3
    assert all(header["7FE00010"] == {"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"} for header in headers)


def test_a_header_that_an_earlier_version_did_not_keep_is_made(archive: Archive) -> None:
    def whole() -> list[bytes]:
        return [metadata for _, metadata in archive.store.catalogue.iter_metadata("1.1")]

    before = whole()
    with archive.store.engine.begin() as connection:
        connection.execute(update(schema.instance).values(metadata=None))
    assert archive.store.catalogue.describe_missing() == 5
    assert archive.store.catalogue.describe_missing() == 0
    for path in archive.store.intake.instances.iter_paths():
        path.unlink()
    assert whole() == before


def test_a_result_is_found_until_it_is_superseded(archive: Archive) -> None:
    store = archive.store
    store.studies.begin_revision("1.1", "quiet", NOW)
    row = store.readings.save(replace(make_reading(), study_instance_uid="1.1", revision=1))
    ds = make_slice(SmallCt(shape=(1, 8, 10), study_uid="1.1", series_uid="1.1.9"), 0)
    ds.Modality, ds.SOPInstanceUID, ds.file_meta.MediaStorageSOPInstanceUID = "SEG", "1.8.1", "1.8.1"
    path = store.work / "seg"
    ds.save_as(path, enforce_file_format=True)
    document = Document(
        kind=DocumentKind.SEG,
        ordinal=1,
        sop_instance_uid="1.8.1",
        sop_class_uid=str(ds.SOPClassUID),
        series_instance_uid="1.1.9",
        title="Lungs",
        data=path.read_bytes(),
    )
    store.readings.save_documents(row.id, (document,))
    store.readings.save_documents(row.id, (document,))
    assert archive.studies(any_of("ModalitiesInStudy", "SEG")) == ["1.1"]
    held = store.catalogue.find_held("1.8.1")
    assert held is not None
    with store.catalogue.open(held) as file:
        assert file.read() == document.data
    # It comes back from the PACS: still one object.
    archive.add("1.1", "1.1.9", SOPInstanceUID="1.8.1")
    found = store.catalogue.search(Query(level=Level.SERIES, matches=(any_of("SeriesInstanceUID", "1.1.9"),)))
    assert [one.instance_count for one in found] == [1]
    assert [one.sop_instance_uid for one in store.catalogue.list_held("1.1", "1.1.9")] == ["1.8.1"]
    store.readings.supersede("1.1", before_revision=2, keep_models=[])
    assert archive.studies(any_of("ModalitiesInStudy", "SEG")) == []
    assert store.catalogue.list_held("1.1", "1.1.9") == []


def test_the_key_of_a_name() -> None:
    assert name_key("Doe^Jane^^Dr. ") == "=^DOE^JANE^DR.="
    assert name_key("^^^") == ""
    assert name_key("Øre^Åse=山田^太郎=") == "!=^ØRE^ASE=^山田^太郎=="


@pytest.mark.parametrize("few", [0, 1000])
def test_few_and_many_candidates_give_the_same_answer(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("wetread.store.catalogue._FEW", few)
    modality = Match(keyword="ModalitiesInStudy", kind=MatchKind.ANY_OF, values=("MR",))
    name = Match(keyword="PatientName", kind=MatchKind.WILDCARD, values=("*elle*",))
    archive.add("1.7", "1.7.1", Modality="MR", PatientName="Zeller^J")
    assert "1.7" in archive.studies(modality)
    assert archive.studies(modality, name) == ["1.7"]
    other = Match(keyword="PatientName", kind=MatchKind.WILDCARD, values=("*zzz*",))
    assert archive.studies(modality, other) == []
    query = Query(level=Level.SERIES, matches=(modality, name))
    assert [one.series_instance_uid for one in archive.store.catalogue.search(query)] == ["1.7.1"]


def test_what_has_no_value_is_found_and_counted(archive: Archive) -> None:
    archive.add("1.8", "1.8.1", AccessionNumber="", InstanceNumber=None, PatientName="")
    for keyword in ("AccessionNumber", "PatientName"):
        empty = Match(keyword=keyword, kind=MatchKind.EMPTY, values=())
        found = archive.studies(empty)
        assert "1.8" in found
        assert "1.1" not in found
    number = Match(keyword="InstanceNumber", kind=MatchKind.EMPTY, values=())
    query = Query(level=Level.IMAGE, matches=(number,))
    assert [one.study_instance_uid for one in archive.store.catalogue.search(query)] == ["1.8"]
    for level in Level:
        every = Query(level=level, limit=1)
        count = archive.store.catalogue.count(every, 1000)
        assert count == len(archive.store.catalogue.search(replace(every, limit=None)))
        assert archive.store.catalogue.count(every, 2) == 2


def test_a_brief_answer_is_the_same_in_fewer_words(archive: Archive) -> None:
    archive.add("1.4", "1.4.1", TimezoneOffsetFromUTC="+0100", SpecificCharacterSet="ISO_IR 100")
    archive.add("1.4", "1.4.1", TimezoneOffsetFromUTC='},"00280010":{"vr', NumberOfFrames=3)
    query = Query(level=Level.IMAGE, matches=(any_of("StudyInstanceUID", "1.4"),))
    whole, brief = (archive.store.catalogue.search(query, is_brief=one) for one in (False, True))
    assert (
        [one.sop_instance_uid for one in brief]
        == [one.sop_instance_uid for one in whole]
        == ["1.9.7", "1.9.6"]
    )
    for long, short in zip(whole, brief, strict=True):
        assert short.metadata == b""
        header = long.read_header()
        told = json.loads(b'{"%s}}' % b'},"'.join(short.brief.values()))
        assert told == {tag: header[tag] for tag in BRIEF if tag in header}
        assert len(told) >= 5


@pytest.mark.parametrize("rows", [["x" * 2000], None])
def test_what_is_kept_of_a_header_comes_back(rows: list[str] | None) -> None:
    header = {"00280010": {"vr": "US", "Value": rows}} if rows else {}
    metadata = json.dumps(header).encode()
    packed = pack_metadata(metadata)
    assert unpack_metadata(packed) == unpack_metadata(zlib.compress(metadata)) == metadata
    # Too long to stand in front: told from the whole header.
    assert unpack_brief(packed) == (None if rows else {})


def test_objects_are_found_by_uids_as_by_anything_else(archive: Archive) -> None:
    """Asked by UIDs alone another statement answers: it must not say anything else."""
    uids = [any_of("StudyInstanceUID", "1.1"), any_of("SeriesInstanceUID", "1.1.1")]
    for matches in (uids[:1], uids, [*uids, any_of("SOPInstanceUID", "1.9.2")]):
        for limit, offset in ((None, 0), (1, 0), (5, 1)):
            query = Query(level=Level.IMAGE, matches=tuple(matches), limit=limit, offset=offset)
            joined = replace(query, matches=(*matches, like("PatientName", "*")))
            assert archive.store.catalogue.search(query) == archive.store.catalogue.search(joined)
    assert archive.store.catalogue.search(replace(query, sources=("CT2",), offset=0)) == []
