"""Planes make a stack, or the problem has its code."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.dicom.small_ct import Edit, SmallCt, read_series, write_ct
from wetread.dicom.header import read_instance
from wetread.dicom.planes import Plane, read_planes
from wetread.dicom.stack import build_stack, stack_grid
from wetread.domain.problem import ProblemCode
from wetread.domain.study import Instance, Series, group_instances


def codes(series: Series) -> list[ProblemCode]:
    planes, problems = read_planes(series)
    is_placed = not any(problem.refuses for problem in problems)
    stacked = build_stack(planes).problems if is_placed else ()
    return [problem.code for problem in (*problems, *stacked)]


def remove(keyword: str) -> Edit:
    def edit(ds: Dataset, plane: int) -> None:
        delattr(ds, keyword)

    return edit


def put(keyword: str, value: object, only: int | None = None) -> Edit:
    def edit(ds: Dataset, plane: int) -> None:
        if only is None or plane == only:
            setattr(ds, keyword, value)

    return edit


def shift(ds: Dataset, plane: int) -> None:
    x, y, z = ds.ImagePositionPatient
    ds.ImagePositionPatient = [x, y + 0.4 * plane, z]


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (remove("ImagePositionPatient"), "missing-geometry"),
        (remove("ImageOrientationPatient"), "missing-geometry"),
        (remove("PixelSpacing"), "missing-geometry"),
        (put("ImagePositionPatient", [1, 2], only=2), "invalid-geometry"),
        (put("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), "invalid-geometry"),
        (put("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]), "invalid-geometry"),
        (put("ImageOrientationPatient", [2, 0, 0, 0, 1, 0]), "invalid-geometry"),
        (put("PixelSpacing", [0, 1]), "invalid-geometry"),
        (put("PixelSpacing", [-1, 1]), "invalid-geometry"),
        (put("PixelSpacing", [0.6, 0.75], only=1), "mixed-image-sizes"),
        (put("Rows", 4, only=3), "mixed-image-sizes"),
        (put("ImageOrientationPatient", [1, 0, 0, 0, 0, -1], only=0), "mixed-orientations"),
        (put("ImagePositionPatient", [-20, -30, 102], only=3), "duplicate-positions"),
        (put("ImagePositionPatient", [-20, -30, 120], only=4), "slice-gap"),
        (put("FrameOfReferenceUID", "9.9", only=4), "invalid-geometry"),
        (shift, "invalid-geometry"),
        (remove("Rows"), "missing-pixels"),
    ],
)
def test_what_makes_no_stack_has_its_code(tmp_path: Path, edit: Edit, code: str) -> None:
    assert codes(read_series(tmp_path, SmallCt(edit=edit))) == [code]


@pytest.mark.parametrize("missing", range(1, 59))
def test_any_missing_slice_is_a_gap(missing: int) -> None:
    planes = _planes(60, missing)
    assert [problem.code for problem in build_stack(planes).problems] == [ProblemCode.SLICE_GAP]


def _planes(count: int, missing: int | None = None, decimals: int = 6) -> list[Plane]:

    planes = []
    for index in range(count):
        if index == missing:
            continue
        uid = f"1.{index + 1}"
        instance = Instance(
            sop_instance_uid=uid,
            sop_class_uid="1.2",
            series_instance_uid="1.3",
            study_instance_uid="1.4",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            header={},
            path=Path("none"),
        )
        planes.append(
            Plane(
                instance=instance,
                position_lps_mm=(0.0, 0.0, round(index * 0.625, decimals)),
                row_cosine=(1.0, 0.0, 0.0),
                column_cosine=(0.0, 1.0, 0.0),
                pixel_spacing_mm=(0.7, 0.7),
                size=(8, 8),
                slice_thickness_mm=0.625,
                rescale=(1.0, 0.0),
            )
        )
    return planes


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_rounded_positions_are_even(decimals: int) -> None:
    stack = build_stack(_planes(400, decimals=decimals))
    assert stack.problems == ()
    assert stack.step_mm == pytest.approx(0.625, abs=1e-3)


@pytest.mark.parametrize("count", [2, 3])
def test_two_spacings_in_one_series_are_a_gap(tmp_path: Path, count: int) -> None:
    def edit(ds: Dataset, plane: int) -> None:
        z = 100 + (plane if plane < 5 else 5 + (plane - 5) * count)
        ds.ImagePositionPatient = [-20, -30, z]

    assert codes(read_series(tmp_path, SmallCt(shape=(10, 8, 10), edit=edit))) == ["slice-gap"]


def test_localizers_inside_a_series_are_left_out_with_a_note(tmp_path: Path) -> None:
    def edit(ds: Dataset, plane: int) -> None:
        if plane == 0:
            ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    planes, problems = read_planes(read_series(tmp_path, SmallCt(edit=edit)))
    assert len(planes) == 4
    assert [(problem.code, problem.refuses) for problem in problems] == [("localizer", False)]
    assert build_stack(planes).problems == ()


def test_a_single_slice_is_as_thick_as_it_says(tmp_path: Path) -> None:
    planes, _ = read_planes(read_series(tmp_path, SmallCt(shape=(1, 8, 10))))
    assert build_stack(planes).step_mm == 2.0


def test_a_single_slice_without_thickness_has_no_extent(tmp_path: Path) -> None:
    series = read_series(tmp_path, SmallCt(shape=(1, 8, 10), edit=remove("SliceThickness")))
    assert codes(series) == ["missing-geometry"]


@pytest.mark.parametrize(
    ("cosines", "orientation"),
    [
        ([1, 0, 0, 0, 1, 0], "axial"),
        ([-1, 0, 0, 0, -1, 0], "axial"),
        ([1, 0, 0, 0, 0, -1], "coronal"),
        ([0, 1, 0, 0, 0, -1], "sagittal"),
        ([1, 0, 0, 0, 0.70710678, 0.70710678], "oblique"),
        ([1, 0, 0, 0, 0.96592583, 0.25881905], "axial"),
    ],
)
def test_orientations_have_names(tmp_path: Path, cosines: list[float], orientation: str) -> None:
    series = read_series(tmp_path, SmallCt(shape=(1, 8, 10), edit=put("ImageOrientationPatient", cosines)))
    (plane,), _ = read_planes(series)
    assert plane.orientation == orientation


def test_planes_grow_along_the_normal(tmp_path: Path) -> None:
    # Head first supine: the normal points to the head. Row cosine to the right: to the feet.
    for axes in (np.eye(3), np.diag([-1.0, 1.0, -1.0])):
        planes, _ = read_planes(read_series(tmp_path, SmallCt(axes=axes)))
        grid = stack_grid(build_stack(planes))
        cross = np.cross(grid.directions[2], grid.directions[1])
        assert np.allclose(grid.directions[0], cross)
        assert len(grid.sop_instance_uids) == grid.shape[0]


@pytest.mark.parametrize("text", [b"NaN\\0.75", b"inf\\0.75", b"abc\\0.75"])
def test_spacing_that_is_no_number_is_invalid(tmp_path: Path, text: bytes) -> None:
    (path,) = write_ct(tmp_path, SmallCt(shape=(1, 8, 10)))
    path.write_bytes(path.read_bytes().replace(b"0.5\\0.75", text))
    (study,) = group_instances([read_instance(path)])
    assert codes(study.series[0]) == ["invalid-geometry"]
