"""Query/Retrieve SCP (Study Root): C-FIND, C-GET and C-MOVE for peers that the port let in.

In: requests.  Out: responses; objects to those who asked, or to systems that the configuration names.
Never: an object sent to an address that a request chose; a whole study in memory.

Statuses (PS3.4 tables C.4-1, C.4-2, C.4-3):

====== ==========================================================================================
0x0000 done
0xFE00 cancelled by who asked
0xFF00 one match, or objects are still to come
0xFF01 one match; some keys were not matched
0xA700 more than is answered at once: narrow the query
0xA702 the move destination broke off
0xA801 the move destination is not configured, or its TLS cannot be spoken
0xA900 the identifier is none
0xC001 the index does not answer, or what is asked cannot be recorded
0xC002 who asks may send, but not ask
====== ==========================================================================================
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import build_context, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from wetread.dicom.part10 import EXPLICIT
from wetread.dicom.scu import Callee, associate_options
from wetread.domain.query import Level, Query
from wetread.errors import InvalidQuery, PeerNotTrusted, QueryNotAllowed, WetreadError
from wetread.imaging.transcode import to_explicit_little_endian
from wetread.share.cfind import Asked, read_identifier, read_uids, write_identifier
from wetread.share.sub_operations import SubOperations
from wetread.store.catalogue import Catalogue, Held

logger = logging.getLogger(__name__)

SUCCESS, CANCEL, PENDING, PENDING_UNMATCHED = 0x0000, 0xFE00, 0xFF00, 0xFF01
OUT_OF_RESOURCES, SUB_OPERATIONS_FAILED, UNKNOWN_DESTINATION = 0xA700, 0xA702, 0xA801
NO_IDENTIFIER, UNABLE, NOT_AUTHORIZED = 0xA900, 0xC001, 0xC002
_FIND_RQ, _GET_RQ, _MOVE_RQ, _STORE_RSP, _CANCEL_RQ = 0x0020, 0x0010, 0x0021, 0x8001, 0x0FFF

#: Read from the index at a time.
_PAGE = 200
MOST_MATCHES = 20_000
_MOST_CONTEXTS = 128
#: Proposed where there is nothing to send: an association needs something.
_VERIFICATION = "1.2.840.10008.1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What somebody did, for the audit trail."""

    aet: str
    address: str
    #: In words.
    what: str
    study_instance_uid: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRetrieve:
    """Answers to all peers."""

    catalogue: Catalogue
    aet: str
    #: By AE title: who takes what somebody asks us to send there.
    destinations: Mapping[str, Callee]
    #: Whether who calls itself so may ask; the port has seen to it that they are who they say.
    may_query: Callable[[str], bool]
    #: Called before anything is answered; what cannot be recorded is refused.
    record: Callable[[Access], None]

    @property
    def contexts(self) -> tuple[PresentationContext, ...]:
        """What may be asked for."""
        models = (
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelGet,
            StudyRootQueryRetrieveInformationModelMove,
        )
        return tuple(build_context(model) for model in models)

    @property
    def handlers(self) -> tuple[tuple[Any, Callable[..., Any]], ...]:
        """Who answers."""
        return (
            (evt.EVT_C_FIND, self.find),
            (evt.EVT_C_GET, self.get),
            (evt.EVT_C_MOVE, self.move),
        )

    @property
    def commands(self) -> frozenset[int]:
        """Command Fields that peers may send for them."""
        return frozenset({_FIND_RQ, _GET_RQ, _MOVE_RQ, _STORE_RSP, _CANCEL_RQ})

    def find(self, event: Any) -> Iterator[tuple[Any, Dataset | None]]:
        """Answer C-FIND."""
        try:
            self._check(event, "C-FIND")
            asked = read_identifier(_identifier(event))
            self.record(_access(event, f"C-FIND, level {asked.query.level.value}"))
            yield from self._iter_matches(event, asked)
        except WetreadError as error:
            yield _refusal(error), None

    def _iter_matches(self, event: Any, asked: Asked) -> Iterator[tuple[Any, Dataset | None]]:
        pending = PENDING if asked.is_matched else PENDING_UNMATCHED
        for offset in range(0, MOST_MATCHES, _PAGE):
            page = self.catalogue.search(replace(asked.query, limit=_PAGE, offset=offset))
            for found in page:
                if event.is_cancelled:
                    yield CANCEL, None
                    return
                yield pending, write_identifier(asked, found, self.aet)
            if len(page) < _PAGE:
                return
        yield _status(OUT_OF_RESOURCES, "More matches than are answered at once: narrow the query."), None

    def get(self, event: Any) -> Iterator[Any]:
        """Answer C-GET: send the objects on the association of who asked."""
        try:
            held = self._named(event, "C-GET")
        except WetreadError as error:
            yield 1
            yield _refusal(error), None
            return
        yield len(held)
        accepted = {
            (context.abstract_syntax, context.transfer_syntax[0]) for context in event.assoc.accepted_contexts
        }
        yield from self._iter_objects(event, held, accepted)

    def move(self, event: Any) -> Iterator[Any]:
        """Answer C-MOVE: send the objects to a system that the configuration names."""
        aet = str(event.move_destination).strip()
        destination = self.destinations.get(aet)
        if destination is None:
            self.record(_access(event, "C-MOVE refused: its destination is not configured"))
            yield None, None
            return
        try:
            options = associate_options(destination)
        except PeerNotTrusted as error:
            # The one status that says "not to this destination".
            self.record(_access(event, f"C-MOVE to {destination.aet} refused: {error}"))
            yield None, None
            return
        try:
            held = self._named(event, f"C-MOVE to {destination.aet}")
        except WetreadError as error:
            yield destination.host, destination.port, {"contexts": _contexts([]), **options}
            yield 1
            yield _refusal(error), None
            return
        moved = SubOperations()
        options["evt_handlers"] = [*options["evt_handlers"], *moved.handlers]
        yield destination.host, destination.port, {"contexts": _contexts(held), **options}
        yield len(held)
        yield from self._iter_moved(event, held, moved)

    def _iter_moved(self, event: Any, held: list[Held], moved: SubOperations) -> Iterator[Any]:
        for at, (status, ds) in enumerate(self._iter_objects(event, held, None)):
            if moved.is_broken_off:
                for one in held[at - 1 :]:
                    moved.fail(one.sop_instance_uid)
                yield SUB_OPERATIONS_FAILED, moved.failed_list()
                return
            yield status, ds

    def _check(self, event: Any, how: str) -> None:
        if not self.may_query(str(event.assoc.requestor.ae_title).strip()):
            self.record(_access(event, f"{how} refused: it may not ask"))
            raise QueryNotAllowed

    def _named(self, event: Any, how: str) -> list[Held]:
        """Return what is to be sent, once that is recorded."""
        self._check(event, how)
        query = Query(level=Level.IMAGE, matches=read_uids(_identifier(event)))
        held = self.catalogue.list_matching(query)
        counts: dict[str, int] = {}
        for one in held:
            counts[one.study_instance_uid] = counts.get(one.study_instance_uid, 0) + 1
        for study, count in counts.items():
            self.record(_access(event, how, study, count))
        return held

    def _iter_objects(
        self, event: Any, held: list[Held], accepted: set[tuple[str, str]] | None
    ) -> Iterator[tuple[int, Dataset | None]]:
        for one in held:
            if event.is_cancelled:
                yield CANCEL, None
                return
            as_stored = accepted is None or (one.sop_class_uid, one.transfer_syntax_uid) in accepted
            try:
                yield PENDING, self._load(one, as_stored=as_stored)
            except (WetreadError, OSError) as error:
                # Counted as failed by its UID; the others go on.
                logger.warning("An object could not be sent: %s", type(error).__name__)
                yield PENDING, _unsendable(one)

    def _load(self, one: Held, *, as_stored: bool) -> Dataset:
        with self.catalogue.open(one) as file:
            if as_stored or one.transfer_syntax_uid == EXPLICIT:
                return dcmread(file)
            return dcmread(io.BytesIO(b"".join(to_explicit_little_endian(file))))


def _identifier(event: Any) -> Dataset:
    try:
        ds: Dataset = event.identifier
        list(ds)
    except Exception as error:
        raise InvalidQuery("The identifier cannot be read.") from error
    return ds


def _access(event: Any, what: str, study: str = "", count: int = 0) -> Access:
    requestor = event.assoc.requestor
    return Access(
        aet=str(requestor.ae_title).strip(),
        address=str(requestor.address or ""),
        what=what,
        study_instance_uid=study,
        count=count,
    )


def _contexts(held: list[Held]) -> list[PresentationContext]:
    """Return what must be proposed: each class as it is stored, and in the default transfer syntax."""
    pairs = {(one.sop_class_uid, one.transfer_syntax_uid) for one in held}
    pairs |= {(one.sop_class_uid, EXPLICIT) for one in held} or {(_VERIFICATION, EXPLICIT)}
    return [build_context(abstract, [syntax]) for abstract, syntax in sorted(pairs)[:_MOST_CONTEXTS]]


def _refusal(error: WetreadError) -> Dataset:
    codes: dict[type[WetreadError], int] = {InvalidQuery: NO_IDENTIFIER, QueryNotAllowed: NOT_AUTHORIZED}
    return _status(codes.get(type(error), UNABLE), error.message)


def _status(code: int, comment: str) -> Dataset:
    ds = Dataset()
    ds.Status = code
    ds.ErrorComment = comment[:64]
    return ds


def _unsendable(one: Held) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    return ds
