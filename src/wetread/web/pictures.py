"""Pictures of slices, and what is marked on them.

In: a study's row, a stack, a slice's number.  Out: PNG, SVG.
Never: a name burnt in for whom it is not; a picture of images that are not in the study.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from PIL import Image

from wetread.domain.change import revise, standing
from wetread.domain.mask import Mask
from wetread.domain.reading import Outcome, Reading
from wetread.errors import InvalidQuery
from wetread.imaging.render import Array, show
from wetread.store import Store
from wetread.store.readings import ReadingRow
from wetread.store.studies import StudyRow
from wetread.web.marks import Mark, Part, draw_svg, marks_on, name_marks, picture_scale
from wetread.web.stacks import WINDOWS, Stack, StudyStacks

#: Readings with the masks of their findings that are kept in memory.
_KEPT_READINGS = 8
# Twice the size is rarely asked for, and eight times never: headers may say anything.
_MOST_STRETCH = 8.0


class Pictures:
    """Makes pictures of what a store holds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stacks = StudyStacks(store.studies)
        self._load: Callable[[str], Reading] = lru_cache(_KEPT_READINGS)(self._load_marked)

    def list_stacks(self, row: StudyRow) -> tuple[Stack, ...]:
        """Return the stacks of a study."""
        return self._stacks.of(row)

    def draw_slice(
        self, row: StudyRow, stack: Stack, number: int, window: str, part: Part | None
    ) -> bytes | None:
        """Return a slice as PNG, turned as usual, its pixels square; None where its object is gone.

        Raises
        ------
        InvalidQuery
            If the part lies beyond the image.
        InputError
            If it cannot be decoded.
        """
        one, catalogue = stack.slices[number - 1], self._store.catalogue
        found = catalogue.list_held(row.study_instance_uid, stack.series_instance_uid, one.sop_instance_uid)
        if not found:
            return None
        with catalogue.open(found[0]) as file:
            shown = show(file, one.frame, WINDOWS[window])
        pixels, scale = shown.pixels, (1.0, shown.pixel_aspect)
        if stack.layout is not None:
            pixels, scale = stack.layout.view.turn(pixels), picture_scale(stack)
        return _encode(_cut(pixels, part), scale)

    def draw_marks(self, row: StudyRow, stack: Stack, number: int, of: str, part: Part | None) -> str:
        """Return what is marked on a slice as SVG, as large as ``draw_slice`` makes it.

        Parameters
        ----------
        of
            Draw one finding only (``FindingCard.of``); ``""``: all.
        """
        digest, _, index = of.partition("-")
        changes = self._store.changes.list_for_study(row.study_instance_uid)
        marks: list[Mark] = []
        for one in self.list_standing(row):
            if one.digest.startswith(digest):
                # Where a reader outlined it anew, that outline is the one.
                reading = revise(self._load(one.digest), standing(changes, one.digest))
                wanted = reading.findings[int(index) :][:1] if index else reading.findings
                uids = {finding.tracking_uid for finding in wanted}
                marks += [mark for mark in marks_on(reading, stack, number) if mark.tracking_uid in uids]
        return draw_svg(tuple(marks), stack, part)

    def name_marks(self, row: StudyRow) -> str:
        """Return what names the outlines as they are now (``marks.name_marks``)."""
        changes = self._store.changes.list_for_study(row.study_instance_uid)
        return name_marks((one.digest for one in self.list_standing(row)), changes)

    def list_standing(self, row: StudyRow) -> list[ReadingRow]:
        """Return the Readings whose findings are shown."""
        rows = self._store.readings.list_for_study(row.study_instance_uid)
        return [one for one in rows if not one.superseded and one.outcome is Outcome.READ]

    def _load_marked(self, digest: str) -> Reading:
        """Return a Reading with the masks of its findings: those of organs would fill the memory."""
        reading = self._store.readings.load(digest)
        wanted = {finding.segment_number for finding in reading.findings}
        segments = tuple(
            one if one.number in wanted else replace(one, mask=_empty(one.mask)) for one in reading.segments
        )
        return replace(reading, segments=segments)


def _empty(mask: Mask) -> Mask:
    return Mask(shape=mask.shape, offset=(0, 0, 0), voxels=np.zeros((0, 0, 0), dtype=bool))


def _cut(pixels: Array, part: Part | None) -> Array:
    if part is None:
        return pixels
    rows, columns = pixels.shape[:2]
    if part.left + part.width > columns or part.top + part.height > rows:
        raise InvalidQuery("The part lies beyond the image.")
    return pixels[part.top : part.top + part.height, part.left : part.left + part.width]


def _encode(pixels: Array, scale: tuple[float, float]) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    across, along = (min(one, _MOST_STRETCH) for one in scale)
    size = max(1, round(image.width * across)), max(1, round(image.height * along))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    written = io.BytesIO()
    # The lowest effort: three times as fast for a tenth more bytes.
    image.save(written, "PNG", compress_level=1)
    return written.getvalue()
