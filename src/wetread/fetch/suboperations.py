"""C-GET and C-MOVE: a request, and what comes of its sub-operations.

In: a ``Pacs``, what is wanted.
Out: objects with ``Taking`` (C-GET) or at our own port (C-MOVE); ``Retrieval``.
Never: a wait without a limit while nothing comes; an end while images still do.

References
----------
PS3.4 C.4.2 (C-MOVE), C.4.3 (C-GET), C.6.2 (Study Root); PS3.7 D.3.3.4 (role selection).
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import build_context, build_role
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from wetread.dicom.scu import MAXIMUM_CONTEXTS, open_association
from wetread.errors import RetrieveRefused
from wetread.fetch.pacs import Pacs
from wetread.fetch.retrieval import Retrieval, Stopper, Wanted
from wetread.fetch.taking import Taking

_CANCELLED = 0xFE00
#: How often somebody who waits looks up.
_LOOK_S = 0.25
_PENDING = (0xFF00, 0xFF01)
_COMPRESSED = (
    *(JPEGLosslessSV1, JPEG2000Lossless, JPEGLSLossless, JPEGBaseline8Bit, JPEG2000, RLELossless),
    *(JPEGLSNearLossless, JPEGExtended12Bit, JPEGLossless),
)
#: Proposed apart, so that each object comes as it is stored; in the order in which they are wanted where
#: there are more classes than contexts.
SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, *_COMPRESSED),
    *(ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
)
#: Where the PACS does not say of what classes its objects are (PS3.4 B.5).
_USUAL_CLASSES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{tail}"
    for tail in (
        *("2", "2.1", "2.2", "4", "4.1", "4.2", "4.4", "1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1"),
        *("12.1", "12.1.1", "12.2", "12.2.1", "13.1.1", "13.1.3", "20", "128", "128.1", "130"),
        *("6.1", "6.2", "3.1", "7", "7.1", "7.2", "7.3", "7.4", "11.1", "66.4", "30", "66", "66.5"),
        *("88.11", "88.22", "88.33", "88.34", "88.50", "88.67", "88.71", "104.1", "104.3", "77.1.5.1"),
        *("77.1.5.4", "77.1.6", "77.1.4", "77.1.1", "481.1", "481.2", "481.3", "481.5"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What both need."""

    pacs: Pacs
    wanted: Wanted
    stopper: Stopper
    #: Grows while objects come in.
    count: Callable[[], int]


def get_study(transfer: Transfer, taking: Taking) -> Retrieval:
    """Fetch by C-GET.

    Raises
    ------
    PeerError
        If the PACS does not answer or refuses; what came until then is stored.
    """
    classes = sorted(transfer.wanted.sop_class_uids) or list(_USUAL_CLASSES)
    contexts = [build_context(StudyRootQueryRetrieveInformationModelGet), *_storage_contexts(classes)]
    roles = [build_role(uid, scp_role=True) for uid in classes[: MAXIMUM_CONTEXTS - 1]]

    def prepare(association: Any) -> None:
        taking.attach(association)
        _wait_while_more_comes(association, transfer)

    callee = transfer.pacs.callee
    with open_association(callee, contexts, roles=roles, prepare=prepare) as association:
        model = StudyRootQueryRetrieveInformationModelGet
        return _run(transfer, association, lambda ds: association.send_c_get(ds, model))


def move_study(transfer: Transfer, own_aet: str) -> Retrieval:
    """Have it sent to our own port, by C-MOVE; raises as ``get_study``."""
    contexts = [build_context(StudyRootQueryRetrieveInformationModelMove)]

    def prepare(association: Any) -> None:
        _wait_while_more_comes(association, transfer)

    with open_association(transfer.pacs.callee, contexts, prepare=prepare) as association:
        model = StudyRootQueryRetrieveInformationModelMove
        return _run(transfer, association, lambda ds: association.send_c_move(ds, own_aet, model))


def _storage_contexts(classes: list[str]) -> list[PresentationContext]:
    room = MAXIMUM_CONTEXTS - 1
    if len(classes) * len(SYNTAXES) <= room:
        return [build_context(uid, [syntax]) for uid in classes for syntax in SYNTAXES]
    # One for each class with what every PACS can make of it, and the rest as far as there is room.
    both: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    contexts = [build_context(uid, both) for uid in classes[:room]]
    more = [build_context(uid, [syntax]) for syntax in _COMPRESSED for uid in classes]
    return contexts + more[: room - len(contexts)]


def _wait_while_more_comes(association: Any, transfer: Transfer) -> None:
    """Let a wait for the next response begin anew as long as objects come: not every PACS tells of each."""
    get = association.dimse.get_msg

    def get_patiently(block: bool = False) -> Any:
        known, since = transfer.count(), time.monotonic()
        while block:
            with contextlib.suppress(queue.Empty):
                return association.dimse.msg_queue.get(timeout=_LOOK_S)
            transfer.stopper.check()
            count, now = transfer.count(), time.monotonic()
            if count != known:
                known, since = count, now
            if _is_over(association) or now - since > transfer.pacs.timeout_s:
                return None, None
        return get(False)

    association.dimse.get_msg = get_patiently


def _is_over(association: Any) -> bool:
    is_aborted = association.acse.is_aborted
    return is_aborted("a-abort") or is_aborted("a-p-abort") or not association.dul.is_alive()


def _run(
    transfer: Transfer, association: Any, send: Callable[[Dataset], Iterator[tuple[Dataset, Any]]]
) -> Retrieval:
    total = Retrieval()
    for series, uids in transfer.wanted.iter_requests():
        transfer.stopper.check()
        if not association.is_established:
            raise transfer.pacs.callee.unreachable("ended the association.")
        ds = _identifier(transfer.wanted.study_instance_uid, series, uids)
        try:
            _add(total, _last_status(transfer, send(ds)))
        except RuntimeError as error:
            raise transfer.pacs.callee.unreachable("ended the association.") from error
    return total


def _identifier(study: str, series: str, uids: tuple[str, ...]) -> Dataset:
    ds = Dataset()
    ds.QueryRetrieveLevel = "IMAGE" if uids else "STUDY"
    ds.StudyInstanceUID = study
    if uids:
        ds.SeriesInstanceUID = series
        ds.SOPInstanceUID = list(uids) if len(uids) > 1 else uids[0]
    return ds


def _last_status(transfer: Transfer, answers: Iterator[tuple[Dataset, Any]]) -> Dataset:
    status = Dataset()
    for status, _ in answers:
        # Out of the loop by an error: the association is aborted.
        transfer.stopper.check()
        if "Status" not in status:
            raise transfer.pacs.callee.unreachable("did not answer in time, or ended the association.")
    code = int(status.get("Status", 0xC000))
    if code in _PENDING:
        raise transfer.pacs.callee.unreachable("ended the association.")
    return status


def _add(total: Retrieval, status: Dataset) -> None:
    code = int(status.Status)
    total.completed += _number(status, "NumberOfCompletedSuboperations")
    total.failed += _number(status, "NumberOfFailedSuboperations")
    total.warning += _number(status, "NumberOfWarningSuboperations")
    if code != 0:
        total.status = total.status or f"0x{code:04X}"
    # Sub-operations that failed are counted, and why is known to who took them in.
    is_counted = total.completed or total.failed or total.warning
    if code not in (0, 0xB000, _CANCELLED) and not is_counted:
        raise RetrieveRefused(status=f"0x{code:04X}")


def _number(status: Dataset, keyword: str) -> int:
    value = status.get(keyword)
    return int(value) if isinstance(value, int) and value > 0 else 0
