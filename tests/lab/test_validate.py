"""Models judged on labelled images, from the command to the written scores."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from typer.testing import CliRunner

from tests.infer.networks import (
    brightness_classifier,
    grade_classifier,
    threshold_segmenter,
    write_package,
)
from wetread.cli import app
from wetread.errors import EmptyClass, InvalidSamples, LabelsDoNotFit, NotFinite

CLASSES = 'kind = "classification"\nclasses = ["dark", "bright"]\npositive = "bright"'
BYTES = '[recipe]\nsteps = [{ kind = "window", low = 0, high = 255 }]\n'
CENTRED = BYTES.replace("}]", '}, { kind = "z-score", mean = 0.5, deviation = 0.5 }]')
GATE = "[acceptance]\nauc = 0.6\n"


def images(path: Path, count: int = 80, seed: int = 0, **more: Any) -> Path:
    """Write images whose brightness goes with their class, one in five the wrong way."""
    chance = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    bright = np.where(chance.random(count) < 0.2, 1 - labels, labels)
    grey = np.clip(chance.normal(90 + 60 * bright, 30), 0, 255)[:, None, None]
    arrays = {"images": (grey * np.ones((1, 12, 12))).astype(np.uint8), "labels": labels} | more
    np.savez_compressed(path, **arrays)
    return path


def crops(path: Path, count: int = 12) -> Path:
    """Write crops of bright balls; every fourth also holds one that nobody marked, every sixth none."""
    arrays: dict[str, Any] = {}
    z, y, x = np.ogrid[:5, :32, :32]
    for number in range(count):
        ball = (z - 2) ** 2 + (y - 16) ** 2 + (x - 16) ** 2 <= 9
        image = np.where(ball if number % 6 else ball & False, 200, 20)
        if number % 4 == 0:
            image[1:3, 2:5, 2:5] = 220
        arrays[f"P-{number // 2}_n{number % 2}_img"] = image.astype(np.uint8)
        votes = ball.astype(np.uint8) * (4 if number % 3 else 2)
        arrays[f"P-{number // 2}_n{number % 2}_votes"] = votes
    np.savez_compressed(path, **arrays)
    return path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["lab", "validate", *map(str, arguments)])


def metrics(out: Path) -> dict[str, Any]:
    return json.loads((out / "metrics.json").read_text())


def test_classes(tmp_path: Path) -> None:
    write_package(tmp_path / "m", brightness_classifier(), CLASSES, more=CENTRED + GATE)
    data = images(tmp_path / "data.npz")
    result = run(tmp_path / "m", data, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.exception
    assert result.stdout.strip() == str(tmp_path / "out" / "metrics.json")
    found = metrics(tmp_path / "out")
    arrays = np.load(data)
    means = arrays["images"].mean(axis=(1, 2))
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(arrays["labels"], means), abs=0.01)
    assert 0.5 < found["auc"]["low"] < found["auc"]["value"] < found["auc"]["high"] <= 1
    for name in ("accuracy", "sensitivity", "specificity", "ppv", "f1", "brier", "calibration_slope"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert found["gate"]["passed"] is True
    assert (found["samples"], found["patients"]) == (80, 80)
    assert any("patient" in note for note in found["notes"])
    assert "dice" not in found


def test_masks_and_candidates(tmp_path: Path) -> None:
    write_package(
        tmp_path / "m", threshold_segmenter(), 'kind = "segmentation"\nthreshold = 0.65', more=BYTES
    )
    assert run(tmp_path / "m", crops(tmp_path / "crops.npz"), "--out", tmp_path / "out").exit_code == 0
    found = metrics(tmp_path / "out")
    # Two of twelve are not there to be seen; in three somebody else is.
    assert found["lesion_sensitivity"]["value"] == pytest.approx(10 / 12)
    assert found["false_positives"]["value"] == pytest.approx(3 / 12)
    last = found["froc"][-1]
    assert (last["sensitivity"], last["false_positives"]) == (pytest.approx(10 / 12), pytest.approx(3 / 12))
    # What nobody marked is brighter: it comes first.
    assert found["froc"][0]["false_positives"] > 0
    assert 0.6 < found["dice"]["value"] < 10 / 12
    assert found["dice_3_readers"]["value"] != found["dice"]["value"]
    # Crops name no spacing: nothing is known in mm.
    assert not {"hausdorff_mm", "hausdorff95_mm", "surface_dice"} & set(found)


def test_with_a_spacing_surfaces_are_measured_in_mm(tmp_path: Path) -> None:
    write_package(
        tmp_path / "m", threshold_segmenter(), 'kind = "segmentation"\nthreshold = 0.65', more=BYTES
    )
    z, y, x = np.ogrid[:5, :32, :32]
    ball = (z - 2) ** 2 + (y - 16) ** 2 + (x - 16) ** 2 <= 9
    images = np.stack([np.where(ball, 200, 20).astype(np.uint8)] * 4)
    masks = np.stack([np.roll(ball, 2, axis=2)] * 4).astype(np.uint8)
    spacing = np.tile([2.0, 0.5, 0.5], (4, 1))
    np.savez(tmp_path / "d.npz", images=images, masks=masks, spacing_mm=spacing, patients=list("abcd"))
    assert run(tmp_path / "m", tmp_path / "d.npz", "--out", tmp_path / "out").exit_code == 0
    # Two columns of half a millimetre.
    assert metrics(tmp_path / "out")["hausdorff_mm"]["value"] == pytest.approx(1.0)


def test_the_gate_asks_for_the_worse_end_of_the_interval(tmp_path: Path) -> None:
    data = images(tmp_path / "data.npz", count=30)
    write_package(tmp_path / "m", brightness_classifier(), CLASSES, more=CENTRED)
    run(tmp_path / "m", data, "--out", tmp_path / "first")
    value = metrics(tmp_path / "first")["auc"]["value"]
    gate = f"[acceptance]\nauc = {value - 0.01}\nbrier = 0.9\n"
    write_package(tmp_path / "m", brightness_classifier(), CLASSES, more=CENTRED + gate)
    assert run(tmp_path / "m", data, "--out", tmp_path / "out").exit_code == 0
    assert run(tmp_path / "m", data, "--out", tmp_path / "out", "--strict").exit_code == 1
    lines = {one["metric"]: one["passed"] for one in metrics(tmp_path / "out")["gate"]["lines"]}
    assert lines == {"auc": False, "brier": True}


def test_a_second_look_at_the_same_images_is_said(tmp_path: Path) -> None:
    data = images(tmp_path / "data.npz")
    for scale in (1.0, 2.0):
        write_package(tmp_path / "m", brightness_classifier(scale), CLASSES, more=CENTRED)
        run(tmp_path / "m", data, "--out", tmp_path / f"out-{scale:g}")
    assert not any("before" in note for note in metrics(tmp_path / "out-1")["notes"])
    assert any("used before" in note for note in metrics(tmp_path / "out-2")["notes"])


def test_elsewhere_and_beside_another_model(tmp_path: Path) -> None:
    write_package(tmp_path / "m", brightness_classifier(), CLASSES, more=CENTRED)
    write_package(tmp_path / "n", brightness_classifier(-4.0), CLASSES, more=CENTRED, name="backwards")
    arguments = ["--external", images(tmp_path / "b.npz", seed=5), "--compare", tmp_path / "n"]
    data = images(tmp_path / "a.npz")
    assert run(tmp_path / "m", data, "--out", tmp_path / "out", *arguments).exit_code == 0
    found = metrics(tmp_path / "out")
    inside, outside = found["auc"]["value"], found["external"]["auc"]["value"]
    assert found["external"]["drop"]["auc"]["value"] == pytest.approx(outside - inside, abs=1e-5)
    assert found["comparison"]["auc"]["difference"]["value"] == pytest.approx(1 - 2 * inside, abs=1e-5)
    assert found["comparison"]["auc"]["p_value"] < 0.01
    assert found["compared_with"] == "backwards"


@pytest.mark.parametrize(("margin", "verdict", "word"), [(0.2, True, "yes"), (0.001, False, "not shown")])
def test_not_worse_by_more_than_a_margin(tmp_path: Path, margin: float, verdict: bool, word: str) -> None:
    chance = np.random.default_rng(4)
    data = images(tmp_path / "a.npz", count=200)
    write_package(tmp_path / "m", brightness_classifier(), CLASSES, more=CENTRED)
    # Another threshold: as good an order, some decisions differ.
    moved = CENTRED.replace("mean = 0.5", f"mean = {0.5 + 0.02 * chance.random():.3f}")
    write_package(tmp_path / "n", brightness_classifier(), CLASSES, more=moved, name="moved")
    arguments = ["--compare", tmp_path / "n", "--margin", margin]
    assert run(tmp_path / "m", data, "--out", tmp_path / "out", *arguments).exit_code == 0
    found = metrics(tmp_path / "out")
    accuracy = found["comparison"]["accuracy"]
    assert accuracy["not_inferior"] is verdict
    assert accuracy["not_inferior"] is (accuracy["difference"]["high"] < margin)
    assert 0 < accuracy["p_value"] <= 1
    assert found["margin"] == margin
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"worse by less than {margin:g}" in page
    assert word in page


def test_a_margin_without_another_model_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path / "m", brightness_classifier(), CLASSES, more=CENTRED)
    data = images(tmp_path / "a.npz")
    assert run(tmp_path / "m", data, "--out", tmp_path / "out", "--margin", 0.1).exit_code == 2


def test_grades_are_scored_by_how_far_they_lie_apart(tmp_path: Path) -> None:
    chance = np.random.default_rng(2)
    true = np.arange(60) % 4
    said = np.clip(true + chance.integers(-1, 2, 60), 0, 3)
    said[0] = 3
    grey = (said * 85)[:, None, None] * np.ones((1, 12, 12))
    np.savez(tmp_path / "d.npz", images=grey.astype(np.uint8), labels=true)
    grades = 'kind = "classification"\nclasses = ["none", "mild", "moderate", "severe"]\nordered = true'
    write_package(tmp_path / "m", grade_classifier(), grades, more=BYTES)
    assert run(tmp_path / "m", tmp_path / "d.npz", "--out", tmp_path / "out").exit_code == 0
    found = metrics(tmp_path / "out")
    for weighting in ("quadratic", "linear"):
        expected = cohen_kappa_score(true, said, weights=weighting)
        assert found[f"kappa_{weighting}"]["value"] == pytest.approx(expected, abs=1e-6)
    assert found["grade_error"]["value"] == pytest.approx(np.abs(said - true).mean())
    assert found["exact_grade"]["value"] == pytest.approx((said == true).mean())
    assert found["within_one_grade"]["value"] == pytest.approx(59 / 60)
    assert found["within_one_grade"]["low"] < 59 / 60 < found["within_one_grade"]["high"]


def test_a_grade_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    grey = np.zeros((6, 12, 12), np.uint8)
    np.savez(tmp_path / "d.npz", images=grey, labels=[0, 1, 2, 3, 4, 3])
    grades = 'kind = "classification"\nclasses = ["none", "mild", "moderate", "severe"]\nordered = true'
    write_package(tmp_path / "m", grade_classifier(), grades, more=BYTES)
    result = run(tmp_path / "m", tmp_path / "d.npz", "--out", tmp_path / "out")
    assert isinstance(result.exception, LabelsDoNotFit)


def test_the_report_says_what_was_found(tmp_path: Path) -> None:
    write_package(tmp_path / "m", brightness_classifier(), CLASSES, more=CENTRED + GATE)
    run(tmp_path / "m", images(tmp_path / "data.npz"), "--out", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    items = [page.index(f"CLAIM {one}") for one in ("1-3", "7-14", "15-19", "28-32", "33-36", "39-44")]
    assert items == sorted(items)
    assert "Not for clinical use" in page
    assert page.count("<svg") == 3
    assert page.count("data:image/png;base64,") == 8
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF")


def test_a_name_is_escaped(tmp_path: Path) -> None:
    write_package(tmp_path / "m", threshold_segmenter(), 'kind = "segmentation"', more=BYTES)
    ball = np.zeros((3, 16, 16), np.uint8)
    ball[1, 4:9, 4:9] = 3
    name = "<img onerror=x>_n0"
    np.savez(tmp_path / "crops.npz", **{f"{name}_img": ball * 80, f"{name}_votes": ball})
    assert run(tmp_path / "m", tmp_path / "crops.npz", "--out", tmp_path / "out").exit_code == 0
    assert "<img onerror" not in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"labels": np.zeros(3, int)}, LabelsDoNotFit),
        ({"labels": np.zeros(80, int)}, EmptyClass),
        ({"images": np.full((80, 4, 4), np.nan)}, NotFinite),
        ({"images": np.array([{"a": 1}] * 80, dtype=object)}, InvalidSamples),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, more: dict[str, Any], error: type[Exception]) -> None:
    write_package(tmp_path / "m", brightness_classifier(), CLASSES, more=CENTRED)
    result = run(tmp_path / "m", images(tmp_path / "data.npz", **more), "--out", tmp_path / "out")
    assert isinstance(result.exception, error)
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_wetread_itself_needs_no_torch() -> None:
    code = "import sys, wetread.cli, wetread.app; sys.exit(bool({'torch', 'monai'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
