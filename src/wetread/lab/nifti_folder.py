"""A folder of NIfTI images with label files, as nnU-Net and the Medical Segmentation Decathlon lay them out.

In: ``images*/NAME.nii.gz`` and ``labels*/NAME.nii.gz`` (or a table of labels).  Out: ``SampleSet``.
Never: an image without its label; a mask on another grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wetread.errors import InputError, InvalidSamples, LabelsDoNotFit
from wetread.imaging.nifti import is_nifti, read_nifti_volume
from wetread.lab.labels import Table, read_number
from wetread.lab.samples import Picture, Sample, SampleSet
from wetread.measure.orientation import to_upright

#: nnU-Net numbers channels; this is the first and for CT the only one.
_CHANNEL = "_0000"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    image: Path
    mask: Path | None


def has_nifti(folder: Path) -> bool:
    """Tell whether a folder holds NIfTI images in the layout that is read here."""
    return any(is_nifti(path) for path in _find("images", folder).values())


def read_nifti_folder(folder: Path, table: Table | None = None) -> SampleSet:
    """Read a folder of NIfTI images.

    Raises
    ------
    LabelsDoNotFit
        If an image has neither a label file nor a row in the table, or a label file no image.
    """
    images, masks = _find("images", folder), _find("labels", folder)
    strangers = sorted(set(masks) - set(images))
    if strangers:
        raise LabelsDoNotFit("A label file has no image of its name", sample=strangers[0])
    bare = sorted(set(images) - set(masks))
    if bare and table is None:
        raise LabelsDoNotFit("An image has no label file of its name", sample=bare[0])
    pairs = {name: _Pair(image=images[name], mask=masks.get(name)) for name in sorted(images)}
    samples = tuple(_sample(name, table) for name in pairs)
    has_patients = table is not None and "patient" in table.columns
    return SampleSet(
        name=folder.name,
        samples=samples,
        open_picture=lambda sample: _picture(pairs, sample.id),
        has_masks=bool(masks),
        notes=() if has_patients else ("The data name no patients: each image is taken as one of its own.",),
    )


def _find(start: str, folder: Path) -> dict[str, Path]:
    """Return the images below folders whose name begins so, by their name."""
    found: dict[str, Path] = {}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir() and path.name.startswith(start)):
        for path in sorted(filter(is_nifti, inner.iterdir())):
            name = path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(_CHANNEL)
            if name in found:
                raise InvalidSamples("Two files have one name", folder=folder.name, sample=name)
            found[name] = path
    return found


def _sample(name: str, table: Table | None) -> Sample:
    row = {} if table is None else table.get(name)
    return Sample(
        id=name, patient=row.get("patient", name), label=read_number(row, "label", name), groups=row
    )


def _picture(pairs: Mapping[str, _Pair], name: str) -> Picture:
    pair = pairs[name]
    try:
        volume = read_nifti_volume(pair.image)
        mask = None if pair.mask is None else read_nifti_volume(pair.mask)
    except InputError as error:
        raise InvalidSamples(
            "An image or label file cannot be read", sample=name, reason=str(error)
        ) from error
    if mask is not None and not (
        mask.grid.shape == volume.grid.shape
        and np.allclose(mask.grid.index_to_lps, volume.grid.index_to_lps, atol=1e-2)
    ):
        raise LabelsDoNotFit("Image and label file lie on different grids: resample the labels", sample=name)
    # As serving shows it to a network, whatever way the file has it.
    turned, upright = to_upright(volume)
    return Picture(
        voxels=turned.voxels,
        spacing_mm=turned.grid.spacing_mm,
        mask=None if mask is None else upright.view(np.asarray(mask.voxels > 0)),
    )
