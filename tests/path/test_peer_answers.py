"""Answers of another vendor's AI as they come in: whose they are, and a later one that corrects the first."""

from __future__ import annotations

import io
from collections.abc import Callable

import pydicom
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from tests.deliver.test_cstore import running_peer
from tests.infer import peer_reports as made
from tests.path.test_peers import STUDY, Site, blob, make_site, segment
from wetread.domain.document import DocumentKind
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Outcome, Reading

__all__ = ["make_site"]


@pytest.fixture
def site(make_site: Callable[[str], Site]) -> Site:
    with running_peer(lambda _event: 0x0000) as port:
        held = make_site(f"VENDOR@127.0.0.1:{port}")
        assert [one.code for one in held.read().problems] == [ProblemCode.AWAITING_PEER]
        return held


def report(site: Site, plane: int, uid: str, time: str, **more: object) -> Dataset:
    images = [dcmread(path) for path in site.images]
    evaluation = made.sr.QualitativeEvaluation(made.MARGIN, made.SPICULATED)
    region = made.flat_region(images[plane], [[4.5, 6.5], [10.5, 6.5], [10.5, 12.5]])
    group = made.group(referenced_region=region, qualitative_evaluations=[evaluation])
    answer = made.report(site.images, [group], uid, **more)
    answer.ContentTime = time
    return answer


def take(site: Site, answer: Dataset, source: str = "VENDOR") -> None:
    path = site.work / f"{answer.SOPInstanceUID}.dcm"
    if not hasattr(answer, "file_meta") or "TransferSyntaxUID" not in answer.file_meta:
        answer.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    answer.save_as(path)
    site.take_in(path, source)


def planes(reading: Reading) -> list[int]:
    assert reading.outcome is Outcome.READ, reading.problems
    return [one.key_plane for one in reading.findings]


def test_a_report_is_told_as_the_vendors_and_composed(site: Site) -> None:
    take(site, report(site, 3, "1.2.3.8.1", "101500"))
    reading = site.read()
    assert planes(reading) == [3]
    row = site.store.readings.find(STUDY, 2, "vendor-nodules")
    assert row is not None
    site.steps.compose(row.id)
    (composed,) = [one for one in site.store.readings.list_documents(row.id) if one.kind is DocumentKind.SR]
    data = io.BytesIO(site.store.readings.load_document(composed).data)
    text = pydicom.dcmread(data).to_json()
    assert "Spiculated" in text
    assert "answer of Vendor, Nodules, 4.2, 77" in text


def test_a_later_answer_begins_a_revision_that_is_read_anew(site: Site) -> None:
    take(site, report(site, 3, "1.2.3.8.1", "101500"))
    assert planes(site.read()) == [3]
    take(site, report(site, 5, "1.2.3.8.2", "103000", series="1.2.3.9"))
    corrected = site.read()
    assert planes(corrected) == [5]
    assert corrected.predecessor_digest
    # What else comes changes nothing of it: the Reading stands.
    other = report(site, 6, "1.2.3.8.3", "110000", series="1.2.3.10")
    take(site, other, source="PACS")
    begun = site.store.studies.begin_revision(STUDY, "quiet", site.steps.clock())
    assert begun is not None
    for chosen in site.steps.match(STUDY, begun.revision):
        site.steps.infer(STUDY, begun.revision, chosen["model"], chosen["series"])
    assert site.store.readings.find(STUDY, begun.revision, "vendor-nodules") is None


def test_a_later_segmentation_corrects_a_report(site: Site) -> None:
    take(site, report(site, 6, "1.2.3.8.1", "101500"))
    assert planes(site.read()) == [6]
    marks = segment(site.images, blob(), "1.2.3.7.1")
    marks.ContentDate, marks.ContentTime = "20261124", "103000"
    take(site, marks)
    reading = site.read()
    assert len(reading.segments) == 1


def test_an_answer_that_names_its_predecessor_counts_whatever_its_clock_says(site: Site) -> None:
    first = report(site, 3, "1.2.3.8.1", "101500")
    take(site, first)
    assert planes(site.read()) == [3]
    take(site, report(site, 5, "1.2.3.8.2", "091500", previous_versions=[first]))
    assert planes(site.read()) == [5]


def test_of_two_that_came_at_once_the_report_counts_and_brings_its_segmentation(site: Site) -> None:
    marks = segment(site.images, blob(), "1.2.3.7.1")
    marks.ContentDate, marks.ContentTime = "20261124", "101500.25"
    take(site, marks)
    take(site, report(site, 6, "1.2.3.8.1", "101500"))
    assert planes(site.read()) == [6]


def test_an_answer_of_another_patient_is_never_read(site: Site) -> None:
    answer = report(site, 3, "1.2.3.8.1", "101500")
    answer.PatientID = "SOMEBODY-ELSE"
    take(site, answer)
    begun = site.store.studies.begin_revision(STUDY, "quiet", site.steps.clock())
    assert begun is not None
    assert site.steps.match(STUDY, begun.revision) == []
    match = site.store.studies.get_revision(STUDY, begun.revision).match
    assert match is not None
    assert ProblemCode.MIXED_PATIENTS.value in str(match)


def test_an_answer_about_another_series_is_not_this_ones(site: Site) -> None:
    answer = report(site, 3, "1.2.3.8.1", "101500")
    other = dcmread(site.images[0])
    other.SeriesInstanceUID, other.SOPInstanceUID = "1.2.3.4", "1.2.3.4.1"
    other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
    take(site, other, source="CT1")
    region = made.flat_region(other, [[3, 3]], "POINT")
    path = site.work / "1.2.3.4.1.dcm"
    take(site, made.report([path], [made.group(referenced_region=region)], "1.2.3.8.4"))
    with running_peer(lambda _event: 0x0000):
        assert [one.code for one in site.read().problems] == [ProblemCode.PEER_UNREACHABLE]
    take(site, answer)
    assert planes(site.read()) == [3]


def test_an_answer_about_another_study_is_refused_with_its_code(site: Site) -> None:
    answer = report(site, 3, "1.2.3.8.1", "101500")
    (study,) = answer.CurrentRequestedProcedureEvidenceSequence
    study.StudyInstanceUID, study.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.999", "1.2.999.1"
    take(site, answer)
    assert [one.code for one in site.read().problems] == [ProblemCode.ANSWER_OTHER_IMAGES]


def test_a_broken_report_is_refused_and_the_next_one_read(site: Site) -> None:
    broken = made.bare(dcmread(site.images[0]), site.images, "126000", [], "1.2.3.8.1")
    del broken.ValueType
    take(site, broken)
    assert [one.code for one in site.read().problems] == [ProblemCode.ANSWER_NOT_UNDERSTOOD]
    take(site, report(site, 3, "1.2.3.8.2", "120000"))
    assert planes(site.read()) == [3]
