"""The segments of a Segmentation object, each a mask on the grid of the images.

In: a Segmentation, a grid.  Out: number, label, code and mask of each segment, one after the other.
Never: two segments mixed; all masks in memory at once; a mask from another frame of reference.

A label map holds all segments in one array: a pixel is the number of its segment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from wetread.dicom.part10 import BIG_ENDIAN
from wetread.dicom.planes import read_planes
from wetread.dicom.scan import Element
from wetread.dicom.values import Encoding, plain_value, python_encodings
from wetread.domain.code import Code
from wetread.domain.mask import BoolArray, Mask
from wetread.domain.study import Instance, Series, header_text
from wetread.domain.volume import Grid
from wetread.errors import LabelsDoNotFit
from wetread.imaging.frames import iter_frames
from wetread.imaging.layout import PixelLayout, read_layout
from wetread.imaging.segmentation import find_place, read_frame

_SEGMENTS, _NUMBER, _LABEL = 0x00620002, 0x00620004, 0x00620005
_ALGORITHM_TYPE, _TRACKING_UID = 0x00620008, 0x00620021
_TYPE_CODE, _REGION_CODE = 0x0062000F, 0x00082218
_CODE_VALUE, _CODE_SCHEME, _CODE_MEANING = 0x00080100, 0x00080102, 0x00080104
_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_IDENTIFICATION, _REFERENCED_NUMBER = 0x0062000A, 0x0062000B
_CHARACTER_SET, _PIXELS_REPRESENT = 0x00080005, 0x00620001
#: What is asked of an element; those in data sets without VR have the dictionary's (PS3.6).
_VRS = {
    _NUMBER: "US",
    _LABEL: "LO",
    _ALGORITHM_TYPE: "CS",
    _TRACKING_UID: "UI",
    _CODE_VALUE: "SH",
    _CODE_SCHEME: "SH",
    _CODE_MEANING: "LO",
    _REFERENCED_NUMBER: "US",
    _CHARACTER_SET: "CS",
    _PIXELS_REPRESENT: "CS",
}
_KINDS = frozenset({"BINARY", "FRACTIONAL"})
_LABEL_MAP = "LABELMAP"
#: Of a label map: what belongs to no segment.
_BACKGROUND = 0
#: Each is looked for in the whole image.
_MOST_SEGMENTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSegment:
    """What is said of one segment (PS3.3 C.8.20.4)."""

    number: int
    #: As whoever made it called it; ``""`` where it has no name.
    label: str
    #: Segmented Property Type.
    code: Code | None = None
    #: Anatomic Region, where the type does not say it.
    site: Code | None = None
    #: ``""``: it has none, or lost it.
    tracking_uid: str = ""
    #: ``MANUAL``, ``SEMIAUTOMATIC``, ``AUTOMATIC``; ``""``: not said.
    algorithm_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedSegment(NamedSegment):
    """One segment with its mask."""

    mask: Mask


def read_names(segmentation: Instance) -> tuple[NamedSegment, ...]:
    """Return what a Segmentation says of its segments, in the order of their numbers; no pixel is read.

    Raises
    ------
    LabelsDoNotFit
        If two bear the same number.
    InputError
        If it cannot be read.
    """
    names = _begin(segmentation)
    with segmentation.open() as file:
        read_layout(file, names.take)
    names.require_numbers()
    return tuple(item.name for item in names.in_order)


def iter_segments(
    segmentation: Instance, grid: Grid, numbers: Collection[int] | None = None
) -> Iterator[MarkedSegment]:
    """Yield the segments in the order of their numbers.

    Fractional Segmentations count from half of their largest value on. A segment without a frame is empty.

    Parameters
    ----------
    numbers
        Those that are wanted; None: all.

    Raises
    ------
    LabelsDoNotFit
        If a frame does not lie on a plane of the grid, pixel by pixel; if the frame of reference is
        another; if it is not said which segment a frame shows; if there are more than 1000 segments.

    References
    ----------
    PS3.3 A.51, C.8.20.2 and C.8.20.3.
    """
    _require_same_frame(segmentation, grid)
    alone = Series(series_instance_uid=segmentation.series_instance_uid, instances=(segmentation,))
    planes, _ = read_planes(alone)
    names = _begin(segmentation)
    with segmentation.open() as file:
        layout = read_layout(file, names.take)
        names.require_numbers()
        if names.kind not in {*_KINDS, _LABEL_MAP} or len(planes) != layout.frames:
            raise LabelsDoNotFit("A Segmentation does not say where its frames lie: write it again")
        # A frame that lies elsewhere is refused before anything is measured.
        places = [find_place(plane, grid) for plane in planes]
        chosen = [one for one in names.in_order if numbers is None or one.number in numbers]
        if names.kind == _LABEL_MAP:
            labels = _read_labels(file, layout, places, grid)
            names.require_known(labels)
            for item in chosen:
                yield item.with_mask(labels == item.number)
            return
        shown = names.find_shown(layout.frames)
        for item in chosen:
            mask = np.zeros(grid.shape, dtype=bool)
            wanted = [frame for frame, segment in enumerate(shown) if segment == item.number]
            frames = iter_frames(file, [one + 1 for one in wanted], is_decoded=True, layout=layout)
            for index, frame in zip(wanted, frames, strict=True):
                mask[places[index]] |= read_frame(frame.data, layout)
            yield item.with_mask(mask)


def _begin(segmentation: Instance) -> _Names:
    is_big = segmentation.transfer_syntax_uid == BIG_ENDIAN
    return _Names(encoding=Encoding(is_little_endian=not is_big))


def _read_labels(
    file: BinaryIO, layout: PixelLayout, places: Sequence[tuple[int, slice, slice]], grid: Grid
) -> npt.NDArray[np.uint16]:
    """Return the number of the segment of each voxel (PS3.3 C.8.20.2)."""
    if layout.bits_allocated not in (8, 16) or layout.samples != 1:
        raise LabelsDoNotFit("A label map must have 8 or 16 bits a pixel", bits=layout.bits_allocated)
    labels = np.zeros(grid.shape, dtype=np.uint16)
    frames = iter_frames(file, None, is_decoded=True, layout=layout)
    count = layout.rows * layout.columns
    for place, frame in zip(places, frames, strict=True):
        values = np.frombuffer(frame.data, np.uint8 if layout.bits_allocated == 8 else "<u2")
        if values.size < count:
            raise LabelsDoNotFit("A frame of a label map is cut short: send it again")
        labels[place] = values[:count].reshape(layout.rows, layout.columns)
    return labels


def _require_same_frame(segmentation: Instance, grid: Grid) -> None:
    named = header_text(segmentation.header, "FrameOfReferenceUID")
    if named and grid.frame_of_reference_uid and named != grid.frame_of_reference_uid:
        raise LabelsDoNotFit(
            "The Segmentation lies in another frame of reference than the images: register and resample it"
        )


@dataclass(slots=True)
class _Item:
    number: int = 0
    label: str = ""
    code: dict[int, str] = field(default_factory=dict)
    site: dict[int, str] = field(default_factory=dict)
    tracking_uid: str = ""
    algorithm_type: str = ""

    @property
    def name(self) -> NamedSegment:
        """It as a value."""
        return NamedSegment(**self._said)

    def with_mask(self, mask: BoolArray) -> MarkedSegment:
        """It with its mask."""
        return MarkedSegment(**self._said, mask=Mask.from_array(mask))

    @property
    def _said(self) -> dict[str, Any]:
        said = {one: getattr(self, one) for one in ("number", "label", "tracking_uid", "algorithm_type")}
        return said | {"code": _find_code(self.code), "site": _find_code(self.site)}


def _find_code(said: Mapping[int, str]) -> Code | None:
    value, scheme = said.get(_CODE_VALUE, ""), said.get(_CODE_SCHEME, "")
    if not value or not scheme:
        return None
    return Code(value=value, scheme=scheme, meaning=said.get(_CODE_MEANING, ""))


@dataclass(slots=True, kw_only=True)
class _Names:
    """What a header says of its segments and of what each frame shows."""

    #: By the number of the item.
    items: dict[int, _Item] = field(default_factory=dict)
    kind: str = ""
    encoding: Encoding
    _shared: int | None = None
    _shown: dict[int, int] = field(default_factory=dict)

    def take(self, element: Element) -> None:
        """Look at one element."""
        if element.tag not in _VRS or element.value is None:
            return
        tags = [tag for tag, _ in element.path]
        value = plain_value(_VRS[element.tag], element.value, self.encoding)
        if not tags:
            self._take_top(element.tag, value)
        elif tags in ([_SEGMENTS], [_SEGMENTS, _TYPE_CODE], [_SEGMENTS, _REGION_CODE]):
            self._take_segment(element, value)
        elif tags[1:] == [_IDENTIFICATION] and element.tag == _REFERENCED_NUMBER and isinstance(value, int):
            if tags[0] == _SHARED:
                self._shared = value
            elif tags[0] == _PER_FRAME:
                self._shown[element.path[0][1]] = value

    @property
    def in_order(self) -> list[_Item]:
        """The segments; what a label map calls background is none."""
        is_map = self.kind == _LABEL_MAP
        found = [one for one in self.items.values() if not (is_map and one.number == _BACKGROUND)]
        return sorted(found, key=lambda one: one.number)

    def require_numbers(self) -> None:
        """Refuse too many segments, and numbers that are given twice."""
        if len(self.items) > _MOST_SEGMENTS:
            raise LabelsDoNotFit(f"More than {_MOST_SEGMENTS} segments are not measured: send it in parts")
        if len({item.number for item in self.items.values()}) != len(self.items):
            raise _unclear()

    def require_known(self, labels: npt.NDArray[np.uint16]) -> None:
        """Refuse a label map with a number that no segment bears."""
        found = {int(one) for plane in labels for one in np.unique(plane)}
        if not found <= {_BACKGROUND, *(one.number for one in self.items.values())}:
            raise _unclear()

    def find_shown(self, frames: int) -> list[int]:
        """Return the number of the segment that each frame shows."""
        alone = next(iter(self.items.values())).number if len(self.items) == 1 else None
        shown = [
            self._shown.get(frame, self._shared if self._shared is not None else alone)
            for frame in range(frames)
        ]
        known = {item.number for item in self.items.values()}
        if not set(shown) <= known:
            raise _unclear()
        return [one for one in shown if one is not None]

    def _take_top(self, tag: int, value: object) -> None:
        if tag == _CHARACTER_SET:
            names = value if isinstance(value, tuple) else (value,)
            self.encoding = replace(self.encoding, charsets=python_encodings([str(one) for one in names]))
        elif tag == _PIXELS_REPRESENT:
            self.kind = str(value)

    def _take_segment(self, element: Element, value: object) -> None:
        item = self.items.setdefault(element.path[0][1], _Item())
        if len(element.path) == 2:
            if element.path[1][1] == 0:
                said = item.code if element.path[1][0] == _TYPE_CODE else item.site
                said[element.tag] = str(value)
        elif element.tag == _NUMBER and isinstance(value, int):
            item.number = value
        elif element.tag == _LABEL:
            item.label = str(value)
        elif element.tag == _TRACKING_UID:
            item.tracking_uid = str(value)
        elif element.tag == _ALGORITHM_TYPE:
            item.algorithm_type = str(value)


def _unclear() -> LabelsDoNotFit:
    return LabelsDoNotFit("A Segmentation does not say which segment each frame shows: write it again")
