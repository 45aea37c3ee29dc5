"""What all composers of one Reading share.

In: a Reading and its source.  Out: the same with its digest, pictures and findings by name.
Never: another look at the pixels or at the clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from wetread.compose.source import Source
from wetread.compose.uid import derive_instance_uid, derive_series_uid
from wetread.domain.document import Document, DocumentKind
from wetread.domain.finding import Finding
from wetread.domain.reading import Reading
from wetread.domain.volume import Grid


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
class Draft:
    """One Reading on its way to documents."""

    reading: Reading
    source: Source
    #: ``domain.reading.digest(reading)``.
    digest: str
    pictures: tuple[Picture, ...] = ()

    @property
    def grid(self) -> Grid:
        """Return the grid of the masks; only for a Reading that was read."""
        if self.reading.grid is None:
            raise ValueError("a Reading that was read has a grid")
        return self.reading.grid

    @property
    def named_findings(self) -> tuple[tuple[str, Finding], ...]:
        """Return each finding with the name it has in every document, e.g. ``"Nodule 1"``."""
        return tuple(zip(self.reading.finding_names, self.reading.findings, strict=True))

    def instance_uid(self, kind: DocumentKind, ordinal: int = 1) -> str:
        """Return the UID of a document of this Reading, composed or not."""
        return derive_instance_uid(self.digest, kind, ordinal)

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
