"""What became of a document at a destination.

In: states and codes.  Out: ``Outcome``.  Never: an outcome without a reason where it is not good.
"""

from __future__ import annotations

from dataclasses import dataclass

from wetread.domain.progress import DeliveryState
from wetread.errors import PeerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One try, or one check, of one document.

    ``state`` is ``SENT`` (acknowledged), ``VERIFIED`` (found there), ``REFUSED`` (for good) or ``WAITING``
    (``transient``: it may work later). ``SENT`` with a code: acknowledged, but not to be checked now.
    """

    #: For DICOM kinds the SOP Instance UID, else the UID that names the message.
    sop_instance_uid: str
    state: DeliveryState
    #: True where trying again may help.
    transient: bool = False
    #: An error code of ``wetread.errors``; ``""`` where all is well.
    code: str = ""
    #: For people: the peer's status and its words.
    message: str = ""


def sent(sop_instance_uid: str, message: str = "") -> Outcome:
    """Return the outcome of an acknowledged document."""
    return Outcome(sop_instance_uid=sop_instance_uid, state=DeliveryState.SENT, message=message)


def failed(sop_instance_uid: str, error: PeerError, *, transient: bool) -> Outcome:
    """Return the outcome of a try that failed."""
    return Outcome(
        sop_instance_uid=sop_instance_uid,
        state=DeliveryState.WAITING if transient else DeliveryState.REFUSED,
        transient=transient,
        code=error.code,
        message=str(error),
    )
