"""Storage commitment: who asks whom to keep what (PS3.4 Annex J).

In: identifiers.  Out: values.  Never: who the patient is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

#: Storage Commitment Push Model, and the one instance that all transactions are asked of.
PUSH_MODEL, PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"

# Failure Reason (0008,1197), PS3.3 C.14.1.1; 0: there is none.
COMMITTED = 0
PROCESSING_FAILURE, NO_SUCH_OBJECT, CLASS_CONFLICT = 0x0110, 0x0112, 0x0119
DUPLICATE_TRANSACTION, RESOURCE_LIMITATION = 0x0131, 0x0213


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """One instance that is asked for."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One transaction that somebody has with us."""

    transaction_uid: str
    #: AE title of who asks.
    requestor: str
    references: tuple[Reference, ...]

    @property
    def digest(self) -> str:
        """What tells a transaction that comes again from another under its name."""
        return digest_references(self.references)


def digest_references(references: Iterable[Reference]) -> str:
    """Return a digest that does not depend on the order."""
    lines = sorted(f"{one.sop_class_uid} {one.sop_instance_uid}" for one in references)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
