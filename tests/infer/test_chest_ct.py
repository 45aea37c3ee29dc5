"""The built-in reader on phantoms and on real series."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from wetread.domain import code
from wetread.domain.packing import pack_reading, unpack_reading
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Outcome, Priority, digest
from wetread.domain.volume import Grid, Volume
from wetread.infer.chest_ct import read_chest_ct
from wetread.infer.request import ReadRequest
from wetread.measure.marked import measure_marked
from wetread.phantom import (
    NoduleOptions,
    PhantomOptions,
    Place,
    PleuralOptions,
    ScannerOptions,
    Side,
    VisitOptions,
    make_visit,
)
from wetread.registry.package import read_models

DATA = Path(os.environ.get("WETREAD_DATA", Path(__file__).parents[3] / "shared/data"))
# Coarser than a clinical scan, so that the suite stays quick.
SCANNER = ScannerOptions(matrix=320, spacing_mm=1.1, step_mm=2.0, thickness_mm=2.0)


def _request(volume):
    return ReadRequest(
        study_instance_uid="2.25.10",
        series_instance_uid="2.25.11",
        revision=1,
        model=read_models()["chest-ct"],
        volume=volume,
        made_at=datetime(2026, 1, 12, tzinfo=UTC),
    )


@pytest.fixture(scope="module")
def visit():
    options = PhantomOptions(
        seed=31,
        scanner=SCANNER,
        nodules=(
            NoduleOptions(diameter_mm=14.0, side=Side.RIGHT),
            NoduleOptions(diameter_mm=10.0, side=Side.LEFT, place=Place.JUXTAPLEURAL),
        ),
        visits=(VisitOptions(pneumothorax=PleuralOptions(side=Side.LEFT, volume_ml=250.0)),),
    )
    return make_visit(options)


@pytest.fixture(scope="module")
def reading(visit):
    return read_chest_ct(_request(visit.volume))


def _apart(finding, nodule):
    return np.linalg.norm(np.subtract(finding.center_lps_mm, nodule.center_lps_mm))


def test_its_outlines_measure_alike_when_a_reader_sends_them_back(visit, reading):
    for finding in (one for one in reading.findings if one.code == code.NODULE):
        mask = reading.get_segment(finding.segment_number).mask
        again = measure_marked(visit.volume, mask, finding.measurements).measurements
        # Voxels against the signal of a blurred edge.
        assert again["volume_mm3"] == pytest.approx(finding.measurements["volume_mm3"], rel=0.05)
        assert again["mean_diameter_mm"] == pytest.approx(finding.measurements["mean_diameter_mm"], abs=0.4)


def test_finds_the_nodules_and_measures_them(visit, reading):
    found = [one for one in reading.findings if one.code == code.NODULE]
    assert len(found) == 2
    for nodule in visit.truth.nodules:
        near = min(
            found, key=lambda one: np.linalg.norm(np.subtract(one.center_lps_mm, nodule.center_lps_mm))
        )
        assert np.linalg.norm(np.subtract(near.center_lps_mm, nodule.center_lps_mm)) < 2.0
        assert near.measurements["volume_mm3"] == pytest.approx(nodule.volume_mm3, rel=0.15)
        assert near.measurements["mean_diameter_mm"] == pytest.approx(nodule.diameter_mm, abs=1.2)
        assert near.laterality is not None
        assert near.laterality.meaning.lower() == nodule.side
        assert near.texture == code.SOLID


def test_finds_the_free_air_first(reading):
    first = reading.findings[0]
    assert first.code == code.PNEUMOTHORAX
    assert first.laterality == code.LEFT
    assert first.measurements["volume_ml"] == pytest.approx(250.0, rel=0.15)
    assert reading.triage.priority is Priority.STAT
    assert reading.triage.reasons[0].startswith("Pneumothorax, left, ")


def test_measures_both_lungs(visit, reading):
    right, left = reading.regions
    assert right.laterality == code.RIGHT
    assert right.measurements["volume_ml"] == pytest.approx(visit.truth.right_lung_volume_ml, rel=0.05)
    assert left.measurements["volume_ml"] == pytest.approx(visit.truth.left_lung_volume_ml, rel=0.06)
    assert reading.measurements["lung_volume_ml"] == pytest.approx(visit.truth.lung_volume_ml, rel=0.05)
    for number, truth in ((1, visit.masks.right_lung), (2, visit.masks.left_lung)):
        mask = reading.get_segment(number).mask.to_array()
        assert 2 * np.count_nonzero(mask & truth) / (mask.sum() + truth.sum()) > 0.95


def test_every_finding_has_its_segment_on_its_key_plane(reading):
    for finding in reading.findings:
        segment = reading.get_segment(finding.segment_number)
        assert segment.tracking_uid == finding.tracking_uid
        assert segment.mask.plane(finding.key_plane).any()
        low, high = np.array(finding.box_lps_mm)
        assert np.all(low < finding.center_lps_mm)
        assert np.all(high > finding.center_lps_mm)


def test_the_same_images_give_the_same_reading(visit, reading):
    again = read_chest_ct(_request(visit.volume))
    assert digest(again) == digest(reading)
    assert digest(unpack_reading(pack_reading(reading))) == digest(reading)


def test_orientation_does_not_matter(visit, reading):
    grid = visit.volume.grid
    corner = grid.to_lps_mm([grid.shape[0] - 1, 0, grid.shape[2] - 1])
    planes, rows, columns = (np.array(one) for one in grid.directions)
    turned = replace(
        grid,
        origin_lps_mm=tuple(corner),
        directions=(tuple(-planes), tuple(rows), tuple(-columns)),
        sop_instance_uids=grid.sop_instance_uids[::-1],
    )
    other = read_chest_ct(_request(Volume(voxels=visit.volume.voxels[::-1, :, ::-1], grid=turned)))
    assert len(other.findings) == len(reading.findings)
    for one, two in zip(reading.findings, other.findings, strict=True):
        assert one.laterality == two.laterality
        assert np.allclose(one.center_lps_mm, two.center_lps_mm, atol=1.0)
        assert other.get_segment(two.segment_number).mask.plane(two.key_plane).any()


def test_no_lungs_is_said_with_a_code():
    grid = Grid(
        shape=(40, 64, 64),
        spacing_mm=(3, 3, 3),
        origin_lps_mm=(0, 0, 0),
        directions=((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    )
    voxels = np.full(grid.shape, -1000, dtype=np.int16)
    voxels[:, 10:54, 10:54] = 40
    reading = read_chest_ct(_request(Volume(voxels=voxels, grid=grid)))
    assert reading.outcome is Outcome.NOT_READ
    assert [problem.code for problem in reading.problems] == [ProblemCode.NO_LUNGS_FOUND]


def test_real_upper_chest_gives_no_alarm():
    pydicom = pytest.importorskip("pydicom")
    files = sorted((DATA / "ct_chest_series").glob("*.dcm"))
    if not files:
        pytest.skip("the shared data folder is not here: set WETREAD_DATA")
    slices = sorted(
        (pydicom.dcmread(file) for file in files), key=lambda ds: float(ds.ImagePositionPatient[2])
    )
    first = slices[0]
    voxels = np.stack(
        [ds.pixel_array.astype(np.int16) * ds.RescaleSlope + ds.RescaleIntercept for ds in slices]
    )
    row, column = (float(value) for value in first.PixelSpacing)
    grid = Grid(
        shape=voxels.shape,
        spacing_mm=(1.0, row, column),
        origin_lps_mm=tuple(float(value) for value in first.ImagePositionPatient),
        directions=((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    )
    reading = read_chest_ct(_request(Volume(voxels=voxels.astype(np.int16), grid=grid)))
    assert reading.outcome is Outcome.READ
    assert not [one for one in reading.findings if one.code == code.PNEUMOTHORAX]
    assert len(reading.findings) <= 4
    assert ProblemCode.LUNGS_CUT_OFF in [problem.code for problem in reading.problems]


def test_lung_bases_of_an_abdominal_ct_match_the_lobes():
    nibabel = pytest.importorskip("nibabel")
    folder = DATA / "ct_reference"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not here: set WETREAD_DATA")
    hu = np.asarray(nibabel.load(folder / "example_ct.nii.gz").dataobj).astype(np.int16)
    names = sorted((folder / "organs_by_name").glob("lung_*_lobe_*.nii.gz"))
    lobes = np.logical_or.reduce([np.asarray(nibabel.load(name).dataobj) > 0 for name in names])
    truth = np.zeros(hu.shape, dtype=bool)
    # The labels cover the upper 30 planes only, without saying so in their header.
    truth[:, :, hu.shape[2] - lobes.shape[2] :] = lobes
    grid = Grid(
        shape=hu.shape[::-1],
        spacing_mm=(3, 3, 3),
        origin_lps_mm=(0, 0, 0),
        directions=((0, 0, 1), (0, -1, 0), (-1, 0, 0)),
    )
    reading = read_chest_ct(_request(Volume(voxels=np.ascontiguousarray(hu.transpose(2, 1, 0)), grid=grid)))
    lungs = reading.get_segment(1).mask.to_array() | reading.get_segment(2).mask.to_array()
    expected = truth.transpose(2, 1, 0)
    assert 2 * np.count_nonzero(lungs & expected) / (lungs.sum() + expected.sum()) >= 0.96
    assert not [one for one in reading.findings if one.code == code.PNEUMOTHORAX]
