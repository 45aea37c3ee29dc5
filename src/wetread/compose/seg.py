"""The masks as a binary Segmentation (PS3.3 A.51, C.8.20).

In: a draft with segments.  Out: one SEG; frames only where a segment has voxels.  Never: resampling.

Written with pydicom and, frame by frame, by hand: two lungs on 300 planes take 0.1 s that way, and the
results of a study have three seconds in all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from wetread.compose import header
from wetread.compose.draft import SEGMENTATION_STORAGE, Draft
from wetread.compose.frames import SegmentFrame, encode_frames
from wetread.compose.uid import derive_uid
from wetread.domain import code
from wetread.domain.code import Code
from wetread.domain.document import Document, DocumentKind
from wetread.domain.finding import Segment
from wetread.domain.mask import Mask

_ARTIFICIAL_INTELLIGENCE = Code(value="123110", scheme="DCM", meaning="Artificial Intelligence")

# CIE L*a*b*: lungs are two calm blues, air where none belongs is red, other things go round the wheel.
_LUNG_COLOURS = {code.RIGHT.value: (64.0, -14.0, -28.0), code.LEFT.value: (74.0, -30.0, -8.0)}
_PNEUMOTHORAX_COLOUR = (55.0, 72.0, 50.0)
_FINDING_COLOURS = (
    (85.0, 5.0, 80.0),
    (70.0, 45.0, 60.0),
    (80.0, -60.0, 60.0),
    (65.0, 70.0, -35.0),
    (85.0, -45.0, -10.0),
)


def compose_seg(draft: Draft) -> tuple[Document, ...]:
    """Return the SEG, or nothing where no voxel is marked."""
    if any(segment.origin is not None for segment in draft.reading.segments):
        # Others marked them, and their Segmentation is referred to: there is none of ours.
        return ()
    frames = [(segment, plane) for segment in draft.reading.segments for plane in _used_planes(segment.mask)]
    if not frames:
        return ()
    ds = header.new_dataset(draft, DocumentKind.SEG, 1, SEGMENTATION_STORAGE)
    _add_image_modules(ds, draft, len(frames))
    ds.SegmentSequence = Sequence([_segment_item(segment, draft) for segment in draft.reading.segments])
    _add_dimensions(ds, draft)
    _add_shared_groups(ds, draft)
    _add_references(ds, draft, frames)
    bits = pack_frames([segment.mask for segment in draft.reading.segments])
    tail = encode_frames(_segment_frames(draft, frames), bits)
    return (header.finish(ds, DocumentKind.SEG, "Segmentation", tail),)


def pack_frames(masks: list[Mask]) -> bytes:
    """Return the non-empty planes of the masks, one after the other, as single bits (PS3.5 8.1.1)."""
    if all(mask.shape[2] % 8 == 0 for mask in masks):
        packed = b"".join(_pack_mask(mask).tobytes() for mask in masks)
    else:
        # Frames follow each other without padding, so that a frame may start inside a byte.
        images = [mask.plane(plane).ravel() for mask in masks for plane in _used_planes(mask)]
        flat = np.concatenate([np.zeros(0, dtype=bool), *images])
        packed = np.packbits(flat, bitorder="little").tobytes()
    return packed + b"\0" * (len(packed) % 2)


def _pack_mask(mask: Mask) -> npt.NDArray[np.uint8]:
    """Pack the box alone and put it where it belongs: most of a frame is empty."""
    _, rows, columns = mask.shape
    used = mask.voxels.any(axis=(1, 2))
    _, row_box, column_box = mask.box
    first, last = column_box.start // 8, -(-column_box.stop // 8)
    wide = np.zeros((int(used.sum()), mask.voxels.shape[1], (last - first) * 8), dtype=bool)
    left = column_box.start - first * 8
    wide[:, :, left : left + mask.voxels.shape[2]] = mask.voxels[used]
    frames = np.zeros((wide.shape[0], rows, columns // 8), dtype=np.uint8)
    if wide.size:
        frames[:, row_box, first:last] = np.packbits(wide, axis=2, bitorder="little")
    return frames


def _used_planes(mask: Mask) -> list[int]:
    used: list[int] = (np.flatnonzero(mask.voxels.any(axis=(1, 2))) + mask.offset[0]).tolist()
    return used


def _add_image_modules(ds: Dataset, draft: Draft, frame_count: int) -> None:
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.ContentLabel = "WETREAD"
    ds.ContentDescription = "Segments of the wet read, not for clinical use"
    ds.ContentCreatorName = None
    ds.SegmentationType = "BINARY"
    ds.SegmentsOverlap = "UNDEFINED"
    ds.LossyImageCompression = "00"
    ds.BurnedInAnnotation = "NO"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 1, 0, 0
    _, ds.Rows, ds.Columns = draft.grid.shape
    ds.NumberOfFrames = frame_count
    ds.FrameOfReferenceUID = frame_of_reference_uid(draft)
    ds.PositionReferenceIndicator = None


def frame_of_reference_uid(draft: Draft) -> str:
    """Return the images' frame of reference."""
    return draft.grid.frame_of_reference_uid or draft.source.text("FrameOfReferenceUID")


def _segment_item(segment: Segment, draft: Draft) -> Dataset:
    item = Dataset()
    item.SegmentNumber = segment.number
    item.SegmentLabel = header.long_string(segment.label) or f"Segment {segment.number}"
    if draft.by_readers is not None and segment.number in draft.by_readers.outlined:
        item.SegmentAlgorithmType = "MANUAL"
    else:
        _add_algorithm(item, draft)
    item.RecommendedDisplayCIELabValue = _cielab(segment)
    item.SegmentedPropertyCategoryCodeSequence = header.code_sequence(segment.category)
    item.SegmentedPropertyTypeCodeSequence = header.code_sequence(segment.type)
    if segment.tracking_uid:
        item.TrackingID = header.long_string(segment.label)
        item.TrackingUID = segment.tracking_uid
    _add_place(item, segment)
    return item


def _add_algorithm(item: Dataset, draft: Draft) -> None:
    model = draft.reading.model
    item.SegmentAlgorithmType = "AUTOMATIC"
    item.SegmentAlgorithmName = header.long_string(model.name)
    algorithm = Dataset()
    algorithm.AlgorithmFamilyCodeSequence = header.code_sequence(_ARTIFICIAL_INTELLIGENCE)
    algorithm.AlgorithmName = header.long_string(model.name)
    algorithm.AlgorithmVersion = header.long_string(model.version)
    item.SegmentationAlgorithmIdentificationSequence = Sequence([algorithm])


def _add_place(item: Dataset, segment: Segment) -> None:
    """Say where, and on which side: of the region where there is one, else of the thing itself."""
    if segment.site is not None:
        region = header.code_item(segment.site)
        if segment.laterality is not None:
            region.AnatomicRegionModifierSequence = header.code_sequence(segment.laterality)
        item.AnatomicRegionSequence = Sequence([region])
    elif segment.laterality is not None:
        type_item = item.SegmentedPropertyTypeCodeSequence[0]
        type_item.SegmentedPropertyTypeModifierCodeSequence = header.code_sequence(segment.laterality)


def _cielab(segment: Segment) -> list[int]:
    if segment.type == code.LUNG:
        side = segment.laterality.value if segment.laterality else ""
        colour = _LUNG_COLOURS.get(side, (68.0, -20.0, -20.0))
    elif segment.type == code.PNEUMOTHORAX:
        colour = _PNEUMOTHORAX_COLOUR
    else:
        colour = _FINDING_COLOURS[segment.number % len(_FINDING_COLOURS)]
    lightness, a, b = colour  # PS3.3 C.10.7.1.1: 0..100 and -128..127 scaled to 16 bits
    return [round(lightness / 100 * 65535), round((a + 128) / 255 * 65535), round((b + 128) / 255 * 65535)]


def _add_dimensions(ds: Dataset, draft: Draft) -> None:
    uid = derive_uid(draft.digest, "seg", "dimensions")
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    ds.DimensionOrganizationSequence = Sequence([organization])
    pointers = []
    for index, group, label in (
        (0x0062000B, 0x0062000A, "Segment"),
        (0x00200032, 0x00209113, "Position"),
    ):
        pointer = Dataset()
        pointer.DimensionOrganizationUID = uid
        pointer.DimensionIndexPointer = index
        pointer.FunctionalGroupPointer = group
        pointer.DimensionDescriptionLabel = label
        pointers.append(pointer)
    ds.DimensionIndexSequence = Sequence(pointers)


def _add_shared_groups(ds: Dataset, draft: Draft) -> None:
    grid = draft.grid
    measures = Dataset()
    measures.SliceThickness = draft.source.text("SliceThickness") or header.decimal(grid.spacing_mm[0])
    measures.SpacingBetweenSlices = header.decimal(grid.spacing_mm[0])
    measures.PixelSpacing = [header.decimal(grid.spacing_mm[1]), header.decimal(grid.spacing_mm[2])]
    orientation = Dataset()
    orientation.ImageOrientationPatient = [
        header.decimal(cosine) for cosine in (*grid.directions[2], *grid.directions[1])
    ]
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])


def _segment_frames(draft: Draft, frames: list[tuple[Segment, int]]) -> list[SegmentFrame]:
    planes = sorted({plane for _, plane in frames})
    shown = {plane: index for index, plane in enumerate(planes, start=1)}
    positions = {plane: _position(draft, plane) for plane in planes}
    return [
        SegmentFrame(
            segment_number=segment.number,
            position_index=shown[plane],
            position=positions[plane],
            source=draft.source.planes[plane],
        )
        for segment, plane in frames
    ]


def _position(draft: Draft, plane: int) -> tuple[str, str, str]:
    """Return the image's own position, so that viewers which compare numbers find it."""
    place = draft.source.planes[plane].position_lps_mm
    x, y, z = place if place is not None else draft.grid.to_lps_mm((plane, 0, 0)).tolist()
    return header.decimal(x), header.decimal(y), header.decimal(z)


def _add_references(ds: Dataset, draft: Draft, frames: list[tuple[Segment, int]]) -> None:
    """Name the images used (Common Instance Reference Module, PS3.3 C.12.2)."""
    series = Dataset()
    series.SeriesInstanceUID = draft.source.series_instance_uid
    used = sorted({plane for _, plane in frames})
    series.ReferencedInstanceSequence = header.instance_items(draft.source.planes[plane] for plane in used)
    ds.ReferencedSeriesSequence = Sequence([series])
