"""Send what a destination gets, the way it is spoken to.

In: documents and a destination.  Out: an outcome for each.
Never: an exception for what the destination does.
"""

from __future__ import annotations

from collections.abc import Sequence

from wetread.deliver.cstore import send_objects
from wetread.deliver.destination import Destination, DestinationKind
from wetread.deliver.mllp import send_message
from wetread.deliver.outcome import Outcome
from wetread.domain.document import Document


def send_documents(destination: Destination, documents: Sequence[Document]) -> list[Outcome]:
    """Send the documents of one delivery.

    Returns
    -------
    list of Outcome
        One for each document, in order.
    """
    if destination.kind is DestinationKind.MLLP:
        return [
            send_message(destination, document.data.decode("utf-8"), document.sop_instance_uid)
            for document in documents
        ]
    return send_objects(destination, documents)
