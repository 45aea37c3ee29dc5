"""What docs/how-to/bring-your-model.md and the reference of packages tell, done."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.dicom.small_ct import SmallCt, write_ct
from tests.docs.test_docs import blocks
from tests.registry.bundles import (
    INFERENCE,
    METADATA,
    inference,
    network,
    save_script,
    write_bundle,
    zip_bundle,
)
from wetread.cli import app
from wetread.errors import InvalidPackage
from wetread.registry import read_package
from wetread.registry.schema import OPEN_TABLES, SCHEMA

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to/bring-your-model.md"
REFERENCE = ROOT / "docs/reference/model-package.md"


def test_the_commands_of_the_how_to_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("monai")
    monkeypatch.chdir(tmp_path)
    folder = write_bundle(tmp_path / "bright_things")
    save_script(network(), folder / "models/model.ts")
    zip_bundle(folder, tmp_path / "bright_things.zip")
    hu = np.random.default_rng(0).normal(-150, 30, (20, 40, 40))
    hu[8:12, 14:22, 14:22] = 150
    ct = SmallCt(shape=hu.shape, spacing_mm=(2.0, 1.0, 1.0), stored=(hu.round() + 1024).astype(np.int16))
    write_ct(tmp_path / "series", ct)
    for kind, voxels in (("images", hu), ("labels", (hu > 100).astype(np.uint8))):
        (tmp_path / "own-data" / kind).mkdir(parents=True)
        for number in range(3):
            image = nibabel.Nifti1Image(
                np.roll(voxels, number, axis=1).transpose(2, 1, 0), np.diag([-1, -1, 2, 1])
            )
            nibabel.save(image, tmp_path / "own-data" / kind / f"{number}.nii.gz")
    lines = [line for line in HOW_TO.read_text().split("\n") if line.startswith("wetread ")]
    assert [line.split()[1] for line in lines] == ["models", "analyze", "lab"]
    for line in lines:
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output)
    (entry,) = json.loads((tmp_path / "result/findings.json").read_text())
    assert entry["outcome"] == "read", entry["problems"]
    (finding,) = entry["findings"]
    assert finding["measurements"]["volume_mm3"] == pytest.approx(4 * 8 * 8 * 2, rel=0.35)
    assert {one["kind"] for one in entry["documents"]} >= {"seg", "sr"}
    assert json.loads((tmp_path / "report/metrics.json").read_text())
    assert (tmp_path / "report/report.html").exists()


def test_the_transforms_that_are_named_are_those_that_are_taken() -> None:
    from wetread.registry.bundle_recipe import _AFTER, _BEFORE, _NOTHING

    text = HOW_TO.read_text()
    for name in (_BEFORE.keys() | _AFTER.keys()) - _NOTHING:
        assert f"`{name}`" in text
    assert METADATA
    assert inference() == INFERENCE


def test_every_word_of_model_toml_is_explained() -> None:
    explained = set(re.findall(r"`([a-z_0-9]+)`", REFERENCE.read_text().replace("task.kind", "kind")))
    words = (
        [key for table in SCHEMA.values() for key in table]
        + list(OPEN_TABLES)
        + [one for one in SCHEMA if one]
    )
    missing = [word for word in words if word not in explained and f"[{word}]" not in REFERENCE.read_text()]
    assert missing == []


def test_the_examples_are_packages(tmp_path: Path) -> None:
    (whole,) = blocks(REFERENCE, "model.toml")
    runtimes = blocks(REFERENCE, "runtime")
    head, _, rest = whole.partition("[runtime]\n")
    rest = rest[rest.index("\n[task]") :]
    texts = [whole, *(f"{head}[runtime]\n{one}{rest}" for one in runtimes)]
    kinds = []
    for number, text in enumerate(texts):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "model.toml").write_text(text)
        kinds.append(read_package(folder).runtime.kind)
    assert kinds == ["onnx", "kserve", "container", "dicom-peer"]
    (tmp_path / "0/model.toml").write_text(whole.replace("window =", "windows ="))
    with pytest.raises(InvalidPackage, match="'window'"):
        read_package(tmp_path / "0")
