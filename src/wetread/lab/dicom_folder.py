"""A folder of DICOM series with Segmentations, or with a table of labels by study.

In: DICOM files in any order.  Out: ``SampleSet``: one sample a series that somebody segmented, or a labelled
study's longest.  Never: a Patient ID, name or UID in what is told of a sample; a Segmentation resampled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wetread.domain.study import Instance, Series, Study, group_instances, header_text, study_key
from wetread.errors import InputError, InvalidSamples, LabelsDoNotFit
from wetread.imaging.segmentation import SEGMENTATION_STORAGE, find_referenced_series, read_mask
from wetread.imaging.volume import read_volume
from wetread.lab.labels import Table, read_number
from wetread.lab.samples import Picture, Sample, SampleSet
from wetread.measure.orientation import to_upright
from wetread.receive.folder import read_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class _Images:
    series: Series
    segmentations: tuple[Instance, ...] = ()


def read_dicom_folder(folder: Path, table: Table | None = None) -> SampleSet:
    """Read a folder of DICOM objects.

    Parameters
    ----------
    table
        Rows by ``id``, the Study Instance UID, with ``label``; the longest series of each study is taken.

    Raises
    ------
    InvalidSamples
        If there are no images.
    LabelsDoNotFit
        If nothing is segmented and there is no table, or a Segmentation is about images that are not here.
    """
    instances, _ = read_folder(folder, folder)  # nothing is unpacked
    masks = [one for one in instances if one.sop_class_uid == SEGMENTATION_STORAGE]
    studies = group_instances([one for one in instances if one.sop_class_uid != SEGMENTATION_STORAGE])
    if not studies:
        raise InvalidSamples("There are no DICOM images here", data=folder.name)
    found = _with_table(studies, table) if table is not None else _with_masks(studies, masks)
    if not found:
        raise LabelsDoNotFit(
            "No series has a Segmentation, and there is no table of labels", data=folder.name
        )
    pictures = {sample.id: images for sample, images in found}
    return SampleSet(
        name=folder.name,
        samples=tuple(sample for sample, _ in found),
        open_picture=lambda sample: _picture(pictures, sample.id),
        has_masks=table is None,
        notes=("The patient is a digest of Patient ID.", "All segments of a series count as one mask."),
    )


def _with_masks(studies: Sequence[Study], masks: Sequence[Instance]) -> list[tuple[Sample, _Images]]:
    by_series: dict[str, list[Instance]] = {}
    for mask in masks:
        by_series.setdefault(find_referenced_series(mask), []).append(mask)
    found = []
    for study in studies:
        for series in study.series:
            ours = by_series.pop(series.series_instance_uid, [])
            if ours:
                sample = Sample(id=study_key(series.series_instance_uid), patient=_patient(study))
                found.append((sample, _Images(series=series, segmentations=tuple(ours))))
    if by_series:
        raise LabelsDoNotFit(
            "A Segmentation is about a series that is not here", segmentations=len(by_series)
        )
    return found


def _with_table(studies: Sequence[Study], table: Table) -> list[tuple[Sample, _Images]]:
    found = []
    for study in studies:
        key = study_key(study.study_instance_uid)
        row = table.rows.get(study.study_instance_uid)
        if row is None:
            raise LabelsDoNotFit("A study has no row in the table of labels: add it", study=key)
        groups = {name: value for name, value in row.items() if name not in {"id", "patient"}}
        sample = Sample(id=key, patient=_patient(study), label=read_number(row, "label", key), groups=groups)
        longest = max(study.series, key=lambda one: len(one.instances))
        found.append((sample, _Images(series=longest)))
    return found


def _patient(study: Study) -> str:
    text = "\\".join(header_text(study.header, name) for name in ("PatientID", "IssuerOfPatientID"))
    named = text if text.strip("\\ ") else study.study_instance_uid
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def _picture(pictures: Mapping[str, _Images], sample_id: str) -> Picture:
    images = pictures[sample_id]
    try:
        volume, _ = read_volume(images.series)
        masks = [read_mask(one, volume.grid) for one in images.segmentations]
    except InvalidSamples:
        raise
    except InputError as error:
        raise InvalidSamples("A series cannot be read", sample=sample_id, reason=str(error)) from error
    mask = np.logical_or.reduce(masks) if masks else None
    # As serving shows it to a network, whatever way the images came.
    turned, upright = to_upright(volume)
    return Picture(
        voxels=turned.voxels,
        spacing_mm=turned.grid.spacing_mm,
        mask=None if mask is None else upright.view(mask),
    )
