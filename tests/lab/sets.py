"""Small data sets whose truth can be learned in seconds."""

from pathlib import Path
from typing import Any

import numpy as np

from wetread.lab.plan import Plan, parse_plan


def spots(path: Path, count: int = 24, patients: int = 12, **more: Any) -> Path:
    """Write images of noise; those of class 1 have a bright square. Two images a patient."""
    rng = np.random.default_rng(0)
    images = rng.normal(100, 10, (count, 16, 16))
    labels = np.arange(count) % 2
    for at in np.flatnonzero(labels):
        row, column = rng.integers(2, 8, 2)
        images[at, row : row + 6, column : column + 6] += 60
    arrays = {
        "images": images.clip(0, 255).astype(np.uint8),
        "labels": labels,
        "patients": np.array([f"P-{at // 2 % patients}" for at in range(count)]),
    }
    np.savez_compressed(path, **(arrays | more))
    return path


def squares(path: Path, count: int = 12, planes: int = 1, side: int = 32) -> Path:
    """Write images (planes, side, side) with a bright block each, and its mask."""
    rng = np.random.default_rng(0)
    images = rng.normal(100, 10, (count, planes, side, side))
    masks = np.zeros(images.shape, np.uint8)
    for at in range(count):
        row, column = rng.integers(4, side - 12, 2)
        where = (at, slice(None), slice(row, row + 8), slice(column, column + 8))
        images[where] += 80
        masks[where] = 1
    np.savez_compressed(path, images=images.clip(0, 255).astype(np.uint8), masks=masks)
    return path


def make_plan(folder: Path, **sections: Any) -> Plan:
    """Return a plan for ``spots`` that trains in a second."""
    content: dict[str, Any] = {
        "name": "spots",
        "recipe": {"steps": [{"kind": "z-score"}]},
        "input": {"patch": [16, 16]},
        "split": {"folds": 2},
        "network": {"width": 4},
        "training": {"epochs": 2, "batch": 8},
    }
    for name, value in sections.items():
        content[name] = content.get(name, {}) | value if isinstance(value, dict) else value
    return parse_plan(content, folder)
