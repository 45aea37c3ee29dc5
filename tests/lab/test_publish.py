"""A run becomes a package that serving and validation read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lab.sets import make_plan, spots, squares
from wetread.errors import InvalidPlan
from wetread.infer.predict import predict_array
from wetread.lab.publish import publish
from wetread.lab.train import train

PACKAGE: dict[str, Any] = {
    "title": "Spots",
    "intended_use": "Testing.",
    "eligibility": {"modalities": ["OT"]},
    "card": {"data": "Made up.", "licence": "CC0", "limits": "All."},
    "acceptance": {"auc": 0.8},
}


def test_what_was_trained_is_what_serves(tmp_path: Path) -> None:
    data = spots(tmp_path / "spots.npz")
    plan = make_plan(
        tmp_path, training={"epochs": 30, "keep": "last", "learning_rate": 1e-2}, package=PACKAGE
    )
    run = train(plan, data, tmp_path / "runs")
    model = publish(run.folder, tmp_path / "package")
    assert (model.identity.name, model.state) == ("spots", "draft")
    assert model.acceptance == {"auc": 0.8}
    assert model.task is not None
    assert model.task.threshold == pytest.approx(run.operating_point.threshold, abs=1e-5)
    assert model.card["licence"] == "CC0"
    assert "AUC" in model.card["metrics"]
    assert "12 patients" in model.card["trained_on"]
    with np.load(data) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    said = [predict_array(model, one[None]).probabilities[1] for one in images]
    assert np.mean(np.array(said)[labels == 1]) > np.mean(np.array(said)[labels == 0]) + 0.3


OUTPUT = {"label": "square", "code": "4147007", "scheme": "SCT", "meaning": "Mass"}


@pytest.mark.parametrize(
    ("dimensions", "patch", "planes"), [("2d", [16, 16], 1), ("2.5d", [16, 16], 5), ("3d", [8, 16, 16], 8)]
)
def test_a_network_that_marks_voxels_serves_images_larger_than_its_patch(
    tmp_path: Path, dimensions: str, patch: list[int], planes: int
) -> None:
    data = squares(tmp_path / "squares.npz", planes=planes)
    plan = make_plan(
        tmp_path,
        task="segmentation",
        input={"dimensions": dimensions, "patch": patch, "planes": 3},
        network={"kind": "unet", "width": 8, "layers": [1, 1, 1]},
        training={"epochs": 25, "keep": "last", "learning_rate": 1e-2, "batches": 4},
        data={"classes": ["background", "square"], "positive": "square"},
        package=PACKAGE | {"output": OUTPUT},
    )
    model = publish(train(plan, data, tmp_path / "runs").folder, tmp_path / "package")
    assert model.output is not None
    assert (model.output.channel, model.output.label) == (1, "square")
    with np.load(data) as arrays:
        images, masks = arrays["images"], arrays["masks"]
    scores = []
    for image, mask in zip(images, masks, strict=True):
        marked = predict_array(model, image).probability_map
        assert marked is not None
        found = marked >= 0.5
        scores.append(2 * (found & (mask > 0)).sum() / (found.sum() + mask.sum()))
    assert np.mean(scores) > 0.8


def test_what_marks_voxels_says_what_it_marks(tmp_path: Path) -> None:
    words = {"classes": ["background", "square"], "positive": "square"}
    plan = make_plan(
        tmp_path,
        task="segmentation",
        training={"epochs": 1},
        data=words,
        package=PACKAGE,
        network={"kind": "unet", "layers": [1, 1]},
    )
    run = train(plan, squares(tmp_path / "squares.npz"), tmp_path / "runs")
    with pytest.raises(InvalidPlan, match=r"package.output"):
        publish(run.folder, tmp_path / "package")


@pytest.mark.parametrize("lacks", ["title", "card"])
def test_a_package_needs_its_words(tmp_path: Path, lacks: str) -> None:
    package = {word: value for word, value in PACKAGE.items() if word != lacks}
    plan = make_plan(tmp_path, training={"epochs": 1}, package=package)
    run = train(plan, spots(tmp_path / "spots.npz"), tmp_path / "runs")
    with pytest.raises(InvalidPlan, match=f"package.{lacks}"):
        publish(run.folder, tmp_path / "package")
    assert not (tmp_path / "package").exists()
