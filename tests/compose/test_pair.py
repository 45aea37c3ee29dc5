"""Two visits are cut alike: the point in the middle, one scale, the usual way up, whatever the grid."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compose.scene import ORIENTATIONS, make_grid, make_volume, write_series
from wetread.compose.pair import SIDE_PIXELS, cut_picture, find_plane, side_mm
from wetread.dicom.planes import read_planes

MIDDLE = SIDE_PIXELS / 2
CENTER = (20.0, 10.0, 5.0)
#: Towards the patient's left, and down the page where the back is: right and down on the picture.
SPOTS = {(24.0, 0.0, 0.0): (1, 0), (0.0, 24.0, 0.0): (0, 1)}


def planes_of(folder, orientation, spacing_mm):
    grid = make_grid(orientation, shape=(40, 120, 120), spacing_mm=(6.0, spacing_mm, spacing_mm))
    series = write_series(folder, make_volume(grid), orientation)
    return grid, read_planes(series)[0]


def paint(grid, plane, points):
    """A grey image with a white dot at each point, as the plane shows it."""
    number = grid.sop_instance_uids.index(plane.instance.sop_instance_uid)
    rows, columns = np.meshgrid(*[np.arange(size) for size in grid.shape[1:]], indexing="ij")
    lps = grid.to_lps_mm(np.stack([np.full(rows.shape, number), rows, columns], axis=-1))
    grey = np.full(grid.shape[1:], 20, np.uint8)
    for point in points:
        away = lps - np.asarray(point)
        # Seen along the normal: a slanted plane shows the dot where it is projected.
        away = away - (away @ plane.normal)[..., None] * plane.normal
        grey[np.linalg.norm(away, axis=-1) < 4.0] = 255
    return grey


def middle_of(image):
    """Middle (x, y) of what is white, without the ticks and letters at the edges."""
    seen = np.asarray(image, float)
    seen[:30] = seen[-30:] = 0
    seen[:, :30] = seen[:, -30:] = 0
    return np.argwhere(seen > 140).mean(axis=0)[::-1] + 0.5


@pytest.mark.parametrize("name", [one for one in ORIENTATIONS if one not in ("tilted gantry", "oblique")])
@pytest.mark.parametrize("spacing_mm", [1.6, 2.4])
def test_the_point_is_in_the_middle_and_the_sides_are_where_they_belong(name, spacing_mm, tmp_path) -> None:
    grid, planes = planes_of(tmp_path, ORIENTATIONS[name], spacing_mm)
    plane = find_plane(planes, CENTER)
    assert middle_of(cut_picture(paint(grid, plane, [CENTER]), plane, CENTER, 80.0)) == pytest.approx(
        [MIDDLE, MIDDLE], abs=5
    )
    for away, (right, down) in SPOTS.items():
        point = np.add(CENTER, away)
        seen = middle_of(cut_picture(paint(grid, plane, [point]), plane, CENTER, 80.0))
        # 24 mm of 80 on 320 pixels are 96, whatever the pixels of the image.
        assert seen == pytest.approx([MIDDLE + 96 * right, MIDDLE + 96 * down], abs=5)


@pytest.mark.parametrize("name", ["tilted gantry", "oblique"])
def test_slanted_images_show_the_point_in_the_middle(name, tmp_path) -> None:
    grid, planes = planes_of(tmp_path, ORIENTATIONS[name], 1.6)
    plane = find_plane(planes, CENTER)
    seen = middle_of(cut_picture(paint(grid, plane, [CENTER]), plane, CENTER, 80.0))
    assert seen == pytest.approx([MIDDLE, MIDDLE], abs=5)


def test_the_nearest_plane_and_none_beyond_the_scan(tmp_path) -> None:
    _, planes = planes_of(tmp_path, ORIENTATIONS["axial"], 1.6)
    plane = find_plane(planes, CENTER)
    assert abs(plane.position_lps_mm[2] - CENTER[2]) <= 3.0
    assert find_plane(planes, (0.0, 0.0, 400.0)) is None
    assert find_plane(planes, (400.0, 0.0, 5.0)) is None
    assert find_plane((), CENTER) is None


def test_large_things_are_shown_whole_and_both_visits_alike() -> None:
    assert side_mm([4.0, 5.0]) == 60.0
    assert side_mm([10.0, 30.0]) == side_mm([30.0, 10.0]) == 120.0
    assert side_mm([100.0]) == 240.0


def test_beyond_the_image_it_is_black(tmp_path) -> None:
    _, planes = planes_of(tmp_path, ORIENTATIONS["axial"], 1.6)
    plane = find_plane(planes, (-90.0, 10.0, 5.0))
    white = np.full(plane.size, 255, np.uint8)
    picture = np.asarray(cut_picture(white, plane, (-90.0, 10.0, 5.0), 80.0))
    assert picture[100, 40] == 0
    assert picture[100, 250] == 255
