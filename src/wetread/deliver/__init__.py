"""Send until acknowledged, then prove that it landed.

In: documents and a destination.  Out: an outcome for each document.
Never: "sent" without an acknowledgement; an endless wait; a retry of what was refused for good.
"""

from wetread.deliver.outcome import Outcome
from wetread.deliver.send import send_documents
from wetread.deliver.verify import verify_documents

__all__ = ["Outcome", "send_documents", "verify_documents"]
