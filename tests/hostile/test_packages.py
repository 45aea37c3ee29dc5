"""H61 and H62: model packages that bring more than a model."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wetread.errors import InvalidPackage
from wetread.registry import read_package

TOML = """
name = "my-model"
version = "1.2.0"
title = "Mine"
intended_use = "Testing."
state = "shadow"
operating_point = "default"
[eligibility]
modalities = ["CT"]
[runtime]
kind = "python"
entry = "my_model:read"
"""


class Runs:
    """A pickle that makes a file when it is loaded."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (os.mkdir, ("was-run",))


def _zip(path: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, data)


PICKLE = pickle.dumps(Runs())
CONTENTS: dict[str, Callable[[Path], object]] = {
    "H61-pkl": lambda folder: (folder / "weights.pkl").write_bytes(PICKLE),
    "H61-pt": lambda folder: _zip(folder / "weights.pt", "archive/data.pkl", PICKLE),
    "H61-hidden": lambda folder: (folder / "weights.bin").write_bytes(PICKLE),
    "H61-old": lambda folder: (folder / "weights.bin").write_bytes(pickle.dumps(Runs(), protocol=2)),
    "H61-zip": lambda folder: _zip(folder / "weights.zip", "a/b/data.pkl", PICKLE),
    "H61-npy": lambda folder: np.save(folder / "a.npy", np.array([Runs()], dtype=object)),
    "H61-npz": lambda folder: np.savez(folder / "a.npz", a=np.array([Runs()], dtype=object)),
    "H61-yaml": lambda folder: (folder / "a.yaml").write_text("a: !!python/object/apply:os.mkdir [x]"),
    "H62-link": lambda folder: (folder / "a").symlink_to("/etc/passwd"),
    "H62-folder-link": lambda folder: (folder / "code").symlink_to("/usr/lib"),
    "H62-loop": lambda folder: (folder / "loop").symlink_to(folder / "loop"),
    "H62-pipe": lambda folder: os.mkfifo(folder / "pipe"),
    "H62-device": lambda folder: (folder / "zero").symlink_to("/dev/zero"),
    "H62-slip": lambda folder: _replace(folder, 'entry = "my_model:read"', 'entry = "../../x:read"'),
    "H62-eval": lambda folder: _replace(
        folder, '["CT"]', "[\"CT\", \"__import__('os')\"]\nshape = 'eval(x)'"
    ),
    "H62-name": lambda folder: _replace(folder, '"my-model"', '"../../etc/x"'),
    "H62-deep": lambda folder: (folder / "model.toml").write_text("a = " + "[" * 100_000),
    "H62-long": lambda folder: (folder / "model.toml").write_text("#" * (1 << 20) + TOML),
    "H62-number": lambda folder: _replace(folder, "[runtime]", f"minimum_slices = {'9' * 400}\n[runtime]"),
    "H62-toml-pipe": lambda folder: ((folder / "model.toml").unlink(), os.mkfifo(folder / "model.toml")),
}


def _replace(folder: Path, old: str, new: str) -> None:
    path = folder / "model.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("name", CONTENTS)
def test_a_package_with_more_than_a_model_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "model.toml").write_text(TOML)
    assert read_package(folder).identity.name == "my-model"
    CONTENTS[name](folder)
    with pytest.raises(InvalidPackage):
        read_package(folder)
    assert not (tmp_path / "was-run").exists()


def test_plain_arrays_are_welcome(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(TOML)
    np.savez(tmp_path / "weights.npz", a=np.arange(9.0))
    np.save(tmp_path / "weights.npy", np.arange(9, dtype=np.float16))
    (tmp_path / "weights.onnx").write_bytes(b"\x08\x07" + bytes(99))
    assert read_package(tmp_path).identity.name == "my-model"
