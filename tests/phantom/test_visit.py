from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from tests.phantom.conftest import SLAB, Demo
from wetread.errors import ConfigError
from wetread.phantom import (
    NoduleKind,
    NoduleOptions,
    NoduleStatus,
    PatientOptions,
    PatientPosition,
    PhantomOptions,
    Place,
    PleuralOptions,
    Side,
    VisitOptions,
    make_patient,
    make_visit,
)

BARE = PatientOptions(vessel_ends=60)


def test_lungs_have_the_size_and_density_of_lungs(demo: Demo) -> None:
    visit = demo.visits[0]
    lungs = visit.masks.left_lung | visit.masks.right_lung
    counted_ml = np.count_nonzero(lungs) * visit.volume.grid.voxel_volume_mm3 / 1000
    hu = visit.volume.voxels[lungs]
    assert 2000 < visit.truth.right_lung_volume_ml < 3000
    assert 1700 < visit.truth.left_lung_volume_ml < visit.truth.right_lung_volume_ml
    assert counted_ml == pytest.approx(visit.truth.lung_volume_ml, rel=0.01)
    assert -890 < np.median(hu) < -840
    assert np.mean(hu < -950) < 0.01


def test_there_is_air_around_fat_muscle_and_bone(demo: Demo) -> None:
    voxels = demo.visits[0].volume.voxels
    assert voxels[:, 0, :].max() < -950
    assert np.mean((voxels > 20) & (voxels < 90)) > 0.1
    assert np.mean((voxels > -130) & (voxels < -70)) > 0.03
    assert np.mean(voxels > 300) > 0.003


def test_truth_of_the_second_visit_tells_what_changed(demo: Demo) -> None:
    first, second = demo.truths
    before = {nodule.nodule_id: nodule for nodule in first.nodules}
    after = {nodule.nodule_id: nodule for nodule in second.nodules}
    assert {nodule.status for nodule in first.nodules} == {NoduleStatus.BASELINE}
    assert after["n1"].status is NoduleStatus.GROWING
    assert after["n1"].volume_mm3 == pytest.approx(1.9 * before["n1"].volume_mm3, rel=1e-6)
    assert after["n2"].status is NoduleStatus.STABLE
    assert after["n2"].volume_mm3 == pytest.approx(before["n2"].volume_mm3, rel=1e-9)
    assert after["n4"].status is NoduleStatus.NEW
    moved = np.linalg.norm(np.subtract(after["n3"].center_lps_mm, before["n3"].center_lps_mm))
    assert 1.0 < moved < 40.0


def test_nodules_are_whole_inside_the_lungs_at_their_true_places(demo: Demo) -> None:
    for visit in demo.visits:
        lungs = visit.masks.left_lung | visit.masks.right_lung
        for label, nodule in enumerate(visit.truth.nodules, start=1):
            mask = visit.masks.nodules == label
            middle = visit.volume.grid.to_lps_mm(np.argwhere(mask).mean(axis=0))
            side = visit.masks.left_lung if nodule.side == "left" else visit.masks.right_lung
            assert np.linalg.norm(middle - nodule.center_lps_mm) < 1.0
            assert np.mean(lungs[mask]) > 0.97
            assert np.mean(side[mask]) > 0.97
            assert abs(np.percentile(visit.volume.voxels[mask], 95) - nodule.hu) < 40


def test_juxtapleural_nodule_touches_the_chest_wall(demo: Demo) -> None:
    for visit in demo.visits:
        lungs = visit.masks.left_lung | visit.masks.right_lung
        mask = visit.masks.nodules == 2
        reached = ndimage.binary_dilation(mask, iterations=2)
        assert visit.truth.nodules[1].place == Place.JUXTAPLEURAL
        assert np.any(reached & ~lungs)


def test_perivascular_nodule_touches_a_vessel(demo: Demo) -> None:
    nodule = next(one for _, one in demo.patient.nodules if one.nodule_id == "n3")
    trees = [tree for trees in demo.patient.vessels.values() for tree in trees]
    gaps = [(tree.distance_mm(nodule.center_rest) - tree.near_mm)[tree.far_mm >= 1.2].min() for tree in trees]
    assert min(gaps) < nodule.form.reach_mm


def test_pneumothorax_has_its_volume_and_its_density(demo: Demo) -> None:
    visit = demo.visits[1]
    truth = visit.truth.pneumothorax
    counted_ml = np.count_nonzero(visit.masks.air) * visit.volume.grid.voxel_volume_mm3 / 1000
    assert truth is not None
    assert truth.side == "right"
    assert truth.volume_ml == pytest.approx(350.0, rel=0.02)
    assert counted_ml == pytest.approx(truth.volume_ml, rel=0.02)
    inner = ndimage.binary_erosion(visit.masks.air, iterations=2)
    assert visit.volume.voxels[inner].mean() == pytest.approx(-1000, abs=6)
    assert not np.any(visit.masks.air & visit.masks.right_lung)


@pytest.mark.parametrize(("position", "front"), [(PatientPosition.HFS, True), (PatientPosition.FFP, False)])
def test_air_rises_and_fluid_sinks_as_the_patient_lies(position: PatientPosition, front: bool) -> None:
    options = PhantomOptions(
        seed=2,
        patient=BARE,
        scanner=dataclasses.replace(SLAB, patient_position=position, dose_mgy=0.0),
        nodules=(),
        visits=(
            VisitOptions(
                pneumothorax=PleuralOptions(side=Side.LEFT, volume_ml=60.0),
                effusion=PleuralOptions(side=Side.LEFT, volume_ml=80.0),
            ),
        ),
    )
    visit = make_visit(options)
    air, fluid = (
        visit.volume.grid.to_lps_mm(np.argwhere(mask)).mean(axis=0)
        for mask in (visit.masks.air, visit.masks.fluid)
    )
    assert bool(air[1] < fluid[1]) is front
    assert air[0] > 0
    assert fluid[0] > 0
    inner = ndimage.binary_erosion(visit.masks.fluid, iterations=2)
    assert np.median(visit.volume.voxels[inner]) == pytest.approx(10, abs=15)


def test_nodules_stay_inside_a_collapsed_lung_and_apart() -> None:
    options = PhantomOptions(
        seed=1500,
        patient=BARE,
        scanner=dataclasses.replace(SLAB, length_mm=330.0, step_mm=5.0, thickness_mm=5.0, dose_mgy=0.0),
        nodules=tuple(
            NoduleOptions(diameter_mm=diameter_mm, place=place, side=Side.RIGHT)
            for diameter_mm in (12.0, 16.0)
            for place in (Place.INTRAPULMONARY, Place.JUXTAPLEURAL)
        ),
        visits=(VisitOptions(pneumothorax=PleuralOptions(side=Side.RIGHT, volume_ml=1400.0)),),
    )
    visit = make_visit(options)
    nodules = visit.truth.nodules
    for label, nodule in enumerate(nodules, start=1):
        assert np.mean(visit.masks.right_lung[visit.masks.nodules == label]) > 0.9
        for other in nodules[label:]:
            gap = np.linalg.norm(np.subtract(nodule.center_lps_mm, other.center_lps_mm))
            assert gap > (nodule.long_axis_mm + other.long_axis_mm) / 2
    assert visit.truth.right_lung_volume_ml < 0.5 * visit.truth.left_lung_volume_ml


def test_emphysema_takes_its_share() -> None:
    options = PhantomOptions(
        seed=4,
        patient=PatientOptions(emphysema_percent=20.0, vessel_ends=60),
        scanner=dataclasses.replace(SLAB, dose_mgy=0.0, length_mm=320.0, step_mm=5.0, thickness_mm=5.0),
        nodules=(),
    )
    visit = make_visit(options)
    lungs = visit.masks.left_lung | visit.masks.right_lung
    assert visit.truth.emphysema_percent == pytest.approx(20.0, abs=2.0)
    upper, lower = lungs.copy(), lungs.copy()
    upper[: lungs.shape[0] // 2], lower[lungs.shape[0] // 2 :] = False, False
    hu = visit.volume.voxels
    assert np.mean(hu[upper] < -940) > 1.5 * np.mean(hu[lower] < -940)


def test_same_options_give_the_same_bytes_and_another_seed_others() -> None:
    scanner = dataclasses.replace(SLAB, matrix=96, spacing_mm=3.8)
    wished = (NoduleOptions(diameter_mm=9.0),)
    options = PhantomOptions(seed=1, patient=BARE, scanner=scanner, nodules=wished)
    first, again = make_visit(options), make_visit(options)
    other = make_visit(dataclasses.replace(options, seed=9))
    assert np.array_equal(first.volume.voxels, again.volume.voxels)
    assert first.truth == again.truth
    assert first.volume.grid == again.volume.grid
    assert not np.array_equal(first.volume.voxels, other.volume.voxels)


def test_part_solid_nodule_has_a_core_and_ground_glass_has_none() -> None:
    options = PhantomOptions(
        seed=5,
        patient=BARE,
        scanner=dataclasses.replace(SLAB, dose_mgy=0.0, length_mm=330.0),
        nodules=(
            NoduleOptions(diameter_mm=22.0, kind=NoduleKind.PART_SOLID, side=Side.RIGHT),
            NoduleOptions(diameter_mm=20.0, kind=NoduleKind.GROUND_GLASS, side=Side.LEFT),
        ),
    )
    visit = make_visit(options)
    part, hazy = visit.truth.nodules
    values = [visit.volume.voxels[visit.masks.nodules == label] for label in (1, 2)]
    assert part.core_volume_mm3 == pytest.approx(part.volume_mm3 / 8, rel=1e-6)
    assert hazy.core_volume_mm3 == 0.0
    assert np.percentile(values[0], 99) > -30
    assert np.percentile(values[0], 30) < -450
    assert -660 < np.median(values[1]) < -490
    assert np.percentile(values[1], 99) < -400
    assert (part.side, hazy.side) == ("right", "left")


@pytest.mark.parametrize(
    "options",
    [
        PhantomOptions(patient=BARE, scanner=SLAB, nodules=(NoduleOptions(diameter_mm=60.0),) * 8),
        PhantomOptions(
            patient=BARE,
            scanner=SLAB,
            nodules=(),
            visits=(VisitOptions(pneumothorax=PleuralOptions(side=Side.LEFT, volume_ml=2400.0)),),
        ),
        PhantomOptions(
            patient=BARE, scanner=SLAB, nodules=(), visits=(VisitOptions(), VisitOptions(resolved=("n7",)))
        ),
    ],
)
def test_what_does_not_fit_is_refused(options: PhantomOptions) -> None:
    with pytest.raises(ConfigError):
        make_visit(options)


def test_nodules_keep_apart() -> None:
    options = PhantomOptions(
        seed=6, nodules=tuple(NoduleOptions(diameter_mm=12.0, place=p) for p in Place) * 3
    )
    nodules = [nodule for _, nodule in make_patient(options).nodules]
    for index, one in enumerate(nodules):
        for other in nodules[:index]:
            gap = np.linalg.norm(one.center_rest - other.center_rest)
            assert gap > one.form.reach_mm + other.form.reach_mm
