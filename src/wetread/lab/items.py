"""Samples as networks see them.

In: ``SampleSet``, the plan with its recipe.  Out: arrays after the recipe, and patches of them.
Never: a preprocessing of its own (``imaging.recipe`` is the one that serving runs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wetread.errors import LabelsDoNotFit
from wetread.imaging.recipe import Recipe, apply_recipe, recipe_from_table
from wetread.lab.plan import Dimensions, InputPlan, Plan, Task
from wetread.lab.read import read_samples
from wetread.lab.samples import Picture, Sample, SampleSet, require_disjoint

FloatArray = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]
#: ``(done, total)``.
Progress = Callable[[int, int], None]
_BY_MASK = (Task.SEGMENTATION, Task.DETECTION)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Item:
    """One image after the recipe."""

    sample: Sample
    #: (planes, rows, columns).
    voxels: FloatArray
    #: Class numbers, of the same shape; None where labels are learned.
    mask: Mask | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Items:
    """All of a data set, in memory."""

    name: str
    items: tuple[Item, ...]
    #: sha256 over ids, patients, labels and voxels, whatever file they came in.
    digest: str


def read_parts(path: Path, parts: Sequence[str], labels: Path | None = None) -> SampleSet:
    """Open several parts of a file as one set; their samples are called ``part/id``.

    Raises
    ------
    InvalidSamples
        As ``read_samples``.
    """
    if len(parts) <= 1:
        return read_samples(path, labels=labels, part=parts[0] if parts else "")
    sets = {part: read_samples(path, labels=labels, part=part) for part in parts}
    owners = {f"{part}/{one.id}": (part, one) for part, own in sets.items() for one in own.samples}
    names_patients = {part: any(one.patient != one.id for one in own.samples) for part, own in sets.items()}
    if any(names_patients.values()):
        require_disjoint({part: own.patients for part, own in sets.items()})
    return SampleSet(
        name=", ".join(own.name for own in sets.values()),
        samples=tuple(
            replace(one, id=name, patient=one.patient if names_patients[part] else name)
            for name, (part, one) in owners.items()
        ),
        open_picture=lambda sample: sets[owners[sample.id][0]].load(owners[sample.id][1]),
        has_masks=all(own.has_masks for own in sets.values()),
        notes=tuple(dict.fromkeys(note for own in sets.values() for note in own.notes)),
    )


def prepare_items(samples: SampleSet, plan: Plan, progress: Progress = lambda *_: None) -> Items:
    """Apply the recipe to each sample that has a truth.

    Raises
    ------
    LabelsDoNotFit
        If labels or masks are not what the plan's task and classes need.
    NotFinite
        If a voxel is no number.
    """
    recipe = recipe_from_table(plan.recipe)
    chosen = [one for one in samples.samples if plan.task in _BY_MASK or one.label is not None]
    if not chosen:
        raise LabelsDoNotFit("No image has a label", data=samples.name)
    digest, items = hashlib.sha256(), []
    for done, sample in enumerate(chosen, start=1):
        picture = samples.load(sample)
        _check_truth(sample, picture, plan)
        for part in (sample.id, sample.patient, str(sample.label)):
            digest.update(f"{part}\0".encode())
        digest.update(np.ascontiguousarray(picture.voxels).tobytes())
        if picture.mask is not None:
            digest.update(np.packbits(picture.mask).tobytes())
        items.append(_item(sample, picture, plan.task, recipe))
        progress(done, len(chosen))
    return Items(name=samples.name, items=tuple(items), digest=digest.hexdigest())


def cut_patch(item: Item, shape: InputPlan, centre: tuple[int, int, int]) -> tuple[FloatArray, Mask | None]:
    """Cut what a network sees around a voxel.

    Returns
    -------
    tuple
        Image (channels, *patch) and mask (*patch). Beyond the edge of the image its last voxels go on, and
        nothing is marked.
    """
    is_block = shape.dimensions is Dimensions.BLOCK
    depth = shape.planes if shape.dimensions is Dimensions.NEIGHBOURS else 1
    lengths = shape.patch if is_block else (depth, *shape.patch)
    places = [np.arange(length) + at - length // 2 for length, at in zip(lengths, centre, strict=True)]
    inside = [np.clip(one, 0, size - 1) for one, size in zip(places, item.voxels.shape, strict=True)]
    image = item.voxels[np.ix_(*inside)]
    image = image[np.newaxis] if is_block else image
    if item.mask is None:
        return image, None
    mask = item.mask[np.ix_(*inside)].copy()
    for axis, (place, clipped) in enumerate(zip(places, inside, strict=True)):
        mask[(slice(None),) * axis + (place != clipped,)] = 0
    return image, mask if is_block else mask[depth // 2]


def centre_of(item: Item) -> tuple[int, int, int]:
    """Return the voxel in the middle of what is marked, or of the image."""
    if item.mask is not None and item.mask.any():
        marked = np.argwhere(item.mask)
        planes, rows, columns = marked[np.abs(marked - marked.mean(axis=0)).sum(axis=1).argmin()].tolist()
    else:
        planes, rows, columns = (length // 2 for length in item.voxels.shape)
    return planes, rows, columns


def _check_truth(sample: Sample, picture: Picture, plan: Plan) -> None:
    if plan.task in _BY_MASK:
        if picture.mask is None:
            raise LabelsDoNotFit(f"A {plan.task.value} needs a mask for each image", sample=sample.id)
        return
    known = range(len(plan.data.classes))
    if plan.task is Task.CLASSIFICATION and sample.label not in known:
        raise LabelsDoNotFit(
            "A label is none of the classes of the plan: correct data.classes or the labels",
            sample=sample.id,
            label=sample.label,
            classes=len(plan.data.classes),
        )


def _item(sample: Sample, picture: Picture, task: Task, recipe: Recipe) -> Item:
    voxels = apply_recipe(recipe, picture.voxels, picture.spacing_mm).voxels
    mask = None
    if task in _BY_MASK and picture.mask is not None:
        mask = _fit_mask(picture.mask.astype(np.uint8), voxels.shape)
    return Item(sample=sample, voxels=np.asarray(voxels, dtype=np.float32), mask=mask)


def _fit_mask(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Bring a mask to the shape that the recipe's resampling gave the image; nearest neighbour."""
    if mask.shape == shape:
        return mask
    places = [
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip(shape, mask.shape, strict=True)
    ]
    return mask[np.ix_(*places)]
