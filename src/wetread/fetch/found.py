"""What a PACS lists, whichever way it was asked.

In: keys and values as a PACS wrote them.  Out: ``Found``, within bounds.
Never: a UID that is none; a value without measure; a match that was not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from wetread.dicom.header import is_uid
from wetread.domain.query import Level
from wetread.domain.study import Header, Scalar, header_text

#: Of one value, in letters.
LONGEST_VALUE = 1024
#: Of one attribute's values.
MOST_VALUES = 64
UNIQUE_KEYS = {
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}
#: What is asked to be told, beside what is matched.
STUDY_KEYS = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "PatientID", "IssuerOfPatientID"),
    *("ModalitiesInStudy", "StudyDescription", "NumberOfStudyRelatedInstances"),
)
SERIES_KEYS = (
    *("StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality", "BodyPartExamined"),
    *("SeriesDescription", "ProtocolName", "StationName", "NumberOfSeriesRelatedInstances"),
)
IMAGE_KEYS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One match: attributes that have a value, by DICOM keyword."""

    header: Header = field(repr=False)

    def text(self, keyword: str) -> str:
        """Return a value, ``""`` where it was not told."""
        return header_text(self.header, keyword).strip()

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return the values of an attribute that may have several."""
        return tuple(one.strip() for one in self.text(keyword).split("\\") if one.strip())

    def count(self, keyword: str) -> int | None:
        """Return a number of instances, None where none was told."""
        text = self.text(keyword)
        return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None

    @property
    def study_instance_uid(self) -> str:
        """Which study it is, or belongs to."""
        return self.text("StudyInstanceUID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one question brought."""

    found: tuple[Found, ...]
    #: There was more than is taken.
    is_cut: bool = False
    #: Matches that were none: without UIDs, or not asked for.
    dropped: int = 0


class Finder(Protocol):
    """Asks a PACS; opened once for several questions."""

    def find(self, level: Level, matching: Mapping[str, str], keys: Iterable[str]) -> Answer:
        """Return what matches.

        Raises
        ------
        PeerError
            If the PACS does not answer, or refuses.
        """


class Collector:
    """Takes matches one by one, and only those that were asked for."""

    def __init__(self, level: Level, matching: Mapping[str, str], limit: int) -> None:
        self._level, self._matching, self._limit = level, matching, limit
        self._found: dict[str, Found] = {}
        self._dropped = 0
        self.is_full = False

    def add(self, header: Header) -> None:
        """Take a match."""
        found = Found(header=header)
        uid = found.text(UNIQUE_KEYS[self._level])
        if not is_uid(uid) or not self._is_asked_for(found):
            self._dropped += 1
        elif uid not in self._found and len(self._found) >= self._limit:
            self.is_full = True
        else:
            self._found.setdefault(uid, found)
        # What is not taken is not listened to for ever either.
        self.is_full = self.is_full or self._dropped > self._limit

    def answer(self) -> Answer:
        """Return what was taken."""
        return Answer(found=tuple(self._found.values()), is_cut=self.is_full, dropped=self._dropped)

    def _is_asked_for(self, found: Found) -> bool:
        for keyword, wanted in self._matching.items():
            told = found.text(keyword)
            if keyword == "StudyDate" and told and not _is_within(told, wanted):
                return False
            # What it does not tell is checked when the objects are here.
            is_exact = keyword in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID")
            if is_exact and told and told not in wanted.split("\\"):
                return False
        return True


def _is_within(day: str, wanted: str) -> bool:
    first, dash, last = wanted.partition("-")
    if not dash:
        return day == first
    return (not first or day >= first) and (not last or day <= last)


def bound_values(values: Iterable[object]) -> Iterator[Scalar]:
    """Yield values as text, within bounds."""
    for number, value in enumerate(values):
        if number == MOST_VALUES:
            return
        text = str(value).strip(" \0")[:LONGEST_VALUE]
        if text:
            yield text
