"""Ask a PACS by QIDO-RS.

In: a ``Pacs``, keys.  Out: ``Answer``.  Never: an answer without measure; more pages than are needed.

References
----------
PS3.18 10.6 (search), F.2 (DICOM JSON Model).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from pydicom.datadict import tag_for_keyword

from wetread.domain.query import Level
from wetread.domain.study import Header, Scalar
from wetread.errors import QueryRefused
from wetread.fetch.found import Answer, Collector, bound_values
from wetread.fetch.pacs import Pacs
from wetread.fetch.web import open_answer

#: Matches asked for at once, and bytes that so many may have.
PAGE = 500
ANSWER_LIMIT = 16 << 20
_JSON = "application/dicom+json"


@dataclass(frozen=True, slots=True)
class WebFinder:
    """Asks by HTTP."""

    pacs: Pacs

    def find(self, level: Level, matching: Mapping[str, str], keys: Iterable[str]) -> Answer:
        """Ask for studies, series or instances; raises as ``Finder.find`` says."""
        keys = tuple(dict.fromkeys((*keys, *matching)))
        collector = Collector(level, matching, self.pacs.maximum_matches)
        offset = 0
        while not collector.is_full and offset <= self.pacs.maximum_matches:
            rows = self._ask(level, matching, keys, offset)
            for row in rows:
                collector.add(_read_row(row, keys))
            offset += len(rows)
            # A service with a limit of its own sends less than was asked for, and more behind it.
            if not rows or (offset < PAGE and len(rows) < PAGE):
                break
        return collector.answer()

    def _ask(self, level: Level, matching: Mapping[str, str], keys: Iterable[str], offset: int) -> list[Any]:
        rest = dict(matching)
        path = "/studies"
        if level is not Level.STUDY:
            path += f"/{quote(rest.pop('StudyInstanceUID'))}/series"
        if level is Level.IMAGE:
            path += f"/{quote(rest.pop('SeriesInstanceUID'))}/instances"
        words = [*rest.items(), *(("includefield", key) for key in keys)]
        words += [("limit", str(PAGE)), ("offset", str(offset))]
        with open_answer(self.pacs, f"{path}?{urlencode(words)}", _JSON) as answer:
            if answer is None:
                return []
            body = answer.read(ANSWER_LIMIT + 1)
        if len(body) > ANSWER_LIMIT:
            raise QueryRefused("The PACS answers more than can be taken.", pacs=self.pacs.name)
        return self._parse(body)

    def _parse(self, body: bytes) -> list[Any]:
        if not body.strip():
            return []
        try:
            rows = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise QueryRefused("The PACS answers what is no DICOM JSON.", pacs=self.pacs.name) from error
        if not isinstance(rows, list):
            raise QueryRefused("The PACS answers what is no list of matches.", pacs=self.pacs.name)
        return rows


@contextmanager
def open_web_finder(pacs: Pacs) -> Iterator[WebFinder]:
    """Yield what asks; HTTP needs no association."""
    yield WebFinder(pacs)


def _read_row(row: object, keys: Iterable[str]) -> Header:
    header: dict[str, Scalar | tuple[Scalar, ...]] = {}
    for keyword in keys:
        tag = tag_for_keyword(keyword)
        element = row.get(f"{tag:08X}") if isinstance(row, dict) and tag is not None else None
        values = element.get("Value") if isinstance(element, dict) else None
        several = tuple(bound_values(map(_plain, values))) if isinstance(values, list) else ()
        if several:
            header[keyword] = several if len(several) > 1 else several[0]
    return header


def _plain(value: object) -> object:
    if isinstance(value, dict):
        # A person's name (PS3.18 F.2.2).
        return value.get("Alphabetic", "")
    return "" if value is None or isinstance(value, list) else value
