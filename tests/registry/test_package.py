"""Model packages: read, or refused with the key and the nearest word."""

import importlib
import json
from pathlib import Path

import pytest

from wetread.domain.jsonable import from_jsonable, to_jsonable
from wetread.domain.model import Model
from wetread.errors import InvalidPackage
from wetread.registry import read_models, read_package

GOOD = """
name = "my-model"
version = "1.2.0"
title = "Mine"
intended_use = "Testing."
state = "shadow"
operating_point = "default"
[eligibility]
modalities = ["CT"]
minimum_slices = 30
pixel_range = [-1100, 3100]
preferred_kernels = ["B31"]
[runtime]
kind = "python"
entry = "my_model:read"
timeout_s = 60
[parameters]
threshold = 3
[card]
licence = "Apache-2.0"
"""


def package(folder: Path, text: str = GOOD) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return folder


def test_everything_is_taken(tmp_path: Path) -> None:
    model = read_package(package(tmp_path / "p"))
    assert (model.identity.name, model.identity.version, model.state) == ("my-model", "1.2.0", "shadow")
    assert model.eligibility.modalities == ("CT",)
    assert model.eligibility.pixel_range == (-1100, 3100)
    assert model.eligibility.orientations == ("axial",)
    assert model.runtime.timeout_s == 60
    assert model.parameters == {"threshold": 3.0}
    assert model.card == {"licence": "Apache-2.0"}
    assert model.folder == str((tmp_path / "p").resolve())


def test_the_digest_tells_every_change(tmp_path: Path) -> None:
    folder = package(tmp_path / "p")
    (folder / "weights").mkdir()
    (folder / "weights" / "a.onnx").write_bytes(b"1234")
    first = read_package(folder).identity.digest
    assert read_package(folder).identity.digest == first
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert read_package(folder).identity.digest == first
    (folder / "weights" / "a.onnx").write_bytes(b"1235")
    changed = read_package(folder).identity.digest
    (folder / "weights" / "a.onnx").rename(folder / "weights" / "b.onnx")
    assert len({first, changed, read_package(folder).identity.digest}) == 3


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("title =", "titel =", "'title'"),
        ('title = "Mine"\n', "", "title is missing"),
        ("minimum_slices", "minimum_slice", "'minimum_slices'"),
        ("minimum_slices = 30", 'minimum_slices = "many"', "whole number"),
        ("minimum_slices = 30", "minimum_slices = true", "whole number"),
        ('"shadow"', '"shaddow"', "'shadow'"),
        ('kind = "python"', 'kind = "pyhton"', "'python'"),
        ("[eligibility]", "[eligability]", "'eligibility'"),
        ("[-1100, 3100]", "[3100, -1100]", "two numbers"),
        ('["CT"]', "[]", "list of texts"),
        ('"my_model:read"', '"os.system"', "module:function"),
        ('"my-model"', '"../evil"', "name must be"),
        ('"1.2.0"', '"latest"', "version must be"),
        ("threshold = 3", 'threshold = "3"', "number"),
        ("threshold = 3", "threshold = nan", "number"),
        ('"my_model:read"\n', '"my_model:read"\ntimeout = 3\n', "'timeout_s'"),
        ("[card]", "[card", "cannot be read"),
    ],
)
def test_mistakes_are_named_with_the_nearest_word(tmp_path: Path, old: str, new: str, hint: str) -> None:
    assert old in GOOD
    with pytest.raises(InvalidPackage) as caught:
        read_package(package(tmp_path / "p", GOOD.replace(old, new, 1)))
    assert hint in str(caught.value)


def test_no_package_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match=r"model.toml cannot be read"):
        read_package(tmp_path)


def test_a_link_out_of_the_package_is_refused(tmp_path: Path) -> None:
    folder = package(tmp_path / "p")
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidPackage, match="outside"):
        read_package(folder)


def test_the_built_in_chest_ct_is_complete() -> None:
    model = read_models()["chest-ct"]
    assert model.folder == ""
    assert "Not for clinical use" in model.intended_use
    assert "Not for clinical use" in model.card["status"]
    assert {"data", "licence", "limits"} <= set(model.card)
    assert model.eligibility.orientations == ("axial",)
    assert model.eligibility.maximum_slice_spacing_mm == 3.0
    module, function = model.runtime.entry.split(":")
    assert callable(getattr(importlib.import_module(module), function))


ONNX = (
    GOOD.replace(
        'kind = "python"\nentry = "my_model:read"',
        'kind = "onnx"\nfile = "model.onnx"\narrangement = "slab"\nreach = 2',
    )
    + """
[task]
kind = "classification"
classes = ["no", "yes"]
positive = "yes"
threshold = 0.3
[acceptance]
auc = 0.9
[[recipe.steps]]
kind = "otsu"
by_plane = true
"""
)


def test_networks_say_what_they_answer(tmp_path: Path) -> None:
    model = read_package(package(tmp_path / "p", ONNX))
    assert model.task is not None
    assert (model.task.classes, model.task.positive, model.task.threshold) == (("no", "yes"), "yes", 0.3)
    assert (model.runtime.file, model.runtime.arrangement, model.runtime.reach) == ("model.onnx", "slab", 2)
    assert model.acceptance == {"auc": 0.9}
    assert from_jsonable(Model, json.loads(json.dumps(to_jsonable(model)))) == model


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('file = "model.onnx"', "", "runtime.file"),
        ('file = "model.onnx"', 'file = "../model.onnx"', "beside"),
        ('file = "model.onnx"', 'file = "/etc/passwd"', "beside"),
        ('arrangement = "slab"', 'arrangement = "slabs"', "slab"),
        ('positive = "yes"', 'positive = "maybe"', "task.classes"),
        ("threshold = 0.3", "threshold = 3", "0 to 1"),
        ('kind = "otsu"', 'kind = "otsuu"', "otsu"),
        ('kind = "classification"', 'kind = "classify"', "classification"),
    ],
)
def test_a_mistake_in_a_network_s_package_is_named(tmp_path: Path, old: str, new: str, word: str) -> None:
    with pytest.raises(InvalidPackage, match=word):
        read_package(package(tmp_path / "p", ONNX.replace(old, new)))
