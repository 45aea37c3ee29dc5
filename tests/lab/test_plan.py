"""Plans: words are checked, data sets propose one, patients stay on one side."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.lab.sets import spots, squares
from wetread.errors import ConfigError, EmptyClass, InvalidPlan
from wetread.imaging.recipe import apply_recipe, recipe_from_table, recipe_to_table
from wetread.lab.plan import Dimensions, NetworkKind, Task, read_plan
from wetread.lab.planning import write_plan
from wetread.lab.samples import Sample
from wetread.lab.splits import split_by_patient
from wetread.registry.toml_text import to_toml


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[training]\nepoch = 3", "'epochs'"),
        ("[trainig]\nepochs = 3", "'training'"),
        ('[network]\nkind = "resnett"', "resnet"),
        ("[training]\nepochs = 0", "1 or more"),
        ('[data]\npositive = "sick"', "data.classes"),
        ('[[recipe.steps]]\nkind = "zscore"', "'z-score'"),
        ('[[recipe.steps]]\nkind = "window"\nlow = 2\nhigh = 1', "below high"),
        ("[input]\npatch = [4, 4]", "8 or more"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(f'name = "x"\n{text}\n')
    with pytest.raises(InvalidPlan, match=told):
        read_plan(path)


def test_everything_is_overridden_as_data(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('name = "x"\n')
    plan = read_plan(path, ["training.epochs=7", "network.kind=densenet", "input.patch=[32, 32]"])
    assert (plan.training.epochs, plan.network.kind) == (7, NetworkKind.DENSENET)
    with pytest.raises(InvalidPlan, match="'learning_rate'"):
        read_plan(path, ["training.learnin_rate=1"])
    assert read_plan(path).digest != plan.digest


def test_a_plan_follows_the_data(tmp_path: Path) -> None:
    seen = write_plan(spots(tmp_path / "spots.npz"), tmp_path / "plan.toml", name="spots")
    plan = read_plan(tmp_path / "plan.toml")
    assert (seen.samples, seen.patients, seen.classes) == (24, 12, {0: 12, 1: 12})
    assert (plan.task, plan.input.patch, plan.input.dimensions) == (
        Task.CLASSIFICATION,
        (16, 16),
        Dimensions.FLAT,
    )


def test_masks_make_a_segmentation_and_planes_a_block(tmp_path: Path) -> None:
    data = squares(tmp_path / "squares.npz", planes=20)
    write_plan(data, tmp_path / "plan.toml", name="squares")
    plan = read_plan(tmp_path / "plan.toml")
    assert (plan.task, plan.network.kind) == (Task.SEGMENTATION, NetworkKind.RESIDUAL_UNET)
    assert (plan.input.dimensions, plan.input.patch) == (Dimensions.BLOCK, (16, 32, 32))


def test_memory_limits_the_batch(tmp_path: Path) -> None:
    data = squares(tmp_path / "squares.npz", count=64)
    write_plan(data, tmp_path / "much.toml", name="much")
    write_plan(data, tmp_path / "little.toml", name="little", memory_gb=0.004)
    much, little = (read_plan(tmp_path / f"{name}.toml") for name in ("much", "little"))
    assert much.training.batch == 8
    assert little.training.batch < much.training.batch


def test_an_empty_class_is_refused(tmp_path: Path) -> None:
    data = spots(tmp_path / "spots.npz", labels=np.where(np.arange(24) % 2, 2, 0))
    with pytest.raises(EmptyClass):
        write_plan(data, tmp_path / "plan.toml", name="x")


def test_patients_stay_on_one_side_and_classes_are_even() -> None:
    samples = [
        Sample(id=f"{patient}-{at}", patient=f"P{patient}", label=float(patient % 5 == 0))
        for patient in range(50)
        for at in range(1 + patient % 3)
    ]
    split = split_by_patient(samples, 5, seed=1, classes=2)
    for fold in range(5):
        held_out = {samples[at].patient for at in split.held_out(fold)}
        assert not held_out & {samples[at].patient for at in split.trained_on(fold)}
        positive = {samples[at].patient for at in split.held_out(fold) if samples[at].label}
        assert len(positive) == 2
    assert split == split_by_patient(samples, 5, seed=1, classes=2)
    assert split.digests != split_by_patient(samples, 5, seed=2, classes=2).digests


def test_a_class_with_fewer_patients_than_folds_is_refused() -> None:
    samples = [Sample(id=str(at), patient=str(at), label=float(at == 0)) for at in range(20)]
    with pytest.raises(EmptyClass):
        split_by_patient(samples, 5, seed=0, classes=2)


def test_toml_is_read_back() -> None:
    table = {"a": 1, "b": [1.5, True], "c": {"d": 'x "y"\n', "e": {"f": []}}, "g": [{"h": 1}, {"h": 2}]}
    assert tomllib.loads(to_toml(table)) == table


def test_a_recipe_is_read_back_and_says_what_it_did() -> None:
    table = {
        "steps": [
            {"kind": "resample", "spacing_mm": [1.0, 1.0, 1.0]},
            {"kind": "denoise", "size": 3},
            {"kind": "window", "low": -1000.0, "high": 400.0},
            {"kind": "histogram", "quantiles": [0.0, 0.5, 1.0]},
            {"kind": "otsu", "by_plane": True},
            {"kind": "percentile", "low": 1.0, "high": 99.0},
            {"kind": "resize", "shape": [0, 16, 16]},
            {"kind": "z-score"},
        ]
    }
    recipe = recipe_from_table(table)
    assert recipe_to_table(recipe) == table
    voxels = np.random.default_rng(0).normal(-500, 300, (4, 20, 20))
    prepared = apply_recipe(recipe, voxels, (2.0, 0.5, 0.5))
    assert prepared.voxels.shape == (8, 16, 16)
    assert prepared.spacing_mm == pytest.approx((1.0, 0.625, 0.625))
    assert abs(prepared.voxels.mean()) < 1e-5
    assert prepared.voxels.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", ["otsu", "z-score", "percentile"])
def test_one_grey_level_stays_a_number(kind: str) -> None:
    prepared = apply_recipe(recipe_from_table({"steps": [{"kind": kind}]}), np.full((1, 8, 8), 7))
    assert np.isfinite(prepared.voxels).all()


def test_otsu_undoes_a_stretch_of_grey_levels() -> None:
    recipe = recipe_from_table({"steps": [{"kind": "otsu"}]})
    image = np.where(np.indices((1, 16, 16))[1] < 8, 20.0, 90.0)
    first = apply_recipe(recipe, image).voxels
    assert np.allclose(first, apply_recipe(recipe, 2.5 * image + 11).voxels, atol=1e-5)


def test_a_wrong_recipe_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="steps"):
        recipe_from_table({"step": []})
