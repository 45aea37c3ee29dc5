"""What docs/how-to/measure-a-segmentation.md tells, done; the list of features is that of the code."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.imaging.segmented import make_segmentation, write_images, write_nifti
from wetread.cli import app
from wetread.measure.texture import FEATURES
from wetread.measure.texture.page import write_page

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to/measure-a-segmentation.md"
REFERENCE = ROOT / "docs/reference/features.md"


def test_the_commands_of_the_how_to_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hu = np.random.default_rng(0).normal(-150, 40, (6, 12, 14)).round()
    inside = np.zeros(hu.shape, bool)
    inside[1:5, 3:9, 4:10] = True
    make_segmentation(write_images(tmp_path / "ct", hu), [inside]).save_as(tmp_path / "segmentation.dcm")
    write_nifti(tmp_path / "ct.nii.gz", hu.astype(np.int16))
    write_nifti(tmp_path / "labels.nii.gz", inside.astype(np.uint8))
    lines = [line for line in HOW_TO.read_text().split("\n") if line.startswith("wetread ")]
    assert len(lines) == 3
    results = [CliRunner().invoke(app, shlex.split(line)[1:]) for line in lines]
    assert [one.exit_code for one in results] == [0, 0, 0], [one.output for one in results]
    assert "Segment 1, thing 1: 144 voxels" in results[0].output
    (segment,) = json.loads(results[1].stdout)["segments"]
    assert segment["values"]["first_order_mean"] == pytest.approx(hu[inside].mean())
    assert segment["grey_levels"] == np.floor((hu[inside].max() + 1000) / 25) + 1
    assert "32 bins" in results[2].output
    assert "averaged" in results[2].output


def test_the_list_of_features_is_that_of_the_code() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == write_page(), "make features"


def test_every_code_stands_once() -> None:
    codes = [one.code for one in FEATURES.values()]
    assert len(set(codes)) == len(codes) == 121
    assert all(len(one) == 4 and one == one.upper() for one in codes)
