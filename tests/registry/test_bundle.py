"""MONAI bundles become packages that read as MONAI reads with them; nothing of them is ever run."""

from __future__ import annotations

import copy
import json
import shutil
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from tests.dicom.small_ct import SmallCt, read_series
from tests.registry.bundles import (
    INFERENCE,
    METADATA,
    infer_by_monai,
    inference,
    network,
    save_script,
    write_bundle,
    zip_bundle,
)
from wetread.cli import app
from wetread.domain.model import Model
from wetread.domain.reading import Outcome
from wetread.errors import InvalidCheckpoint, InvalidPackage
from wetread.imaging.volume import read_volume
from wetread.infer.job import ReadJob
from wetread.infer.predict import predict_array
from wetread.infer.process import run_job
from wetread.lab.torchscript import to_onnx
from wetread.measure.orientation import to_upright
from wetread.registry import read_package
from wetread.registry.bundle import Wishes, convert_bundle

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

STEP = "preprocessing#transforms"


def never(*_arguments: object) -> None:
    raise AssertionError("nothing is converted here")


def convert(folder: Path, wishes: Wishes | None = None) -> Model:
    """Convert a bundle whose weights are ONNX or never looked at."""
    out = folder.parent / "package"
    shutil.rmtree(out, ignore_errors=True)
    if not any((folder / "models").iterdir()):
        (folder / "models" / "model.onnx").write_bytes(b"\x08\x0a")
    convert_bundle(folder, out, wishes or Wishes(), never)
    return read_package(out)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A zip of a bundle with TorchScript, added by the command."""
    work = tmp_path_factory.mktemp("bundle")
    folder = write_bundle(work / "bright_things")
    save_script(network(), folder / "models" / "model.ts")
    # What the zoo has beside it: a checkpoint, which is not looked at.
    torch.save(network().state_dict(), folder / "models" / "model.pt")
    archive = zip_bundle(folder, work / "bright_things_v0.2.1.zip")
    result = CliRunner().invoke(app, ["models", "add", str(archive), "--data", str(work / "data")])
    assert result.exit_code == 0, result.output
    assert "no links" in result.output
    assert "its answer fits its task" in result.output
    added = work / "data/models/bright-things-in-ct-0.2.1"
    assert f'models = ["{added}"]' in result.output
    assert not list((work / "data/models").glob(".*"))
    assert {one.name for one in added.iterdir()} == {"model.toml", "model.onnx", "LICENSE"}
    return read_package(added)


def ball(shape: tuple[int, int, int], middle: tuple[float, ...], radius: float) -> np.ndarray:
    places = np.indices(shape) * np.array([3.0, 1.2, 1.1])[:, None, None, None]
    return ((places - np.array(middle)[:, None, None, None]) ** 2).sum(axis=0) < radius**2


def make_ct(axes: np.ndarray) -> SmallCt:
    shape = (22, 44, 40)
    hu = np.random.default_rng(3).normal(-150, 60, shape)
    hu[ball(shape, (30, 20, 18), 9)] = 150
    hu[ball(shape, (48, 40, 30), 6)] = 120
    stored = (np.round(hu) + 1024).astype(np.int16)
    return SmallCt(shape=shape, spacing_mm=(3.0, 1.2, 1.1), axes=axes, stored=stored)


RIGHT, FRONT, HEAD = [-1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]
SERIES = {
    "axial": np.eye(3),
    "feet first, lying on the belly": np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "sagittal": np.array([[0, 1.0, 0], [0, 0, -1], [-1, 0, 0]]),
    "oblique": Rotation.from_euler("xyz", [14, -9, 11], degrees=True).apply(np.eye(3)),
}


@pytest.mark.parametrize("name", SERIES)
def test_it_reads_as_monai_does_whatever_way_the_images_came(
    name: str, package: Model, tmp_path: Path
) -> None:
    series = read_series(tmp_path / "series", make_ct(SERIES[name]))
    volume, _problems = read_volume(series)
    wanted = infer_by_monai(INFERENCE, network(), volume)[0] > 0.5

    job = ReadJob(
        study_instance_uid=series.instances[0].study_instance_uid,
        revision=1,
        series=series,
        model=package,
        made_at=datetime(2026, 11, 26, tzinfo=UTC),
    )
    reading = run_job(job)
    assert reading.outcome is Outcome.READ, reading.problems
    found = np.any([one.mask.to_array() for one in reading.segments], axis=0)
    assert wanted.sum() > 500
    assert 2 * (wanted & found).sum() / (wanted.sum() + found.sum()) > 0.999
    # The marks lie where the images do: LPS, mm.
    middle = volume.grid.to_lps_mm(np.argwhere(wanted).mean(axis=0))
    np.testing.assert_allclose(volume.grid.to_lps_mm(np.argwhere(found).mean(axis=0)), middle, atol=0.05)
    assert {one.code.value for one in reading.findings} == {"27925004"}


@pytest.mark.parametrize(
    "changes",
    [
        {"inferer#mode": "gaussian", "inferer#overlap": 0.625},
        {"inferer#roi_size": [64, 64, 64], "inferer#padding_mode": "replicate"},
        {"inferer": {"_target_": "SimpleInferer"}},
        {f"{STEP}#4": {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True}},
        {f"{STEP}#4": {"_target_": "ScaleIntensityd", "keys": "image", "minv": -1.0, "maxv": 1.0}},
        {
            f"{STEP}#4": {
                "_target_": "ScaleIntensityRanged",
                "keys": "image",
                "a_min": -100,
                "a_max": 100,
                "b_min": 0.25,
                "b_max": 0.75,
            }
        },
        {f"{STEP}#2#axcodes": "LPI", f"{STEP}#3#pixdim": [1.0, 2.0, 1.5]},
    ],
    ids=["gaussian", "larger than the image", "whole", "normalize", "scale", "range", "other axes"],
)
def test_probabilities_are_those_of_monai(changes: dict[str, Any], tmp_path: Path) -> None:
    config = inference(**changes)
    # The probabilities themselves, before anything is decided.
    folder = write_bundle(tmp_path / "bundle", config)
    window = config["inferer"].get("roi_size", [])
    to_onnx(save_script(network(), tmp_path / "model.ts"), folder / "models/model.onnx", tuple(window))
    model = convert(folder)
    config["postprocessing"]["transforms"] = config["postprocessing"]["transforms"][:2]
    volume, _ = read_volume(read_series(tmp_path / "series", make_ct(SERIES["oblique"])))
    wanted = infer_by_monai(config, network(), volume)[1]
    upright, turn = to_upright(volume)
    found = predict_array(model, upright.voxels, upright.grid.spacing_mm).probability_map
    assert found is not None
    assert wanted.max() - wanted.min() > 0.5
    np.testing.assert_allclose(turn.undo(found), wanted, atol=2e-3)


def test_of_several_things_the_highest_is_marked(tmp_path: Path) -> None:
    metadata = copy.deepcopy(METADATA)
    answer = metadata["network_data_format"]["outputs"]["pred"]
    answer |= {"num_channels": 3, "channel_def": {"0": "background", "1": "spleen", "2": "left kidney"}}
    folder = write_bundle(tmp_path / "bundle", metadata=metadata)
    to_onnx(save_script(network(3), tmp_path / "model.ts"), folder / "models/model.onnx", (16, 24, 16))
    with pytest.raises(InvalidPackage, match=r"--channel .*1: spleen; 2: left kidney"):
        convert(folder)
    model = convert(folder, Wishes(channel="left kidney"))
    assert model.output is not None
    assert (model.output.channel, model.output.code, model.output.category) == (2, "64033007", "anatomy")
    volume, _ = read_volume(read_series(tmp_path / "series", make_ct(np.eye(3))))
    wanted = infer_by_monai(INFERENCE, network(3), volume)[0] == 2
    upright, turn = to_upright(volume)
    found = predict_array(model, upright.voxels, upright.grid.spacing_mm).mask
    assert found is not None
    assert wanted.sum() > 300
    assert 2 * (turn.undo(found) & wanted).sum() / (found.sum() + wanted.sum()) > 0.999


EVIL = "$__import__('os').mkdir('was-run')"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({f"{STEP}#3#pixdim": EVIL}, f"{STEP}#3#pixdim is an expression"),
        ({f"{STEP}": EVIL}, "is an expression"),
        ({"preprocessing": EVIL}, "is an expression"),
        ({"inferer#overlap": EVIL}, "inferer#overlap is an expression"),
        ({f"{STEP}#4#a_min": "$-200 + 0"}, "is an expression"),
        ({f"{STEP}#4#a_min": "%other.json#a"}, "is an expression"),
        ({f"{STEP}#4#_disabled_": EVIL}, "is an expression"),
        ({f"{STEP}#4#a_min": "@nowhere#0"}, "has no nowhere"),
        ({f"{STEP}#4#a_min": "@loop", "loop": "@pool", "pool": "@loop"}, "refers to itself"),
        ({f"{STEP}#4": {"_target_": "scripts.evil.Transform", "keys": "image"}}, "Transform, which has no"),
        ({f"{STEP}#4": {"_target_": "os.system", "command": "touch was-run"}}, "system, which has no"),
        ({f"{STEP}#4": {"_target_": "CropForegroundd", "keys": "image", "source_key": "image"}}, "CropFor"),
        ({f"{STEP}#3#mode": "nearest"}, "mode .* unless it is bilinear"),
        ({f"{STEP}#3#pixdim": [1.5, -1.0, 2.0]}, "above 0"),
        ({f"{STEP}#4#sparkle": 3}, "sparkle .* no counterpart"),
        ({f"{STEP}#0#keys": ["image", "second"]}, "several images"),
        ({f"{STEP}#2#axcodes": "RRS"}, "three letters"),
        ({"inferer#roi_size": [1 << 40, 1, 1]}, "1 to 512"),
        ({"inferer": {"_target_": "scripts.Mine"}}, "SlidingWindowInferer"),
        ({"postprocessing#transforms#1": {"_target_": "Lambdad", "func": EVIL}}, "Lambda"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_its_key_and_never_run(
    changes: dict[str, Any], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_bundle(tmp_path / "bundle", inference(**changes))
    with pytest.raises(InvalidPackage, match=word):
        convert(folder)
    assert not (tmp_path / "was-run").exists()


def test_expressions_that_nobody_asks_for_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_bundle(tmp_path / "bundle", inference(run=[EVIL], device=EVIL, network=EVIL))
    assert convert(folder).identity.name == "bright-things-in-ct"
    assert not (tmp_path / "was-run").exists()


def test_values_and_choices_in_expressions_are_understood(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "highres": False,
        f"{STEP}#4#clip": "$not @highres",
        f"{STEP}#4#a_min": "$-300.5",
        f"{STEP}#5": {"_target_": "NormalizeIntensityd", "keys": "image", "_disabled_": "$(not @highres)"},
        "inferer#overlap": "@sizes#overlap",
        "sizes": {"overlap": 0.75},
    }
    model = convert(write_bundle(tmp_path / "bundle", inference(**changes)))
    resample, window = model.recipe
    assert list(resample["spacing_mm"]) == [3.0, 3.0, 3.0]
    assert (window["low"], window["high"]) == (-300.5, 200.0)
    assert model.runtime.overlap == 0.75
    assert model.runtime.window == (16, 24, 16)
    assert model.state == "draft"
    assert "Not for clinical use" in model.intended_use


def test_pickled_checkpoints_are_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    torch.save(network().state_dict(), folder / "models" / "model.pt")
    with pytest.raises(InvalidCheckpoint, match="ckpt_export"):
        convert(folder)


def test_what_is_no_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ts"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/constants.pkl", b"x")
        archive.writestr("model/code/x.py", b"x")
    with pytest.raises(InvalidCheckpoint, match="cannot be converted"):
        to_onnx(path, tmp_path / "model.onnx", (8, 8, 8))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda m: m["network_data_format"]["inputs"]["image"].update(num_channels=4), "several images"),
        (lambda m: m["network_data_format"]["inputs"]["image"].update(modality="n/a"), "--modality"),
        (lambda m: m["network_data_format"]["outputs"]["pred"].update(channel_def={"1": "blob"}), "--code"),
        (lambda m: m["network_data_format"]["outputs"]["pred"].update(format="boxes"), "segmentation"),
        (lambda m: m.update(version="latest"), "--version"),
    ],
)
def test_what_a_bundle_does_not_say_is_asked_for(change: Any, word: str, tmp_path: Path) -> None:
    metadata = copy.deepcopy(METADATA)
    change(metadata)
    with pytest.raises(InvalidPackage, match=word):
        convert(write_bundle(tmp_path / "bundle", metadata=metadata))
    assert not (tmp_path / "package").exists()


def test_answers_to_what_it_does_not_say_are_taken(tmp_path: Path) -> None:
    config = inference()
    del config["preprocessing"]["transforms"][2]
    folder = write_bundle(tmp_path / "bundle", config, {"version": "1.0.0"})
    wishes = Wishes(
        channel="1", code="SCT:4147007:Mass", modality="MR", axes="LPS", name="mine", version="2.0.0"
    )
    with pytest.raises(InvalidPackage, match="--axes"):
        convert(folder, replace(wishes, axes=""))
    model = convert(folder, wishes)
    assert model.output is not None
    assert (model.output.code, model.eligibility.modalities, model.runtime.axes) == (
        "4147007",
        ("MR",),
        "LPS",
    )
    assert (model.identity.name, model.identity.version) == ("mine", "2.0.0")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{}" + " " * (2 << 20), "[1]", '{"a": NaN}', "\xff", '{"a": 1']
)
def test_a_configuration_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    (folder / "configs/inference.json").write_text(text, encoding="latin-1")
    with pytest.raises(InvalidPackage, match=r"inference\.json"):
        convert(folder)
    assert json.loads((folder / "configs/metadata.json").read_text())
