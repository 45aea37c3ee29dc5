"""What somebody asks the archive, whichever protocol they speak.

In: keys and values, taken apart by the protocol's reader.  Out: ``Query``.  Never: SQL, HTTP, DIMSE.

References
----------
PS3.4 C.2.2.2 (attribute matching), PS3.18 8.3.4 and 10.6.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What is looked for; the values are those of Query/Retrieve Level (0008,0052)."""

    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


class MatchKind(StrEnum):
    """How a value is compared; an empty key matches everything and is no ``Match``."""

    #: Equal to one of several values (single value and list of UID matching).
    ANY_OF = "any of"
    #: ``*`` stands for any letters, ``?`` for one.
    WILDCARD = "wildcard"
    #: From the first to the second value, both included; ``""`` is open.
    RANGE = "range"
    #: Without a value. PS3.4 C.2.2.2.7.
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One attribute that must match."""

    #: DICOM keyword; of an item's attribute ``"RequestAttributesSequence.RequestedProcedureID"``.
    keyword: str
    kind: MatchKind
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question at one level."""

    level: Level
    matches: tuple[Match, ...] = ()
    #: None: all.
    limit: int | None = None
    offset: int = 0
    #: Names match by the beginnings of their words, in any order.
    is_fuzzy: bool = False
    #: Only studies that came from these; None: from anywhere.
    sources: Collection[str] | None = None
