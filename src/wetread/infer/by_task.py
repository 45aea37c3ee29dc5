"""The reader of packages without code: what the network says, as a Reading.

In: a ``ReadRequest`` whose model says task and output.  Out: a ``Reading``: coded, located, measured, ranked.
Never: a network that sees an image the wrong way up; a mask that is not on the grid of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain import code
from wetread.domain.code import Code
from wetread.domain.finding import Finding, Segment
from wetread.domain.mask import BoolArray, Mask
from wetread.domain.model import Model, Output, Task
from wetread.domain.prediction import Box, Prediction
from wetread.domain.reading import Priority, Reading, Triage
from wetread.domain.volume import Grid, Triple
from wetread.errors import InputError, InvalidOutput, InvalidPackage
from wetread.imaging.segmentation import read_mask
from wetread.infer.chest_findings import box_lps_mm, make_tracking_uid
from wetread.infer.container import judge_in_container
from wetread.infer.predict import predict_array
from wetread.infer.request import ReadRequest
from wetread.measure.orientation import Upright, to_upright

_MOST_REASONS = 5
_CATEGORIES = {
    "abnormality": code.MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
    "anatomy": code.ANATOMICAL_STRUCTURE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A marked part, on the volume's own grid."""

    mask: Mask
    probability: float
    volume_mm3: float


def read_by_task(request: ReadRequest) -> Reading:
    """Read one series with the network of a package.

    The network sees planes towards the head, rows towards the back, columns towards the left, whatever way
    the images came; ``runtime.axes`` turns a volume from there.

    Raises
    ------
    InvalidPackage
        If the package does not say what it looks for.
    InvalidOutput
        If the network's answer fits neither image nor task, or marks more than ``output.most_findings``.
    """
    task, output = _asked(request.model)
    said = _say(request)
    if task.kind == "regression":
        return make_reading(request, measurements={output.measurement: _value(said)})
    if task.kind == "classification":
        # Kept below the threshold as well: what another one would have said of this study.
        told = {"finding_probability_percent": round(100 * _probability(task, said), 4)}
        return make_reading(request, findings=_judged(request, task, output, said), measurements=told)
    if said.boxes is not None:
        boxes = [one for one in said.boxes if one.score >= task.part_threshold]
        return make_reading(request, findings=tuple(_boxed(request, output, one) for one in boxes))
    parts = _split(request.volume.grid, _marked(task, said), _map(said), output)
    # A peer's mask says nothing of how sure it is.
    sure = [one for one in parts if one.probability >= task.part_threshold]
    return tell_parts(request, output, sure)


def tell_parts(request: ReadRequest, output: Output, parts: Sequence[Part]) -> Reading:
    """Return a Reading with a finding and a segment for each part."""
    segments = tuple(_segment(request, output, part, number) for number, part in enumerate(parts, 1))
    findings = tuple(
        _finding(request.volume.grid, output, part, one, is_of_peer=bool(request.answers))
        for part, one in zip(parts, segments, strict=True)
    )
    return make_reading(request, findings=findings, segments=segments)


def _say(request: ReadRequest) -> Prediction:
    """Return what the model says, on the grid of the images."""
    if request.model.runtime.kind == "dicom-peer":
        return _peer_said(request)
    if request.model.runtime.kind == "container":
        return judge_in_container(request.model, request.volume)
    volume, upright = to_upright(request.volume)
    said = predict_array(request.model, volume.voxels, volume.grid.spacing_mm)
    if said.boxes is not None:
        return replace(said, boxes=tuple(_own_box(upright, volume.grid, one) for one in said.boxes))
    found, mask = said.probability_map, said.mask
    for one in (found, mask):
        if one is not None and one.shape != volume.voxels.shape:
            raise InvalidOutput("The model marks another grid than that of the image.", shape=one.shape)
    # Written so that what is no number is refused as well.
    if found is not None and not (found.min() >= 0 and found.max() <= 1):
        raise InvalidOutput("The model's answers are no probabilities.")
    return replace(
        said,
        probability_map=None if found is None else upright.undo(found),
        mask=None if mask is None else upright.undo(mask),
    )


def _peer_said(request: ReadRequest) -> Prediction:
    """Return what another vendor's Segmentation marks."""
    try:
        mask = read_mask(request.answers[0], request.volume.grid)
    except InputError as error:
        raise InvalidOutput("The peer's Segmentation does not lie on the pixels of its series.") from error
    return Prediction(probability_map=mask.astype(np.float32), mask=mask)


def _own_box(upright: Upright, grid: Grid, box: Box) -> Box:
    """Return a box of the upright view on the grid of the images."""
    low, high = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    for axis, (own, is_flipped) in enumerate(zip(upright.order, upright.flipped, strict=True)):
        last = grid.shape[axis] - 1
        ends = (box.low[axis], box.high[axis])
        low[own], high[own] = (last - ends[1], last - ends[0]) if is_flipped else ends
    return Box(low=(low[0], low[1], low[2]), high=(high[0], high[1], high[2]), score=box.score)


def _boxed(request: ReadRequest, output: Output, box: Box) -> Finding:
    grid = request.volume.grid
    middle = (np.array(box.low) + box.high) / 2
    center = _triple(grid.to_lps_mm(middle))
    corners = [
        [(box.low, box.high)[bit][axis] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)
    ]
    points = grid.to_lps_mm(corners)
    place = " ".join(f"{one:.0f}" for one in center)
    return Finding(
        tracking_uid=make_tracking_uid(request, f"{output.code} at {place}"),
        label=output.label,
        code=code_of(output),
        probability=round(box.score, 4),
        center_lps_mm=center,
        box_lps_mm=(_triple(points.min(axis=0)), _triple(points.max(axis=0))),
        key_plane=int(np.clip(round(float(middle[0])), 0, grid.shape[0] - 1)),
    )


def _asked(model: Model) -> tuple[Task, Output]:
    if model.task is None or model.output is None:
        raise InvalidPackage("The package does not say what it looks for: give it [task] and [output].")
    return model.task, model.output


def _value(said: Prediction) -> float:
    if said.value is None:
        raise InvalidOutput("The model gave no value.")
    return said.value


def _judged(request: ReadRequest, task: Task, output: Output, said: Prediction) -> tuple[Finding, ...]:
    """Return the finding of a whole image: it lies wherever the images lie."""
    probability = _probability(task, said)
    if probability < task.threshold:
        return ()
    grid = request.volume.grid
    middle = (np.array(grid.shape) - 1) / 2
    whole = Mask(shape=grid.shape, offset=(0, 0, 0), voxels=np.ones(grid.shape, dtype=bool))
    return (
        Finding(
            tracking_uid=make_tracking_uid(request, output.code),
            label=output.label,
            code=code_of(output),
            probability=round(probability, 4),
            center_lps_mm=_triple(grid.to_lps_mm(middle)),
            box_lps_mm=box_lps_mm(grid, whole),
            key_plane=grid.shape[0] // 2,
        ),
    )


def _probability(task: Task, said: Prediction) -> float:
    if len(said.probabilities) != len(task.classes) or task.positive not in task.classes:
        raise InvalidOutput("The model gave no probability of its positive class.")
    return said.probabilities[task.classes.index(task.positive)]


def _map(said: Prediction) -> npt.NDArray[np.float32]:
    if said.probability_map is None:
        raise InvalidOutput("The model marked nothing that could be a mask.")
    return said.probability_map


def _marked(task: Task, said: Prediction) -> BoolArray:
    return said.mask if said.mask is not None else _map(said) >= task.threshold


def _split(grid: Grid, marked: BoolArray, scores: npt.NDArray[np.float32], output: Output) -> list[Part]:
    """Return the connected parts that count, most probable first, larger before smaller."""
    labels, _count = ndimage.label(marked, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:] * grid.voxel_volume_mm3
    numbers = [number for number, size in enumerate(sizes, 1) if size >= output.least_volume_mm3]
    if len(numbers) > output.most_findings:
        raise InvalidOutput(
            "The model marked more than it may: its result is a fault.",
            found=len(numbers),
            limit=output.most_findings,
        )
    boxes = ndimage.find_objects(labels)
    parts = []
    for number in numbers:
        box = boxes[number - 1]
        inside = labels[box] == number
        start = (box[0].start, box[1].start, box[2].start)
        parts.append(
            Part(
                mask=Mask(shape=grid.shape, offset=start, voxels=np.ascontiguousarray(inside)),
                probability=float(np.clip(scores[box][inside].max(), 0, 1)),
                volume_mm3=float(sizes[number - 1]),
            )
        )
    return sorted(parts, key=lambda one: (-round(one.probability, 4), -one.volume_mm3, one.mask.offset))


def _segment(request: ReadRequest, output: Output, part: Part, number: int) -> Segment:
    place = " ".join(f"{one:.0f}" for one in _center(request.volume.grid, part.mask))
    return Segment(
        number=number,
        label=f"{output.label.capitalize()} {number}",
        category=_CATEGORIES[output.category],
        type=code_of(output),
        tracking_uid=make_tracking_uid(request, f"{output.code} at {place}"),
        mask=part.mask,
    )


def _finding(grid: Grid, output: Output, part: Part, segment: Segment, *, is_of_peer: bool) -> Finding:
    return Finding(
        tracking_uid=segment.tracking_uid,
        label=output.label,
        code=segment.type,
        # A peer's Segmentation says what is marked, not how sure it is.
        probability=None if is_of_peer else round(part.probability, 4),
        center_lps_mm=_center(grid, part.mask),
        box_lps_mm=box_lps_mm(grid, part.mask),
        measurements={"volume_mm3": round(part.volume_mm3, 3)},
        segment_number=segment.number,
        key_plane=part.mask.largest_plane,
    )


def make_reading(
    request: ReadRequest,
    *,
    findings: tuple[Finding, ...] = (),
    segments: tuple[Segment, ...] = (),
    measurements: dict[str, float] | None = None,
) -> Reading:
    """Return a Reading with these, ranked by the findings."""
    return replace(
        request.begin_reading(),
        triage=_triage(request.model, findings),
        findings=findings,
        segments=segments,
        measurements=measurements or {},
    )


def _triage(model: Model, findings: tuple[Finding, ...]) -> Triage:
    if not findings or model.output is None:
        return Triage()
    likely = sorted(findings, key=lambda one: -(one.probability or 0.0))
    reasons = [
        f"{one.label.capitalize()}, "
        + (f"marked by {model.title}" if one.probability is None else f"probability {one.probability:.2f}")
        for one in likely
    ]
    return Triage(
        priority=Priority(model.output.priority),
        score=round(likely[0].probability or 0.0, 4),
        reasons=tuple(reasons[:_MOST_REASONS]),
    )


def code_of(output: Output) -> Code:
    """Return what a package looks for."""
    return Code(value=output.code, scheme=output.scheme, meaning=output.meaning)


def _center(grid: Grid, mask: Mask) -> Triple:
    return _triple(grid.to_lps_mm(np.argwhere(mask.voxels).mean(axis=0) + mask.offset))


def _triple(point: npt.NDArray[np.float64]) -> Triple:
    x, y, z = (round(float(value), 4) for value in point)
    return x, y, z
