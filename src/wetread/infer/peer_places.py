"""Where a report by somebody else says that something lies.

In: content items with coordinates or segments, the grid of the series.  Out: a ``Place`` on that grid.
Never: a place on another image, in another frame of reference, or outside of the images.

References
----------
PS3.3 C.18.6 (SCOORD: columns and rows, 0 at the corner of the first pixel), C.18.9 (SCOORD3D: mm, LPS).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from wetread.dicom.content import Content, Image, Report
from wetread.domain.finding import Axes
from wetread.domain.mask import Mask
from wetread.domain.study import Instance
from wetread.domain.volume import Grid, Triple
from wetread.errors import InputError, UnreadableInstance
from wetread.imaging.segmentation import SEGMENTATION_STORAGE
from wetread.imaging.segments import iter_segments
from wetread.infer.chest_findings import box_lps_mm
from wetread.infer.peer_words import not_understood, other_images

_Points = npt.NDArray[np.float64]
#: Half a pixel beyond the image still belongs to it.
_MARGIN = 1.0
_SHAPES = {"POINT", "MULTIPOINT", "POLYLINE", "POLYGON", "CIRCLE", "ELLIPSE", "ELLIPSOID"}
#: Points that a shape has, no more and no fewer.
_COUNTS = {"POINT": 1, "CIRCLE": 2, "ELLIPSE": 4, "ELLIPSOID": 6}
#: By reference an item may stand for one that stands for none.
_COORDINATES = ("SCOORD", "SCOORD3D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something lies."""

    center_lps_mm: Triple
    box_lps_mm: tuple[Triple, Triple]
    key_plane: int
    #: Where a Segmentation marks it.
    mask: Mask | None = None


# Not slotted: segments are read for the first finding that has one.
@dataclass(frozen=True)
class Places:
    """Finds places of one report on one series."""

    report: Report
    grid: Grid
    series_instance_uid: str
    #: What the report refers to.
    segmentations: tuple[Instance, ...] = ()

    def resolve(self, item: Content) -> Content:
        """Return what an item stands for."""
        try:
            return self.report.resolve(item)
        except UnreadableInstance as error:
            raise not_understood("it refers to an item that it does not hold") from error

    def below(self, item: Content) -> Iterator[Content]:
        """Yield all below an item; what stands there by reference in its place, with what is below that."""
        waiting, seen = [(one, 0) for one in reversed(item.children)], 0
        while waiting:
            one, references = waiting.pop()
            seen += 1
            is_reference = bool(one.target)
            # A report may refer to itself in a ring.
            if references + is_reference > _MOST_REFERENCES or seen > _MOST_BELOW:
                raise not_understood("its items refer to each other without end")
            one = self.resolve(one)
            yield one
            waiting.extend((child, references + is_reference) for child in reversed(one.children))

    def require_images(self, item: Content) -> None:
        """Refuse an item that refers to an image that is none of the series.

        Raises
        ------
        RefusedAnswer
            As it says.
        """
        for one in self.below(item):
            image = one.image if one.kind == "IMAGE" else None
            if image is not None and image.sop_class_uid != SEGMENTATION_STORAGE:
                self._planes(image)

    def find(self, items: Iterable[Content]) -> Place | None:
        """Return where items lie together; None: none of them says it."""
        held = list(items)
        mask = self._mask([one.image for one in held if one.image is not None])
        if mask is not None:
            return self._of_mask(mask)
        boxes = [self._box(one) for one in held if one.kind in _COORDINATES]
        if not boxes:
            return None
        lows, highs = zip(*boxes, strict=True)
        return self._of_box(np.min(lows, axis=0), np.max(highs, axis=0))

    def find_images(self, items: Iterable[Content]) -> Place | None:
        """Return the planes that items refer to as a place; None: they refer to none."""
        planes = [
            plane
            for one in items
            if one.kind == "IMAGE" and one.image is not None
            if one.image.sop_class_uid != SEGMENTATION_STORAGE
            for plane in self._planes(one.image)
        ]
        return self._of_planes(min(planes), max(planes)) if planes else None

    def everywhere(self) -> Place:
        """Return the whole series."""
        return self._of_planes(0, self.grid.shape[0] - 1)

    def axes(self, long: Content, short: Content, plane: int) -> Axes | None:
        """Return two lines as axes; None: they are none, or not on the plane."""
        ends = []
        for item in (long, short):
            lines = [
                one for one in self.below(item) if one.kind in _COORDINATES and one.graphic == "POLYLINE"
            ]
            points = self._points(lines[0]) if len(lines) == 1 else np.zeros((0, 3))
            if len(points) != 2 or (np.abs(points[:, 0] - plane) > 0.5).any():
                return None
            first, last = self.grid.to_lps_mm(points)
            ends.append((_triple(first), _triple(last)))
        return Axes(long=ends[0], short=ends[1])

    def _box(self, item: Content) -> tuple[_Points, _Points]:
        """Return lowest and highest index of a shape, a pixel's or voxel's half added."""
        points = self._points(item)
        if item.graphic == "CIRCLE":
            spacing = np.array(self.grid.spacing_mm)
            radius = np.linalg.norm((points[1] - points[0]) * spacing) / spacing
            radius[0] = 0.0
            low, high = points[0] - radius, points[0] + radius
        elif item.graphic in ("ELLIPSE", "ELLIPSOID"):
            half = np.sqrt((((points[1::2] - points[::2]) / 2) ** 2).sum(axis=0))
            middle = points.mean(axis=0)
            low, high = middle - half, middle + half
        else:
            low, high = points.min(axis=0), points.max(axis=0)
        return low, high

    def _points(self, item: Content) -> _Points:
        """Return the points of an item as indices (plane, row, column), shape (points, 3)."""
        is_flat, numbers = item.kind == "SCOORD", np.asarray(item.coordinates, dtype=float)
        size = 2 if is_flat else 3
        count = len(numbers) // size
        if (
            item.graphic not in _SHAPES
            or len(numbers) % size
            or not count
            or _COUNTS.get(item.graphic, count) != count
            or not np.isfinite(numbers).all()
        ):
            raise not_understood("coordinates that are no shape of the Standard")
        points = self._on_image(item, numbers) if is_flat else self._in_space(item, numbers)
        outside = (points < -_MARGIN) | (points > np.array(self.grid.shape) - 1 + _MARGIN)
        if outside.any():
            raise other_images("a place lies outside of the series")
        return points

    def _on_image(self, item: Content, numbers: _Points) -> _Points:
        images = [one.image for one in self.below(item) if one.kind == "IMAGE" and one.image is not None]
        if len(images) != 1:
            raise not_understood("coordinates that do not say on which image they lie")
        plane = self._planes(images[0])
        if len(plane) != 1:
            raise not_understood("coordinates on a frame of a multi-frame image: send 3D ones")
        columns, rows = numbers[0::2] - 0.5, numbers[1::2] - 0.5
        return np.stack([np.full(len(rows), float(plane[0])), rows, columns], axis=1)

    def _in_space(self, item: Content, numbers: _Points) -> _Points:
        mine, named = self.grid.frame_of_reference_uid, item.frame_of_reference_uid
        if not mine or named != mine:
            raise other_images("coordinates in another frame of reference")
        return self.grid.to_index(numbers.reshape(-1, 3))

    def _planes(self, image: Image) -> list[int]:
        uids = self.grid.sop_instance_uids
        found = [plane for plane, uid in enumerate(uids) if uid == image.sop_instance_uid]
        if not found:
            raise other_images("it refers to an image that is none of the series that was sent")
        return found

    def _mask(self, images: list[Image]) -> Mask | None:
        wanted = [
            (one.sop_instance_uid, number)
            for one in images
            if one.sop_class_uid == SEGMENTATION_STORAGE
            for number in one.segments
        ]
        if not wanted:
            return None
        whole = np.zeros(self.grid.shape, dtype=bool)
        for one in wanted:
            if one not in self._segments:
                raise not_understood("a segment that is not there: its Segmentation must be sent as well")
            mask = self._segments[one]
            whole[mask.box] |= mask.voxels
        if not whole.any():
            raise not_understood("a finding whose segment marks nothing")
        return Mask.from_array(whole)

    @cached_property
    def _segments(self) -> dict[tuple[str, int], Mask]:
        try:
            return {
                (one.sop_instance_uid, segment.number): segment.mask
                for one in self.segmentations
                for segment in iter_segments(one, self.grid)
            }
        except InputError as error:
            raise other_images("its Segmentation does not lie on the pixels of the series") from error

    def _of_mask(self, mask: Mask) -> Place:
        middle = self.grid.to_lps_mm(np.argwhere(mask.voxels).mean(axis=0) + mask.offset)
        box = box_lps_mm(self.grid, mask)
        return Place(center_lps_mm=_triple(middle), box_lps_mm=box, key_plane=mask.largest_plane, mask=mask)

    def _of_planes(self, first: int, last: int) -> Place:
        _, rows, columns = self.grid.shape
        return self._of_box(np.array([first, 0.0, 0.0]), np.array([last, rows - 1.0, columns - 1.0]))

    def _of_box(self, low: _Points, high: _Points) -> Place:
        limit = np.array(self.grid.shape) - 1.0
        low, high = np.clip(low, 0, limit), np.clip(high, 0, limit)
        middle = (low + high) / 2
        sides = (low - 0.5, high + 0.5)
        corners = [[sides[bit][axis] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)]
        points = self.grid.to_lps_mm(corners)
        return Place(
            center_lps_mm=_triple(self.grid.to_lps_mm(middle)),
            box_lps_mm=(_triple(points.min(axis=0)), _triple(points.max(axis=0))),
            key_plane=round(float(middle[0])),
        )


_MOST_REFERENCES = 4
_MOST_BELOW = 20_000


def _triple(point: _Points) -> Triple:
    x, y, z = (round(float(one), 4) for one in point)
    return x, y, z
