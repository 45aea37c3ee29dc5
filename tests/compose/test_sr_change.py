"""The SR says in codes what became of each finding, in numbers how much, and since which images."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import highdicom
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.compose.conftest import Composed
from tests.compose.past import IMAGES, PRIOR_FRAME, PRIOR_SERIES, PRIOR_STUDY, compare
from tests.compose.test_air import children, code, everything, groups
from wetread.compose import compose
from wetread.domain.comparison import Status
from wetread.domain.document import DocumentKind


@pytest.fixture(scope="module")
def report(composed: Composed) -> Dataset:
    (document,) = compose(compare(composed.reading), composed.source, (DocumentKind.SR,))
    return pydicom.dcmread(io.BytesIO(document.data))


def outlined(report: Dataset, name: str) -> Dataset:
    (found,) = [
        group
        for group in groups(report)
        if children(group, "112039")[0].TextValue.endswith(f"PlanarFreehandROI:{name}")
    ]
    return found


def status_of(group: Dataset) -> tuple[str, str]:
    (item,) = children(group, "change")
    return code(item.ConceptCodeSequence[0])


def number(group: Dataset, name: str) -> tuple[float, str, str]:
    (item,) = children(group, name)
    (value,) = item.MeasuredValueSequence
    (unit,) = value.MeasurementUnitsCodeSequence
    return float(value.NumericValue), unit.CodeValue, unit.CodingSchemeDesignator


def test_the_object_is_valid(report: Dataset, tmp_path: Path, check_iod) -> None:
    path = tmp_path / "sr.dcm"
    report.save_as(path)
    assert check_iod(path) == []


def test_each_finding_has_the_code_of_what_became_of_it(report: Dataset) -> None:
    assert status_of(outlined(report, "Right pneumothorax")) == ("129721008", "SCT")
    assert status_of(outlined(report, "Nodule 1")) == ("15454001", "SCT")
    assert status_of(outlined(report, "Nodule 2")) == ("129723006", "SCT")


@pytest.mark.parametrize(("status", "value"), [(Status.DECREASED, "19776001"), (None, None)])
def test_smaller_has_a_code_and_what_was_not_judged_has_none(
    status: Status | None, value: str | None, composed: Composed
) -> None:
    reading = compare(composed.reading)
    prior = dataclasses.replace(reading.findings[1].prior, status=status)
    findings = (reading.findings[0], dataclasses.replace(reading.findings[1], prior=prior))
    reading = dataclasses.replace(reading, findings=findings)
    (document,) = compose(reading, composed.source, (DocumentKind.SR,))
    group = outlined(pydicom.dcmread(io.BytesIO(document.data)), "Nodule 1")
    if value is None:
        assert not children(group, "change")
    else:
        assert status_of(group) == (value, "SCT")
    assert number(group, "volume-change")[0] == 42.0


def test_numbers_have_ucum_units(report: Dataset) -> None:
    group = outlined(report, "Nodule 1")
    assert number(group, "volume-change") == (42.0, "%", "UCUM")
    assert number(group, "volume-change-low") == (18.0, "%", "UCUM")
    assert number(group, "volume-change-up") == (70.0, "%", "UCUM")
    assert number(group, "doubling-time") == (177.9, "d", "UCUM")
    assert number(group, "prior-volume") == (500.0, "mm3", "UCUM")
    assert number(group, "prior-interval") == (90.0, "d", "UCUM")
    assert not children(outlined(report, "Nodule 2"), "doubling-time")


def test_what_is_gone_is_coded_with_the_uid_that_it_had(report: Dataset) -> None:
    [evaluations] = children(report, "C0034375")
    (gone,) = children(evaluations, "change")
    assert code(gone.ConceptCodeSequence[0]) == ("413322009", "SCT")
    assert children(gone, "112040")[0].UID == "2.25.77"
    assert "not there any more" in children(gone, "121106")[0].TextValue
    (compared,) = children(evaluations, "111424")
    assert children(compared, "110180")[0].UID == PRIOR_STUDY


def test_a_place_that_was_not_scanned_is_no_resolution(composed: Composed) -> None:
    reading = compare(composed.reading)
    (gone,) = reading.comparison.gone
    elsewhere = dataclasses.replace(gone, status=Status.NOT_SCANNED)
    comparison = dataclasses.replace(reading.comparison, gone=(elsewhere,))
    (document,) = compose(
        dataclasses.replace(reading, comparison=comparison), composed.source, (DocumentKind.SR,)
    )
    [evaluations] = children(pydicom.dcmread(io.BytesIO(document.data)), "C0034375")
    assert not children(evaluations, "change")


def test_the_prior_images_are_named_with_their_day_and_listed_as_other_evidence(
    report: Dataset, composed: Composed
) -> None:
    [library] = children(report, "111028")
    now, prior = children(library, "126200")
    assert children(prior, "111060")[0].Date == "20260822"
    assert children(prior, "112227")[0].UID == PRIOR_FRAME
    named = [one.ReferencedSOPSequence[0] for one in children(prior, "260753009")]
    assert tuple(one.ReferencedSOPInstanceUID for one in named) == IMAGES.sop_instance_uids
    assert len(children(now, "260753009")) == len(composed.source.planes)
    [study] = report.PertinentOtherEvidenceSequence
    [series] = study.ReferencedSeriesSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (PRIOR_STUDY, PRIOR_SERIES)
    listed = {one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence}
    [mine] = report.CurrentRequestedProcedureEvidenceSequence
    listed |= {
        one.ReferencedSOPInstanceUID
        for one in mine.ReferencedSeriesSequence
        for one in one.ReferencedSOPSequence
    }
    assert mine.StudyInstanceUID == report.StudyInstanceUID
    assert listed == {
        one.ReferencedSOPInstanceUID
        for item in everything(report)
        for one in item.get("ReferencedSOPSequence", ())
    }


def test_without_images_kept_nothing_of_the_prior_is_listed(composed: Composed) -> None:
    reading = compare(composed.reading, images=None, alignment=None)
    (document,) = compose(reading, composed.source, (DocumentKind.SR,))
    ds = pydicom.dcmread(io.BytesIO(document.data))
    assert "PertinentOtherEvidenceSequence" not in ds
    assert len(children(children(ds, "111028")[0], "126200")) == 1


def test_highdicom_still_reads_the_groups(report: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "sr.dcm"
    report.save_as(path)
    found = highdicom.sr.srread(path).content.get_image_measurement_groups()
    nodule = next(one for one in found if one.tracking_uid == "2.25.103")
    evaluations = {one.name.value: one.value.value for one in nodule.get_qualitative_evaluations()}
    assert evaluations["change"] == "15454001"
