"""Crops of nodules as several readers marked them.

In: an ``.npz`` file of ``<patient>_n<k>_img`` and ``<patient>_n<k>_votes``, its table of ratings.
Out: ``SampleSet``.  Never: a nodule without its readers.

Truth is what at least half of the readers marked: two votes or more of up to four, one where one reader
alone marked the nodule. The rating of malignancy is an opinion of radiologists: 4 and 5 against 1 and 2,
3 is left out.
"""

from __future__ import annotations

import numpy as np

from wetread.errors import InvalidSamples, LabelsDoNotFit
from wetread.lab.arrays import Arrays
from wetread.lab.labels import Table, read_number
from wetread.lab.samples import Picture, Sample, SampleSet

_IMAGE, _VOTES = "_img", "_votes"
#: Ratings from this on are suspicious, up to that one are not.
_SUSPICIOUS, _UNSUSPICIOUS = 4.0, 2.0
_NOTES = (
    "Truth of a mask: voxels that at least half of the readers marked (two votes or more; one where a single"
    " reader marked the nodule).",
    "The patient is the part of the id before _n.",
)
_RATING_NOTE = (
    "Malignancy is a rating by radiologists, not pathology: 4 and 5 count as positive, 1 and 2 as negative,"
    " between 2 and 4 and unrated nodules are left out."
)


def has_crops(arrays: Arrays) -> bool:
    """Tell whether a file holds crops."""
    return any(name.endswith(_VOTES) for name in arrays.headers)


def read_crops(arrays: Arrays, table: Table | None = None) -> SampleSet:
    """Read a file of crops.

    Raises
    ------
    LabelsDoNotFit
        If images and votes do not fit each other, or an image has no row in the table.
    InvalidSamples
        If an id names no patient.
    """
    ids = [name.removesuffix(_IMAGE) for name in arrays.headers if name.endswith(_IMAGE)]
    votes = {name.removesuffix(_VOTES) for name in arrays.headers if name.endswith(_VOTES)}
    if set(ids) != votes:
        lone = sorted(set(ids) ^ votes)[0]
        raise LabelsDoNotFit("Each crop needs both _img and _votes", file=arrays.path.name, sample=lone)
    for one in ids:
        _check_crop(arrays, one)
    return SampleSet(
        name=arrays.path.name,
        samples=tuple(_sample(arrays, one, table) for one in ids),
        open_picture=lambda sample: _picture(arrays, sample.id),
        has_masks=True,
        notes=_NOTES if table is None or "malignancy" not in table.columns else (*_NOTES, _RATING_NOTE),
        classes=("malignancy 1 or 2", "malignancy 4 or 5"),
    )


def _check_crop(arrays: Arrays, sample_id: str) -> None:
    image, votes = (arrays.headers[f"{sample_id}{kind}"] for kind in (_IMAGE, _VOTES))
    if image.shape != votes.shape:
        raise LabelsDoNotFit(
            "Image and votes must have one shape", sample=sample_id, image=image.shape, votes=votes.shape
        )
    if len(image.shape) != 3 or 0 in image.shape or image.dtype.kind not in "uif":
        raise InvalidSamples("A crop must have shape (slices, rows, columns)", sample=sample_id)
    if votes.dtype.kind not in "uib":
        raise LabelsDoNotFit("Votes must be counts of readers", sample=sample_id, dtype=str(votes.dtype))
    if not sample_id.rpartition("_n")[0]:
        raise InvalidSamples("The id of a crop must be <patient>_n<number>", sample=sample_id)


def _sample(arrays: Arrays, sample_id: str, table: Table | None) -> Sample:
    row = {} if table is None else table.get(sample_id)
    rating = read_number(row, "malignancy", sample_id)
    readers = read_number(row, "readers", sample_id)
    return Sample(
        id=sample_id,
        patient=sample_id.rpartition("_n")[0],
        label=_class_of(rating),
        # Without a table: as many as agree somewhere, which is right for 99 of 100 nodules of LIDC-IDRI.
        readers=int(arrays.read(f"{sample_id}{_VOTES}").max()) if readers is None else int(readers),
        groups=row,
    )


def _class_of(rating: float | None) -> float | None:
    if rating is None or _UNSUSPICIOUS < rating < _SUSPICIOUS:
        return None
    return float(rating >= _SUSPICIOUS)


def _picture(arrays: Arrays, sample_id: str) -> Picture:
    votes = arrays.read(f"{sample_id}{_VOTES}")
    return Picture(
        voxels=arrays.read(f"{sample_id}{_IMAGE}"), mask=np.asarray(votes >= min(2, max(1, int(votes.max()))))
    )
