"""A validation that was stopped goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.infer.networks import brightness_classifier, write_package
from tests.lab.test_validate import CENTRED, CLASSES, GATE, images
from wetread.domain.model import Model
from wetread.errors import ModelTimeout
from wetread.lab import judge as judging
from wetread.lab.kept import FILE, open_kept
from wetread.lab.read import read_samples
from wetread.lab.samples import SampleSet
from wetread.lab.validate import Asked, validate


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return write_package(tmp_path / "m", brightness_classifier(), CLASSES, more=CENTRED + GATE)


@pytest.fixture
def samples(tmp_path: Path) -> SampleSet:
    return read_samples(images(tmp_path / "data.npz", count=20))


class _Stubborn(judging.Judge):
    """Hangs at one image."""

    asked = 0
    hangs_at = 0

    def __call__(self, voxels: np.ndarray, spacing_mm: object = None) -> object:
        type(self).asked += 1
        if type(self).asked == self.hangs_at:
            raise ModelTimeout("The model was stopped after its limit of 1 s.")
        return super().__call__(voxels, spacing_mm)


def test_what_was_judged_is_kept_and_not_judged_again(
    model: Model, samples: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = validate(model, samples, "data")
    monkeypatch.setattr(judging, "open_judge", _Stubborn)
    _Stubborn.asked, _Stubborn.hangs_at = 0, 8
    kept = open_kept(tmp_path / "out", model, "data")
    with pytest.raises(ModelTimeout, match=f"Sample {samples.samples[7].id}: "):
        validate(model, samples, "data", Asked(kept=kept))
    # As a crash leaves it: with half a line at the end.
    path = tmp_path / "out" / FILE
    assert len(path.read_text().splitlines()) == 7
    path.write_text(path.read_text() + '{"key": "')
    _Stubborn.asked, _Stubborn.hangs_at = 0, 0
    kept = open_kept(tmp_path / "out", model, "data")
    found = validate(model, samples, "data", Asked(kept=kept))
    assert _Stubborn.asked == 13
    assert found.scores.intervals == whole.scores.intervals
    kept.remove()
    assert not path.exists()


def test_what_is_of_another_version_or_other_images_is_judged_anew(
    model: Model, samples: SampleSet, tmp_path: Path
) -> None:
    kept = open_kept(tmp_path / "out", model, "data")
    validate(model, samples, "data", Asked(kept=kept))
    first = samples.samples[0]
    assert open_kept(tmp_path / "out", model, "data").find(first) is not None
    assert open_kept(tmp_path / "out", model, "other data").find(first) is None
    # The file was begun anew for what counts.
    assert open_kept(tmp_path / "out", model, "data").find(first) is None


def test_a_kept_verdict_that_is_none_is_judged_anew(model: Model, samples: SampleSet, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    lines = ["[]", "{}", json.dumps({"key": f"{model.identity.digest} data", "verdict": {"sample": 3}})]
    (tmp_path / "out" / FILE).write_text("\n".join(lines))
    assert open_kept(tmp_path / "out", model, "data").find(samples.samples[0]) is None
