"""Versions of a small real model, and real reports about them.

In: a folder, a version.  Out: packages, the folders that `wetread lab validate` wrote.
Never: a report that was not made by judging images.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from typer.testing import CliRunner

from tests.infer.networks import brightness_classifier, write_package
from tests.lab.test_validate import CENTRED, CLASSES, GATE, images
from wetread.cli import app
from wetread.domain.audit import Actor
from wetread.domain.model import Model
from wetread.registry import read_package
from wetread.registry.promotion import Decision

NAME = "my-model"
BEGIN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def write_version(folder: Path, version: str, *, gate: str = GATE, state: str = "draft") -> Model:
    """Write a package of a version; each has weights of its own."""
    scale = 4.0 + sum(map(int, version.split(".")))
    write_package(folder, brightness_classifier(scale), CLASSES, more=CENTRED + gate, state=state)
    path = folder / "model.toml"
    path.write_text(path.read_text().replace('version = "1.0.0"', f'version = "{version}"'))
    return read_package(folder)


def validate(package: Path, out: Path, seed: int = 0) -> Path:
    """Judge a package on images; return the folder of the report."""
    data = images(out.with_suffix(".npz"), seed=seed)
    done = CliRunner().invoke(app, ["lab", "validate", str(package), str(data), "--out", str(out)])
    assert done.exit_code == 0, done.exception
    return out


@dataclass
class Board:
    """Decides, a minute after the other."""

    minutes: int = field(default=0)

    def decide(self, why: str = "It is better.") -> Decision:
        self.minutes += 1
        actor = Actor(user_id="anna", is_requestor=True)
        return Decision(actor=actor, at=BEGIN + timedelta(minutes=self.minutes), why=why)
