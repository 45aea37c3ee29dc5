"""What ships says what was trained: ONNX, smaller kinds behind a gate, and a search for better numbers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tests.lab.sets import make_plan, spots, squares
from wetread.errors import InvalidCheckpoint, InvalidPlan, ParityLost
from wetread.lab.export import ensemble_of, export_onnx
from wetread.lab.optimise import optimise
from wetread.lab.parity import Parity
from wetread.lab.plan import read_plan
from wetread.lab.run import Run, read_run
from wetread.lab.train import train
from wetread.lab.tune import read_space, tune

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("optimise")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    return spots(folder / "spots.npz")


@pytest.fixture(scope="module")
def run(folder: Path, data: Path) -> Run:
    plan = make_plan(folder, training={"epochs": 30, "learning_rate": 1e-2}, network={"width": 8})
    return train(plan, data, folder / "runs")


def test_all_networks_are_one_file_that_says_the_same(run: Run, tmp_path: Path) -> None:
    digest = export_onnx(run, tmp_path / "weights.onnx")
    assert digest == export_onnx(run, tmp_path / "again.onnx")
    model = onnx.load(tmp_path / "weights.onnx")
    assert model.opset_import[0].version == 20
    assert str(ROOT).encode() not in (tmp_path / "weights.onnx").read_bytes()
    session = onnxruntime.InferenceSession(str(tmp_path / "weights.onnx"))
    for count in (1, 5):
        image = torch.randn(count, 1, 16, 16)
        [found] = session.run(["probabilities"], {"image": image.numpy()})
        with torch.inference_mode():
            assert np.allclose(found, ensemble_of(run)(image).numpy(), atol=1e-5)
        assert np.allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("task", "kind"),
    [("segmentation", "attention-unet"), ("segmentation", "deeplabv3plus"), ("detection", "retinanet")],
)
def test_other_tasks_are_exported(tmp_path: Path, task: str, kind: str) -> None:
    plan = make_plan(
        tmp_path,
        task=task,
        input={"patch": [32, 32]},
        network={"kind": kind, "layers": [1, 1]},
        training={"epochs": 1, "batches": 1},
        split={"only": [0]},
    )
    export_onnx(train(plan, squares(tmp_path / "squares.npz"), tmp_path / "runs"), tmp_path / "weights.onnx")
    assert onnx.load(tmp_path / "weights.onnx").graph.input[0].name == "image"


@pytest.mark.parametrize("to", ["fp16", "int8", "openvino", "openvino-int8"])
def test_smaller_kinds_pass_the_gate(run: Run, data: Path, to: str) -> None:
    outcome = optimise(run.folder, data, to=to, margin=0.1)
    assert outcome.bytes_after < outcome.bytes_before
    assert outcome.after > 0.9
    assert outcome.path.with_suffix(".json").exists()


def test_what_loses_too_much_is_not_left_behind(run: Run, data: Path) -> None:
    with pytest.raises(ParityLost):
        optimise(run.folder, data, to="fp16", margin=-1.0)
    assert not (run.folder / "weights-fp16.onnx").exists()
    with pytest.raises(InvalidPlan, match="fp16"):
        optimise(run.folder, data, to="fp8")


def test_the_gate_asks_for_the_whole_interval() -> None:
    parity = Parity(metric="auc", before=0.9, after=0.9, low=-0.05, high=0.05)
    assert not parity.holds(0.01)
    assert parity.holds(0.05)


def test_weights_that_were_changed_are_refused(run: Run, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(run.folder, tmp_path / "copy")
    path = next(copy.glob("fold0*/best.safetensors"))
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(InvalidCheckpoint):
        read_run(copy).networks()


SPACE = """
[training.learning_rate]
low = 1e-4
high = 1e-2
log = true

[network.width]
choices = [2, 4]
"""


def test_a_search_writes_the_best_plan(tmp_path: Path, data: Path) -> None:
    (tmp_path / "space.toml").write_text(SPACE)
    plan = make_plan(tmp_path)
    for sampler in ("tpe", "random"):
        best = tune(plan, data, tmp_path / sampler, space=tmp_path / "space.toml", trials=3, sampler=sampler)
        assert best.trials == 3
        found = read_plan(best.plan_file)
        assert 1e-4 <= found.training.learning_rate <= 1e-2
        assert found.network.width in (2, 4)


def test_a_grid_is_walked_once(tmp_path: Path, data: Path) -> None:
    (tmp_path / "space.toml").write_text("[network.width]\nchoices = [2, 4]\n")
    plan = make_plan(tmp_path, training={"epochs": 1})
    best = tune(plan, data, tmp_path / "out", space=tmp_path / "space.toml", trials=9, sampler="grid")
    assert best.trials == 2


def test_workers_share_one_search(tmp_path: Path, data: Path) -> None:
    (tmp_path / "space.toml").write_text(SPACE)
    code = (
        "import sys; from pathlib import Path; from tests.lab.sets import make_plan;"
        "from wetread.lab.tune import tune; f = Path(sys.argv[1]);"
        "print(tune(make_plan(f), Path(sys.argv[2]), f / 'out', space=f / 'space.toml', trials=4).trials)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(data)]
    workers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in workers:
        one.communicate(timeout=120)
        assert one.returncode == 0
    best = tune(make_plan(tmp_path), data, tmp_path / "out", space=tmp_path / "space.toml", trials=4)
    # One may have begun its last trial while the other ended the fourth.
    assert 4 <= best.trials <= 5


@pytest.mark.parametrize(
    "text", ["", "[training]\nepochs = 3", "[training.epochs]\nlow = 1", "[training.epochs]\nchoice = [1]"]
)
def test_a_space_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(InvalidPlan):
        read_space(tmp_path / "space.toml")
