import numpy as np
import pytest

from wetread.measure.outline import Texture, outline_nodule
from wetread.measure.patch import cut_patch
from wetread.measure.volume import measure_volume_mm3


def _measure(source, center, diameter_mm):
    patch = cut_patch(source, center, 1.1 * diameter_mm + 5.0, max(0.4, diameter_mm / 18))
    outline = outline_nodule(patch, diameter_mm / 2)
    assert outline is not None
    return measure_volume_mm3(patch, outline), outline


@pytest.mark.parametrize(
    ("diameter_mm", "limit"), [(5.0, 0.1), (6.0, 0.1), (8.0, 0.05), (12.0, 0.05), (20.0, 0.05)]
)
def test_solid_ball(paint_ball, diameter_mm, limit):
    volume_mm3, outline = _measure(*paint_ball(diameter_mm, 40.0), diameter_mm)
    assert volume_mm3 == pytest.approx(np.pi / 6 * diameter_mm**3, rel=limit)
    assert outline.texture is Texture.SOLID


@pytest.mark.parametrize("diameter_mm", [10.0, 16.0])
def test_ground_glass_ball(paint_ball, diameter_mm):
    volume_mm3, outline = _measure(*paint_ball(diameter_mm, -580.0), diameter_mm)
    assert volume_mm3 == pytest.approx(np.pi / 6 * diameter_mm**3, rel=0.12)
    assert outline.texture is Texture.GROUND_GLASS


def test_a_vessel_through_the_nodule_does_not_count(paint_ball):
    volume_mm3, outline = _measure(*paint_ball(12.0, 40.0, vessel_mm=3.0), 12.0)
    assert volume_mm3 == pytest.approx(np.pi / 6 * 12.0**3, rel=0.08)
    assert outline.attached.any()


def test_no_outline_where_there_is_only_lung(paint_ball):
    source, center = paint_ball(8.0, -860.0)
    assert outline_nodule(cut_patch(source, center, 12.0, 0.5), 4.0) is None
