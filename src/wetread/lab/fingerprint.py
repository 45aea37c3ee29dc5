"""What a data set is like, before anything is learned from it.

In: ``SampleSet``.  Out: ``Fingerprint``.  Never: more than some images in memory at once.

References
----------
Isensee et al. 2021, nnU-Net, doi:10.1038/s41592-020-01008-z.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from wetread.domain.volume import Triple
from wetread.lab.samples import SampleSet

#: Images that are opened to learn intensities and shapes, evenly from all.
_OPENED = 200
#: Values of one image that are looked at.
_VALUES = 20_000
#: More different labels than this are measured values, not classes.
_MOST_CLASSES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """A data set in numbers."""

    name: str
    samples: int
    patients: int
    has_masks: bool
    #: Class -> images; empty where labels are measured values or masks.
    classes: dict[int, int]
    #: (planes, rows, columns).
    median_shape: tuple[int, int, int]
    largest_shape: tuple[int, int, int]
    #: None where the data do not say.
    median_spacing_mm: Triple | None
    #: Of all voxels.
    mean: float
    deviation: float
    percentile_half: float
    percentile_99_half: float
    least: float
    #: Of the voxels, in images with masks.
    marked_share: float
    #: Median lengths, in voxels, of the box around what is marked; zeros where nothing is.
    marked_lengths: tuple[int, int, int]


def fingerprint(samples: SampleSet) -> Fingerprint:
    """Look at a data set.

    Raises
    ------
    InvalidSamples
        If an image cannot be used.
    """
    step = max(1, len(samples.samples) // _OPENED)
    shapes, spacings, values, shares, lengths = [], [], [], [], []
    for sample in samples.samples[::step]:
        picture = samples.load(sample)
        shapes.append(picture.voxels.shape)
        flat = picture.voxels.ravel()
        values.append(flat[:: max(1, len(flat) // _VALUES)].astype(np.float32))
        if picture.spacing_mm is not None:
            spacings.append(picture.spacing_mm)
        if picture.mask is not None and picture.mask.any():
            shares.append(float(picture.mask.mean()))
            lengths.append(np.ptp(np.argwhere(picture.mask), axis=0) + 1)
    everything = np.concatenate(values)
    low, high = np.percentile(everything, [0.5, 99.5])
    spacing = tuple(float(one) for one in np.median(spacings, axis=0)) if spacings else None
    return Fingerprint(
        name=samples.name,
        samples=len(samples.samples),
        patients=len(samples.patients),
        has_masks=samples.has_masks,
        classes=_count_classes(samples),
        median_shape=_triple(np.median(shapes, axis=0)),
        largest_shape=_triple(np.max(shapes, axis=0)),
        median_spacing_mm=None if spacing is None else (spacing[0], spacing[1], spacing[2]),
        mean=float(everything.mean()),
        deviation=float(everything.std()),
        percentile_half=float(low),
        percentile_99_half=float(high),
        least=float(everything.min()),
        marked_share=float(np.mean(shares)) if shares else 0.0,
        marked_lengths=_triple(np.median(lengths, axis=0)) if lengths else (0, 0, 0),
    )


def _count_classes(samples: SampleSet) -> dict[int, int]:
    counts = Counter(one.label for one in samples.samples if one.label is not None)
    if len(counts) > _MOST_CLASSES or any(label != int(label) or label < 0 for label in counts):
        return {}
    return {int(label): counts[label] for label in sorted(counts)}


def _triple(values: np.ndarray) -> tuple[int, int, int]:
    planes, rows, columns = (round(float(one)) for one in values)
    return planes, rows, columns
