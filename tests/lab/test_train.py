"""Training goes on after a stop as if there had been none, and its folder tells everything."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.lab.sets import make_plan, spots, squares
from wetread.errors import InvalidCheckpoint, InvalidPlan, LabelsDoNotFit, NotFinite, TrainingDiverged
from wetread.lab.checkpoint import begin_with, load_state, load_weights, save_weights
from wetread.lab.networks import build_network
from wetread.lab.run import read_run
from wetread.lab.train import train

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return spots(tmp_path / "spots.npz")


class Stopped(Exception):
    """What a kill is to a test."""


def digests(content: Any) -> list[str]:
    return [one["weights_digest"] for one in content["members"]]


def test_it_learns_and_the_folder_tells_everything(tmp_path: Path, data: Path) -> None:
    plan = make_plan(tmp_path, training={"epochs": 30, "keep": "last", "learning_rate": 1e-2})
    run = train(plan, data, tmp_path / "runs")
    content = json.loads((run.folder / "run.json").read_text())
    assert content["out_of_fold"]["auc"] > 0.9
    assert run.folder.name == f"spots-{content['digest'][:12]}"
    assert content["data"]["patients"] == 12
    assert len(content["split"]["digests"]) == 2
    assert content["versions"]["torch"]
    assert all(one["history"] for one in content["members"])
    assert "P-1" not in (run.folder / "run.json").read_text()
    for name in ("curves.png", "samples-fold0-seed0.png", "out_of_fold.npz"):
        assert (run.folder / name).stat().st_size > 300
    point = run.operating_point
    assert point is not None
    assert 0 < point.threshold < 1


def test_after_a_stop_the_same_weights_come_out(tmp_path: Path, data: Path) -> None:
    plan = make_plan(tmp_path, training={"epochs": 3}, augmentation={"elastic": 0.02})
    whole = train(plan, data, tmp_path / "whole")

    def stop(what: str, done: int, *_: Any) -> None:
        if what == "fold1-seed1" and done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        train(plan, data, tmp_path / "parts", told=stop)
    with pytest.raises(InvalidPlan, match="not over"):
        read_run(next((tmp_path / "parts").iterdir()))
    told: list[Any] = []
    again = train(plan, data, tmp_path / "parts", told=lambda *one: told.append(one))
    assert digests(again.content) == digests(whole.content)
    assert [one[:2] for one in told if one[0] != "preparing"] == [("fold1-seed1", 3)]
    told.clear()
    train(plan, data, tmp_path / "parts", told=lambda *one: told.append(one))
    assert {one[0] for one in told} == {"preparing"}


def test_a_full_disk_stops_it_and_room_lets_it_go_on(tmp_path: Path, data: Path) -> None:
    """Files may not grow beyond a limit: what a disk does that is full, for this process alone."""
    plan = make_plan(tmp_path, training={"epochs": 3}, network={"width": 16})
    whole = train(plan, data, tmp_path / "whole")
    largest = max(one.stat().st_size for one in whole.folder.rglob("last.pt"))
    code = f"""
import resource, signal, sys
from pathlib import Path
from tests.lab.sets import make_plan
from wetread.errors import StorageError
from wetread.lab.train import train
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def told(what, done, total, numbers):
    if done == 2 and what != "preparing":
        resource.setrlimit(resource.RLIMIT_FSIZE, ({largest // 2}, {largest // 2}))
folder = Path({str(tmp_path)!r})
plan = make_plan(folder, training={{"epochs": 3}}, network={{"width": 16}})
try:
    train(plan, folder / "spots.npz", folder / "runs", told=told)
except StorageError as error:
    print(error.code)
"""
    command = [sys.executable, "-c", code]
    outcome = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=True, env=os.environ
    )
    assert outcome.stdout.strip() == "storage-error"
    [folder] = (tmp_path / "runs").iterdir()
    assert not list(folder.rglob(".*.part"))
    assert load_state(folder / "fold0-seed0" / "last.pt")["epoch"] == 2
    assert digests(train(plan, data, tmp_path / "runs").content) == digests(whole.content)


def test_the_best_weights_do_not_go_on_learning(tmp_path: Path, data: Path) -> None:
    plan = make_plan(tmp_path, training={"epochs": 6, "patience": 6})
    run = train(plan, data, tmp_path / "runs")
    for member in run.members:
        scores = [one["score"] for one in member.history]
        assert member.best_epoch == scores.index(max(scores)) + 1
        assert member.scores["score"] == max(scores)


def test_it_stops_early_where_nothing_gets_better(tmp_path: Path, data: Path) -> None:
    plan = make_plan(tmp_path, training={"epochs": 50, "patience": 2, "learning_rate": 1e-9})
    run = train(plan, data, tmp_path / "runs")
    assert all(len(one.history) < 20 for one in run.members)


@pytest.mark.parametrize(
    "sections",
    [
        {"training": {"balance": "sampling", "mixed_precision": True}},
        {"training": {"balance": "weights", "ema_decay": 0.0, "members": 2}},
        {"task": "regression"},
        {"operating_point": {"kind": "sensitivity", "value": 0.9}, "split": {"only": [1]}},
        {"operating_point": {"kind": "robust"}},
        {"augmentation": {"elastic": 0.05, "blur": 1.0, "low_dose": 0.1, "flip": True}},
    ],
    ids=str,
)
def test_ways_to_train(tmp_path: Path, data: Path, sections: dict[str, Any]) -> None:
    run = train(make_plan(tmp_path, **sections), data, tmp_path / "runs")
    assert np.isfinite(run.content["out_of_fold"]["score"])
    folds = len(run.plan.split.only or range(2))
    assert len(run.members) == folds * run.plan.training.members


@pytest.mark.parametrize(
    ("kind", "layers", "dimensions", "patch"),
    [
        ("residual-unet", [1, 1, 1], "2d", [32, 32]),
        ("unet", [1, 1, 1], "2.5d", [32, 32]),
        ("residual-unet", [1, 1], "3d", [8, 32, 32]),
    ],
)
def test_segmentation_learns(
    tmp_path: Path, kind: str, layers: list[int], dimensions: str, patch: list[int]
) -> None:
    plan = make_plan(
        tmp_path,
        task="segmentation",
        input={"patch": patch, "dimensions": dimensions, "planes": 3},
        network={"kind": kind, "layers": layers, "width": 8},
        training={"epochs": 8, "batch": 4, "batches": 8, "learning_rate": 1e-2},
    )
    run = train(plan, squares(tmp_path / "squares.npz", planes=4), tmp_path / "runs")
    assert run.content["out_of_fold"]["dice"] > 0.5


@pytest.mark.parametrize("kind", ["heatmap", "retinanet"])
def test_detection_learns(tmp_path: Path, kind: str) -> None:
    plan = make_plan(
        tmp_path,
        task="detection",
        data={"classes": ["background", "square"], "positive": "square"},
        input={"patch": [32, 32]},
        network={"kind": kind, "layers": [1, 1, 1], "width": 12},
        training={"epochs": 10, "batch": 4, "batches": 10, "learning_rate": 1e-2, "foreground": 0.8},
        augmentation={"scale": 0.0, "rotate_degrees": 0.0},
    )
    run = train(plan, squares(tmp_path / "squares.npz"), tmp_path / "runs")
    assert run.content["out_of_fold"]["average_precision"] > 0.5


def test_several_processes_train_one_network(tmp_path: Path, data: Path) -> None:
    """What torchrun does: each process takes its part of every batch; they agree, and the first writes."""
    code = (
        "import sys; from pathlib import Path; from tests.lab.sets import make_plan;"
        "from wetread.lab.train import train; f = Path(sys.argv[1]);"
        "r = train(make_plan(f, split={'only': [0]}), f / 'spots.npz', f / 'runs');"
        "print(r.content['members'][0]['weights_digest'])"
    )
    common = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [one.communicate(timeout=120)[0].strip() for one in processes]
    assert [one.returncode for one in processes] == [0, 0]
    assert outputs[0]
    assert outputs[0] == outputs[1]


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    data = spots(tmp_path / "spots.npz", labels=np.arange(24) % 3)
    with pytest.raises(LabelsDoNotFit):
        train(make_plan(tmp_path), data, tmp_path / "runs")
    with pytest.raises(LabelsDoNotFit):
        train(make_plan(tmp_path, task="segmentation", network={"kind": "unet"}), data, tmp_path / "runs")


def test_voxels_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    images = np.zeros((24, 16, 16), np.float32)
    images[5, 3, 3] = np.nan
    with pytest.raises(NotFinite):
        train(make_plan(tmp_path), spots(tmp_path / "spots.npz", images=images), tmp_path / "runs")


def test_a_loss_that_is_no_number_is_told(tmp_path: Path, data: Path) -> None:
    with pytest.raises(TrainingDiverged):
        train(make_plan(tmp_path, training={"learning_rate": 1e30}), data, tmp_path / "runs")


class Bomb:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def bundle(path: Path, weights: Path, name: str = "bundle/models/model.pt") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), weights.read_bytes())
    return path


def test_checkpoints_and_bundles_are_taken_over(tmp_path: Path, data: Path) -> None:
    first = build_network(make_plan(tmp_path))
    torch.save({"state_dict": first.state_dict()}, tmp_path / "model.pt")
    save_weights(tmp_path / "model.safetensors", first.state_dict())
    bundle(tmp_path / "bundle.zip", tmp_path / "model.pt")
    (tmp_path / "folder" / "models").mkdir(parents=True)
    (tmp_path / "model.pt").rename(tmp_path / "folder" / "models" / "model.pt")
    for name in ("model.safetensors", "bundle.zip", "folder"):
        plan = make_plan(tmp_path, network={"begin_with": name}, training={"epochs": 1}, split={"only": [0]})
        run = train(plan, data, tmp_path / name.replace(".", "-"))
        assert run.members[0].taken_over == len(first.state_dict())


@pytest.mark.parametrize("wrap", ["plain", "torch", "bundle"])
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, wrap: str) -> None:
    path, flag = tmp_path / "model.pt", tmp_path / "bombed"
    if wrap == "plain":
        path.write_bytes(pickle.dumps({"a": Bomb(flag)}))
    else:
        torch.save({"weight": torch.zeros(2), "b": Bomb(flag)}, path)
    if wrap == "bundle":
        path = bundle(tmp_path / "bundle.zip", path)
    with pytest.raises(InvalidCheckpoint):
        load_weights(path)
    assert not flag.exists()


@pytest.mark.parametrize("name", ["../models/model.pt", "/models/model.pt", "a\\..\\models\\model.pt"])
def test_a_bundle_that_leads_out_of_itself_is_refused(tmp_path: Path, name: str) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pt")
    with pytest.raises(InvalidCheckpoint, match="out of it"):
        load_weights(bundle(tmp_path / "bundle.zip", tmp_path / "model.pt", name))


def test_other_checkpoints_are_refused_with_a_reason(tmp_path: Path) -> None:
    network = build_network(make_plan(tmp_path))
    with pytest.raises(InvalidCheckpoint, match="No tensor"):
        begin_with(network, {"other": torch.zeros(3)})
    (tmp_path / "model.pt").write_bytes(b"nothing")
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("model.pt", "model.safetensors", "list.pt", "missing.pt"):
        with pytest.raises(InvalidCheckpoint):
            load_weights(tmp_path / name)
