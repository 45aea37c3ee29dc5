"""From one Reading to its documents.

In: a Reading, its source, the kinds wanted.  Out: documents, the same bytes every time.
Never: files, network, the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from wetread.compose.draft import Draft
from wetread.compose.oru import compose_oru
from wetread.compose.pdf import compose_pdf
from wetread.compose.picture import render_pictures
from wetread.compose.pr import compose_pr
from wetread.compose.reg import compose_reg
from wetread.compose.sc import compose_png, compose_sc
from wetread.compose.seg import compose_seg
from wetread.compose.source import Source
from wetread.compose.sr import compose_sr
from wetread.compose.text import compose_text
from wetread.domain.document import Document, DocumentKind
from wetread.domain.reading import Outcome, Reading, digest

_COMPOSERS: Mapping[DocumentKind, Callable[[Draft], tuple[Document, ...]]] = MappingProxyType(
    {
        # What others refer to comes first.
        DocumentKind.SEG: compose_seg,
        DocumentKind.REG: compose_reg,
        DocumentKind.SR: compose_sr,
        DocumentKind.PR: compose_pr,
        DocumentKind.SC: compose_sc,
        DocumentKind.PNG: compose_png,
        DocumentKind.PDF: compose_pdf,
        DocumentKind.TEXT: compose_text,
        DocumentKind.ORU: compose_oru,
    }
)
#: A study that was not read gets words alone: an image object would look like a result.
KINDS_WHEN_NOT_READ = frozenset({DocumentKind.TEXT, DocumentKind.ORU})
_WITH_PICTURES = frozenset({DocumentKind.SC, DocumentKind.PNG, DocumentKind.PDF})


def compose(reading: Reading, source: Source, kinds: Collection[DocumentKind]) -> tuple[Document, ...]:
    """Compose the documents of a Reading.

    Parameters
    ----------
    reading
        Read or not read; of the latter only ``KINDS_WHEN_NOT_READ`` are composed.
    source
        The series that was read, see ``read_source``; without a volume there are no pictures.
    kinds
        What is wanted. A kind with nothing to say (no segment, nothing to draw) gives no document.

    Returns
    -------
    tuple of Document
        SEG first, since others refer to it. The same arguments give the same bytes.

    Raises
    ------
    ValueError
        If the source is not that of the Reading.
    """
    _check_source(reading, source)
    wanted = set(kinds)
    if reading.outcome is Outcome.NOT_READ:
        wanted &= KINDS_WHEN_NOT_READ
    draft = Draft(reading=reading, source=source, digest=digest(reading))
    if wanted & _WITH_PICTURES:
        draft = Draft(reading=reading, source=source, digest=draft.digest, pictures=render_pictures(draft))
    return tuple(document for kind in _COMPOSERS if kind in wanted for document in _COMPOSERS[kind](draft))


def _check_source(reading: Reading, source: Source) -> None:
    study = source.text("StudyInstanceUID")
    if study and study != reading.study_instance_uid:
        raise ValueError("the source belongs to another study")
    if reading.outcome is Outcome.NOT_READ:
        return
    if reading.grid is None:
        raise ValueError("a Reading that was read needs a grid")
    if source.series_instance_uid != reading.series_instance_uid:
        raise ValueError("the source is another series")
    if len(source.planes) != reading.grid.shape[0]:
        raise ValueError("one image for each plane")
    uids = tuple(plane.sop_instance_uid for plane in source.planes)
    if reading.grid.sop_instance_uids and uids != reading.grid.sop_instance_uids:
        raise ValueError("the images are not in the order of the grid")
