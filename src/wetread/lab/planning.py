"""From what a data set is like to a first plan.

In: ``Fingerprint``.  Out: ``plan.toml`` as a table; every word may be changed afterwards.
Never: a rule that is only in somebody's head (each is a line here).

References
----------
Isensee et al. 2021, nnU-Net, doi:10.1038/s41592-020-01008-z: rules from fingerprint to plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wetread.errors import EmptyClass, InvalidPlan
from wetread.lab.checkpoint import save_text
from wetread.lab.fingerprint import Fingerprint, fingerprint
from wetread.lab.items import read_parts
from wetread.lab.plan import Dimensions, NetworkKind, Task, parse_plan
from wetread.registry.toml_text import to_toml

#: Bytes that one voxel of a patch costs in training for each channel of the first stage: values and
#: gradients of some ten layers at falling resolution.
_BYTES_PER_VOXEL_AND_CHANNEL = 80
#: Updates that an ordinary training has.
_UPDATES = 4000
#: Planes so far apart, against the pixels, that a block would be mostly gaps.
_ANISOTROPIC = 3.0
_LEAST_HU = -500.0
_LARGEST_FLAT, _LARGEST_BLOCK = 224, 128


def propose_plan(
    seen: Fingerprint, name: str, task: Task | None = None, memory_gb: float = 4.0
) -> dict[str, Any]:
    """Return a plan as a table.

    Parameters
    ----------
    task
        Where the data leave a choice: detection instead of segmentation, say.
    memory_gb
        What training may take on the processor or GPU.

    Raises
    ------
    EmptyClass
        If there is one class only, or a class between others has no image.
    """
    task = task or _task(seen)
    dimensions = _dimensions(seen)
    patch = _patch(seen, dimensions, task)
    width = _width(seen.samples, task)
    classes = _classes(seen, task)
    layers = [1, 1, 1, 1] if task in (Task.CLASSIFICATION, Task.REGRESSION) else _levels(patch)
    batch = _batch(seen, patch, width, memory_gb)
    plan: dict[str, Any] = {
        "name": name,
        "task": task.value,
        "data": {"classes": classes, "positive": classes[-1]},
        "input": {"dimensions": dimensions.value, "patch": list(patch)},
        "recipe": _recipe(seen),
        "split": {"folds": min(5, max(2, seen.patients // 2)), "seed": 0},
        "network": {"kind": _network(task).value, "width": width, "layers": layers},
        "training": {
            "epochs": max(10, min(200, _UPDATES * batch // max(1, seen.samples))),
            "batch": batch,
            "balance": "weights" if task is Task.CLASSIFICATION and _is_uneven(seen) else "none",
        },
    }
    if dimensions is Dimensions.NEIGHBOURS:
        plan["input"]["planes"] = 5
    return plan


def _task(seen: Fingerprint) -> Task:
    if seen.has_masks:
        return Task.SEGMENTATION
    return Task.CLASSIFICATION if seen.classes else Task.REGRESSION


def _dimensions(seen: Fingerprint) -> Dimensions:
    planes = seen.median_shape[0]
    if planes == 1:
        return Dimensions.FLAT
    spacing = seen.median_spacing_mm
    is_anisotropic = spacing is not None and spacing[0] > _ANISOTROPIC * spacing[2]
    return Dimensions.NEIGHBOURS if is_anisotropic or planes < 16 else Dimensions.BLOCK


def _patch(seen: Fingerprint, dimensions: Dimensions, task: Task) -> tuple[int, ...]:
    """Return the whole image where it is small; otherwise what holds the thing and its surroundings."""
    is_block = dimensions is Dimensions.BLOCK
    lengths: tuple[int, ...] = seen.median_shape if is_block else seen.median_shape[1:]
    most = _LARGEST_BLOCK if is_block else _LARGEST_FLAT
    if task in (Task.CLASSIFICATION, Task.REGRESSION):
        return tuple(max(8, min(one, most)) for one in lengths)
    # Halved by each level of a U-Net: multiples of 16.
    return tuple(max(16, min(most, 16 * round(one / 16))) for one in lengths)


def _levels(patch: tuple[int, ...]) -> list[int]:
    shortest, levels = min(patch), 1
    while shortest >= 16 and levels < 5:
        shortest, levels = shortest // 2, levels + 1
    return [1] * max(2, levels)


def _width(samples: int, task: Task) -> int:
    """Let networks grow with the data."""
    if task in (Task.SEGMENTATION, Task.DETECTION):
        return 16 if samples < 500 else 32
    return 16 if samples < 10_000 else 32 if samples < 50_000 else 64


def _batch(seen: Fingerprint, patch: tuple[int, ...], width: int, memory_gb: float) -> int:
    voxels = 1
    for length in patch:
        voxels *= length
    fits = int(memory_gb * 1e9 / (voxels * width * _BYTES_PER_VOXEL_AND_CHANNEL))
    return max(1, min(64, fits, seen.samples // 8 or 1))


def _classes(seen: Fingerprint, task: Task) -> list[str]:
    if task in (Task.SEGMENTATION, Task.DETECTION):
        return ["background", "finding"]
    if task is Task.REGRESSION:
        return ["low", "high"]
    missing = sorted(set(range(max(seen.classes, default=0) + 1)) - set(seen.classes))
    if len(seen.classes) < 2 or missing:
        raise EmptyClass(
            "There must be images of two classes or more, numbered without a gap", missing=missing
        )
    return [f"class {label}" for label in seen.classes]


def _is_uneven(seen: Fingerprint) -> bool:
    return max(seen.classes.values()) > 1.5 * min(seen.classes.values())


def _network(task: Task) -> NetworkKind:
    return {
        Task.SEGMENTATION: NetworkKind.RESIDUAL_UNET,
        Task.DETECTION: NetworkKind.HEATMAP,
    }.get(task, NetworkKind.RESNET)


def _recipe(seen: Fingerprint) -> dict[str, Any]:
    """Return HU by a window of the data set's own, other images each by themselves."""
    steps: list[dict[str, Any]] = []
    if seen.median_spacing_mm is not None:
        steps.append({"kind": "resample", "spacing_mm": [round(one, 3) for one in seen.median_spacing_mm]})
    if seen.least < _LEAST_HU:
        low, high = round(seen.percentile_half), round(seen.percentile_99_half)
        steps.append({"kind": "window", "low": low, "high": max(high, low + 1)})
    return {"steps": [*steps, {"kind": "z-score"}]}


def write_plan(
    data: Path,
    out: Path,
    *,
    name: str,
    task: str = "",
    parts: Sequence[str] = (),
    labels: Path | None = None,
    memory_gb: float = 4.0,
) -> Fingerprint:
    """Look at a data set and write its first plan.

    Raises
    ------
    InvalidPlan
        If there is no such task.
    InvalidSamples
        If the data cannot be used.
    """
    if task and task not in list(Task):
        raise InvalidPlan(f"task must be one of {', '.join(Task)}, not {task!r}.")
    seen = fingerprint(read_parts(data, parts, labels))
    content = propose_plan(seen, name, Task(task) if task else None, memory_gb)
    content["data"]["parts"] = list(parts)
    parse_plan(content, out.parent)
    save_text(out, to_toml(content))
    return seen
