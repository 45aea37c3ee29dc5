"""What a report of storage commitment says (PS3.4 table J.3-2).

In: the event information as it came.  Out: the transaction, and a result for each instance.
Never: a UID that is none; an instance committed that is named as failed as well.
"""

from __future__ import annotations

from wetread.dicom.header import is_uid
from wetread.dicom.plain import MOST_BYTES, read_plain
from wetread.domain.commitment import COMMITTED, PROCESSING_FAILURE
from wetread.errors import UnreadableInstance

_TRANSACTION_UID, _COMMITTED, _FAILED = 0x00081195, 0x00081199, 0x00081198
_INSTANCE_UID, _REASON = 0x00081155, 0x00081197


def read_report(data: bytes, *, is_implicit: bool) -> tuple[str, dict[str, int]]:
    """Return the Transaction UID, and SOP Instance UID -> COMMITTED or a failure reason.

    Raises
    ------
    UnreadableInstance
        If it cannot be read, or is longer than any real one.
    """
    if len(data) >= MOST_BYTES:
        raise UnreadableInstance("The report is longer than any real one.")
    node = read_plain(data, is_implicit=is_implicit)
    results = {one.text(_INSTANCE_UID): COMMITTED for one in node.items(_COMMITTED)}
    for one in node.items(_FAILED):
        reason = int.from_bytes((one.values.get(_REASON) or b"")[:2], "little")
        results[one.text(_INSTANCE_UID)] = reason or PROCESSING_FAILURE
    transaction = node.text(_TRANSACTION_UID)
    if not is_uid(transaction) or not all(is_uid(uid) for uid in results):
        raise UnreadableInstance("The report has a UID that is none.")
    return transaction, results
