"""Unified Procedure Step SCP: Push, Pull, Watch and Query for peers that may order.

In: N-CREATE, N-GET, N-SET, N-ACTION, C-FIND.  Out: statuses and data sets.
Never: a decision about a workitem (``workitems`` makes it); a Transaction UID handed out.

Statuses: PS3.4 tables CC.2.1-2, CC.2.2-2, CC.2.3-3, CC.2.5-4, CC.2.6-1, CC.2.7-1 and CC.2.8-2, as
``domain.workitem`` names them; 0x0001 where attributes were asked for that a workitem has not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import build_context, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepQuery,
    UnifiedProcedureStepWatch,
)

from wetread.domain import workitem as w
from wetread.domain.workitem import (
    FILTERED_UID,
    UPS_CLASS_UID,
    Attributes,
    Change,
    Refusal,
    Warned,
    WorkitemRefused,
    text_of,
)
from wetread.errors import WetreadError
from wetread.share.workitem_model import read_dataset, write_dataset
from wetread.share.workitems import MOST_RESULTS, Asker, Worklist
from wetread.store.subscriptions import Channel, Subscription

_SUCCESS, _PENDING, _CANCEL = 0x0000, 0xFF00, 0xFE00
_NOT_SUPPORTED, _OUT_OF_RESOURCES, _NO_IDENTIFIER = 0x0001, 0xA700, 0xA900
_CHANGE, _CANCEL_REQUEST, _SUBSCRIBE, _UNSUBSCRIBE, _SUSPEND = 1, 2, 3, 4, 5
_COMMANDS = frozenset({0x0020, 0x0110, 0x0120, 0x0130, 0x0140, 0x0FFF})
#: About the question or the subscription, not of a workitem.
_ABOUT = frozenset({"00080052", "00080053", w.CHARACTER_SET, w.RECEIVING_AE, w.DELETION_LOCK})
Answer = tuple[Any, Dataset | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ups:
    """Answers to all peers."""

    worklist: Worklist
    #: Whether who calls itself so may order; the port has seen to it that they are who they say.
    may_order: Callable[[str], bool]
    #: AE titles whose address for event reports is configured.
    known_aets: Collection[str]

    @property
    def contexts(self) -> tuple[PresentationContext, ...]:
        """What may be asked for."""
        models = (
            UnifiedProcedureStepPush,
            UnifiedProcedureStepPull,
            UnifiedProcedureStepWatch,
            UnifiedProcedureStepQuery,
        )
        return tuple(build_context(model) for model in models)

    @property
    def handlers(self) -> tuple[tuple[Any, Callable[..., Any]], ...]:
        """Who answers."""
        return (
            (evt.EVT_C_FIND, self.find),
            (evt.EVT_N_CREATE, self.create),
            (evt.EVT_N_GET, self.get),
            (evt.EVT_N_SET, self.set),
            (evt.EVT_N_ACTION, self.act),
        )

    @property
    def commands(self) -> frozenset[int]:
        """Command Fields that peers may send for them."""
        return _COMMANDS

    def create(self, event: Any) -> Answer:
        """Answer N-CREATE."""

        def work(asker: Asker) -> Answer:
            named = str(event.request.AffectedSOPInstanceUID or "")
            uid = named or generate_uid()
            change = self.worklist.create(asker, uid, read_dataset(_data(lambda: event.attribute_list)))
            ds = write_dataset(change.workitem.attributes)
            if not named:
                # With a warning pynetdicom would not say which UID it has got.
                ds.AffectedSOPInstanceUID = uid
                return _SUCCESS, ds
            return _status(change), ds

        return self._answer(event, event.request.AffectedSOPClassUID, work)

    def get(self, event: Any) -> Answer:
        """Answer N-GET."""

        def work(asker: Asker) -> Answer:
            held = self.worklist.retrieve(asker, str(event.request.RequestedSOPInstanceUID))
            asked = [f"{int(tag):08X}" for tag in event.attribute_identifiers or ()]
            found = {tag: held.attributes[tag] for tag in asked if tag in held.attributes}
            lacks = any(tag not in held.attributes for tag in asked)
            return (_NOT_SUPPORTED if lacks else _SUCCESS), write_dataset(found if asked else held.attributes)

        return self._answer(event, event.request.RequestedSOPClassUID, work)

    def set(self, event: Any) -> Answer:
        """Answer N-SET."""

        def work(asker: Asker) -> Answer:
            given = read_dataset(_data(lambda: event.modification_list))
            key, uid = text_of(given, w.TRANSACTION_UID), str(event.request.RequestedSOPInstanceUID)
            change = self.worklist.update(asker, uid, given, key)
            return _status(change), None

        return self._answer(event, event.request.RequestedSOPClassUID, work)

    def act(self, event: Any) -> Answer:
        """Answer N-ACTION."""

        def work(asker: Asker) -> Answer:
            uid = str(event.request.RequestedSOPInstanceUID)
            has_info = event.request.ActionInformation is not None
            info = read_dataset(_data(lambda: event.action_information)) if has_info else {}
            kind = event.action_type
            if kind == _CHANGE:
                state, key = text_of(info, w.STATE), text_of(info, w.TRANSACTION_UID)
                return _status(self.worklist.change_state(asker, uid, state, key)), None
            if kind == _CANCEL_REQUEST:
                return _status(self.worklist.request_cancel(asker, uid, info)), None
            if kind in (_SUBSCRIBE, _UNSUBSCRIBE, _SUSPEND):
                return self._subscribe(asker, kind, uid, info), None
            raise WorkitemRefused(Refusal.NO_SUCH_ACTION, "There is no such action.")

        return self._answer(event, event.request.RequestedSOPClassUID, work)

    def find(self, event: Any) -> Iterator[Answer]:
        """Answer C-FIND."""
        try:
            asker = self._asker(event)
            asked = {
                tag: key
                for tag, key in read_dataset(_data(lambda: event.identifier)).items()
                if tag not in _ABOUT
            }
            found = self.worklist.search(asker, asked, MOST_RESULTS)
        except WetreadError as error:
            yield _refused(error, is_query=True), None
            return
        for one in found:
            if event.is_cancelled:
                yield _CANCEL, None
                return
            answer = {tag: one.attributes.get(tag, {"vr": key["vr"]}) for tag, key in asked.items()}
            yield _PENDING, write_dataset(answer)
        if len(found) == MOST_RESULTS:
            yield _told(_OUT_OF_RESOURCES, "More matches than are answered at once: narrow the query."), None

    def _subscribe(self, asker: Asker, kind: int, uid: str, info: Attributes) -> int:
        aet = text_of(info, w.RECEIVING_AE)
        if aet not in self.known_aets:
            raise WorkitemRefused(Refusal.UNKNOWN_AE)
        if kind == _UNSUBSCRIBE:
            self.worklist.unsubscribe(asker, aet, Channel.DIMSE, uid)
        elif kind == _SUSPEND:
            self.worklist.suspend(asker, aet, Channel.DIMSE, uid)
        else:
            keys = {tag: value for tag, value in info.items() if tag not in _ABOUT}
            one = Subscription(
                aet=aet,
                channel=Channel.DIMSE,
                workitem_uid=uid,
                owner=asker.name,
                has_lock=text_of(info, w.DELETION_LOCK) == "TRUE",
                keys=keys if uid == FILTERED_UID else None,
            )
            self.worklist.subscribe(asker, one)
        return _SUCCESS

    def _answer(self, event: Any, class_uid: Any, work: Callable[[Asker], Answer]) -> Answer:
        try:
            if str(class_uid) != UPS_CLASS_UID:
                raise WorkitemRefused(Refusal.NO_SUCH_CLASS, "Every workitem is of the class UPS Push.")
            return work(self._asker(event))
        except WetreadError as error:
            return _refused(error), None

    def _asker(self, event: Any) -> Asker:
        requestor = event.assoc.requestor
        aet = str(requestor.ae_title).strip()
        if not self.may_order(aet):
            refusal = WorkitemRefused(Refusal.NOT_AUTHORIZED, "Set may_order for it in dicom.peers.")
            self.worklist.note_refused(Asker(name=aet, address=str(requestor.address or ""), aet=aet))
            raise refusal
        return Asker(name=aet, address=str(requestor.address or ""), aet=aet, source=aet)


def _data(read: Callable[[], Dataset]) -> Dataset:
    try:
        return read()
    except Exception as error:
        raise WorkitemRefused(Refusal.INVALID_VALUE, "The data set cannot be read.") from error


def _status(change: Change) -> int:
    return _SUCCESS if change.warning in (None, Warned.COERCED) else int(change.warning or 0)


def _refused(error: WetreadError, *, is_query: bool = False) -> Dataset:
    refusal = error.refusal if isinstance(error, WorkitemRefused) else Refusal.UNABLE
    if is_query:
        codes: Mapping[Refusal, int] = {Refusal.INVALID_VALUE: _NO_IDENTIFIER, Refusal.NOT_AUTHORIZED: 0xC002}
        return _told(codes.get(refusal, int(Refusal.UNABLE)), error.message)
    return _told(int(refusal), error.message)


def _told(code: int, comment: str) -> Dataset:
    ds = Dataset()
    ds.Status = code
    ds.ErrorComment = comment[:64]
    return ds
