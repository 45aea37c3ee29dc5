"""A Reading survives packing, and its digest tells every change."""

import dataclasses
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wetread.domain import code
from wetread.domain.finding import Axes, Finding, Region, Segment
from wetread.domain.mask import Mask
from wetread.domain.model import ModelIdentity
from wetread.domain.packing import pack_reading, unpack_reading
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Outcome, Priority, Reading, Triage, digest
from wetread.domain.volume import Grid, Volume


def make_reading() -> Reading:
    array = np.zeros((4, 5, 6), dtype=bool)
    array[1:3, 2:4, 3:6] = True
    grid = Grid(
        shape=(4, 5, 6),
        spacing_mm=(1.25, 0.7, 0.7),
        origin_lps_mm=(-10.0, -20.0, 30.0),
        directions=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
        sop_instance_uids=("1.1", "1.2", "1.3", "1.4"),
    )
    return Reading(
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.4",
        revision=1,
        model=ModelIdentity(name="chest-ct", version="1.0.0", digest="ab"),
        operating_point="default",
        outcome=Outcome.READ,
        triage=Triage(priority=Priority.URGENT, score=0.5, reasons=("because",)),
        findings=(
            Finding(
                tracking_uid="2.25.1",
                label="lung nodule",
                code=code.NODULE,
                probability=0.9,
                center_lps_mm=(1.0, 2.0, 3.0),
                box_lps_mm=((0.0, 0.0, 0.0), (2.0, 4.0, 6.0)),
                measurements={"volume_mm3": 500.0},
                laterality=code.LEFT,
                texture=code.SOLID,
                segment_number=1,
                key_plane=1,
                axes=Axes(long=((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)), short=((0.0, 0.0, 0.0), (0.0, 1.0, 0.0))),
            ),
        ),
        regions=(Region(tracking_uid="2.25.2", label="left lung", code=code.LUNG),),
        segments=(
            Segment(
                number=1,
                label="Nodule 1",
                category=code.MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
                type=code.NODULE,
                mask=Mask.from_array(array),
            ),
        ),
        measurements={"lung_volume_ml": 4000.0},
        grid=grid,
        made_at=datetime(2026, 11, 23, tzinfo=UTC),
    )


def test_a_reading_comes_back_from_bytes() -> None:
    reading = make_reading()
    data = pack_reading(reading)
    again = unpack_reading(data)
    assert digest(again) == digest(reading)
    assert pack_reading(again) == data
    assert np.array_equal(again.segments[0].mask.to_array(), reading.segments[0].mask.to_array())
    assert again.findings == reading.findings


def test_one_voxel_changes_the_digest() -> None:
    reading = make_reading()
    array = reading.segments[0].mask.to_array()
    array[1, 2, 3] = False
    segment = dataclasses.replace(reading.segments[0], mask=Mask.from_array(array))
    assert digest(dataclasses.replace(reading, segments=(segment,))) != digest(reading)


def test_not_read_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="says why"):
        dataclasses.replace(make_reading(), outcome=Outcome.NOT_READ, findings=(), segments=())
    problem = Problem(code=ProblemCode.SLICE_GAP, message="A slice is missing.")
    dataclasses.replace(make_reading(), outcome=Outcome.NOT_READ, problems=(problem,))


def test_unknown_and_infinite_measurements_are_refused() -> None:
    for measurements in ({"volume": 1.0}, {"volume_mm3": float("inf")}):
        with pytest.raises(ValueError):
            dataclasses.replace(make_reading().findings[0], measurements=measurements)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7)))
def test_any_mask_comes_back(array: np.ndarray) -> None:
    mask = Mask.from_array(array)
    assert np.array_equal(mask.to_array(), array)
    for plane in range(array.shape[0]):
        assert np.array_equal(mask.plane(plane), array[plane])


unit = st.floats(-1, 1)


@given(
    st.tuples(unit, unit, unit).filter(lambda v: np.linalg.norm(v) > 0.1),
    st.tuples(unit, unit, unit),
    st.tuples(*[st.floats(0.3, 5)] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_index_and_lps_are_inverse_on_oblique_grids(first, second, spacing, origin) -> None:
    row = np.array(first) / np.linalg.norm(first)
    column = np.cross(row, second)
    if np.linalg.norm(column) < 0.1:
        return
    column /= np.linalg.norm(column)
    directions = tuple(tuple(map(float, v)) for v in (np.cross(row, column), column, row))
    grid = Grid(shape=(9, 9, 9), spacing_mm=spacing, origin_lps_mm=origin, directions=directions)
    index = np.array([[0, 0, 0], [3, 1, 2], [8.5, 0.25, 4]])
    assert np.allclose(grid.to_index(grid.to_lps_mm(index)), index, atol=1e-6)
    step = grid.to_lps_mm([0, 0, 1]) - grid.to_lps_mm([0, 0, 0])
    assert np.allclose(step, row * spacing[2])


def test_voxels_are_read_only() -> None:
    grid = make_reading().grid
    assert grid is not None
    volume = Volume(voxels=np.zeros(grid.shape, np.int16), grid=grid)
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1
