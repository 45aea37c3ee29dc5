"""Who takes in what is fetched: a port, filled by whoever receives.

In: nothing.  Out: protocols.  Never: a second way for an image into the store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wetread.domain.study import Instance


class Body(Protocol):
    """An HTTP body that brings objects."""

    def feed(self, data: bytes) -> None:
        """Take the next piece; objects that end in it are stored."""

    def end(self) -> None:
        """End it: it came whole."""


class Tally(Protocol):
    """What became of the objects of one transfer."""

    @property
    def stored(self) -> int:
        """How many were stored, or were here already."""

    @property
    def refused(self) -> list[tuple[str, str, str]]:
        """SOP Instance UID, code and sentence of what was not stored; the first of them."""

    @property
    def refused_count(self) -> int:
        """How many were not stored."""


class Taking(Protocol):
    """One transfer."""

    @property
    def tally(self) -> Tally:
        """What became of its objects so far."""

    def attach(self, association: Any) -> None:
        """Take what comes by C-STORE on an association that we opened (C-GET)."""

    def open_body(self, content_type: str) -> Body:
        """Take what comes in an HTTP body.

        Raises
        ------
        ValueError
            If it is no body of DICOM objects; the text says so.
        """

    def close(self, *, is_broken: bool) -> None:
        """End the transfer; it is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class From:
    """Where a transfer comes from, and what may come in it."""

    source: str
    aet: str
    address: str
    #: Returns why an object must not be taken, as code and sentence; None: it may.
    check: Callable[[Instance], tuple[str, str] | None]


#: Begins a transfer.
BeginTaking = Callable[[From], Taking]
