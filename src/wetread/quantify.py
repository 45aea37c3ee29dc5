"""The features of what a segmentation marks, offline.

In: a DICOM series and a Segmentation, or two NIfTI files.  Out: features of each segment, with the settings.
Never: a mask resampled; a series guessed where several could be meant; one bad segment that stops the others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wetread.domain.code import Code
from wetread.domain.measurement import MEASUREMENTS
from wetread.domain.study import Instance, Series, group_instances
from wetread.domain.volume import Volume
from wetread.errors import InputError, LabelsDoNotFit, UnreadableInstance
from wetread.imaging.label_map import iter_labels
from wetread.imaging.nifti import is_nifti, read_nifti_volume
from wetread.imaging.segmentation import LABEL_MAP_STORAGE, SEGMENTATION_STORAGE, find_referenced_series
from wetread.imaging.segments import MarkedSegment, iter_segments
from wetread.imaging.volume import read_volume
from wetread.measure.native import Acquisition, read_acquisition
from wetread.measure.organ_code import Known, find_organ
from wetread.measure.organ_report import Limits, MarkedOrgan, OrganReport, report_organs
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
    #: None: no organ, by its code.
    organ: Known | None = None
    #: Of an organ, names of ``MEASUREMENTS``; empty where nothing could be measured.
    organ_measurements: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantified:
    """All segments."""

    settings: TextureSettings
    #: Of the image: ``HU``, or ``1`` where the file does not say it.
    unit: str
    segments: tuple[SegmentFeatures, ...]
    #: What the organs among them say together; None: there is none, or this is no CT in HU.
    organs: OrganReport | None = None


def quantify_path(
    image: Path, segmentation: Path, settings: TextureSettings, limits: Limits | None = None
) -> Quantified:
    """Measure what a segmentation marks in an image.

    Parameters
    ----------
    image
        A folder, file or zip of DICOM images, or a NIfTI file.
    segmentation
        A DICOM Segmentation, or a NIfTI label map; of the same kind as the image.
    limits
        What densities of organs are held against; a NIfTI file does not code what is an organ.

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
        if series.modality != "CT":
            return _quantify(volume, iter_segments(own, volume.grid), settings, "1")
        organs: list[MarkedOrgan] = []
        segments = _keep_organs(iter_segments(own, volume.grid), organs)
        found = _quantify(volume, segments, settings, "HU")
        return _with_organs(found, organs, volume, read_acquisition(series), limits)


def _keep_organs(segments: Iterable[MarkedSegment], organs: list[MarkedOrgan]) -> Iterator[MarkedSegment]:
    """Pass segments on, and keep those that are organs: they are compared with each other."""
    for one in segments:
        known = find_organ(one.code, one.site)
        if known is not None:
            organs.append(MarkedOrgan(known=known, mask=one.mask))
        yield one


def _with_organs(
    found: Quantified,
    organs: list[MarkedOrgan],
    volume: Volume,
    acquisition: Acquisition,
    limits: Limits | None,
) -> Quantified:
    if not organs:
        return found
    report = report_organs(volume, organs, acquisition, limits)
    numbers = iter(report.organs)
    segments = tuple(
        replace(one, organ_measurements=next(numbers).measurements) if one.organ else one
        for one in found.segments
    )
    return replace(found, segments=segments, organs=report)


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
    return Quantified(
        settings=settings, unit=unit, segments=tuple(_measure_each(volume, segments, settings, unit))
    )


def _measure_each(
    volume: Volume, segments: Iterable[MarkedSegment], settings: TextureSettings, unit: str
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
            organ=find_organ(one.code, one.site) if unit == "HU" else None,
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
        "organs": _organs_json(quantified.organs) if quantified.organs else None,
    }


def _organs_json(report: OrganReport) -> dict[str, Any]:
    return {
        "phase": report.phase.value,
        "phase_reason": report.phase_reason,
        "conclusions": [
            {"sign": one.sign.value, "values": dict(one.measurements)} for one in report.conclusions
        ],
        "not_evaluable": list(report.not_evaluable),
        "units": {name: MEASUREMENTS[name].unit.value for one in report.organs for name in one.measurements},
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
        "organ": one.organ.organ.value if one.organ else None,
        "organ_values": dict(one.organ_measurements),
        "problem": {"code": one.problem, "message": one.sentence} if one.problem else None,
    }
