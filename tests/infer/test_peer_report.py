"""Answers of other vendors' AI as Structured Reports: what is taken, where it lies, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes

from tests.dicom.small_ct import SmallCt, write_ct
from tests.infer import peer_reports as made
from tests.path.test_peers import blob, complete, segment, vendor_model
from tests.store.test_store import NOW
from wetread.dicom import content
from wetread.dicom.header import read_instance
from wetread.domain import code
from wetread.domain.packing import pack_reading, unpack_reading
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Outcome, Reading, canonical_json
from wetread.domain.study import Series
from wetread.errors import InvalidOutput, UnreadableInstance
from wetread.infer.job import ReadJob
from wetread.infer.read import read_job

SHAPE = (8, 24, 20)


class Desk:
    """A series, and a vendor whose answers are read."""

    def __init__(self, folder: Path, ct: SmallCt) -> None:
        self.folder = folder
        self.paths = write_ct(folder / "images", ct)
        self.images = [dcmread(path) for path in self.paths]
        self.series = Series(
            series_instance_uid="1.2.3.1", instances=tuple(read_instance(path) for path in self.paths)
        )
        self.model = vendor_model(folder / "package", "VENDOR@127.0.0.1:104")

    def read(self, *answers: Dataset) -> Reading:
        instances = []
        for number, one in enumerate(answers):
            path = self.folder / f"answer{number}.dcm"
            one.save_as(path, enforce_file_format=True)
            instances.append(read_instance(path))
        job = ReadJob(
            study_instance_uid="1.2.3",
            revision=1,
            series=self.series,
            model=self.model,
            made_at=NOW,
            answers=tuple(instances),
        )
        return read_job(job)[0]

    def refused(self, *answers: Dataset) -> tuple[ProblemCode, str]:
        reading = self.read(*answers)
        assert reading.outcome is Outcome.NOT_READ
        assert not reading.findings
        (problem,) = [one for one in reading.problems if one.refuses]
        return problem.code, problem.message

    def at(self, plane: float, row: float, column: float) -> list[float]:
        """Return LPS mm of an index."""
        return [-20 + column * 0.75, -30 + row * 0.5, 100 + plane * 2]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, SmallCt(shape=SHAPE, edit=complete))


def outlined(desk: Desk, plane: int = 3, **more: object) -> made.Any:
    region = made.flat_region(desk.images[plane], [[4.5, 6.5], [10.5, 6.5], [10.5, 12.5], [4.5, 12.5]])
    return made.group(referenced_region=region, **more)


def test_a_measurement_group_is_a_finding_with_all_that_it_says(desk: Desk) -> None:
    said = outlined(
        desk,
        finding_sites=[
            made.sr.FindingSite(codes.SCT.Lung, laterality=codes.SCT.Left),
        ],
        measurements=[
            made.measurement(codes.SCT.Volume, 0.5, codes.UCUM.CubicCentimeter),
            made.measurement(codes.SCT.LongAxis, 9.25, codes.UCUM.Millimeter),
            made.measurement(codes.DCM.Probability, 87.5, codes.UCUM.Percent),
        ],
        qualitative_evaluations=[made.sr.QualitativeEvaluation(made.MARGIN, made.SPICULATED)],
    )
    reading = desk.read(made.report(desk.paths, [said]))
    assert reading.outcome is Outcome.READ, reading.problems
    (finding,) = reading.findings
    assert finding.tracking_uid == "1.2.3.500"
    assert (finding.label, finding.code.value) == ("nodule", "27925004")
    assert finding.probability == 0.875
    assert finding.measurements == {"volume_mm3": 500.0, "long_axis_mm": 9.25}
    assert finding.laterality == code.LEFT
    assert finding.site is not None
    assert finding.site.value == "39607008"
    assert finding.key_plane == 3
    # SCOORD counts from the corner of the first pixel: 4.5 is the middle of column 4.
    np.testing.assert_allclose(finding.center_lps_mm, desk.at(3, 9, 7), atol=1e-3)
    np.testing.assert_allclose(finding.box_lps_mm[0], desk.at(2.5, 5.5, 3.5), atol=1e-3)
    ((evaluation),) = finding.evaluations
    assert (evaluation.concept.value, evaluation.value.value) == ("C25563", "RID34281")
    assert reading.triage.priority == "urgent"
    assert reading.answer is not None
    assert reading.answer.device == "Vendor, Nodules, 4.2, 77"
    assert reading.answer.sop_instance_uids == ("1.2.3.8.1",)
    assert reading.model.name == "vendor-nodules"
    again = unpack_reading(pack_reading(reading))
    assert again == reading
    assert "spiculated" in canonical_json(reading).lower()


@pytest.mark.parametrize(
    ("graphic", "points", "low", "high"),
    [
        ("POINT", [[8.5, 6.5]], (6, 8), (6, 8)),
        ("CIRCLE", [[8.5, 6.5], [8.5, 9.5]], (3, 6), (9, 10)),
        ("ELLIPSE", [[4.5, 6.5], [12.5, 6.5], [8.5, 4.5], [8.5, 8.5]], (4, 4), (8, 12)),
    ],
)
def test_every_flat_shape_lies_where_it_was_drawn(
    desk: Desk, graphic: str, points: list[list[float]], low: tuple[int, int], high: tuple[int, int]
) -> None:
    region = made.flat_region(desk.images[2], points, graphic)
    (finding,) = desk.read(made.report(desk.paths, [made.group(referenced_region=region)])).findings
    np.testing.assert_allclose(finding.box_lps_mm[0], desk.at(1.5, low[0] - 0.5, low[1] - 0.5), atol=1e-3)
    np.testing.assert_allclose(finding.box_lps_mm[1], desk.at(2.5, high[0] + 0.5, high[1] + 0.5), atol=1e-3)


def solid(points: list[list[float]], graphic: str = "POINT", frame: str = "1.2.3.99") -> made.Any:
    kind = made.sr.GraphicTypeValues3D(graphic)
    return made.sr.ImageRegion3D(
        graphic_type=kind, graphic_data=np.array(points), frame_of_reference_uid=frame
    )


def test_a_place_in_space_is_a_finding_on_its_plane(desk: Desk) -> None:
    region = solid([desk.at(5, 10, 8)])
    (finding,) = desk.read(made.report(desk.paths, [made.group(referenced_region=region)])).findings
    assert finding.key_plane == 5
    np.testing.assert_allclose(finding.center_lps_mm, desk.at(5, 10, 8), atol=1e-3)


def test_what_a_segmentation_marks_is_the_findings_mask(desk: Desk) -> None:
    marks = segment(desk.paths, blob(), "1.2.3.7.1")
    region = made.sr.ReferencedSegment(
        sop_class_uid=marks.SOPClassUID,
        sop_instance_uid=marks.SOPInstanceUID,
        segment_number=1,
        source_series=made.sr.SourceSeriesForSegmentation("1.2.3.1"),
    )
    volumetric = made.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=made.sr.TrackingIdentifier(uid="1.2.3.501", identifier="n"),
        finding_type=codes.SCT.Nodule,
        referenced_segment=region,
    )
    answer = made.report(desk.paths, [volumetric], besides=[marks])
    reading = desk.read(answer, marks)
    (finding,), (marked,) = reading.findings, reading.segments
    assert finding.segment_number == 1
    assert (marked.mask.to_array() == blob()).all()
    assert reading.answer is not None
    assert reading.answer.sop_instance_uids == ("1.2.3.8.1", "1.2.3.7.1")
    refused, message = desk.refused(answer)
    assert refused is ProblemCode.ANSWER_NOT_UNDERSTOOD
    assert "Segmentation must be sent" in message


def test_an_empty_report_is_read_and_nothing_found(desk: Desk) -> None:
    reading = desk.read(made.report(desk.paths, []))
    assert reading.outcome is Outcome.READ, reading.problems
    assert reading.findings == ()


def test_groups_of_one_tracking_uid_are_one_finding(desk: Desk) -> None:
    size = outlined(desk, measurements=[made.measurement(codes.SCT.LongAxis, 8, codes.UCUM.Millimeter)])
    reading = desk.read(made.report(desk.paths, [outlined(desk), size]))
    (finding,) = reading.findings
    assert finding.measurements == {"long_axis_mm": 8.0}


def test_what_is_not_taken_is_named(desk: Desk) -> None:
    odd = made.measurement(codes.SCT.Mass, 1.5, codes.UCUM.Millimeter)
    reading = desk.read(made.report(desk.paths, [outlined(desk, measurements=[odd])]))
    (note,) = reading.problems
    assert note.code is ProblemCode.ANSWER_IN_PART
    assert not note.refuses
    assert f"SCT {codes.SCT.Mass.value}" in note.message


def test_a_finding_without_a_place_stands_for_the_whole_series(desk: Desk) -> None:
    group = made.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=made.sr.TrackingIdentifier(uid="1.2.3.502", identifier="n"),
        finding_type=codes.SCT.Nodule,
        measurements=[made.measurement(codes.SCT.LongAxis, 8, codes.UCUM.Millimeter)],
    )
    reading = desk.read(made.report(desk.paths, [group]))
    (finding,) = reading.findings
    np.testing.assert_allclose(finding.center_lps_mm, desk.at(3.5, 11.5, 9.5), atol=1e-3)
    assert "no place" in reading.problems[0].message


Change = Callable[[Desk], tuple[Dataset, ...]]


def _of_image(desk: Desk, uid: str) -> Dataset:
    other = replace_uid(desk.images[3], uid)
    region = made.flat_region(other, [[3, 3]], "POINT")
    return made.report(desk.paths, [made.group(referenced_region=region)], besides=[other])


def replace_uid(image: Dataset, uid: str) -> Dataset:
    other = Dataset()
    other.update(image)
    other.SOPInstanceUID = uid
    return other


def _of_other_study(desk: Desk) -> Dataset:
    answer = made.report(desk.paths, [outlined(desk)])
    answer.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID = "1.2.999"
    return answer


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda desk: _of_image(desk, "1.2.3.2.1"), id="another series"),
        pytest.param(_of_other_study, id="another study"),
        pytest.param(
            lambda desk: made.report(
                desk.paths, [made.group(referenced_region=solid([desk.at(5, 10, 8)], frame="1.2.3.98"))]
            ),
            id="another frame of reference",
        ),
        pytest.param(
            lambda desk: made.report(desk.paths, [made.group(referenced_region=solid([desk.at(50, 10, 8)]))]),
            id="outside",
        ),
        pytest.param(
            lambda desk: made.report(
                desk.paths,
                [made.group(referenced_region=made.flat_region(desk.images[0], [[30, 3]], "POINT"))],
            ),
            id="beyond the last column",
        ),
    ],
)
def test_what_is_about_other_images_is_refused(desk: Desk, answer: Callable[[Desk], Dataset]) -> None:
    assert desk.refused(answer(desk))[0] is ProblemCode.ANSWER_OTHER_IMAGES


def _with_code_beside(desk: Desk) -> Dataset:
    answer = made.report(desk.paths, [])
    beside = made.item("CODE", "121073", "CONTAINS", ConceptCodeSequence=made.coded("36118008", "SCT"))
    answer.ContentSequence = [*answer.ContentSequence, beside]
    return answer


def _without_image(desk: Desk) -> Dataset:
    answer = made.report(desk.paths, [outlined(desk)])
    for group in answer.ContentSequence[-1].ContentSequence:
        for one in group.ContentSequence:
            if one.ValueType == "SCOORD":
                del one.ContentSequence
    return answer


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(_with_code_beside, "DCM 121073", id="a finding beside the groups"),
        pytest.param(_without_image, "on which image", id="coordinates without an image"),
        pytest.param(
            lambda desk: made.report(
                desk.paths,
                [outlined(desk, measurements=[made.measurement(codes.SCT.Volume, 5, codes.UCUM.Millimeter)])],
            ),
            "SCT 118565006",
            id="a volume in mm",
        ),
        pytest.param(
            lambda desk: made.report(
                desk.paths,
                [
                    outlined(
                        desk, measurements=[made.measurement(codes.DCM.Probability, 87.5, codes.UCUM.NoUnits)]
                    )
                ],
            ),
            "certainty",
            id="a certainty of 87.5",
        ),
        pytest.param(
            lambda desk: made.bare(
                desk.images[0],
                desk.paths,
                "121070",
                [made.item("TEXT", "121071", "CONTAINS", TextValue="A nodule of Mrs Doe")],
                "1.2.3.8.3",
            ),
            "DCM 121070",
            id="words only",
        ),
    ],
)
def test_what_is_not_understood_is_refused_by_its_code(
    desk: Desk, answer: Callable[[Desk], Dataset], told: str
) -> None:
    refused, message = desk.refused(answer(desk))
    assert refused is ProblemCode.ANSWER_NOT_UNDERSTOOD
    assert told in message
    assert "Doe" not in message


def test_a_side_that_the_place_contradicts_is_refused(tmp_path: Path) -> None:
    wide = SmallCt(shape=SHAPE, spacing_mm=(2.0, 10.0, 20.0), edit=complete)
    desk = Desk(tmp_path, wide)

    def answer(column: float) -> Dataset:
        region = made.flat_region(desk.images[3], [[column, 12]], "POINT")
        sites = [made.sr.FindingSite(codes.SCT.Lung, laterality=codes.SCT.Right)]
        return made.report(desk.paths, [made.group(referenced_region=region, finding_sites=sites)])

    # Columns grow towards the patient's left.
    assert desk.read(answer(3)).outcome is Outcome.READ
    refused, message = desk.refused(answer(17))
    assert refused is ProblemCode.ANSWER_NOT_UNDERSTOOD
    assert "lies on the left" in message


def test_more_findings_than_the_package_allows_are_a_fault(desk: Desk) -> None:
    assert desk.model.output is not None
    desk.model = replace(desk.model, output=replace(desk.model.output, most_findings=1))
    groups = [outlined(desk), outlined(desk)]
    groups[1][0].ContentSequence[1].UID = "1.2.3.503"
    with pytest.raises(InvalidOutput, match="more than it may"):
        desk.read(made.report(desk.paths, groups))


# CAD


def spot(desk: Desk, *more: Dataset, plane: int = 3) -> Dataset:
    # The library is item 1.1, its images 1.1.1 and so on: by reference, as CAD reports do it.
    place = made.point("111010", 8.5, 6.5, made.reference(1, 1, plane + 1))
    return made.feature(made.intent("111150"), place, made.number("111012", 91), *more)


@pytest.mark.parametrize("root", ["112000", "111036"])
def test_a_cad_report_gives_name_place_and_certainty(desk: Desk, root: str) -> None:
    hidden = made.feature(made.intent("111152"), made.point("111010", 1, 1, made.reference(1, 1, 1)))
    reading = desk.read(made.cad(desk.paths, "111242", spot(desk), hidden, root=root))
    assert reading.outcome is Outcome.READ, reading.problems
    (finding,) = reading.findings
    assert (finding.label, finding.probability, finding.key_plane) == ("nodule", 0.91, 3)
    np.testing.assert_allclose(finding.center_lps_mm, desk.at(3, 6, 8), atol=1e-3)


def test_the_parts_of_a_composite_feature_are_one_finding(desk: Desk) -> None:
    whole = made.feature(
        made.intent("111150"), spot(desk, plane=3), spot(desk, plane=5), single=False, code=("4147007", "SCT")
    )
    by_reference = made.feature(
        made.intent("111150"),
        made.reference(1, 2, 1, 2, relationship="INFERRED FROM"),
        single=False,
        code=("27925004", "SCT"),
    )
    reading = desk.read(made.cad(desk.paths, "111242", whole, by_reference))
    assert [(one.label, one.key_plane) for one in reading.findings] == [("nodule", 4), ("nodule", 3)]
    assert [one.code.value for one in reading.findings] == ["4147007", "27925004"]


def test_a_cad_report_without_findings_is_read_and_nothing_found(desk: Desk) -> None:
    reading = desk.read(made.cad(desk.paths, "111241"))
    assert reading.outcome is Outcome.READ, reading.problems
    assert reading.findings == ()


@pytest.mark.parametrize("summary", ["111243", "111245"])
def test_algorithms_that_failed_are_no_empty_result(desk: Desk, summary: str) -> None:
    assert desk.refused(made.cad(desk.paths, summary))[0] is ProblemCode.PEER_FAILED


@pytest.mark.parametrize(
    ("summary", "features", "told"),
    [
        ("111241", lambda desk: [spot(desk)], "nothing was found"),
        ("111299", lambda desk: [spot(desk)], "DCM 111299"),
        ("111242", lambda _desk: [made.feature(made.intent("111150"))], "SCT 27925004 without a place"),
        (
            "111242",
            lambda _desk: [made.feature(made.point("111010", 1, 1, made.reference(1, 1, 99)))],
            "does not hold",
        ),
        ("111242", lambda _desk: [made.feature(made.reference(1, 2))], "without end"),
    ],
)
def test_a_cad_report_that_is_not_understood_is_refused(
    desk: Desk, summary: str, features: Callable[[Desk], list[Dataset]], told: str
) -> None:
    refused, message = desk.refused(made.cad(desk.paths, summary, *features(desk)))
    assert refused is ProblemCode.ANSWER_NOT_UNDERSTOOD
    assert told in message


# Bounds of the parser


def nested(levels: int) -> Dataset:
    inner = made.item("CONTAINER", "125007", "CONTAINS")
    for _ in range(levels):
        inner = made.item("CONTAINER", "126010", "CONTAINS", inner)
    return inner


def test_a_report_deeper_than_any_real_one_is_refused(desk: Desk) -> None:
    def answer(levels: int) -> Dataset:
        return made.bare(desk.images[0], desk.paths, "126000", [nested(levels)], "1.2.3.8.4")

    assert desk.read(answer(30)).outcome is Outcome.READ
    assert desk.refused(answer(60))[0] is ProblemCode.ANSWER_NOT_UNDERSTOOD


def test_more_content_than_any_real_report_is_refused(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MOST_ITEMS", 5)
    path = tmp_path / "many.dcm"
    made.report(desk.paths, [outlined(desk)]).save_as(path)
    with pytest.raises(UnreadableInstance, match="more content"):
        content.read_report(read_instance(path))


def test_a_larger_report_than_any_real_one_is_not_read(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.dcm"
    made.report(desk.paths, [outlined(desk)]).save_as(path)
    monkeypatch.setattr(content, "MOST_BYTES", 1000)
    with pytest.raises(UnreadableInstance, match="larger"):
        content.read_report(read_instance(path))


def test_a_cut_report_is_refused(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "whole.dcm"
    made.report(desk.paths, [outlined(desk)]).save_as(path)
    instance = read_instance(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UnreadableInstance):
        content.read_report(instance)
