"""Images of equal size in one file: ``images`` with ``labels`` or ``masks``, as MedMNIST has them.

In: an ``.npz`` file.  Out: ``SampleSet``.  Never: a colour image read as a volume.

Understood: ``images`` of shape (n, rows, columns) or (n, planes, rows, columns); ``labels`` of n numbers;
``masks`` of the images' shape; if wanted ``patients``, ``ids``, ``spacing_mm`` (n, 3) and ``group_NAME``,
n texts or numbers each. ``train_images``, ``test_labels`` and so on where a file holds several parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wetread.errors import InvalidSamples, LabelsDoNotFit, NotFinite
from wetread.lab.arrays import Array, Arrays
from wetread.lab.samples import Picture, Sample, SampleSet, require_disjoint

_COLOURS = (3, 4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Columns:
    """The arrays of one part, all of the same length."""

    images: Array
    masks: Array | None
    spacing_mm: Array | None


def read_images(arrays: Arrays, part: str = "") -> SampleSet:
    """Read a file of images.

    Parameters
    ----------
    part
        ``train``, ``val``, ``test``, ...; empty where the file has one only.

    Raises
    ------
    InvalidSamples
        If the file has no such part.
    LabelsDoNotFit, NotFinite, PatientInTwoSplits
        As their names say.
    """
    parts = find_parts(arrays)
    if part not in parts:
        known = ", ".join(sorted(parts)) or "none"
        raise InvalidSamples(f"Say which part of the file is meant: it has {known}", file=arrays.path.name)
    prefix = f"{part}_" if part else ""
    images = arrays.read(f"{prefix}images")
    _check_images(images, arrays)
    count = len(images)
    masks = _read_masks(arrays, prefix, images)
    labels = _read_labels(arrays, prefix, count)
    if masks is None and labels is None:
        raise LabelsDoNotFit("There are images, but neither labels nor masks", file=arrays.path.name)
    patients = _read_texts(arrays, prefix, ("patients", "patient"), count)
    ids = _read_texts(arrays, prefix, ("ids", "image_id"), count) or [f"{at:05d}" for at in range(count)]
    groups = _read_groups(arrays, prefix, count)
    samples = tuple(
        Sample(
            id=ids[at],
            patient=(patients or ids)[at],
            label=None if labels is None else float(labels[at]),
            groups={name: values[at] for name, values in groups.items()},
        )
        for at in range(count)
    )
    columns = _Columns(images=images, masks=masks, spacing_mm=_read_spacing(arrays, prefix, count))
    places = {one.id: at for at, one in enumerate(samples)}
    return SampleSet(
        name=arrays.path.name + (f", part {part}" if part else ""),
        samples=samples,
        open_picture=lambda sample: _picture(columns, places[sample.id]),
        has_masks=masks is not None,
        notes=_notes(arrays, parts, part, has_patients=patients is not None),
    )


def find_parts(arrays: Arrays) -> frozenset[str]:
    """Return the names of the parts, ``""`` for the only one; none where the file holds no images."""
    names = [name for name in arrays.headers if name == "images" or name.endswith("_images")]
    return frozenset(name.removesuffix("images").removesuffix("_") for name in names)


def _check_images(images: Array, arrays: Arrays) -> None:
    if images.dtype.kind not in "uif" or images.ndim not in (3, 4) or 0 in images.shape:
        raise InvalidSamples(
            "images must be numbers of shape (n, rows, columns) or (n, planes, rows, columns)",
            file=arrays.path.name,
            shape=images.shape,
        )
    if images.ndim == 4 and images.shape[-1] in _COLOURS:
        raise InvalidSamples("Colour images are not read: make them grey", file=arrays.path.name)


def _read_labels(arrays: Arrays, prefix: str, count: int) -> Array | None:
    if f"{prefix}labels" not in arrays.headers:
        return None
    labels = arrays.read(f"{prefix}labels")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,) or labels.dtype.kind not in "uifb":
        raise LabelsDoNotFit(
            "There must be one number for each image in labels",
            file=arrays.path.name,
            images=count,
            labels=labels.shape,
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise NotFinite("A label is no number", file=arrays.path.name)
    return labels


def _read_masks(arrays: Arrays, prefix: str, images: Array) -> Array | None:
    if f"{prefix}masks" not in arrays.headers:
        return None
    masks = arrays.read(f"{prefix}masks")
    if masks.shape != images.shape:
        raise LabelsDoNotFit(
            "masks must have the shape of images",
            file=arrays.path.name,
            images=images.shape,
            masks=masks.shape,
        )
    return masks


def _read_texts(arrays: Arrays, prefix: str, names: Sequence[str], count: int) -> list[str] | None:
    name = next((f"{prefix}{one}" for one in names if f"{prefix}{one}" in arrays.headers), None)
    if name is None:
        return None
    values = arrays.read(name)
    if values.shape != (count,):
        raise LabelsDoNotFit(
            f"There must be one value for each image in {name}",
            file=arrays.path.name,
            images=count,
            values=values.shape,
        )
    return [str(value) for value in values.tolist()]


def _read_groups(arrays: Arrays, prefix: str, count: int) -> dict[str, list[str]]:
    start = f"{prefix}group_"
    names = [name for name in arrays.headers if name.startswith(start)]
    return {name.removeprefix(start): _read_texts(arrays, "", (name,), count) or [] for name in names}


def _read_spacing(arrays: Arrays, prefix: str, count: int) -> Array | None:
    if f"{prefix}spacing_mm" not in arrays.headers:
        return None
    spacing = arrays.read(f"{prefix}spacing_mm")
    fits = spacing.shape == (count, 3) and spacing.dtype.kind in "uif"
    if not fits or not (np.isfinite(spacing) & (spacing > 0)).all():
        raise LabelsDoNotFit("spacing_mm must be three positive numbers for each image")
    return spacing


def _picture(columns: _Columns, at: int) -> Picture:
    image = columns.images[at]
    voxels = image if image.ndim == 3 else image[np.newaxis]
    mask = None if columns.masks is None else (columns.masks[at] > 0).reshape(voxels.shape)
    spacing = None
    if columns.spacing_mm is not None:
        planes, rows, values = (float(value) for value in columns.spacing_mm[at])
        spacing = (planes, rows, values)
    return Picture(voxels=voxels, spacing_mm=spacing, mask=mask)


def _notes(arrays: Arrays, parts: frozenset[str], part: str, *, has_patients: bool) -> tuple[str, ...]:
    """Say what is assumed of patients; refuse, or tell, what stands in two parts of the file."""
    notes = []
    if has_patients:
        lists = {one: f"{one}_patients" for one in sorted(parts) if f"{one}_patients" in arrays.headers}
        require_disjoint({one: map(str, arrays.read(name).tolist()) for one, name in lists.items()})
    else:
        notes.append("The data name no patients: each image is taken as a patient of its own.")
    here = _image_digests(arrays, part)
    for other in sorted(parts - {part}):
        shared = len(here & _image_digests(arrays, other))
        if shared:
            notes.append(f"{shared} images stand in the part {other} as well, pixel for pixel.")
    return tuple(notes)


def _image_digests(arrays: Arrays, part: str) -> frozenset[bytes]:
    images = arrays.read(f"{part}_images" if part else "images")
    return frozenset(hashlib.sha256(image.tobytes()).digest() for image in images)
