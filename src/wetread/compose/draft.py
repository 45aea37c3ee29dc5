"""What all composers of one Reading share.

In: a Reading and its source.  Out: the same with its digest, pictures and findings by name.
Never: another look at the pixels or at the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wetread.compose.source import DocumentReference, Source
from wetread.compose.uid import derive_instance_uid, derive_series_uid
from wetread.domain.change import Said
from wetread.domain.document import Document, DocumentKind
from wetread.domain.finding import Finding
from wetread.domain.reading import Reading
from wetread.domain.volume import Grid

LUNG_WINDOW, SOFT_WINDOW = (-600, 1500), (40, 400)
SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A key image: what is shown, and which image it was taken from."""

    title: str
    #: 8-bit RGB, row by row.
    rgb: bytes
    width: int
    height: int
    #: None for the overview.
    plane: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPlace:
    """A segment in a Segmentation."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Revised:
    """What readers changed in one finding."""

    #: Who changed it last, for people; ``""``: a segmentation that somebody sent.
    person: str
    #: Everything was measured on a reader's outline.
    is_outlined: bool
    #: Names of the measurements that a reader made.
    by_hand: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A finding that a reader added."""

    name: str
    said: Said
    tracking_uid: str
    person: str
    #: Of the image that it points to; ``""``: it is not here any more.
    sop_class_uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByReaders:
    """What readers changed in a Reading, for the documents that tell of it."""

    #: Of the Reading as the model left it.
    digest: str
    #: By tracking UID: the findings that are not the model's any more.
    findings: Mapping[str, Revised]
    #: Numbers of the segments that a reader outlined.
    outlined: frozenset[int]
    #: Sentences: who changed, rejected or added what.
    lines: tuple[str, ...]
    added: tuple[Addition, ...] = ()
    #: Names of the findings, as everywhere else, by tracking UID: some may have been left out.
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One Reading on its way to documents."""

    reading: Reading
    source: Source
    #: ``domain.reading.digest(reading)``; of a Reading as readers have it one of its own.
    digest: str
    pictures: tuple[Picture, ...] = ()
    #: None: it is as the model left it.
    by_readers: ByReaders | None = None
    #: The Segmentation that holds its segments; None: one is composed of it.
    marked_in: DocumentReference | None = None

    @property
    def grid(self) -> Grid:
        """Return the grid of the masks; only for a Reading that was read."""
        if self.reading.grid is None:
            raise ValueError("a Reading that was read has a grid")
        return self.reading.grid

    @property
    def named_findings(self) -> tuple[tuple[str, Finding], ...]:
        """Return each finding with the name it has in every document, e.g. ``"Nodule 1"``."""
        names = self.by_readers.names if self.by_readers is not None else {}
        named = zip(self.reading.finding_names, self.reading.findings, strict=True)
        return tuple((names.get(one.tracking_uid, name), one) for name, one in named)

    @property
    def window(self) -> tuple[int, int]:
        """Return center and width, HU, in which it is seen: the lung's, for organs that of soft tissue."""
        return SOFT_WINDOW if self.reading.sources else LUNG_WINDOW

    @property
    def model_digest(self) -> str:
        """Return the digest of the Reading as the model left it."""
        return self.by_readers.digest if self.by_readers is not None else self.digest

    def instance_uid(self, kind: DocumentKind, ordinal: int = 1) -> str:
        """Return the UID of a document of this Reading, composed or not."""
        return derive_instance_uid(self.digest, kind, ordinal)

    def segment_place(self, number: int) -> SegmentPlace:
        """Return where a segment of this Reading is marked: by others, there; by us, in the SEG of it."""
        origin = self.reading.get_segment(number).origin
        if origin is not None:
            return SegmentPlace(
                sop_class_uid=origin.sop_class_uid,
                sop_instance_uid=origin.sop_instance_uid,
                series_instance_uid=origin.series_instance_uid,
                number=origin.number,
            )
        if self.marked_in is not None:
            return SegmentPlace(
                sop_class_uid=self.marked_in.sop_class_uid,
                sop_instance_uid=self.marked_in.sop_instance_uid,
                series_instance_uid=self.marked_in.series_instance_uid,
                number=number,
            )
        return SegmentPlace(
            sop_class_uid=SEGMENTATION_STORAGE,
            sop_instance_uid=self.instance_uid(DocumentKind.SEG),
            series_instance_uid=self.series_uid(DocumentKind.SEG),
            number=number,
        )

    def series_uid(self, kind: DocumentKind) -> str:
        """Return the UID of the series of a kind."""
        return derive_series_uid(self.digest, kind)

    def plain_document(self, kind: DocumentKind, ordinal: int, title: str, data: bytes) -> Document:
        """Return a document that is no DICOM object."""
        return Document(
            kind=kind,
            ordinal=ordinal,
            sop_instance_uid=self.instance_uid(kind, ordinal),
            sop_class_uid="",
            series_instance_uid="",
            title=title,
            data=data,
        )
