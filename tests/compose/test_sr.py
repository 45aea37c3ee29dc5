"""The SR says what the Reading says, to viewers and to other programs."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.compose.conftest import Composed
from tests.compose.scene import NODULES, ORIENTATIONS, make_grid, make_reading, make_source, make_volume
from wetread.compose import compose
from wetread.domain.document import READING_KINDS, DocumentKind

AREA, LONG_AXIS, SHORT_AXIS = "42798000", "103339001", "103340004"


def _sr(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def _child(item: Dataset, value: str) -> Dataset:
    for one in item.ContentSequence:
        name = one.ConceptNameCodeSequence[0]
        if value in (name.get("CodeValue"), name.get("LongCodeValue")):
            return one
    raise KeyError(value)


def _groups(ds: Dataset) -> dict[str, Dataset]:
    """Return measurement groups by tracking identifier."""
    return {_child(group, "112039").TextValue: group for group in _child(ds, "126010").ContentSequence}


def _points(number: Dataset) -> np.ndarray:
    return np.array(number.ContentSequence[0].GraphicData, float).reshape(-1, 2)


def _image(number: Dataset) -> str:
    return number.ContentSequence[0].ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID


def _value(number: Dataset) -> float:
    return float(number.MeasuredValueSequence[0].NumericValue)


def _area(points: np.ndarray) -> float:
    x, y = points[:, 0], points[:, 1]
    return abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_points_lie_in_their_place_and_agree_with_the_values(name: str, tmp_path: Path) -> None:
    orientation = ORIENTATIONS[name]
    volume = make_volume(make_grid(orientation, shape=(60, 100, 110), spacing_mm=(4.0, 2.2, 2.2)))
    reading, source = make_reading(volume), make_source(tmp_path, volume, orientation)
    (document,) = compose(reading, source, (DocumentKind.SR,))
    groups = _groups(_sr(document.data))
    for number, (center, half) in enumerate(NODULES, start=1):
        area = _child(groups[f"Cornerstone3DTools@^0.1.0:PlanarFreehandROI:Nodule {number}"], AREA)
        lps = _to_lps(tmp_path, _image(area), _points(area))
        assert np.linalg.norm(lps.mean(axis=0) - center) < 6.0
        assert np.all(np.abs(lps - center) <= np.array(half) + 4.0)
        assert _value(area) == pytest.approx(_area(_points(area)) * 2.2 * 2.2, rel=1e-4)
        axes = groups[f"Cornerstone3DTools@^0.1.0:Bidirectional:Nodule {number}"]
        finding = reading.findings[number]
        for code, ends in ((LONG_AXIS, finding.axes.long), (SHORT_AXIS, finding.axes.short)):
            item = _child(axes, code)
            lps = _to_lps(tmp_path, _image(item), _points(item))
            assert np.abs(lps - np.array(ends)).max() < 1e-2
            assert np.linalg.norm(lps[1] - lps[0]) == pytest.approx(_value(item), abs=0.01)


def _to_lps(folder: Path, uid: str, points: np.ndarray) -> np.ndarray:
    """Map (column, row) to the patient by the image's own header (PS3.3 C.7.6.2.1.1)."""
    headers = (pydicom.dcmread(path, stop_before_pixels=True) for path in folder.glob("*.dcm"))
    image = next(one for one in headers if uid == one.SOPInstanceUID)
    across, down = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
    row_mm, column_mm = map(float, image.PixelSpacing)
    index = points - 0.5
    origin = np.array(image.ImagePositionPatient, float)
    return origin + index[:, :1] * column_mm * across + index[:, 1:] * row_mm * down


def test_every_group_has_what_viewers_ask_for(composed: Composed) -> None:
    ds = _sr(composed.of(DocumentKind.SR)[0].data)
    groups = _groups(ds)
    # Three outlines and two pairs of axes of findings, two lungs.
    assert len(groups) == 7
    uids = [_child(group, "112040").UID for group in groups.values()]
    assert len(set(uids)) == len(uids)
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    for group in groups.values():
        numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]
        coordinates = numbers[0].ContentSequence
        # OHIF takes a lone item below NUM, and stops at a group whose first NUM has no coordinates.
        assert [item.ValueType for item in coordinates] == ["SCOORD"]
        assert coordinates[0].GraphicType == "POLYLINE"
        assert all("ConceptNameCodeSequence" in item for item in group.ContentSequence)
        assert _child(group, "111001").TextValue == "chest-ct"
        assert _child(group, "111003").TextValue == "1.0.0"
    closed = _points(_child(groups["Cornerstone3DTools@^0.1.0:PlanarFreehandROI:Nodule 1"], AREA))
    assert np.array_equal(closed[0], closed[-1])


def test_values_and_codes_are_those_of_the_reading(composed: Composed) -> None:
    ds = _sr(composed.of(DocumentKind.SR)[0].data)
    group = _groups(ds)["Cornerstone3DTools@^0.1.0:PlanarFreehandROI:Nodule 1"]
    finding = composed.reading.findings[1]
    assert finding.tracking_uid == _child(group, "112040").UID
    assert _child(group, "121071").ConceptCodeSequence[0].CodeMeaning == "Nodule"
    assert _value(_child(group, "118565006")) == pytest.approx(finding.measurements["volume_mm3"], abs=1e-3)
    assert _value(_child(group, "122157")) == pytest.approx(0.91)
    assert _value(_child(group, "volume-change")) == 42.0
    assert _child(group, "C41144").ConceptCodeSequence[0].CodeMeaning == "Solid"
    site = _child(group, "363698007")
    assert site.ConceptCodeSequence[0].CodeMeaning == "Lung"
    assert site.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "Right"
    segment = _child(group, "121191").ReferencedSOPSequence[0]
    assert segment.ReferencedSOPInstanceUID == composed.of(DocumentKind.SEG)[0].sop_instance_uid
    assert segment.ReferencedSegmentNumber == 3
    lung = _groups(ds)["right lung"]
    assert _value(_child(lung, "laa-950")) == 1.25
    assert _value(_child(lung, "perc15")) == -871.0


def test_every_reference_is_listed_as_evidence(composed: Composed) -> None:
    ds = _sr(composed.of(DocumentKind.SR)[0].data)
    [mine], [prior] = ds.CurrentRequestedProcedureEvidenceSequence, ds.PertinentOtherEvidenceSequence
    listed = {
        reference.ReferencedSOPInstanceUID: series.SeriesInstanceUID
        for study in (mine, prior)
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    used = set(_referenced(ds))
    assert used == set(listed)
    seg = composed.of(DocumentKind.SEG)[0]
    assert listed[seg.sop_instance_uid] == seg.series_instance_uid


def _referenced(item: Dataset) -> list[str]:
    found = [str(one.ReferencedSOPInstanceUID) for one in item.get("ReferencedSOPSequence") or ()]
    for child in item.get("ContentSequence") or ():
        found += _referenced(child)
    return found


def test_highdicom_reads_the_groups(composed: Composed, tmp_path: Path) -> None:
    path = tmp_path / "sr.dcm"
    path.write_bytes(composed.of(DocumentKind.SR)[0].data)
    report = highdicom.sr.srread(path).content
    groups = report.get_image_measurement_groups()
    found = {group.tracking_uid: group for group in groups}
    assert {finding.tracking_uid for finding in composed.reading.findings} <= found.keys()
    nodule = found["2.25.103"]
    volume = nodule.get_measurements(name=highdicom.sr.CodedConcept("118565006", "SCT", "Volume"))[0]
    assert volume.value == pytest.approx(composed.reading.findings[1].measurements["volume_mm3"], abs=1e-3)
    assert nodule.finding_type.value == "27925004"


def test_dcmqi_reads_the_same_numbers(composed: Composed, tmp_path: Path) -> None:
    program = shutil.which("tid1500reader", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("tid1500reader is not installed: pip install dcmqi")
    (tmp_path / "sr.dcm").write_bytes(composed.of(DocumentKind.SR)[0].data)
    command = [program, "--inputDICOM", "sr.dcm", "--outputMetadata", "sr.json"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    found = {group["TrackingUniqueIdentifier"]: group for group in groups}
    for finding in composed.reading.findings:
        group = found[finding.tracking_uid]
        assert group["ReferencedSegment"] == finding.segment_number
        assert group["segmentationSOPInstanceUID"] == composed.of(DocumentKind.SEG)[0].sop_instance_uid
        values = {item["quantity"]["CodeValue"]: float(item["value"]) for item in group["measurementItems"]}
        name = "volume_mm3" if "volume_mm3" in finding.measurements else "volume_ml"
        assert values["118565006"] == pytest.approx(finding.measurements[name], abs=1e-3)


def test_a_finding_without_a_segment_is_boxed(composed: Composed, tmp_path: Path, check_iod) -> None:
    bare = dataclasses.replace(composed.reading.findings[1], segment_number=None, axes=None, laterality=None)
    reading = dataclasses.replace(composed.reading, findings=(bare,), segments=(), regions=())
    documents = compose(reading, composed.source, READING_KINDS)
    kinds = {document.kind for document in documents}
    assert DocumentKind.SEG not in kinds
    (sr,) = [document for document in documents if document.kind is DocumentKind.SR]
    (group,) = _groups(_sr(sr.data)).values()
    assert len(_points(_child(group, AREA))) == 5
    path = tmp_path / "sr.dcm"
    path.write_bytes(sr.data)
    assert check_iod(path) == []
    assert DocumentKind.PR in kinds
