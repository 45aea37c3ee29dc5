"""How the weights of the nodule models are made, with tiny networks and few steps."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from wetread.infer.nodule_malignancy import SIDE, cut_slabs
from wetread.lab.appearance import measure_looks, save_appearance
from wetread.lab.malignancy_make import (
    Rated,
    calibrate,
    choose_stiffness,
    cross_validate,
    cross_validate_both,
    cross_validate_stack,
    fit,
    measure_rated,
    odds,
    read_rated,
)
from wetread.lab.nodule_make import Ensemble, export_ensemble, judge_folds, read_all, read_nets, train_folds
from wetread.lab.nodule_net import FOLDS, NetPlan, fold_of
from wetread.lab.nodule_score import read_folds, score_folds
from wetread.lab.rating_make import SEEDS, Judge, judge_unseen, train_raters
from wetread.lab.rating_net import RatingNet, RatingPlan
from wetread.lab.read import read_samples
from wetread.registry import read_models
from wetread.stats.roc import auc

TINY = NetPlan(widths=(4, 4, 8, 8), patch=32, batch=4, steps=6)
PATIENTS = [f"P-{number}" for number in range(9)]


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    z, y, x = np.ogrid[:3, :48, :48]
    for patient in PATIENTS:
        radius = chance.uniform(3, 8)
        ball = (z - 1) ** 2 + (y - 24) ** 2 + (x - 24) ** 2 <= radius**2
        image = np.where(ball, 180, 40) + chance.normal(0, 8, ball.shape)
        arrays[f"{patient}_n0_img"] = np.clip(image, 0, 255).astype(np.uint8)
        arrays[f"{patient}_n0_votes"] = (ball * 4).astype(np.uint8)
    path = tmp_path / "crops.npz"
    np.savez_compressed(path, **arrays)
    with (tmp_path / "nodules.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["patient", "nodule", "readers", "malignancy"])
        rows.writerows([one, 0, 4, 1 + number % 5] for number, one in enumerate(PATIENTS))
    return path


def test_nobody_is_judged_by_a_network_that_knows_him(
    tmp_path: Path, crops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, set[str]]] = []

    def note(others: Any, plan: NetPlan, _told: Any) -> Any:
        asked.append((plan.seed, {one.patient for one in others}))
        torch.manual_seed(plan.seed)
        from wetread.lab.nodule_net import NoduleNet

        return NoduleNet(plan.widths).eval()

    monkeypatch.setattr("wetread.lab.nodule_make.train_net", note)
    train_folds(read_all(crops), tmp_path, TINY)
    assert [fold for fold, _ in asked] == list(range(FOLDS))
    for fold, seen in asked:
        assert seen == {one for one in PATIENTS if fold_of(one) != fold}


def test_from_crops_to_weights_and_scores(tmp_path: Path, crops: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    told: list[tuple[int, int, float]] = []
    prepared = read_all(crops)
    nets = train_folds(prepared, run, replace(TINY, steps=100), lambda *one: told.append(one))
    assert [fold for fold, _step, _loss in told] == list(range(FOLDS))
    # What is there already is not made again.
    before = [(run / f"net{fold}.pt").stat().st_mtime_ns for fold in range(FOLDS)]
    train_folds(prepared, run, replace(TINY, steps=100))
    assert [(run / f"net{fold}.pt").stat().st_mtime_ns for fold in range(FOLDS)] == before

    judge_folds(prepared, nets, run)
    assert {name for name, _ in read_folds(run)} == {f"{one}_n0" for one in PATIENTS}
    samples = read_samples(crops, labels=crops.with_name("nodules.csv"))
    scores = score_folds(read_models()["lung-nodule"], samples, run)
    assert scores.samples == len(PATIENTS)
    alone = score_folds(read_models()["lung-nodule"], samples, run, [0])
    assert alone.samples == sum(fold_of(one) == 0 for one in PATIENTS)
    rated = measure_rated(crops, crops.with_name("nodules.csv"), run, nets)
    assert rated.traits.shape == (len(PATIENTS), len(rated.names))
    assert rated.looks.shape == (len(PATIENTS), FOLDS, 2 * (TINY.widths[2] + TINY.widths[3]))
    assert [type(one) for one in read_nets(run, TINY)] == [type(one) for one in nets]


def test_the_appearance_that_is_shipped_is_the_one_that_was_fitted(tmp_path: Path, crops: Path) -> None:
    nets = train_folds(read_all(crops), tmp_path, replace(TINY, steps=2))
    chance = np.random.default_rng(0)
    grey = chance.normal(0.3, 0.4, (9, 40, 150)).astype(np.float32)
    outline = np.zeros(grey.shape, bool)
    outline[2:6, 10:22, 120:131] = True
    # Near an edge, in an image narrower than what is seen.
    slabs = cut_slabs(grey, outline)
    assert slabs.images.shape == (4, 5, SIDE, SIDE)
    assert slabs.areas.tolist() == [132.0] * 4
    looks = np.stack([measure_looks(net, [slabs])[0] for net in nets])
    slopes = chance.normal(0, 0.3, looks.shape)
    offsets = chance.normal(size=len(nets))
    save_appearance(nets, slopes, offsets, tmp_path / "appearance.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "appearance.onnx"))
    (said,) = session.run(None, {"slabs": slabs.images, "outlines": slabs.outlines})
    wanted = ((looks * slopes).sum(axis=1) + offsets).mean()
    assert np.average(said[:, 0], weights=slabs.areas) == pytest.approx(wanted, abs=2e-2)


def test_nobody_is_rated_by_a_network_that_knows_his_rating(
    tmp_path: Path, crops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = read_all(crops)
    judge_folds(prepared, train_folds(prepared, tmp_path, TINY), tmp_path)
    nodules = list(read_rated(crops, crops.with_name("nodules.csv"), tmp_path))
    assert {(one.patient, one.rating) for one in nodules} == {
        (one, 1 + number % 5) for number, one in enumerate(PATIENTS)
    }
    asked: list[tuple[int, set[str]]] = []

    def note(others: Any, net: Any, plan: RatingPlan, _told: Any) -> RatingNet:
        asked.append((plan.seed, {one.patient for one in others}))
        rater = RatingNet(net)
        rater.head.bias.data[0] = plan.seed % 100
        rater.head.weight.data.zero_()
        return rater.eval()

    monkeypatch.setattr("wetread.lab.rating_make.train_rating", note)
    raters = train_raters(nodules, tmp_path, RatingPlan(), TINY)
    assert len({seed for seed, _ in asked}) == FOLDS * SEEDS
    for seed, seen in asked:
        assert seen == {one for one in PATIENTS if fold_of(one) != seed % 100}
    # Each says the number of the fold that it was left out of.
    assert judge_unseen(nodules, raters).tolist() == [fold_of(one.patient) for one in nodules]
    # What is there is not made again.
    train_raters(iter(()), tmp_path, RatingPlan(), TINY)
    assert len(asked) == FOLDS * SEEDS


def test_a_network_learns_ratings_and_is_shipped_as_it_is(tmp_path: Path, crops: Path) -> None:
    prepared = read_all(crops)
    nets = train_folds(prepared, tmp_path, TINY)
    judge_folds(prepared, nets, tmp_path)
    nodules = list(read_rated(crops, crops.with_name("nodules.csv"), tmp_path))
    told: list[float] = []
    plan = RatingPlan(steps=100, batch=3)
    raters = train_raters(nodules, tmp_path, plan, TINY, lambda _fold, _seed, _step, loss: told.append(loss))
    assert len(told) == FOLDS * SEEDS
    again = train_raters(nodules, tmp_path, plan, TINY)
    assert judge_unseen(nodules, again).tolist() == judge_unseen(nodules, raters).tolist()

    judge = Judge([one for some in raters for one in some]).eval()
    slabs = cut_slabs(nodules[0].grey, nodules[0].outline)
    images, outlines = torch.from_numpy(slabs.images), torch.from_numpy(slabs.outlines)
    with torch.inference_mode():
        rated, mirrored = judge(images, outlines), judge(images.flip(3), outlines.flip(3))
    assert torch.allclose(rated, mirrored, atol=0.1)
    zero = np.zeros((FOLDS, 2 * (TINY.widths[2] + TINY.widths[3])))
    save_appearance(read_nets(tmp_path, TINY), zero, np.zeros(FOLDS), tmp_path / "judge.onnx", judge, 2.0)
    session = onnxruntime.InferenceSession(str(tmp_path / "judge.onnx"))
    (said,) = session.run(None, {"slabs": slabs.images, "outlines": slabs.outlines})
    np.testing.assert_allclose(said, 2 * rated.numpy(), atol=2e-2)


def test_what_networks_say_of_ratings_adds_to_curves() -> None:
    nodules = rated()
    part = nodules.only(("one", "three"))
    judged = replace(
        part, looks=np.zeros((len(part.rating), FOLDS, 1)), judged=-(nodules.traits[:, 1] ** 2) / 3
    )
    without = replace(judged, judged=np.zeros(0))
    chosen = part.is_extreme
    truth = part.rating[chosen] >= 4
    for score in (cross_validate_both, cross_validate_stack):
        more, less = (auc(truth, score(one)[chosen]) for one in (judged, without))
        assert more > less + 0.005, score
    assert judged.take(chosen).judged.tolist() == judged.judged[chosen].tolist()


def test_what_is_exported_answers_as_the_networks_do(tmp_path: Path, crops: Path) -> None:
    nets = train_folds(read_all(crops), tmp_path, replace(TINY, steps=2))
    export_ensemble(nets, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for shape in ((1, 5, 64, 96), (5, 5, 40, 48)):
        slabs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            wanted = Ensemble(nets).eval()(slabs).numpy()
        (found,) = session.run(None, {"slabs": slabs.numpy()})
        # Weights are stored in half precision.
        np.testing.assert_allclose(found, wanted, atol=5e-3)


def rated(count: int = 240, seed: int = 0) -> Rated:
    """Return nodules whose rating goes with the first trait, and with the square of the second."""
    chance = np.random.default_rng(seed)
    traits = chance.normal(size=(count, 3))
    rating = 3 + 1.2 * traits[:, 0] - 0.8 * traits[:, 1] ** 2 + 0.8 + chance.normal(0, 0.5, count)
    patients = np.array([f"P-{number // 2}" for number in range(count)])
    return Rated(patients, np.clip(rating, 1, 5), traits, ("one", "two", "three"))


def test_curves_find_what_is_there_and_nothing_in_noise() -> None:
    nodules = rated()
    chosen = nodules.is_extreme
    said = cross_validate(nodules)[chosen]
    truth = nodules.rating[chosen] >= 4
    assert auc(truth, said) > 0.95
    assert auc(truth, cross_validate(nodules.only(("one",)))[chosen]) < auc(truth, said) - 0.02
    chance = np.random.default_rng(1)
    noise = replace(nodules, rating=chance.permutation(nodules.rating))
    assert 0.35 < auc(noise.rating[noise.is_extreme] >= 4, cross_validate(noise)[noise.is_extreme]) < 0.65


def test_appearance_adds_what_curves_do_not_see() -> None:
    nodules = rated()
    chance = np.random.default_rng(2)
    # Each network sees the second trait in its own way, among noise.
    looks = chance.normal(size=(len(nodules.rating), FOLDS, 6))
    for net in range(FOLDS):
        looks[:, net, net] = nodules.traits[:, 1] ** 2 + chance.normal(0, 0.3, len(looks))
    part = replace(nodules.only(("one", "three")), looks=looks)
    chosen = part.is_extreme
    truth = part.rating[chosen] >= 4
    both = cross_validate_both(part)
    assert auc(truth, both[chosen]) > auc(truth, cross_validate(part)[chosen]) + 0.005
    gain, shift = calibrate(part, both)
    odds_of = gain * both[chosen] + shift
    assert (1 / (1 + np.exp(-odds_of))).mean() == pytest.approx(truth.mean(), abs=0.02)


def test_draws_of_patients_lie_around_the_fit() -> None:
    nodules = rated()
    curves = fit(nodules, choose_stiffness(nodules), draws=12)
    assert len(curves.weights) == 13
    middle = odds(curves, nodules.traits)
    draws = np.array(
        [
            odds(
                replace(curves, weights=curves.weights[[n]], intercept=curves.intercept[[n]]), nodules.traits
            )
            for n in range(1, 13)
        ]
    )
    assert np.corrcoef(draws.mean(axis=0), middle)[0, 1] > 0.98
    assert (draws.std(axis=0) > 0).all()
