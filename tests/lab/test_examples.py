"""The worked examples that ship: what they say they are, and that they work as the card says."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dicom.small_ct import data_folder
from wetread.infer.predict import predict_array
from wetread.registry import read_models
from wetread.stats.roc import auc

MODELS = read_models()


@pytest.mark.parametrize("name", ["chest-xray-pneumonia", "breast-ultrasound"])
def test_they_are_examples_and_say_so(name: str) -> None:
    model = MODELS[name]
    assert model.state == "draft"
    assert "Example" in model.card["status"]
    assert "CC BY 4.0" in model.card["licence"]
    assert {"data", "metrics", "limits", "trained_on"} <= set(model.card)


@pytest.mark.parametrize(
    ("name", "file", "positive", "floor"),
    [("chest-xray-pneumonia", "pneumonia.npz", 1, 0.97), ("breast-ultrasound", "breast.npz", 0, 0.85)],
)
def test_the_shipped_weights_are_whole(name: str, file: str, positive: int, floor: float) -> None:
    """They were trained on these images: a floor that tells broken weights, not a score."""
    model = MODELS[name]
    assert model.task is not None
    assert model.task.classes.index(model.task.positive) == positive
    with np.load(data_folder("medmnist") / file) as arrays:
        images, labels = arrays["val_images"][:120], arrays["val_labels"][:120].ravel()
    said = [predict_array(model, one[None]).probabilities[positive] for one in images]
    assert auc(labels == positive, said) > floor
