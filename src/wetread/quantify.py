"""The features of what a segmentation marks, offline.

In: a DICOM series and a Segmentation, or two NIfTI files.  Out: features of each segment, with the settings.
Never: a mask resampled; a series guessed where several could be meant; one bad segment that stops the others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wetread.domain.code import Code
from wetread.domain.study import Instance, Series, group_instances
from wetread.domain.volume import Volume
from wetread.errors import InputError, LabelsDoNotFit, UnreadableInstance
from wetread.imaging.label_map import iter_labels
from wetread.imaging.nifti import is_nifti, read_nifti_volume
from wetread.imaging.segmentation import LABEL_MAP_STORAGE, SEGMENTATION_STORAGE, find_referenced_series
from wetread.imaging.segments import MarkedSegment, iter_segments
from wetread.imaging.volume import read_volume
from wetread.measure.texture import FEATURES, RegionFeatures, TextureSettings, measure_texture
from wetread.measure.texture.catalogue import IMAGE_UNIT
from wetread.measure.texture.refused import InvalidTextureSettings
from wetread.receive.folder import read_folder

_SEGMENTATIONS = (SEGMENTATION_STORAGE, LABEL_MAP_STORAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFeatures:
    """What was measured of one segment, or why nothing was."""

    number: int
    label: str
    code: Code | None
    features: RegionFeatures | None
    #: Code and sentence; ``""`` where it was measured.
    problem: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantified:
    """All segments."""

    settings: TextureSettings
    #: Of the image: ``HU``, or ``1`` where the file does not say it.
    unit: str
    segments: tuple[SegmentFeatures, ...]


def quantify_path(image: Path, segmentation: Path, settings: TextureSettings) -> Quantified:
    """Measure what a segmentation marks in an image.

    Parameters
    ----------
    image
        A folder, file or zip of DICOM images, or a NIfTI file.
    segmentation
        A DICOM Segmentation, or a NIfTI label map; of the same kind as the image.

    Raises
    ------
    LabelsDoNotFit
        If the segmentation does not lie on the voxels of the image, or it is not clear of which series it is.
    RefusedImages
        If the series makes no volume.
    UnreadableInstance
        If there is nothing of the kind.
    """
    if is_nifti(image) != is_nifti(segmentation):
        raise LabelsDoNotFit("Image and segmentation must both be DICOM or both NIfTI: convert one of them")
    if is_nifti(image):
        volume = read_nifti_volume(image)
        return _quantify(volume, iter_labels(read_nifti_volume(segmentation), volume.grid), settings, "1")
    with tempfile.TemporaryDirectory(prefix="wetread-") as work:
        (own,) = _read(segmentation, Path(work) / "segmentation", of_segmentation=True, most=1)
        series = _find_series(_read(image, Path(work) / "images", of_segmentation=False), own)
        volume, _ = read_volume(series)
        unit = "HU" if series.modality == "CT" else "1"
        return _quantify(volume, iter_segments(own, volume.grid), settings, unit)


def _read(path: Path, work: Path, *, of_segmentation: bool, most: int | None = None) -> list[Instance]:
    """Read what is a Segmentation, or what is none."""
    instances, problems = read_folder(path, work)
    found = [one for one in instances if (one.sop_class_uid in _SEGMENTATIONS) == of_segmentation]
    if not found:
        reason = problems[0].message if problems else "nothing of the kind"
        kind = "Segmentation" if of_segmentation else "image"
        raise UnreadableInstance(f"There is no DICOM {kind} here: check the path", reason=reason)
    if most is not None and len(found) > most:
        raise LabelsDoNotFit("There are several Segmentations here: name one file", found=len(found))
    return found


def _find_series(images: list[Instance], segmentation: Instance) -> Series:
    """Return the series that a Segmentation names; the only one where it names none."""
    several = [series for study in group_instances(images) for series in study.series]
    named = find_referenced_series(segmentation)
    chosen = [one for one in several if one.series_instance_uid == named] if named else several
    if len(chosen) == 1:
        return chosen[0]
    if named and len(several) == 1:
        # Another series of the same geometry may be measured: where its planes lie decides.
        return several[0]
    raise LabelsDoNotFit(
        "The Segmentation does not say which series it is of: name the folder of one", series=len(several)
    )


def _quantify(
    volume: Volume, segments: Iterable[MarkedSegment], settings: TextureSettings, unit: str
) -> Quantified:
    return Quantified(settings=settings, unit=unit, segments=tuple(_measure_each(volume, segments, settings)))


def _measure_each(
    volume: Volume, segments: Iterable[MarkedSegment], settings: TextureSettings
) -> Iterator[SegmentFeatures]:
    for one in segments:
        features, problem, sentence = None, "", ""
        try:
            features = measure_texture(volume, one.mask, settings)
        except (InputError, InvalidTextureSettings) as error:
            problem, sentence = error.code, str(error)
        yield SegmentFeatures(
            number=one.number,
            label=one.label,
            code=one.code,
            features=features,
            problem=problem,
            sentence=sentence,
        )


def unit_of(name: str, image_unit: str) -> str:
    """Return the unit of a feature, e.g. ``HU.mm3``."""
    unit = FEATURES[name].unit
    if image_unit == "1" and unit.startswith(IMAGE_UNIT):
        rest = unit.removeprefix(IMAGE_UNIT)
        return rest.removeprefix(".") if rest.startswith(".") else "1"
    return unit.replace(IMAGE_UNIT, image_unit)


def to_json(quantified: Quantified) -> dict[str, Any]:
    """Return what ``wetread measure --json`` prints."""
    settings = quantified.settings
    return {
        "settings": {
            "bin_width": settings.bin_width,
            "bin_count": settings.bin_count,
            "lowest": settings.lowest,
            "directions": settings.aggregation.value,
            "distance_voxels": 1,
            "interpolation": None,
        },
        "image_unit": quantified.unit,
        "features": {
            name: {"ibsi": one.code, "unit": unit_of(name, quantified.unit)} for name, one in FEATURES.items()
        },
        "segments": [_segment_json(one) for one in quantified.segments],
    }


def _segment_json(one: SegmentFeatures) -> dict[str, Any]:
    code = one.code
    found = one.features
    return {
        "number": one.number,
        "label": one.label,
        "code": {"value": code.value, "scheme": code.scheme, "meaning": code.meaning} if code else None,
        "voxels": found.voxel_count if found else None,
        "grey_levels": found.level_count if found else None,
        "values": dict(found.values) if found else {},
        "problem": {"code": one.problem, "message": one.sentence} if one.problem else None,
    }
