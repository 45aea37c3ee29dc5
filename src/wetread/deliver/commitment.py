"""Ask a destination to commit itself to what it acknowledged (Storage Commitment SCU, PS3.4 J).

In: documents, a destination, a transaction that is kept.  Out: it is asked for; a report, if it comes.
Never: a wait for a report beyond some seconds: as a rule it comes later, on an association to our port.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context, evt

from wetread.deliver.destination import Destination
from wetread.deliver.secure import callee_of
from wetread.dicom.commitment import read_report
from wetread.dicom.scu import open_association
from wetread.domain.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE
from wetread.domain.document import Document
from wetread.errors import PeerError, PeerUnreachable, StorageError, UnreadableInstance

#: How long the association stays open for a report, in s.
STAYS_S = 3.0
_LOOK_S = 0.1
_REQUEST_COMMITMENT = 1
_PROCESSING_FAILURE, _INVALID_ARGUMENT, _BUSY = 0x0110, 0x0115, 0x0213
_SYNTAXES: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]

#: Keeps a report (Transaction UID, results by SOP Instance UID); False where it is no transaction of ours.
Keep = Callable[[str, dict[str, int]], bool]


def ask_commitment(
    destination: Destination,
    transaction_uid: str,
    documents: Sequence[Document],
    *,
    keep: Keep,
    on_asked: Callable[[], None],
    is_answered: Callable[[], bool],
) -> None:
    """Ask, and wait a little for a report.

    Parameters
    ----------
    on_asked
        Called when the destination has acknowledged the request.
    is_answered
        Whether a report came, on this association or another.

    Raises
    ------
    PeerError
        If the destination cannot be asked; ``PeerUnreachable``: now.
    """
    context = build_context(PUSH_MODEL, _SYNTAXES)

    def prepare(association: Any) -> None:
        association.bind(evt.EVT_N_EVENT_REPORT, lambda event: (_take(event, keep), None))

    with open_association(callee_of(destination), [context], prepare=prepare) as association:
        try:
            request = _request(transaction_uid, documents)
            status, _ = association.send_n_action(
                request, _REQUEST_COMMITMENT, PUSH_MODEL, PUSH_MODEL_INSTANCE
            )
        except RuntimeError as error:
            raise PeerUnreachable("The destination ended the association.") from error
        _check(status)
        on_asked()
        pause, left_s = threading.Event(), STAYS_S
        while left_s > 0 and association.is_established and not is_answered():
            pause.wait(_LOOK_S)
            left_s -= _LOOK_S


def _check(status: Dataset) -> None:
    if "Status" not in status:
        raise PeerUnreachable("The destination did not answer in time, or ended the association.")
    code = int(status.Status)
    if code in (_PROCESSING_FAILURE, _BUSY):
        raise PeerUnreachable("The destination takes no storage commitment now.", status=f"0x{code:04X}")
    if code != 0:
        raise PeerError("The destination cannot be asked for storage commitment.", status=f"0x{code:04X}")


def _request(transaction_uid: str, documents: Sequence[Document]) -> Dataset:
    ds = Dataset()
    ds.TransactionUID = transaction_uid
    ds.ReferencedSOPSequence = []
    for document in documents:
        item = Dataset()
        item.ReferencedSOPClassUID = document.sop_class_uid
        item.ReferencedSOPInstanceUID = document.sop_instance_uid
        ds.ReferencedSOPSequence.append(item)
    return ds


def _take(event: Any, keep: Keep) -> int:
    data = event.request.EventInformation
    is_implicit = str(event.context.transfer_syntax) == ImplicitVRLittleEndian
    try:
        transaction, results = read_report(data.getvalue() if data else b"", is_implicit=is_implicit)
        return 0x0000 if keep(transaction, results) else _INVALID_ARGUMENT
    except UnreadableInstance:
        return _INVALID_ARGUMENT
    except StorageError:
        return _PROCESSING_FAILURE
