"""What docs/how-to/train-a-model.md tells, done in its order on a small set."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.docs.test_docs import blocks
from tests.lab.sets import spots
from wetread.cli import app
from wetread.registry import read_package

HOW_TO = Path(__file__).parents[2] / "docs/how-to/train-a-model.md"
PACKAGE = """
[package]
title = "Spots"
intended_use = "Testing."
eligibility = {modalities = ["OT"]}
acceptance = {auc = 0.5}

[package.card]
data = "Made up."
licence = "CC0"
limits = "All."
"""


def test_the_commands_of_the_how_to_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    spots(tmp_path / "data.npz")
    spots(tmp_path / "test.npz", count=12, patients=6)
    (space,) = blocks(HOW_TO, "space.toml")
    (tmp_path / "space.toml").write_text(space)
    lines = re.findall(r"^wetread .*$", HOW_TO.read_text(), flags=re.MULTILINE)
    assert [line.split()[2] for line in lines] == ["plan", "train", "tune", "publish", "validate"]
    run = ""
    for line in lines:
        result = CliRunner().invoke(app, shlex.split(line.replace("RUN", run))[1:])
        assert result.exit_code == 0, (line, result.output)
        if " plan " in line:
            with (tmp_path / "plan.toml").open("a") as plan:
                plan.write(PACKAGE)
        if " train " in line:
            (folder,) = (tmp_path / "runs").iterdir()
            run = str(folder)
            assert {"run.json"} <= {one.name for one in folder.iterdir()}
    assert (tmp_path / "study/plan.toml").exists()
    assert read_package(tmp_path / "package").state == "draft"
    assert json.loads((tmp_path / "report/metrics.json").read_text())["auc"]["value"] > 0.5
