"""What every runtime holds to, whatever the kind: one suite for all, in the process that a model gets.

A package that is not what was registered, answers nonsense, too much or nothing, hangs or eats memory: the
study gets a Reading that says so by its code, and the next model reads.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.dicom.small_ct import SmallCt, read_series
from tests.infer.engine import write_engine
from tests.infer.kserve_server import Served, serve
from tests.infer.networks import brightness_classifier, not_a_number, threshold_segmenter, write_package
from wetread.domain.model import Model, Runtime
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Outcome, Reading
from wetread.domain.study import Series
from wetread.errors import InvalidPackage, ModelInterrupted
from wetread.infer.container import engine_command
from wetread.infer.job import ReadJob
from wetread.infer.process import Leash, run_job
from wetread.registry import read_package

#: From 0 HU on it is marked.
OUTPUT = (
    '[output]\nlabel = "nodule"\ncode = "27925004"\nscheme = "SCT"\nmeaning = "Nodule"\nmost_findings = 20\n'
)
SEGMENTS = 'kind = "segmentation"'
DIGEST = "0" * 64
PYTHON = """
import time
import numpy as np
from wetread.domain.prediction import Prediction

def answer(image):
    {body}

def judge(model, voxels, spacing_mm):
    return Prediction(probability_map=answer(voxels[None])[0])
"""
#: What each fault is, as an answer to an image of any shape whose first axis is a batch.
ANSWERS: dict[str, str] = {
    "good": "return (image > 0).astype(np.float32)",
    "nan": "return np.full(image.shape, np.nan, np.float32)",
    "shape": "return np.zeros((*image.shape[:-1], image.shape[-1] + 1), np.float32)",
    "many": "return (np.indices(image.shape) % 2 == 0).all(axis=0).astype(np.float32)",
    "hang": "time.sleep(600)",
    "memory": "return np.ones(1 << 36, np.uint8)",
}
KINDS = ["python", "onnx", "openvino", "kserve", "kserve-binary", "container"]


def endless(*, large: bool) -> onnx.ModelProto:
    """A network that never ends, or that asks for 64 GiB."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, 1, None, None])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, None)
    if large:
        size = numpy_helper.from_array(np.array([1 << 17, 1 << 17], np.int64), "size")
        nodes = [
            helper.make_node("Expand", ["mean", "size"], ["wide"]),
            helper.make_node("ReduceMean", ["image"], ["whole"], keepdims=0),
            helper.make_node("Reshape", ["whole", "square"], ["mean"]),
            helper.make_node("CumSum", ["wide", "axis"], ["probabilities"]),
        ]
        square = numpy_helper.from_array(np.array([1, 1], np.int64), "square")
        axis = numpy_helper.from_array(np.array(0, np.int64), "axis")
        graph = helper.make_graph(
            [nodes[1], nodes[2], nodes[0], nodes[3]], "g", [image], [answer], [size, square, axis]
        )
    else:
        body = helper.make_graph(
            [
                helper.make_node("Identity", ["go"], ["goes"]),
                helper.make_node("Mul", ["state", "slower"], ["next"]),
            ],
            "body",
            [
                helper.make_tensor_value_info("number", TensorProto.INT64, []),
                helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                helper.make_tensor_value_info("state", TensorProto.FLOAT, [None, 1, None, None]),
            ],
            [
                helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
                helper.make_tensor_value_info("next", TensorProto.FLOAT, [None, 1, None, None]),
            ],
            [numpy_helper.from_array(np.array(0.999, np.float32), "slower")],
        )
        count = numpy_helper.from_array(np.array(1 << 50, np.int64), "count")
        go = numpy_helper.from_array(np.array(True), "go0")
        loop = helper.make_node("Loop", ["count", "go0", "image"], ["probabilities"], body=body)
        graph = helper.make_graph([loop], "g", [image], [answer], [count, go])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@dataclass(frozen=True)
class Maker:
    """Makes packages of one kind that do one thing."""

    kind: str
    work: Path
    stack: ExitStack
    monkeypatch: pytest.MonkeyPatch

    def make(self, does: str) -> Model:
        folder = self.work / does
        model: Model = getattr(self, "_" + self.kind.partition("-")[0])(folder, does)
        limits = {"timeout_s": 8.0 if does == "hang" else 100.0, "memory_mb": 1500}
        return replace(model, runtime=replace(model.runtime, **limits))

    def _python(self, folder: Path, does: str) -> Model:
        folder.mkdir()
        (folder / f"judge_{does}.py").write_text(PYTHON.format(body=ANSWERS[does]))
        return self._package(folder, f'kind = "python"\nsample_entry = "judge_{does}:judge"')

    def _onnx(self, folder: Path, does: str) -> Model:
        networks: dict[str, Callable[[], onnx.ModelProto]] = {
            "nan": not_a_number,
            "shape": brightness_classifier,
            "hang": lambda: endless(large=False),
            "memory": lambda: endless(large=True),
        }
        network = networks.get(does, threshold_segmenter)()
        # Marked from 0 HU on; or, for too many, what stands out of the noise.
        steps = f'[{{ kind = "linear", add = {85.0 if does == "many" else 0.0} }}]'
        more = OUTPUT + f"[recipe]\nsteps = {steps}\n"
        return write_package(folder, network, SEGMENTS, more=more, kind=self.kind)

    _openvino = _onnx

    def _kserve(self, folder: Path, does: str) -> Model:
        folder.mkdir()
        scope: dict[str, object] = {}
        exec(PYTHON.format(body=ANSWERS[does if does != "memory" else "good"]), scope)  # noqa: S102
        answer: Callable[[np.ndarray], np.ndarray] = scope["answer"]  # type: ignore[assignment]
        served = Served({"nodules": answer}, is_binary=self.kind.endswith("binary"))
        if does == "memory":
            # What it says would fill any memory.
            served.instead = b'{"outputs": [' + b"[0]," * (60 << 20) + b"0]}"
        if does == "hang":
            served.models, served.hangs_s = {"nodules": lambda image: image}, 30.0
        url = self.stack.enter_context(serve(served)).url
        return self._package(folder, f'kind = "kserve"\nurl = "{url}"\nremote_model = "nodules"')

    def _container(self, folder: Path, does: str) -> Model:
        folder.mkdir()
        body = f"def answer(image):\n    {ANSWERS[does]}\n\nsave(answer(voxels[None])[0])"
        if does == "memory":
            # As an engine ends whose container was killed for its memory.
            body = "sys.exit(137)"
        write_engine(self.work / "bin", body)
        self.monkeypatch.setenv("PATH", f"{self.work / 'bin'}:{os.environ['PATH']}")
        return self._package(folder, f'kind = "container"\nimage = "example.org/nodules@sha256:{DIGEST}"')

    def _package(self, folder: Path, runtime: str) -> Model:
        head = 'name = "my-model"\nversion = "1.0.0"\ntitle = "A test"\nintended_use = "Testing."\n'
        head += 'state = "draft"\noperating_point = "default"\n[eligibility]\nmodalities = ["CT"]\n'
        (folder / "model.toml").write_text(f"{head}[runtime]\n{runtime}\n[task]\n{SEGMENTS}\n{OUTPUT}")
        return read_package(folder)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    hu = np.random.default_rng(0).normal(-150, 30, (8, 24, 20))
    hu[2:5, 6:11, 7:12] = 90
    ct = SmallCt(shape=(8, 24, 20), spacing_mm=(2.0, 1.0, 1.0), stored=(hu.round() + 1024).astype(np.int16))
    return read_series(tmp_path_factory.mktemp("series"), ct)


@pytest.fixture
def maker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Maker]:
    if request.param == "openvino":
        pytest.importorskip("openvino")
    with ExitStack() as stack:
        yield Maker(request.param, tmp_path, stack, monkeypatch)


def job_of(series: Series, model: Model) -> ReadJob:
    return ReadJob(
        study_instance_uid=series.instances[0].study_instance_uid,
        revision=1,
        series=series,
        model=model,
        made_at=datetime(2026, 11, 26, tzinfo=UTC),
    )


def read(series: Series, model: Model) -> Reading:
    return run_job(job_of(series, model))


each_kind = pytest.mark.parametrize("maker", KINDS, indirect=True)


@each_kind
def test_it_reads_a_series(maker: Maker, series: Series) -> None:
    reading = read(series, maker.make("good"))
    assert reading.outcome is Outcome.READ, reading.problems
    (finding,) = reading.findings
    assert finding.measurements["volume_mm3"] == 150.0
    np.testing.assert_allclose(finding.center_lps_mm, [-20 + 9, -30 + 8, 100 + 6], atol=1e-3)


CODES = {
    "nan": {ProblemCode.INVALID_OUTPUT},
    "shape": {ProblemCode.INVALID_OUTPUT},
    "many": {ProblemCode.INVALID_OUTPUT},
    "hang": {ProblemCode.MODEL_TIMEOUT},
    # OpenVINO asks for its memory when it opens a network.
    "memory": {ProblemCode.MODEL_CRASHED, ProblemCode.INVALID_OUTPUT, ProblemCode.INVALID_PACKAGE},
}


@pytest.mark.parametrize("does", CODES)
@each_kind
def test_what_goes_wrong_has_its_code_and_the_next_model_reads(
    maker: Maker, does: str, series: Series
) -> None:
    reading = read(series, maker.make(does))
    assert reading.outcome is Outcome.NOT_READ
    (problem,) = reading.problems
    assert problem.code in CODES[does], problem
    if does in ("nan", "hang"):
        assert read(series, maker.make("good")).outcome is Outcome.READ


@each_kind
def test_a_package_that_changed_is_refused(maker: Maker, series: Series) -> None:
    model = maker.make("good")
    (Path(model.folder) / "more.txt").write_text("changed since")
    assert [one.code for one in read(series, model).problems] == [ProblemCode.INVALID_PACKAGE]


# A server


def kserve(tmp_path: Path, url: str, more: str = "") -> Model:
    tmp_path.mkdir(exist_ok=True)
    maker = Maker("kserve", tmp_path, ExitStack(), pytest.MonkeyPatch())
    return maker._package(tmp_path, f'kind = "kserve"\nurl = "{url}"\nremote_model = "nodules"\n{more}')


def above_zero(image: np.ndarray) -> np.ndarray:
    return np.asarray(image > 0, dtype=np.float32)


def test_a_server_gets_voxels_and_nothing_of_the_patient(series: Series, tmp_path: Path) -> None:
    with serve(Served({"nodules": above_zero})) as served:
        model = kserve(tmp_path, served.url, 'remote_version = "3"')
        assert read(series, model).outcome is Outcome.READ
    assert served.asked == ["/v2/models/nodules/versions/3", "/v2", "/v2/models/nodules/versions/3/infer"]


def test_a_server_that_is_not_there_or_has_no_such_model(series: Series, tmp_path: Path) -> None:
    with serve(Served({"others": above_zero})) as served:
        model = kserve(tmp_path, served.url)
        assert [one.code for one in read(series, model).problems] == [ProblemCode.INVALID_PACKAGE]
    assert [one.code for one in read(series, model).problems] == [ProblemCode.PEER_UNREACHABLE]


@pytest.mark.parametrize(
    ("instead", "status", "code"),
    [
        (b"<html>", 200, ProblemCode.INVALID_OUTPUT),
        (b"[" * 100_000, 200, ProblemCode.INVALID_OUTPUT),
        (b'{"outputs": []}', 200, ProblemCode.INVALID_OUTPUT),
        (
            b'{"outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [8, 1, 99999999, 99999999],'
            b' "data": [1]}]}',
            200,
            ProblemCode.INVALID_OUTPUT,
        ),
        (
            b'{"outputs": [{"name": "probabilities", "datatype": "BYTES", "shape": [1], "data": ["x"]}]}',
            200,
            ProblemCode.INVALID_OUTPUT,
        ),
        (
            b'{"outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, -1], "data": [1]}]}',
            200,
            ProblemCode.INVALID_OUTPUT,
        ),
        (b"busy", 503, ProblemCode.PEER_UNREACHABLE),
        (b"", 302, ProblemCode.PEER_UNREACHABLE),
        (b"bad shape", 400, ProblemCode.INVALID_OUTPUT),
    ],
)
def test_a_server_that_answers_something_else(
    instead: bytes, status: int, code: ProblemCode, series: Series, tmp_path: Path
) -> None:
    with serve(Served({"nodules": above_zero}, instead=instead, status=status)) as served:
        assert [one.code for one in read(series, kserve(tmp_path, served.url)).problems] == [code]


@pytest.mark.parametrize(
    ("url", "more", "word"),
    [
        ("http://triton.example.org:8000", "", "https"),
        ("https://user:secret@triton.example.org", "", "like https"),
        ("https://triton.example.org/?key=1", "", "like https"),
        ("file:///etc/passwd", "", "runtime.url"),
        ("https://host:99999", "", "no address"),
        ("http://127.0.0.1:1", 'remote_version = "../2"', "remote_version"),
    ],
)
def test_an_address_that_must_not_be(url: str, more: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match=word):
        kserve(tmp_path, url, more)


def test_plain_http_beyond_this_machine_is_somebodys_decision(tmp_path: Path) -> None:
    model = kserve(tmp_path, "http://triton.example.org:8000", "allows_plain_http = true")
    assert model.runtime.url == "http://triton.example.org:8000"


# A container


def test_the_command_line_leaves_a_container_nothing_but_its_folders() -> None:
    runtime = Runtime(kind="container", image=f"a/b@sha256:{DIGEST}", memory_mb=2048, cpus=1.5)
    command = engine_command(
        "/usr/bin/docker",
        runtime,
        name="wetread-1",
        folder_in=Path("/w/in"),
        folder_out=Path("/w/out"),
        user=(0, 0),
    )
    line = " ".join(command)
    for words in (
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--user 65534:65534",
        "--memory 2048m --memory-swap 2048m",
        "--cpus 1.5",
        "--pull never",
        "--pids-limit 512",
        "--mount type=bind,source=/w/in,target=/in,readonly",
        "--mount type=bind,source=/w/out,target=/out",
    ):
        assert words in line
    assert command[:2] == ["/usr/bin/docker", "run"]
    assert command[-1] == runtime.image
    assert "privileged" not in line.replace("no-new-privileges", "")
    assert not any(word in line for word in ("-e ", "--env", "docker.sock", "--device"))


def test_a_container_that_hangs_is_killed_by_its_name(
    series: Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        model = Maker("container", tmp_path, stack, monkeypatch).make("hang")
    assert [one.code for one in read(series, model).problems] == [ProblemCode.MODEL_TIMEOUT]
    called, killed = (tmp_path / "bin/calls.log").read_text().splitlines()
    command = json.loads(called)
    assert killed == f"kill {command[command.index('--name') + 1]}"


def test_a_container_that_gives_way_is_killed_by_its_name(
    series: Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        model = Maker("container", tmp_path, stack, monkeypatch).make("good")
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    write_engine(tmp_path / "bin", f"open({str(begun)!r}, 'wb').close()\ntime.sleep(600)")
    leash, ended = Leash(), []

    def read_on_a_leash() -> None:
        try:
            ended.append(run_job(job_of(series, model), leash=leash))
        except ModelInterrupted as error:
            ended.append(error)

    thread = threading.Thread(target=read_on_a_leash)
    thread.start()
    # Returns when the other end, what runs in the container, has opened it.
    begun.read_bytes()
    leash.pull()
    thread.join(60)
    assert [type(one) for one in ended] == [ModelInterrupted]
    called, killed = (tmp_path / "bin/calls.log").read_text().splitlines()
    command = json.loads(called)
    assert killed == f"kill {command[command.index('--name') + 1]}"


def test_without_an_engine_it_says_what_is_missing(
    series: Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        model = Maker("container", tmp_path, stack, monkeypatch).make("good")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [one.code for one in read(series, model).problems] == [ProblemCode.INVALID_PACKAGE]


@pytest.mark.parametrize(
    "body",
    [
        "pass",
        "save(voxels > 0, image.affine + 1)",
        "(OUT / 'probabilities.nii').write_bytes(b'no map')",
        "(OUT / 'probabilities.nii').symlink_to('/etc/passwd')",
        "nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), image.affine), OUT / 'mask.nii')",
    ],
    ids=["nothing", "moved", "no map", "link", "small"],
)
def test_what_a_container_leaves_must_fit(
    body: str, series: Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        model = Maker("container", tmp_path, stack, monkeypatch).make("good")
    write_engine(tmp_path / "bin", body)
    assert [one.code for one in read(series, model).problems] == [ProblemCode.INVALID_OUTPUT]


def test_a_container_answers_with_classes(
    series: Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        Maker("container", tmp_path, stack, monkeypatch).make("good")
    toml = tmp_path / "good/model.toml"
    classes = 'kind = "classification"\nclasses = ["no", "yes"]\npositive = "yes"'
    toml.write_text(toml.read_text().replace(SEGMENTS, classes))
    for told, code in (
        (b'{"probabilities": [0.2, 0.8]}', None),
        (b'{"probabilities": [NaN, 1]}', "invalid-output"),
    ):
        write_engine(tmp_path / "bin", f"(OUT / 'answer.json').write_bytes({told!r})")
        reading = read(series, read_package(tmp_path / "good"))
        assert [one.code for one in reading.problems if one.refuses] == ([code] if code else [])
        assert [one.probability for one in reading.findings] == ([] if code else [0.8])


def test_an_image_that_may_change_is_refused(tmp_path: Path) -> None:
    maker = Maker("container", tmp_path, ExitStack(), pytest.MonkeyPatch())
    for image in ("example.org/nodules:latest", f"--privileged@sha256:{DIGEST}", f"a b@sha256:{DIGEST}"):
        with pytest.raises(InvalidPackage, match="pinned"):
            maker._package(tmp_path, f'kind = "container"\nimage = "{image}"')
