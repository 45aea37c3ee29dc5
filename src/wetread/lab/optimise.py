"""Make weights smaller or quicker, as far as the clinical metric allows.

In: a run, validation data.  Out: a file beside the run's plain weights, ``optimised.json``.
Never: a file that lost more than it may (``ParityLost``; what was made is removed).

int8 is static, from and to quantised values around each operation (QDQ), by ONNX Runtime, or by NNCF for
OpenVINO. Where all layers in int8 lose too much, fewer are: first and last stay as they are, then more.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from wetread.errors import InvalidPlan, ParityLost
from wetread.lab.checkpoint import save_json
from wetread.lab.export import export_onnx, halve_weights, save_network
from wetread.lab.feed import judged_batches
from wetread.lab.items import Item, prepare_items, read_parts
from wetread.lab.parity import Parity, compare
from wetread.lab.plan import Plan
from wetread.lab.run import Run, file_digest, read_run

#: Images that ranges of values are learned from.
_CALIBRATED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimised:
    """Optimised weights and what they cost."""

    path: Path
    before: float
    after: float
    #: Upper end of the interval.
    most_lost: float
    bytes_before: int
    bytes_after: int


def optimise(
    run: Path, data: Path, *, to: str, margin: float = 0.01, part: str = "", labels: Path | None = None
) -> Optimised:
    """Optimise the networks of a run.

    Parameters
    ----------
    run
        Run folder.
    data
        Validation data; the gate compares on it.
    to
        ``fp16``, ``int8``, ``openvino`` or ``openvino-int8``.
    margin
        Most of the metric that may be lost, with the whole 95 % interval of the paired difference.
    part
        Of the data; the plan's own parts where none is named.

    Raises
    ------
    InvalidPlan
        If ``to`` is none of those.
    ParityLost
        If too much is lost.
    """
    if to not in _MAKERS:
        raise InvalidPlan(f"--to must be one of {', '.join(_MAKERS)}, not {to!r}.")
    finished = read_run(run)
    plan = finished.plan
    items = prepare_items(read_parts(data, (part,) if part else plan.data.parts, labels), plan).items
    plain = run / "weights.onnx"
    export_onnx(finished, plain)
    path, parity = _first_that_holds(plain, run, items, plan, to, margin)
    outcome = Optimised(
        path=path,
        before=parity.before,
        after=parity.after,
        most_lost=parity.high,
        bytes_before=plain.stat().st_size,
        bytes_after=_size(path),
    )
    _note(finished, to, path, parity, outcome)
    return outcome


def _first_that_holds(
    plain: Path, run: Path, items: Sequence[Item], plan: Plan, to: str, margin: float
) -> tuple[Path, Parity]:
    """Try from most to least quantised; refuse where none is good enough."""
    parity = None
    for left_alone in _left_alone(plain, to):
        path = _MAKERS[to](plain, run, _inputs(items, plan), left_alone)
        parity = compare(plain, path, items, plan)
        if parity.holds(margin):
            return path, parity
        path.unlink()
        path.with_suffix(".bin").unlink(missing_ok=True)
    assert parity is not None  # noqa: S101  (there is at least one way)
    raise ParityLost(
        metric=parity.metric,
        before=round(parity.before, 4),
        after=round(parity.after, 4),
        lost_at_most=round(parity.high, 4),
    )


def _left_alone(plain: Path, to: str) -> Iterator[tuple[str, ...]]:
    """Yield the operations that stay in float, none first."""
    yield ()
    if not to.endswith("int8"):
        return
    graph = onnx.load(plain, load_external_data=False).graph
    heavy = [node.name for node in graph.node if node.op_type in ("Conv", "MatMul", "Gemm", "ConvTranspose")]
    yield (*heavy[:1], *heavy[-1:])
    yield tuple(heavy[: len(heavy) // 4] + heavy[-len(heavy) // 4 :])


def _inputs(items: Sequence[Item], plan: Plan) -> list[npt.NDArray[np.float32]]:
    step = max(1, len(items) // _CALIBRATED)
    return [batch.images.numpy() for batch in judged_batches(items[::step][:_CALIBRATED], plan)]


def _to_fp16(plain: Path, run: Path, inputs: Sequence[Any], left_alone: Sequence[str]) -> Path:
    del inputs, left_alone
    path = run / "weights-fp16.onnx"
    model = onnx.load(plain)
    halve_weights(model)
    save_network(model, path)
    return path


def _to_int8(plain: Path, run: Path, inputs: Sequence[Any], left_alone: Sequence[str]) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(inputs)

        def get_next(self) -> dict[str, Any] | None:
            one = next(self.left, None)
            return None if one is None else {"image": one}

    path = run / "weights-int8.onnx"
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(path),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(left_alone),
        )
    return path


def _to_openvino(plain: Path, run: Path, inputs: Sequence[Any], left_alone: Sequence[str]) -> Path:
    import openvino

    del inputs, left_alone
    path = run / "weights.xml"
    openvino.save_model(openvino.convert_model(plain), path, compress_to_fp16=True)
    return path


def _to_openvino_int8(plain: Path, run: Path, inputs: Sequence[Any], left_alone: Sequence[str]) -> Path:
    import nncf
    import openvino

    logging.getLogger("nncf").setLevel(logging.ERROR)
    path = run / "weights-int8.xml"
    ignored = nncf.IgnoredScope(names=list(left_alone), validate=False) if left_alone else None
    model = nncf.quantize(
        openvino.convert_model(plain),
        nncf.Dataset(inputs),
        subset_size=len(inputs),
        ignored_scope=ignored,
    )
    openvino.save_model(model, path)
    return path


_MAKERS: dict[str, Callable[[Path, Path, Sequence[Any], Sequence[str]], Path]] = {
    "fp16": _to_fp16,
    "int8": _to_int8,
    "openvino": _to_openvino,
    "openvino-int8": _to_openvino_int8,
}


def _size(path: Path) -> int:
    weights = path.with_suffix(".bin")
    return path.stat().st_size + (weights.stat().st_size if path.suffix == ".xml" else 0)


def _note(run: Run, to: str, path: Path, parity: Parity, outcome: Optimised) -> None:
    """Write beside the weights what they are and what they cost."""
    save_json(
        path.with_suffix(".json"),
        {
            "run": run.content["digest"],
            "optimised": to,
            "digest": file_digest(path),
            "parity": asdict(parity),
            "bytes_before": outcome.bytes_before,
            "bytes_after": outcome.bytes_after,
        },
    )
