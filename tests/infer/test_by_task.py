"""Packages without code read series: coded, located, measured, whatever way the images came."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.infer.networks import (
    box_finder,
    brightness_classifier,
    corner_segmenter,
    threshold_segmenter,
    write_package,
)
from wetread.domain.jsonable import from_jsonable, to_jsonable
from wetread.domain.model import Model
from wetread.domain.reading import Outcome, Priority, Reading
from wetread.domain.volume import Grid, Volume
from wetread.errors import InvalidOutput, InvalidPackage
from wetread.infer.fault import find_fault
from wetread.infer.read import load_reader
from wetread.infer.request import ReadRequest

OUTPUT = """
[output]
label = "nodule"
code = "27925004"
scheme = "SCT"
meaning = "Nodule"
priority = "urgent"
"""
CLASSES = 'kind = "classification"\nclasses = ["dark", "bright"]\npositive = "bright"\nthreshold = 0.8'
SEGMENTS = 'kind = "segmentation"\nthreshold = 0.9'
#: Towards the head, the back and the left.
HEAD, BACK, LEFT = np.eye(3)[[2, 1, 0]]


def read(model: Model, volume: Volume) -> Reading:
    request = ReadRequest(
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.4",
        revision=1,
        model=model,
        volume=volume,
        made_at=datetime(2026, 11, 26, tzinfo=UTC),
    )
    return load_reader(model)(request)


def at_rest(voxels: np.ndarray) -> Volume:
    grid = Grid(
        shape=voxels.shape,  # type: ignore[arg-type]
        spacing_mm=(2.0, 1.0, 1.0),
        origin_lps_mm=(0.0, 0.0, 0.0),
        directions=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )
    return Volume(voxels=voxels, grid=grid)


def two_spots() -> np.ndarray:
    voxels = np.full((6, 8, 8), -10, np.float32)
    voxels[1:3, 1:3, 1:3] = 10
    voxels[4, 6, 6] = 5
    return voxels


def test_parts_become_findings_with_segments(tmp_path: Path) -> None:
    model = write_package(tmp_path / "p", threshold_segmenter(), SEGMENTS, more=OUTPUT)
    model = from_jsonable(Model, to_jsonable(model))  # as the process gets it
    reading = read(model, at_rest(two_spots()))
    first, second = reading.findings
    assert first.center_lps_mm == (1.5, 1.5, 3.0)
    assert second.center_lps_mm == (6.0, 6.0, 8.0)
    assert [one.measurements["volume_mm3"] for one in reading.findings] == [16.0, 2.0]
    assert first.code.value == "27925004"
    assert second.key_plane == 4
    assert reading.finding_names == ("Nodule 1", "Nodule 2")
    assert reading.triage.priority is Priority.URGENT
    assert first.tracking_uid != second.tracking_uid


def test_small_parts_count_for_nothing_and_too_many_are_a_fault(tmp_path: Path) -> None:
    large = OUTPUT + "least_volume_mm3 = 3.0\n"
    model = write_package(tmp_path / "p", threshold_segmenter(), SEGMENTS, more=large)
    assert len(read(model, at_rest(two_spots())).findings) == 1
    one = OUTPUT + "most_findings = 1\n"
    model = write_package(tmp_path / "q", threshold_segmenter(), SEGMENTS, more=one)
    with pytest.raises(InvalidOutput, match="more than it may"):
        read(model, at_rest(two_spots()))


def test_a_class_becomes_a_finding_of_the_whole_image(tmp_path: Path) -> None:
    model = write_package(tmp_path / "p", brightness_classifier(), CLASSES, more=OUTPUT)
    bright = read(model, at_rest(np.ones((3, 8, 8), np.float32)))
    (finding,) = bright.findings
    assert finding.probability == pytest.approx(1 / (1 + np.exp(-8)), abs=1e-3)
    assert finding.center_lps_mm == (3.5, 3.5, 2.0)
    assert bright.triage.priority is Priority.URGENT
    dark = read(model, at_rest(np.zeros((3, 8, 8), np.float32)))
    assert dark.outcome is Outcome.READ
    assert not dark.findings
    assert dark.triage.priority is Priority.ROUTINE


TURNS = [
    (order, signs)
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
    # Planes grow along the normal of the images: always right-handed in (columns, rows, planes).
    if np.linalg.det((np.eye(3)[list(order)].T * signs)[:, ::-1]) > 0
]


@pytest.mark.parametrize("tilt_degrees", [0.0, 20.0])
@pytest.mark.parametrize("runtime", ["", 'arrangement = "volume"\naxes = "RAS"'])
def test_the_network_sees_every_series_the_right_way_up(
    tmp_path: Path, runtime: str, tilt_degrees: float
) -> None:
    # The network marks the corner that lies left, back (and, as a volume, head) in the patient.
    network = corner_segmenter(volume=bool(runtime))
    model = write_package(tmp_path / "p", network, SEGMENTS, runtime=runtime, more=OUTPUT)
    tilt = Rotation.from_euler("xyz", [tilt_degrees, -tilt_degrees / 2, tilt_degrees / 3], degrees=True)
    assert len(TURNS) == 24
    for order, signs in TURNS:
        directions = tilt.apply(np.eye(3)[list(order)] * np.array(signs)[:, None])
        grid = Grid(
            shape=(8, 8, 8),
            spacing_mm=(1.0, 1.0, 1.0),
            origin_lps_mm=(30.0, -40.0, 50.0),
            directions=tuple(tuple(map(float, one)) for one in directions),  # type: ignore[arg-type]
        )
        reading = read(model, Volume(voxels=np.zeros((8, 8, 8), np.float32), grid=grid))
        (finding,) = reading.findings
        away = tilt.inv().apply(np.array(finding.center_lps_mm) - grid.to_lps_mm([3.5, 3.5, 3.5]))
        wanted = 3.0 * (LEFT + BACK + (HEAD if runtime else 0))
        np.testing.assert_allclose(away, wanted, atol=1e-3)
        (segment,) = reading.segments
        where = np.argwhere(segment.mask.to_array()).mean(axis=0)
        np.testing.assert_allclose(grid.to_lps_mm(where), finding.center_lps_mm, atol=1e-3)


def test_a_package_that_does_not_say_what_it_looks_for_reads_nothing(tmp_path: Path) -> None:
    model = write_package(tmp_path / "p", threshold_segmenter(), SEGMENTS)
    with pytest.raises(InvalidPackage, match="output"):
        load_reader(model)
    with pytest.raises(InvalidPackage, match="least_volume_mm3"):
        write_package(tmp_path / "q", threshold_segmenter(), SEGMENTS, more=OUTPUT + "least_volume_mm = 3")
    with pytest.raises(InvalidPackage, match="axes"):
        write_package(tmp_path / "r", threshold_segmenter(), SEGMENTS, runtime='axes = "RAX"')


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    model = write_package(tmp_path / "p", threshold_segmenter(), SEGMENTS, more=OUTPUT)
    (tmp_path / "p" / "model.onnx").write_bytes(b"other")
    with pytest.raises(InvalidPackage, match="changed"):
        read(model, at_rest(two_spots()))
    other = replace(model, identity=replace(model.identity, digest="0" * 64))
    with pytest.raises(InvalidPackage, match="changed"):
        read(other, at_rest(two_spots()))


BOXES = 'kind = "detection"\nthreshold = 0.9'
FINDS_BOXES = OUTPUT + 'boxes = "boxes"\nscores = "scores"\n'
VOLUME = 'arrangement = "volume"\naxes = "RAS"\n'


def turned_grid(order: tuple[int, ...], signs: tuple[int, ...], tilt: Rotation) -> Grid:
    directions = tilt.apply(np.eye(3)[list(order)] * np.array(signs)[:, None])
    return Grid(
        shape=(10, 12, 14),
        spacing_mm=(2.0, 1.0, 1.5),
        origin_lps_mm=(30.0, -40.0, 50.0),
        directions=tuple(tuple(map(float, one)) for one in directions),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("tilt_degrees", [0.0, 20.0])
def test_boxes_lie_where_they_were_found_whatever_way_the_images_came(
    tmp_path: Path, tilt_degrees: float
) -> None:
    more = FINDS_BOXES + '[recipe]\nsteps = [{ kind = "crop-pad", shape = [13, 13, 13] }]\n'
    model = write_package(tmp_path / "p", box_finder(), BOXES, runtime=VOLUME, more=more)
    tilt = Rotation.from_euler("xyz", [tilt_degrees, -tilt_degrees / 2, tilt_degrees / 3], degrees=True)
    voxels = np.zeros((10, 12, 14), np.float32)
    voxels[1:4, 5:8, 8:11] = 1
    for order, signs in TURNS:
        grid = turned_grid(order, signs, tilt)
        reading = read(model, Volume(voxels=voxels, grid=grid))
        (finding,) = reading.findings
        assert find_fault(reading) == ""
        np.testing.assert_allclose(finding.center_lps_mm, grid.to_lps_mm([2, 6, 9]), atol=1e-3)
        corners = grid.to_lps_mm([[p, r, c] for p in (0.5, 3.5) for r in (4.5, 7.5) for c in (7.5, 10.5)])
        np.testing.assert_allclose(finding.box_lps_mm[0], corners.min(axis=0), atol=1e-3)
        np.testing.assert_allclose(finding.box_lps_mm[1], corners.max(axis=0), atol=1e-3)
        assert finding.key_plane == 2
        assert finding.probability == 1.0
        assert not reading.segments


def test_boxes_of_tiles_that_overlap_count_once(tmp_path: Path) -> None:
    tiles = VOLUME + "window = [8, 8, 8]\noverlap = 0.5"
    model = write_package(tmp_path / "p", box_finder(), BOXES, runtime=tiles, more=FINDS_BOXES)
    voxels = np.zeros((6, 20, 21), np.float32)
    voxels[1:4, 5:8, 4:7] = 1
    voxels[2:5, 15:18, 17:20] = 1
    reading = read(model, at_rest(voxels))
    centers = sorted(one.center_lps_mm for one in reading.findings)
    assert centers == [(5.0, 6.0, 4.0), (18.0, 16.0, 6.0)]
    assert reading.finding_names == ("Nodule 1", "Nodule 2")
    assert reading.triage.priority is Priority.URGENT
    few = FINDS_BOXES + "most_findings = 1\n"
    model = write_package(tmp_path / "q", box_finder(), BOXES, runtime=tiles, more=few)
    with pytest.raises(InvalidOutput, match="more than it may"):
        read(model, at_rest(voxels))
    assert read(model, at_rest(np.zeros((6, 20, 21), np.float32))).findings == ()


def test_boxes_that_are_none_are_refused(tmp_path: Path) -> None:
    voxels = np.ones((6, 8, 8), np.float32)
    model = write_package(tmp_path / "p", box_finder(-1.0), BOXES, runtime=VOLUME, more=FINDS_BOXES)
    with pytest.raises(InvalidOutput, match="no probabilities"):
        read(model, at_rest(voxels))
    swapped = OUTPUT + 'boxes = "scores"\nscores = "boxes"\n'
    model = write_package(tmp_path / "q", box_finder(), BOXES, runtime=VOLUME, more=swapped)
    with pytest.raises(InvalidOutput, match="something else than boxes"):
        read(model, at_rest(voxels))
    unknown = OUTPUT + 'boxes = "frames"\nscores = "scores"\n'
    model = write_package(tmp_path / "r", box_finder(), BOXES, runtime=VOLUME, more=unknown)
    with pytest.raises(InvalidPackage, match="no output"):
        read(model, at_rest(voxels))
    for runtime, task, more in (
        ("", BOXES, FINDS_BOXES),
        (VOLUME, SEGMENTS, FINDS_BOXES),
        (VOLUME, BOXES, OUTPUT + 'boxes = "boxes"\n'),
    ):
        with pytest.raises(InvalidPackage, match=r"output\.boxes|Boxes are"):
            write_package(tmp_path / "s", box_finder(), task, runtime=runtime, more=more)


def test_a_finding_of_a_whole_oblique_image_is_no_fault(tmp_path: Path) -> None:
    model = write_package(tmp_path / "p", brightness_classifier(), CLASSES, more=OUTPUT)
    grid = turned_grid((2, 1, 0), (1, 1, 1), Rotation.from_euler("xyz", [20, -15, 10], degrees=True))
    reading = read(model, Volume(voxels=np.ones((10, 12, 14), np.float32), grid=grid))
    assert len(reading.findings) == 1
    assert find_fault(reading) == ""
    (finding,) = reading.findings
    low, high = finding.box_lps_mm
    away = replace(finding, box_lps_mm=(low, (high[0] + 50, high[1], high[2])))
    assert "outside" in find_fault(replace(reading, findings=(away,)))
