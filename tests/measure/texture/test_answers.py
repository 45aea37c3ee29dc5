"""What is answered where there is little, nothing or nonsense to measure."""

import numpy as np
import pytest

from tests.measure.texture.phantom import LEVELS, phantom, volume_of
from wetread.domain.mask import Mask
from wetread.errors import LabelsDoNotFit, NotFinite
from wetread.measure.texture import FEATURES, Aggregation, TextureSettings, measure_texture
from wetread.measure.texture import region as regions
from wetread.measure.texture.refused import EmptyRegion, InvalidTextureSettings, RegionTooLarge

SETTINGS = TextureSettings(bin_width=1.0)


def measure(voxels, mask=None, settings=SETTINGS, spacing_mm=(2.0, 2.0, 2.0)):
    volume = volume_of(voxels, spacing_mm)
    inside = np.ones(volume.grid.shape, bool) if mask is None else np.asarray(mask, bool)
    return measure_texture(volume, Mask.from_array(inside), settings)


def undefined(values) -> set[str]:
    return {name for name, value in values.items() if value is None}


def test_the_phantom_leaves_nothing_undefined() -> None:
    assert not undefined(measure_texture(*phantom(), SETTINGS).values)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(EmptyRegion) as caught:
        measure(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)))
    assert caught.value.code == "empty-region"


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(LabelsDoNotFit):
        measure(np.zeros((2, 2, 3)), np.ones((2, 2, 2)))


def test_one_voxel() -> None:
    mask = np.zeros((3, 3, 3))
    mask[1, 1, 1] = 1
    found = measure(np.full((3, 3, 3), 7), mask)
    values = found.values
    assert (found.voxel_count, found.level_count) == (1, 1)
    assert values["first_order_mean"] == 7
    # The octahedron whose corners lie half a voxel away: 4/3 r^3, and eight triangles of side sqrt 2 r.
    assert values["shape_volume_mesh"] == pytest.approx(4 / 3)
    assert values["shape_surface_area"] == pytest.approx(8 * np.sqrt(3) / 4 * 2)
    assert values["shape_maximum_3d_diameter"] == pytest.approx(2)
    assert values["glrlm_run_percentage"] == 1
    assert values["ngldm_low_dependence_emphasis"] == 1
    expected = {name for name, one in FEATURES.items() if one.family in {"glcm", "ngtdm"}}
    expected |= {f"shape_{axis}_axis_length" for axis in ("major", "minor", "least")}
    expected |= {"shape_elongation", "shape_flatness", "shape_volume_density_ellipsoid"}
    expected |= {"first_order_skewness", "first_order_excess_kurtosis"}
    assert undefined(values) == expected


@pytest.mark.parametrize("aggregation", Aggregation)
@pytest.mark.parametrize("bins", [{"bin_width": 25.0}, {"bin_width": None, "bin_count": 8}])
def test_a_constant_region(aggregation: Aggregation, bins) -> None:
    settings = TextureSettings(aggregation=aggregation, **bins)
    values = measure(np.full((4, 5, 6), -3.5), settings=settings).values
    assert undefined(values) == {
        *("first_order_skewness", "first_order_excess_kurtosis"),
        *("glcm_correlation", "glcm_information_correlation_1"),
    }
    assert values["first_order_variance"] == 0
    assert values["first_order_discretised_entropy"] == 0
    assert (values["glcm_joint_maximum"], values["glcm_contrast"]) == (1, 0)
    assert values["glszm_zone_percentage"] == pytest.approx(1 / 120)
    assert values["ngtdm_coarseness"] == 1e6
    assert (values["ngtdm_contrast"], values["ngtdm_busyness"], values["ngtdm_strength"]) == (0, 0, 0)


def test_a_mean_of_zero_has_no_coefficient_of_variation() -> None:
    values = measure([[[-1.0, 1.0]]]).values
    assert undefined(values) >= {"first_order_coefficient_of_variation", "shape_centre_of_mass_shift"}
    assert "first_order_quartile_coefficient_of_dispersion" in undefined(values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_inside_and_does_not_matter_outside(bad: float) -> None:
    voxels = LEVELS.astype(float)
    voxels[2, 2, 2] = bad  # not in the region
    volume, mask = volume_of(voxels), Mask.from_array(LEVELS > 0)
    assert measure_texture(volume, mask, SETTINGS).values == measure_texture(*phantom(), SETTINGS).values
    voxels = voxels.copy()
    voxels[0, 0, 0] = bad
    with pytest.raises(NotFinite):
        measure_texture(volume_of(voxels), mask, SETTINGS)


def test_two_voxels_that_do_not_touch() -> None:
    mask = np.zeros((1, 1, 5))
    mask[0, 0, [0, 4]] = 1
    values = measure(np.arange(5).reshape(1, 1, 5), mask).values
    assert values["glcm_contrast"] is None
    assert values["ngtdm_coarseness"] is None
    assert values["glszm_zone_percentage"] == 1
    assert values["shape_major_axis_length"] == pytest.approx(4 * np.sqrt(2 * 4.0**2))
    assert values["shape_least_axis_length"] == 0
    assert values["shape_volume_density_ellipsoid"] is None


def test_where_the_rest_of_the_image_lies_does_not_matter() -> None:
    padded = np.pad(LEVELS, 3, constant_values=900)
    inside = np.pad(LEVELS > 0, 3)
    assert dict(measure(padded, inside).values) == pytest.approx(dict(measure(LEVELS, LEVELS > 0).values))


@pytest.mark.parametrize("turn", [(0, 2, 1), (1, 0, 2), (2, 1, 0)])
def test_the_way_the_image_lies_does_not_matter(turn) -> None:
    voxels = np.transpose(LEVELS, turn)[::-1]
    expected = dict(measure_texture(*phantom(), SETTINGS).values)
    assert dict(measure(voxels, voxels > 0).values) == pytest.approx(expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bin_width": None},
        {"bin_width": 5.0, "bin_count": 5},
        {"bin_width": 0.0},
        {"bin_width": np.nan},
        {"bin_width": None, "bin_count": 0},
        {"bin_width": None, "bin_count": 5000},
        {"bin_width": None, "bin_count": 8, "lowest": 0.0},
        {"lowest": np.inf},
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(wrong) -> None:
    with pytest.raises(InvalidTextureSettings):
        TextureSettings(**wrong)


def test_settings_that_do_not_fit_the_region_are_refused() -> None:
    with pytest.raises(InvalidTextureSettings, match="lowest"):
        measure(LEVELS, LEVELS > 0, TextureSettings(bin_width=1.0, lowest=2.0))
    with pytest.raises(InvalidTextureSettings, match="narrow"):
        measure(LEVELS, LEVELS > 0, TextureSettings(bin_width=0.001))


def test_what_would_take_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "MOST_WORK", 6 * LEVELS.size - 1)
    with pytest.raises(RegionTooLarge) as caught:
        measure(LEVELS, LEVELS > 0)
    assert caught.value.code == "region-too-large"
    monkeypatch.setattr(regions, "MOST_VOXELS", LEVELS.size - 1)
    with pytest.raises(RegionTooLarge, match="box"):
        measure(LEVELS, LEVELS > 0)
