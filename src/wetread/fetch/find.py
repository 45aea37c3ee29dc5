"""Ask a PACS by C-FIND.

In: a ``Pacs``, keys.  Out: ``Answer``.  Never: more matches, or more time, than were granted.

References
----------
PS3.4 C.4.1 (C-FIND), C.6.2 (Study Root).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from wetread.dicom.scu import Callee, open_association
from wetread.domain.query import Level
from wetread.domain.study import Header, Scalar
from wetread.errors import QueryRefused
from wetread.fetch.found import Answer, Collector, bound_values
from wetread.fetch.pacs import Pacs

logger = logging.getLogger(__name__)

#: All answers to one question together may take so many times the wait for one.
_MOST_WAITS = 20


class DimseFinder:
    """Asks over one association; who has heard enough of an answer ends it, the next question opens one."""

    def __init__(self, pacs: Pacs, associations: ExitStack) -> None:
        self._pacs, self._associations = pacs, associations
        self._association = self._associate()

    def find(self, level: Level, matching: Mapping[str, str], keys: Iterable[str]) -> Answer:
        """Ask at a level of the Study Root model; raises as ``Finder.find`` says."""
        keys = tuple(keys)
        query = Dataset()
        query.QueryRetrieveLevel = level.value
        for keyword in keys:
            setattr(query, keyword, None)
        for keyword, value in matching.items():
            setattr(query, keyword, value)
        collector = Collector(level, matching, self._pacs.maximum_matches)
        if not self._association.is_established:
            self._association = self._associate()
        model = StudyRootQueryRetrieveInformationModelFind
        for ds in iter_matches(self._pacs.callee, self._association, query, model):
            collector.add(read_header(ds, (*keys, *matching)))
            if collector.is_full:
                break
        return collector.answer()

    def _associate(self) -> Any:
        contexts = [build_context(StudyRootQueryRetrieveInformationModelFind)]
        return self._associations.enter_context(open_association(self._pacs.callee, contexts))


@contextmanager
def open_dimse_finder(pacs: Pacs) -> Iterator[DimseFinder]:
    """Associate for questions.

    Raises
    ------
    PeerError
        If the PACS does not answer, or refuses.
    """
    with ExitStack() as associations:
        yield DimseFinder(pacs, associations)


def iter_matches(callee: Callee, association: Any, query: Dataset, model: Any) -> Iterator[Dataset]:
    """Yield the data sets of the pending answers; who stops early ends the association.

    Raises
    ------
    PeerUnreachable, QueryRefused
        If the PACS does not answer, or says no.
    """
    if not association.is_established:
        raise callee.unreachable("ended the association.")
    deadline = time.monotonic() + _MOST_WAITS * callee.timeout_s
    code: int | None = None
    try:
        for status, ds in association.send_c_find(query, model):
            code = int(status.Status) if "Status" in status else None
            if ds is not None and code in (0xFF00, 0xFF01):
                yield ds
            if time.monotonic() > deadline:
                raise callee.unreachable("takes too long for its answers.")
    except RuntimeError as error:
        raise callee.unreachable("ended the association.") from error
    finally:
        if code in (0xFF00, 0xFF01) and association.is_established:
            # Somebody has heard enough: what is still to come is not listened to.
            association.abort()
    if code is None:
        raise callee.unreachable("did not answer in time, or ended the association.")
    if code != 0:
        raise QueryRefused(pacs=callee.name, status=f"0x{code:04X}")


def read_header(ds: Dataset, keys: Iterable[str]) -> Header:
    """Return the attributes of an answer that were asked for; what cannot be read is as if not told."""
    header: dict[str, Scalar | tuple[Scalar, ...]] = {}
    for keyword in dict.fromkeys(keys):
        try:
            element = ds.data_element(keyword)
            value: Any = None if element is None else element.value
        except Exception as error:  # noqa: BLE001 - pydicom raises whatever a broken value leads to
            logger.info("A value of an answer cannot be read: %s %s", keyword, type(error).__name__)
            continue
        several = tuple(bound_values(value if isinstance(value, list) or _is_multi(value) else [value]))
        if value not in (None, "") and several:
            header[keyword] = several if len(several) > 1 else several[0]
    return header


def _is_multi(value: object) -> bool:
    return hasattr(value, "append") and not isinstance(value, str | bytes)
